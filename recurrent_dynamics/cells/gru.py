"""The gated recurrent unit and its relatives."""

from __future__ import annotations

from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell
from .recipe import remembered


@remembered()
def gru() -> Cell:
    """Gated recurrent unit with its reset gate after the product (Cho et al. 2014; the form of cuDNN and PyTorch)."""

    def update(drive, state):
        r, z = sigmoid(drive.r), sigmoid(drive.z)
        n = tanh(drive.n.x + r * drive.n.h)
        return {"h": (1 - z) * n + z * state.h}

    return Cell("gru", state=("h",), drives=("r", "z", "n"), update=update)


@remembered()
def gru_reset_before() -> Cell:
    """Gated recurrent unit with its reset gate before the product (Cho et al. 2014, as first printed)."""

    def update(drive, state):
        r, z = sigmoid(drive.r), sigmoid(drive.z)
        n = tanh(drive.n(r * state.h))
        return {"h": (1 - z) * n + z * state.h}

    return Cell(
        "gru with its reset gate before the product", state=("h",), drives=("r", "z", "n"), update=update
    )


@remembered()
def minimal_gated_unit() -> Cell:
    """Minimal gated unit: one gate forgets and resets (Zhou et al. 2016)."""

    def update(drive, state):
        f = sigmoid(drive.f)
        n = tanh(drive.n(f * state.h))
        return {"h": (1 - f) * state.h + f * n}

    return Cell("minimal gated unit", state=("h",), drives=("f", "n"), update=update)
