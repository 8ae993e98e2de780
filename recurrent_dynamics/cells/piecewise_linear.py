"""Piecewise linear networks, whose fixed points and cycles can be computed exactly."""

from __future__ import annotations

from ..checks import integer
from ..equations.nonlinearities import relu
from .cell import Cell
from .declarations import Drive, Unit
from .recipe import remembered


@remembered()
def shplrnn(hidden_layer: int = 50, clipped: bool = False) -> Cell:
    """The shallow piecewise linear network z' = A z + W_1 relu(W_2 z + h_2) + h_1 + C x (Hess et al. 2023).

    A is a diagonal. In the parameters W_2 stands as `U`, W_1 as `U_z`, C as `W`, h_1 as `b`.

    Parameters
    ----------
    hidden_layer
        Number L of rectifiers.
    clipped
        relu(W_2 z + h_2) - relu(W_2 z) in place of the rectifiers: the state then stays bounded wherever ``|A| < 1``.

    Examples
    --------
    >>> params = shplrnn(5).init(input_size=2, hidden_size=3)
    >>> {name: array.shape for name, array in params.items()}
    {'W': (3, 2), 'U': (5, 3), 'U_z': (3, 5), 'b': (3,), 'A': (3,), 'h_2': (5,)}
    """
    width = str(integer("hidden_layer", hidden_layer, at_least=1))

    def plain(drive, state, param):
        return {"z": param.A * state.z + drive.z(relu(drive.k + param.h_2))}

    def bounded(drive, state, param):
        return {"z": param.A * state.z + drive.z(relu(drive.k + param.h_2) - relu(drive.k))}

    return Cell(
        f"{'clipped ' if clipped else ''}shallow piecewise linear network",
        state=("z",),
        drives=(Drive("k", input=False, bias=False, width=width), "z"),
        units=(Unit("A", initial=(0.5, 0.9)), Unit("h_2", initial=(-0.5, 0.5), width=width)),
        update=bounded if clipped else plain,
    )
