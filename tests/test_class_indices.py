"""Class indices as the input: what one-hot vectors give, without the vectors."""

from __future__ import annotations

import numpy as np
import pytest
from cell_variants import of
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.engine import check

CELLS = of("quick")


def both(cell, rng, steps, batch, classes, hidden, dtype="float64", **options):
    """(parameters, the run of class indices, that of one-hot vectors)."""
    params = cell.init(classes, hidden, rng=rng, dtype=dtype)
    indices = rng.integers(0, classes, (steps, batch))
    options["initial"] = {s: rng.standard_normal((batch, hidden)).astype(dtype) for s in cell.state}
    vectors = np.eye(classes, dtype=dtype)[indices]
    return (
        params,
        rd.forward(cell, params, indices, **options),
        rd.forward(cell, params, vectors, **options),
    )


def close(a, b, tolerance=1e-12):
    for key, value in b.items():
        np.testing.assert_allclose(
            a[key], value, rtol=0, atol=tolerance * max(1, np.abs(value).max()), err_msg=key
        )


@settings(max_examples=25)
@given(st.data())
def test_every_verb_gives_what_it_gives_for_one_hot_vectors(data):
    cell = CELLS[data.draw(st.sampled_from(sorted(CELLS)))]
    steps, batch, classes, hidden = (data.draw(st.integers(1, n)) for n in (7, 6, 9, 11))
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    options = {}
    if data.draw(st.booleans()):
        options["lengths"] = rng.integers(0, steps + 1, batch)
    if data.draw(st.booleans()):
        options["reset"] = rng.random((steps, batch)) < 0.3
    params, run, dense = both(cell, rng, steps, batch, classes, hidden, **options)
    np.testing.assert_array_equal(run.output, dense.output)
    close(run.drives, dense.drives)
    d_output = rng.standard_normal(run.output.shape)
    grads, wanted = rd.backward(run, d_output), rd.backward(dense, d_output)
    assert grads.x is None
    close(grads.params, wanted.params)
    close(grads.initial, wanted.initial)
    close(grads.states, wanted.states)
    along = {"d_params": {k: rng.standard_normal(v.shape) for k, v in params.items()}}
    moved = rd.jvp(run, **along).output
    np.testing.assert_allclose(moved, rd.jvp(dense, **along).output, atol=1e-12)
    second = {"d_output_tangent": moved, **along}
    close(rd.hvp(run, d_output, **second).params, rd.hvp(dense, d_output, **second).params, 1e-11)
    np.testing.assert_array_equal(rd.jacobian(run), rd.jacobian(dense))


@pytest.mark.parametrize(
    ("steps", "batch", "hidden"), [(40, 1, 256), (60, 50, 64)], ids=["shared units", "slices of the batch"]
)
def test_threads_and_many_blocks_of_rows(steps, batch, hidden, rng):
    _, run, dense = both(CELLS["lstm"], rng, steps, batch, 7, hidden, "float32")
    np.testing.assert_allclose(run.output, dense.output, atol=1e-6)
    d_output = rng.standard_normal(run.output.shape).astype("float32")
    close(rd.backward(run, d_output).params, rd.backward(dense, d_output).params, 3e-6)


def test_the_run_shows_the_indices(rng):
    cell = CELLS["gru"]
    params = cell.init(4, 3)
    indices = np.array([[0, 3], [1, 2], [2, 0]], np.int16)
    run = rd.forward(cell, params, indices)
    np.testing.assert_array_equal(run.x, indices)
    assert run.classes
    assert not rd.forward(cell, params, np.eye(4, dtype="float32")[indices]).classes
    one = rd.forward(cell, params, indices[:, 0])
    np.testing.assert_array_equal(one.output, run.output[:, 0])
    np.testing.assert_array_equal(one.x, indices[:, 0])
    before = run.output.copy()
    indices[:] = 0
    np.testing.assert_array_equal(rd.forward(cell, params, run.x).output, before)


def test_beyond_the_lengths_indices_are_not_read():
    cell = CELLS["elman"]
    params = cell.init(3, 4)
    run = rd.forward(cell, params, np.array([[0, 1], [2, 99]]), lengths=[2, 1])
    assert run.x.tolist() == [[0, 1], [2, 0]]
    with refused("x", "0..2", ("99", "(1, 1)")):
        rd.forward(cell, params, np.array([[0, 1], [2, 99]]))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", ">i4", "<u4", "i8"])
@pytest.mark.parametrize("count", [5, 100, 127, 128, 200, 255, 256, 300, 40000])
def test_integers_of_any_dtype_are_compared_as_they_are(dtype, count):
    limits = np.iinfo(dtype)
    for value in (0, 1, count - 1, count, limits.max, limits.min, -1):
        if limits.min <= value <= limits.max:
            a = np.array([[0, 0], [value, 0]], dtype)
            assert check.below(a, count) == (0 <= value < count), value
            assert check.below(a[:, ::-1], count) == (0 <= value < count), value
    assert check.below(np.zeros((0, 2), dtype), count)


def test_wrong_indices_are_refused():
    cell = CELLS["elman"]
    params = cell.init(3, 4)
    with refused("x", came="-1 at index (1,)"):
        rd.forward(cell, params, np.array([0, -1]))
    with refused(wrong_type("x", "or class indices (integers) of shape (T, B)", "(2, 1, 3)")):
        rd.forward(cell, params, np.zeros((2, 1, 3), int))
    with refused("x", "at least one step and one sequence", "(0, 2)"):
        rd.forward(cell, params, np.zeros((0, 2), int))
    with refused(wrong_type("x", came="bool")):
        rd.forward(cell, params, np.zeros((2, 1), bool))
    without = rd.cells.linear()
    with refused(wrong_type("x", "be real numbers, as the cell reads its input not by params['W']")):
        rd.forward(without, without.init(0, 3), np.zeros((2, 1), int))
    run = rd.forward(cell, params, np.zeros((2, 1), int))
    with refused("d_x", ("None", "class indices")):
        rd.jvp(run, d_x=np.zeros((2, 1, 3), "float32"))


def test_a_stepper_takes_indices():
    cell = CELLS["lstm"]
    params = cell.init(5, 6, rng=2)
    indices = np.array([[4, 1], [0, 3], [2, 2]])
    step, run = rd.stepper(cell, params), rd.forward(cell, params, indices)
    state = step.zeros(2)
    for x in indices:
        state = step(x, state)
    np.testing.assert_allclose(state["h"], run.final["h"], atol=1e-6)
    with refused("x", "2 class indices in 0..4", "int64 of shape (2,)"):
        step(np.array([0, 5]), state)


def test_analyses_of_a_run_of_indices(rng):
    cell = CELLS["gru"]
    _, run, dense = both(cell, rng, 60, 2, 5, 4)
    found, wanted = (rd.dynamics.lyapunov(r, count=2, transient=10, tolerance=9.0) for r in (run, dense))
    np.testing.assert_allclose(found.exponents, wanted.exponents, rtol=1e-10)
    steps, dense_steps = rd.dynamics.StepDerivatives(run), rd.dynamics.StepDerivatives(dense)
    np.testing.assert_allclose(steps.by_input(), dense_steps.by_input(), atol=1e-12)
