"""Networks with the modulus rectifier, which leaves directions alone: for orthogonal and unitary matrices."""

from __future__ import annotations

from ..checks import number
from ..equations.nonlinearities import absolute, relu, sign, sqrt
from ..parametrize import unitary_cayley
from .cell import Cell
from .declarations import Drive, Unit
from .recipe import remembered

THRESHOLD = Unit("threshold", initial=(-0.01, 0.01))


@remembered()
def modrelu_rnn() -> Cell:
    """The network h' = modReLU(W x + U h), modReLU(n) = sign(n) relu(``|n|`` + threshold) (Helfrich et al. 2018).

    Its U is orthogonal with `rd.nn.Model(..., parametrize=rd.parametrize.cayley)`: the scaled Cayley network.

    Examples
    --------
    >>> {name: array.shape for name, array in modrelu_rnn().init(input_size=2, hidden_size=3).items()}
    {'W': (3, 2), 'U': (3, 3), 'threshold': (3,)}
    """

    def update(drive, param):
        return {"h": sign(drive.n) * relu(absolute(drive.n) + param.threshold)}

    drive = Drive("n", bias=False)
    return Cell("modReLU network", state=("h",), drives=(drive,), units=(THRESHOLD,), update=update)


@remembered()
def unitary_rnn(eps: float = 1e-5) -> Cell:
    """The unitary network h' = modReLU(W x + U h) with complex states (Arjovsky et al. 2016).

    modReLU(n) = n / ``|n|`` relu(``|n|`` + threshold), with ``|n|`` the root of the squared modulus plus `eps`. The
    slots re and im hold real and imaginary parts, and U (2 H, 2 H) acts on both. It is made from free parameters by
    `rd.parametrize.unitary_cayley` where the cell is initialized and where a `rd.nn.Model` trains it, or by what its
    `parametrize` names (`eunn`, `unitary_product`); the equations take any U. The output is the real part.

    Parameters
    ----------
    eps
        Keeps the division by the modulus from 0 / 0, above 0.

    Examples
    --------
    >>> {name: array.shape for name, array in unitary_rnn().init(input_size=2, hidden_size=3).items()}
    {'W': (6, 2), 'U': (6, 6), 'threshold': (3,)}
    """

    def update(drive, param, constant):
        modulus = sqrt(drive.re * drive.re + drive.im * drive.im + constant.eps)
        scale = relu(modulus + param.threshold) / modulus
        return {"re": scale * drive.re, "im": scale * drive.im}

    return Cell(
        "unitary network",
        state=("re", "im"),
        drives=(Drive("re", bias=False), Drive("im", bias=False)),
        units=(THRESHOLD,),
        update=update,
        recurrent=("re", "im"),
        constants={"eps": number("eps", eps, above=0)},
        parametrize={"U": unitary_cayley},
    )
