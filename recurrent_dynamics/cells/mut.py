"""The three mutations of the gated recurrent unit that an evolutionary search found (Jozefowicz et al. 2015).

MUT1 and MUT2 add the input itself to a gate's or unit's sum, so it must have as many entries as there are units.
"""

from __future__ import annotations

from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell
from .declarations import Drive
from .recipe import remembered


@remembered()
def mut1() -> Cell:
    """MUT1 of Jozefowicz et al. 2015; the input is as wide as the state."""

    def update(drive, state, signal):
        z, r = sigmoid(drive.z), sigmoid(drive.r)
        n = tanh(drive.n(r * state.h) + tanh(signal.x))
        return {"h": n * z + state.h * (1 - z)}

    drives = (Drive("z", operand=()), "r", Drive("n", input=False))
    return Cell("mut1", state=("h",), drives=drives, signals=("x",), update=update)


@remembered()
def mut2() -> Cell:
    """MUT2 of Jozefowicz et al. 2015; the input is as wide as the state."""

    def update(drive, state, signal):
        z, r = sigmoid(drive.z), sigmoid(signal.x + drive.r)
        n = tanh(drive.n(r * state.h))
        return {"h": n * z + state.h * (1 - z)}

    drives = ("z", Drive("r", input=False), "n")
    return Cell("mut2", state=("h",), drives=drives, signals=("x",), update=update)


@remembered()
def mut3() -> Cell:
    """MUT3 of Jozefowicz et al. 2015."""

    def update(drive, state):
        z, r = sigmoid(drive.z(tanh(state.h))), sigmoid(drive.r)
        n = tanh(drive.n(r * state.h))
        return {"h": n * z + state.h * (1 - z)}

    return Cell("mut3", state=("h",), drives=("z", "r", "n"), update=update)
