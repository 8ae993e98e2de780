"""The gradient by lag, and determinants of every step, against what the verbs say."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import lag_gradients, log_determinants
from recurrent_dynamics.gradients import truncated_bptt

STEPS, BATCH, INPUT, HIDDEN = 9, 3, 2, 4
CELLS = {"elman": rd.cells.elman, "lstm": rd.cells.lstm, "gru": rd.cells.gru}


def a_run(rng, name, **options):
    cell = CELLS[name]()
    params = cell.init(INPUT, HIDDEN, rng=rng, dtype="float64")
    return rd.forward(cell, params, rng.standard_normal((STEPS, BATCH, INPUT)), **options)


@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize("kind", ["whole", "initial", "resets", "lengths"])
def test_all_lags_together_are_the_gradient(rng, name, kind):
    options = {
        "whole": {},
        "initial": {"initial": {"h": rng.standard_normal((BATCH, HIDDEN))}},
        "resets": {"reset": rng.uniform(size=(STEPS, BATCH)) < 0.3},
        "lengths": {"lengths": [STEPS, 1, 5]},
    }[kind]
    run, d_output = a_run(rng, name, **options), rng.standard_normal((STEPS, BATCH, HIDDEN))
    found, expected = lag_gradients(run, d_output), rd.backward(run, d_output).params
    assert set(found.params) == set(expected)
    for parameter, value in expected.items():
        assert found.params[parameter].shape == (STEPS, *value.shape)
        np.testing.assert_allclose(found.within(STEPS - 1)[parameter], value, rtol=1e-10, atol=1e-12)
    assert found.norms()[1] > 0


@pytest.mark.parametrize("name", list(CELLS))
def test_a_lag_has_the_gradient_of_runs_cut_there(rng, name):
    # The last loss alone sees k + 1 steps: the run of these from the state before them has the same gradient.
    run = a_run(rng, name)
    d_output = np.zeros((STEPS, BATCH, HIDDEN))
    d_output[-1] = rng.standard_normal((BATCH, HIDDEN))
    found = lag_gradients(run, d_output)
    for k in range(STEPS - 1):
        initial = {slot: values[STEPS - k - 2] for slot, values in run.states.items()}
        part = rd.forward(run.cell, dict(run.params), run.x[STEPS - k - 1 :], initial=initial)
        expected = rd.backward(part, d_output[STEPS - k - 1 :]).params
        for parameter, value in expected.items():
            np.testing.assert_allclose(found.within(k)[parameter], value, rtol=1e-10, atol=1e-12)


def test_lags_up_to_k_are_truncated_bptt_with_one_loss_a_stride(rng):
    run, d_output = a_run(rng, "elman"), rng.standard_normal((STEPS, BATCH, HIDDEN))
    found = lag_gradients(run, d_output, longest=3)
    assert found.lags.tolist() == [0, 1, 2, 3]
    cut = truncated_bptt(run.cell, dict(run.params), run.x, d_output, window=4, stride=1)
    np.testing.assert_allclose(found.within(3)["U"], cut.params["U"], rtol=1e-10)


def test_nothing_travels_through_resets(rng):
    run = a_run(rng, "elman", reset=np.ones((STEPS, BATCH), bool))
    norms = lag_gradients(run, np.ones((STEPS, BATCH, HIDDEN))).norms("W")
    assert norms[0] > 0
    assert not norms[1:].any()


def test_one_sequence_and_a_run_without_input(rng):
    cell = rd.cells.elman()
    params = cell.init(INPUT, HIDDEN, rng=rng, dtype="float64")
    for run in (
        rd.forward(cell, params, rng.standard_normal((STEPS, INPUT))),
        rd.forward(cell, params, steps=STEPS, initial={"h": rng.standard_normal(HIDDEN)}),
    ):
        d_output = rng.standard_normal(run.output.shape)
        found = lag_gradients(run, d_output).within(STEPS - 1)
        for parameter, value in rd.backward(run, d_output).params.items():
            np.testing.assert_allclose(found[parameter], value, rtol=1e-10, atol=1e-12)


def test_wrong_arguments_of_lags_are_refused(rng):
    run = a_run(rng, "elman")
    with refused("d_output", "(9, 3, 4)", "(9, 3, 2)"):
        lag_gradients(run, np.ones((STEPS, BATCH, 2)))
    with refused("longest", ("0", "8"), "9"):
        lag_gradients(run, np.ones((STEPS, BATCH, HIDDEN)), longest=STEPS)
    with refused(wrong_type("run", came="str")):
        lag_gradients("run", np.ones((1, 1, 1)))
    found = lag_gradients(run, np.ones((STEPS, BATCH, HIDDEN)), longest=2)
    with refused("lag", ("0", "2"), "3"):
        found.within(3)
    with refused("name", came="'V'"):
        found.norms("V")


def test_the_figure_of_lags_shows_the_norms(rng):
    found = lag_gradients(a_run(rng, "elman"), np.ones((STEPS, BATCH, HIDDEN)))
    ax = found.plot(label="Elman")
    assert ax.get_xlabel() == "lag $k$ (steps)"
    assert ax.get_ylabel()
    alone, together = ax.get_lines()
    np.testing.assert_allclose(
        alone.get_ydata()[:-1], found.norms()[:-1]
    )  # U meets only zeros at the longest
    assert together.get_ydata()[-1] == pytest.approx(np.linalg.norm(found.within(STEPS - 1)["U"]))
    assert found.plot(ax=ax, name="W") is ax


@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize("chunk", [1, 2**23])
def test_determinants_are_those_of_the_jacobians(rng, name, chunk, tune):
    tune(jacobian_bytes=chunk)
    run = a_run(rng, name)
    found, dets = log_determinants(run), np.linalg.det(rd.jacobian(run))
    assert found.sign.shape == found.log_modulus.shape == (STEPS, BATCH)
    np.testing.assert_allclose(found.sign * np.exp(found.log_modulus), dets, rtol=1e-9)


def test_determinants_of_an_orthogonal_and_of_a_singular_network(rng):
    cell = rd.cells.elman()
    params = {
        n: 0 * v for n, v in cell.init(INPUT, HIDDEN, dtype="float64").items()
    }  # at rest tanh has the slope 1
    params["U"] = np.linalg.qr(rng.standard_normal((HIDDEN, HIDDEN)))[0]
    found = log_determinants(rd.forward(cell, params, np.zeros((STEPS, INPUT))))
    np.testing.assert_allclose(found.log_modulus, np.zeros(STEPS), atol=1e-14)
    assert set(found.sign) == {np.sign(np.linalg.det(params["U"]))}
    params["U"] = np.zeros((HIDDEN, HIDDEN))
    gone = log_determinants(rd.forward(cell, params, np.zeros((STEPS, INPUT))))
    assert (gone.log_modulus == -np.inf).all()
    assert not gone.sign.any()
    with refused(wrong_type("run", came="dict")):
        log_determinants(params)
