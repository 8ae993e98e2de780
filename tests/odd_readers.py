"""Cells that read a memory in ways that no library needs but that the contract allows."""

from __future__ import annotations

from recurrent_dynamics.cells import DIAGONAL, Cell, Drive, Slot
from recurrent_dynamics.equations import over_positions, over_units, sigmoid, softmax, tanh


def _gated(drive, state, signal, constant, memory):
    e = over_units(memory.states * drive.q + constant.half * signal.u * sigmoid(memory.states))
    a = softmax(e - constant.half * state.seen)
    c = over_positions(a * tanh(memory.states + state.h))
    return {"h": tanh(drive.n(c, state.h)), "seen": 0.5 * state.seen + a}


def _without_a_matrix(drive, state, memory):
    a = softmax(over_units(memory.keys * state.h))
    return {"h": tanh(drive.n + over_positions(a * memory.keys))}


READERS = {
    cell.name: cell
    for cell in (
        # Weights that are no softmax alone, a coverage, a signal in a score, values that are read through a function.
        Cell(
            "gated reader",
            state=("h", Slot("seen", "source")),
            drives=("n", Drive("q", ("h",), input=False)),
            update=_gated,
            signals=("u",),
            constants={"half": 0.5},
            memory=("states",),
        ),
        Cell(
            "reads and means without a matrix",
            state=("h",),
            drives=(Drive("n", structure=DIAGONAL),),
            update=_without_a_matrix,
            normalized=True,
            memory=("keys",),
        ),
    )
}
