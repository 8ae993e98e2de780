"""Time scales that are measured, and products of gates of different speed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import direct_products, measured_time_scales, time_scales


def decaying(tau, steps, rng, batch=1):
    """Units that forget at a constant pace what comes in as noise."""
    factor = np.exp(-1 / np.asarray(tau, float))
    h = np.zeros((steps, batch, len(factor)))
    for t in range(1, steps):
        h[t] = factor * h[t - 1] + rng.standard_normal(h[t].shape)
    return h


def test_what_forgets_at_a_constant_pace_is_measured_as_its_gate_implies(rng):
    cell = rd.cells.leaky(alpha=np.exp(-1 / 6))
    params = cell.init(1, 3, dtype="float64")
    params = {name: np.zeros_like(v) for name, v in params.items()}
    params["W"] += 0.01  # tanh is straight here
    run = rd.forward(cell, params, rng.standard_normal((3000, 8, 1)))
    implied = time_scales(rd.dynamics.direct_factors(run)["h"], slot="h")
    measured = measured_time_scales(run.states["h"], slot="h")
    np.testing.assert_allclose(implied.steps, 6.0)
    np.testing.assert_allclose(measured.steps, 6.0, rtol=0.05)
    assert measured.slot == "h"


def test_time_scales_below_a_step_and_far_above_it(rng):
    tau = np.array([0.2, 0.7, 2.0, 40.0])
    found = measured_time_scales(decaying(tau, 20_000, rng, batch=4)).steps
    np.testing.assert_allclose(found[1:], tau[1:], rtol=0.1)
    assert found[0] < 0.4  # of which noise leaves little to see


def test_sequences_are_averaged_and_do_not_run_into_each_other(rng):
    h = decaying([5.0], 400, rng, batch=50)
    in_a_row = h.swapaxes(0, 1).reshape(-1, 1, 1)
    assert measured_time_scales(h).steps == pytest.approx(measured_time_scales(in_a_row).steps, rel=0.05)
    wave = np.sin(2 * np.pi * np.arange(400) / 40).reshape(-1, 1, 1)
    quarter = np.arccos(np.exp(-1)) / (2 * np.pi) * 40  # where the cosine of the autocorrelation is 1/e
    assert measured_time_scales(wave).steps[0] == pytest.approx(quarter, rel=0.01)


def test_a_unit_that_never_changes_and_one_that_only_drifts(rng):
    h = rng.standard_normal((50, 2, 3))
    h[..., 1] = 0.3
    h[..., 2] = np.where(np.arange(50) < 25, -1.0, 1.0)[:, None]
    found = measured_time_scales(h).steps
    assert np.isfinite(found[[0, 2]]).all()
    assert np.isnan(found[1])
    two = np.array([-1.0, 1.0]) * np.ones((20, 1))  # each sequence stays where it is
    assert measured_time_scales(two[..., None]).steps.tolist() == [np.inf]


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (np.zeros((5, 2)), Refusal("states", "have shape (T, B, H)", "(5, 2)")),
        (np.zeros((3, 1, 1)), Refusal("states", "T of at least 4")),
        (np.zeros((5, 0, 2)), Refusal("states", came="(5, 0, 2)")),
        (np.full((5, 1, 1), np.nan), Refusal("states", "be finite", "nan at index (0, 0, 0)")),
    ],
)
def test_wrong_states_are_refused(states, words):
    with refused(words):
        measured_time_scales(states)


@given(st.integers(1, 40), st.integers(0, 10))
def test_products_of_factors_are_those_written_out(T, seed):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0, 1, (T, 2, 3)) * (rng.random((T, 2, 3)) < 0.9)  # some of them 0
    found = direct_products(factors, steps=range(1, T + 1))
    for k, units in zip(found.steps, found.units, strict=True):
        windows = [factors[t : t + k].prod(axis=0) for t in range(T - k + 1)]
        np.testing.assert_allclose(units, np.mean(windows, axis=(0, 1)), atol=1e-15)
    np.testing.assert_allclose(found.mean, found.units.mean(axis=1))


def test_gates_of_many_speeds_multiply_to_something_slower_than_any_exponential():
    tau = np.geomspace(1, 4096, 2000)
    found = direct_products(np.exp(-1 / tau) * np.ones((1024, 1, 1)), steps=[32, 64, 128, 256])
    # The mean over units whose ln(tau) is spread evenly falls by about the same amount with every doubling of k.
    falls = -np.diff(found.mean)
    np.testing.assert_allclose(falls, np.log(2) / np.log(4096), rtol=0.05)
    assert (np.diff(np.log(found.units[:, 0])) < -30).all()  # one fast unit falls exponentially


def test_wrong_factors_are_refused():
    with refused("factors", "(T, B, H)"):
        direct_products(np.ones((3, 2)))
    with refused("factors", came="inf at index (1, 0, 0)"):
        direct_products(np.array([1.0, np.inf]).reshape(2, 1, 1))
    with refused("steps", "1..2", "[3]"):
        direct_products(np.ones((2, 1, 1)), steps=[3])
