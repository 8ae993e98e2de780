"""Loops over units as two: what belongs to which, and where one stays whole."""

from __future__ import annotations

from collections import Counter

from recurrent_dynamics import cells
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.equations import sigmoid, tanh
from recurrent_dynamics.equations.derive import Derivation
from recurrent_dynamics.equations.program import NONLINEAR, symbols_of
from recurrent_dynamics.equations.split_loops import split


def parts(cell: Cell) -> list[list[tuple[list[str], list[str]]]]:
    """Of each loop of the forward pass, its parts: the nonlinearities, and what is written."""
    found = []
    for loop in Derivation(cell, store_activations=True).loops("forward"):
        parts = split(loop)
        for part in parts:
            assert symbols_of(part.program) <= {*part.reads, *dict(part.program.statements)}
        assert Counter(w for part in parts for w in part.writes) == Counter(loop.writes)
        found.append([
            (
                sorted(type(e).__name__ for _, e in part.program.statements if isinstance(e, NONLINEAR)),
                sorted(f"{w.array}.{w.variable.name}" for w in part.writes),
            )
            for part in parts
        ])  # fmt: skip
    return found


def test_the_output_of_an_lstm_is_computed_from_what_its_gates_have_stored():
    gates = ["sigmoid", "sigmoid", "sigmoid", "tanh"], ["E.f", "E.g", "E.i", "E.o", "N.c"]
    assert parts(cells.lstm()) == [[gates, (["tanh"], ["N.h"])]]


def test_the_candidate_of_a_gru_is_computed_after_its_gates():
    assert parts(cells.gru()) == [[(["sigmoid"] * 2, ["E.r", "E.z"]), (["tanh"], ["N.h"])]]


def test_a_loop_without_nested_nonlinearities_stays_whole():
    assert [len(loop) for loop in parts(cells.elman())] == [1]


def two_slots(update, *drives: str) -> Cell:
    return Cell("two slots", state=("h", "c"), drives=drives, update=update)


def test_a_loop_stays_whole_where_the_second_part_reads_the_state_that_the_first_one_overwrites():
    """A single step may write the new state where the state was."""

    def reads_old(drive, state):
        c = state.c + tanh(drive.n)
        return {"h": state.c * tanh(c), "c": c}

    def reads_new(drive, state):
        c = state.c + tanh(drive.n)
        return {"h": tanh(c), "c": c}

    assert [len(loop) for loop in parts(two_slots(reads_old, "n"))] == [1]
    assert [len(loop) for loop in parts(two_slots(reads_new, "n"))] == [2]


def test_a_loop_stays_whole_where_a_nonlinearity_would_be_computed_twice():
    def hidden(drive, state):
        gate = sigmoid(drive.n + state.h)  # nothing stores it
        return {"h": tanh(gate * drive.o), "c": gate * state.c}

    assert [len(loop) for loop in parts(two_slots(hidden, "n", "o"))] == [1]
