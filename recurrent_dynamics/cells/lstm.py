"""Long short-term memory and its variants."""

from __future__ import annotations

from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell


def lstm() -> Cell:
    """Long short-term memory with a forget gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""

    def update(drive, state):
        i, f, o = sigmoid(drive.i), sigmoid(drive.f), sigmoid(drive.o)
        c = f * state.c + i * tanh(drive.g)
        return {"h": o * tanh(c), "c": c}

    return Cell("lstm", state=("h", "c"), drives=("i", "f", "g", "o"), update=update)
