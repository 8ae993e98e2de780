"""Derivatives of the compiled engine, for a cell of two slots, one with a drive kept apart, and the simplest one.

Compiled code does not depend on shapes: the sizes below compile nothing new.
"""

from __future__ import annotations

import numpy as np
import pytest
from cell_checks import case, check, close, group
from cell_property import check_any_sizes, draws
from cell_variants import compiled, of
from hypothesis import given, settings

import recurrent_dynamics as rd

CELLS = of("compiled")
by_name = pytest.mark.parametrize("name", of("quick"))


@by_name
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("reset", [False, True], ids=["unbroken", "reset"])
def test_every_entry_of_every_derivative_equals_a_complex_step_on_the_reference(name, lengths, reset, rng):
    check(case(CELLS[name], rng, lengths=lengths, reset=reset), rng)


@by_name
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 1), (3, 1, 1, 5), (2, 9, 3, 17)], ids=str)
def test_every_entry_of_every_derivative_is_right_at_the_smallest_sizes(name, shape, rng):
    steps, batch, inputs, hidden = shape
    check(case(CELLS[name], rng, steps, batch, inputs, hidden), rng, every_entry=hidden < 10)


@pytest.mark.parametrize("name", compiled())
@settings(max_examples=12)
@given(drawn=draws(40))
def test_derivatives_are_right_for_any_sizes_lengths_and_resets(name, drawn):
    check_any_sizes(CELLS[name], drawn)


@by_name
def test_jacobian_of_chosen_steps_is_that_of_all_steps_there(name, rng):
    run = case(CELLS[name], rng, steps=6).run()
    J = rd.jacobian(run)
    mask = np.array([True, False, False, True, True, False])
    for steps in (slice(1, 5, 2), [4, 0], (2,), np.array([5, -6]), range(1, 4), mask):
        chosen = list(steps) if isinstance(steps, (tuple, range)) else steps
        np.testing.assert_array_equal(rd.jacobian(run, steps), J[chosen])
    np.testing.assert_array_equal(rd.jacobian(run, 3), J[3])
    np.testing.assert_array_equal(rd.jacobian(run, -1), J[-1])


@by_name
def test_hessian_is_symmetric(name, rng):
    """<u, H v> = <v, H u> for the Hessian of |output|^2 / 2 by the parameters, to rounding."""
    c = case(CELLS[name], rng)
    run = c.run()
    u, v = ({k: rng.standard_normal(p.shape) for k, p in run.params.items()} for _ in range(2))

    def hessian_times(w):
        moved = rd.jvp(run, w).output
        return rd.hvp(run, run.output, w, moved).params

    Hu, Hv = hessian_times(u), hessian_times(v)
    left, right = (sum(np.sum(a[k] * b[k]) for k in a) for a, b in ((u, Hv), (v, Hu)))
    assert abs(left - right) <= 1e-12 * sum(np.sum(np.abs(u[k] * Hv[k])) for k in u)


def test_float32_states_differ_from_float64_by_no_more_than_rounding_grown_by_the_jacobians(rng):
    """e_t <= |J_t| e_{t-1} + local rounding, to first order: the largest growth that the condition allows.

    A drive sums N + H + 1 products and is wrong by at most (N + H + 2) eps times the sum of their absolute values;
    what follows, by a few eps of values up to 1 + |c|.
    """
    c32 = case(CELLS["lstm"], rng, steps=30, batch=4, inputs=5, hidden=12).astype("float32")
    c64 = c32.astype("float64")
    run32, run64 = c32.run(), c64.run()
    J, eps = np.abs(rd.jacobian(run64)), np.finfo("float32").eps
    p = group(c64.point, "params")
    h, k = run64.tape.before[..., :12], 12 + 5 + 2
    sums = np.abs(c64.x) @ np.abs(p["W"]).T + np.abs(h) @ np.abs(p["U"]).T + np.abs(p["b"])
    per_unit = k * sums.reshape(30, 4, 4, 12).sum(axis=2) + 16.0
    local = (
        eps * np.concatenate([per_unit, per_unit], axis=-1) * (1 + np.abs(run64.tape.before[..., 12:]).max())
    )
    bound = np.zeros(J.shape[1:3])
    for t in range(30):
        bound = (J[t] @ bound[..., None])[..., 0] + local[t]
        for i, slot in enumerate(("h", "c")):
            error = np.abs(run32.states[slot][t] - run64.states[slot][t])
            assert (error <= bound[:, 12 * i : 12 * (i + 1)]).all(), f"step {t}, {slot}: {error.max():.1e}"
    assert run32.output.dtype == np.float32


def test_float32_gradients_of_a_contracting_network_differ_from_float64_by_rounding(rng):
    """Without growth each of T steps adds at most about N + 4 H roundings of its own: eps T (N + 4 H) in all."""
    c = case(CELLS["lstm"], rng, steps=30, batch=4, inputs=5, hidden=12)
    c.point["params", "U"] /= max(1.0, np.linalg.norm(c.point["params", "U"], 2))
    c32 = c.astype("float32")
    c64 = c32.astype("float64")
    run32, run64 = c32.run(), c64.run()
    d = rng.standard_normal(run64.output.shape).astype("float32")
    g32, g64 = rd.backward(run32, d), rd.backward(run64, d.astype("float64"))
    bound = np.finfo("float32").eps * 30 * (5 + 4 * 12)
    for name in g64.params:
        assert g32.params[name].dtype == np.float32
        close(f"gradient by {name}", g32.params[name], g64.params[name], bound)
    close("gradient by x", g32.x, g64.x, bound)
    assert g32.x.dtype == g32.initial["c"].dtype == g32.states["h"].dtype == np.float32


STREAMED = [("lstm", "float64"), ("gru", "float64"), ("elman", "float64"), ("lstm", "float32")]


@pytest.mark.parametrize(("name", "dtype"), STREAMED)
@pytest.mark.parametrize("batch", [1, 2, 9])
def test_stepper_gives_the_states_of_forward_step_by_step(name, dtype, batch, rng):
    c = case(CELLS[name], rng, steps=7, batch=batch, inputs=5, hidden=11).astype(dtype)
    run, step = c.run(), rd.stepper(c.cell, group(c.point, "params"))
    state = group(c.point, "initial")
    for t in range(c.steps):
        state = step(c.x[t], state)
        for slot in c.cell.state:
            np.testing.assert_array_equal(state[slot], run.states[slot][t])
            assert state[slot].dtype == run.dtype


@pytest.mark.full
@pytest.mark.parametrize("name", ["gru", "elman"])
def test_stepper_in_float32_gives_the_states_of_forward(name, rng):
    test_stepper_gives_the_states_of_forward_step_by_step(name, "float32", 3, rng)


def test_stepper_takes_one_sequence_read_only_and_strided_arrays(rng):
    c = case(CELLS["lstm"], rng, steps=3, batch=1, inputs=4)
    step, run = rd.stepper(c.cell, group(c.point, "params")), c.run()
    wide = np.repeat(c.x, 2, axis=-1)[..., ::2]
    wide.flags.writeable = False
    state = {slot: value[0] for slot, value in run.initial.items()}
    for t in range(3):
        state = step(wide[t, 0], state)
    np.testing.assert_array_equal(state["c"], run.final["c"])
    start = step.zeros(2)
    assert {slot: value.shape for slot, value in start.items()} == {"h": (2, 4), "c": (2, 4)}
