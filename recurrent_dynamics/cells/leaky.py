"""Networks that move a part of the way to their new state: leaky units, residual gates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..checks import ArgumentError
from ..equations.nonlinearities import sigmoid
from ..parametrize import cayley
from .activation import activation_of
from .cell import Cell
from .declarations import Drive, Unit
from .recipe import remembered

GATES = ("fixed", "learnt", "input")


@remembered()
def leaky(alpha: float = 0.9, activation: str | Callable[[Any], Any] = "tanh", gate: str = "fixed") -> Cell:
    """The gated residual network h' = alpha h + (1 - alpha) f(W x + U h + b) (Jaeger et al. 2007).

    It is the Euler method with step dt for tau dh/dt = -h + f(W x + U h + b), with alpha = 1 - dt / tau.

    Parameters
    ----------
    alpha
        The share of the state that is kept: in [0, 1] for a fixed gate, strictly between for the others, which start
        there.
    activation
        A name or a function of `recurrent_dynamics.equations`.
    gate
        "fixed": alpha is a constant, and a new value needs no new compilation. "learnt": one alpha for each unit is
        trained, stored as its logit (Tallec and Ollivier 2018, eq. 6). "input": alpha_t = sigmoid(W x_t + b).

    Examples
    --------
    >>> params = leaky(0.5, gate="learnt").init(input_size=2, hidden_size=3)
    >>> {name: array.shape for name, array in params.items()}
    {'W': (3, 2), 'U': (3, 3), 'b': (3,), 'alpha': (3,)}
    """
    if gate not in GATES:
        raise ArgumentError("gate", f"be one of {', '.join(GATES)}", repr(gate))
    if not (0 <= alpha <= 1 if gate == "fixed" else 0 < alpha < 1):
        bounds = "[0, 1]" if gate == "fixed" else "(0, 1)"
        raise ArgumentError("alpha", f"lie in {bounds} for a gate that is {gate!r}", repr(alpha))
    f = activation_of(activation)

    def fixed(drive, state, constant):
        return {"h": constant.alpha * state.h + (1 - constant.alpha) * f(drive.n)}

    def learnt(drive, state, param):
        return {"h": param.alpha * state.h + (1 - param.alpha) * f(drive.n)}

    def computed(drive, state):
        alpha = sigmoid(drive.alpha)
        return {"h": alpha * state.h + (1 - alpha) * f(drive.n)}

    if gate == "fixed":
        return Cell("leaky", state=("h",), drives=("n",), update=fixed, constants={"alpha": alpha})
    if gate == "learnt":
        unit = Unit("alpha", initial=alpha, low=0, high=1)
        return Cell("leaky, alpha learnt", state=("h",), drives=("n",), update=learnt, units=(unit,))
    return Cell(
        "leaky, alpha from the input",
        state=("h",),
        drives=(Drive("alpha", operand=()), "n"),
        update=computed,
        bias={"alpha": math.log(alpha / (1 - alpha))},
    )


@remembered()
def es2n(alpha: float = 0.9, activation: str | Callable[[Any], Any] = "tanh") -> Cell:
    """The edge-of-stability network h' = alpha O h + (1 - alpha) f(W x + U h + b) (Ceni and Gallicchio 2024).

    O is orthogonal: a leaky network whose memory is turned at every step. The eigenvalues of its linear part lie on a
    circle of radius alpha, where those of `leaky` are all alpha itself. O are the rows of drive o in U; it is made from
    free parameters by `rd.parametrize.cayley` where the cell is initialized and where a `rd.nn.Model` trains it.

    Parameters
    ----------
    alpha
        The share of the state that is kept and turned, in [0, 1]; their beta is 1 - alpha. A new value needs no new
        compilation.
    activation
        A name or a function of `recurrent_dynamics.equations`.

    Examples
    --------
    >>> params = es2n().init(input_size=2, hidden_size=3, dtype="float64")
    >>> {name: array.shape for name, array in params.items()}
    {'W': (3, 2), 'U': (6, 3), 'b': (3,)}
    >>> O = params["U"][3:]
    >>> bool(abs(O.T @ O - [[1, 0, 0], [0, 1, 0], [0, 0, 1]]).max() < 1e-12)
    True
    """
    if not 0 <= alpha <= 1:
        raise ArgumentError("alpha", "lie in [0, 1]", repr(alpha))
    f = activation_of(activation)

    def update(drive, constant):
        return {"h": constant.alpha * drive.o + (1 - constant.alpha) * f(drive.n)}

    return Cell(
        "edge-of-stability network",
        state=("h",),
        drives=("n", Drive("o", input=False, bias=False)),
        update=update,
        constants={"alpha": alpha},
        parametrize={"U.o": cayley},
    )
