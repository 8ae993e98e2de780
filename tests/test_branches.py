"""Steps of rows that branch from others: every cell against the ordinary step is in `cell_checks`, borders are here."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu.branches import input_stage

LSTM, GRU = rd.cells.lstm(), rd.cells.gru()
BEFORE = rd.cells.attention(LSTM, keys="3", values="5")
AFTER = rd.cells.attention(GRU, "general", "after", values="2")
N, H, S = 3, 4, 6


def made(cell, rng, memories=2, dtype="float64"):
    """A stepper with a state of one row for each of two memories."""
    params, read = cell.init(N, H, rng, dtype), None
    if cell.memory:
        widths = {m.name: m.width for m in cell.layout(N, H).memory}
        read = {name: rng.standard_normal((S, memories, w)).astype(dtype) for name, w in widths.items()}
    step = rd.stepper(cell, params, read, None if read is None else [S, 3][:memories])
    state = step.zeros(memories)
    return step, step(rng.standard_normal((memories, N)).astype(dtype), state)


def test_what_needs_no_input():
    """The products with the state of an LSTM; all that an attention reads before the step; its query after it."""
    assert (input_stage(LSTM), LSTM.schedule.stages) == (1, 1)
    assert input_stage(BEFORE) == BEFORE.schedule.stages > 3
    assert input_stage(AFTER) == 1 < AFTER.schedule.stages


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 130),
    cell=st.sampled_from([LSTM, GRU, BEFORE, AFTER]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_many_rows(seed, rows, cell, dtype):
    """More rows than are computed at once, from few parents and from many."""
    rng = np.random.default_rng(seed)
    step, state = made(cell, rng, dtype=dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    for _ in range(2):
        parents = rng.integers(0, len(state.rows), rows)
        x = rng.standard_normal((rows, N)).astype(dtype)
        wanted, state = step(x, state.take(parents)), step.branch(x, state, parents)
        assert state.rows.dtype == dtype
        for slot in cell.state:
            np.testing.assert_allclose(state[slot], wanted[slot], atol=tolerance)
        if cell.memory:
            np.testing.assert_array_equal(state.memory_of, wanted.memory_of)
            np.testing.assert_allclose(state.attention, wanted.attention, atol=tolerance)


@pytest.mark.parametrize("cell", [LSTM, BEFORE, AFTER], ids=lambda cell: cell.name)
def test_threads_and_neighbours_change_no_bit(cell, rng, tune):
    step, state = made(cell, rng, dtype="float32")
    parents, x = rng.integers(0, 2, 150), rng.standard_normal((150, N)).astype("float32")
    tune(min_parallel_flops=0)
    found = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        found.append(step.branch(x, state, parents).rows)
    np.testing.assert_array_equal(*found)
    own = step.branch(x[:2], state if cell.memory else dict(state))
    np.testing.assert_array_equal(own.rows, step.branch(x[[1, 0]], state, [1, 0]).rows[::-1])


def test_class_indices_stand_for_one_hot_vectors(rng):
    step, state = made(BEFORE, rng)
    parents, indices = np.array([0, 1, 1]), np.array([2, 0, 1])
    found, wanted = step.branch(indices, state, parents), step.branch(np.eye(N)[indices], state, parents)
    np.testing.assert_array_equal(found.rows, wanted.rows)


def test_a_cell_with_signals_takes_the_ordinary_step(rng):
    step, state = made(rd.cells.variational_dropout(LSTM, 0.3), rng)
    x, parents = rng.standard_normal((3, N)), np.array([1, 0, 1])
    np.testing.assert_array_equal(step.branch(x, state, parents).rows, step(x, state.take(parents)).rows)


def test_errors(rng):
    step, state = made(LSTM, rng)
    x = np.zeros((2, N))
    with refused("parents", "0..1", "0 to 2"):
        step.branch(x, state, [0, 2])
    with refused("parents", "integers", "float64"):
        step.branch(x, state, [0.0, 1.0])
    with refused("state", "h, c", "h"):
        step.branch(x, {"h": state["h"]})
    with refused("x", "(3, 3)"):
        step.branch(x, state, [0, 0, 1])
    with refused("x", "0..2"):
        step.branch(np.array([0, 3]), state)
    with refused("x", "(2,)"):
        step.branch(np.array([0]), state)
    with refused("x", "finite", "(1, 0)"):
        step.branch(np.array([[0, 0, 0], [np.nan, 0, 0]]), state)
