"""Properties of runs that the analyses find again: gates, direct paths, Jacobians."""

from __future__ import annotations

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics
from recurrent_dynamics.equations import sigmoid

INPUT, HIDDEN, STEPS, BATCH = 3, 5, 12, 4


def run_of(cell, rng, **changes):
    params = cell.init(INPUT, HIDDEN, rng=rng, dtype="float64")
    return rd.forward(cell, params | changes, rng.standard_normal((STEPS, BATCH, INPUT)))


@pytest.fixture
def lstm_run(rng):
    return run_of(rd.cells.lstm(), rng)


def test_gates_of_an_lstm_are_the_nonlinearities_of_its_drives(lstm_run):
    found = {gate.name: gate for gate in dynamics.gates(lstm_run)}
    for name in "ifo":
        np.testing.assert_allclose(found[name].values, sigmoid(lstm_run.drives[name]), rtol=1e-14)
    np.testing.assert_allclose(found["g"].values, np.tanh(lstm_run.drives["g"]), rtol=1e-14)
    np.testing.assert_allclose(found["o"].values * found["tanh(c)"].values, lstm_run.output, rtol=1e-12)


def test_the_direct_path_of_an_lstm_is_its_forget_gate(lstm_run):
    found = dynamics.direct_factors(lstm_run)
    assert set(found) == {"c"}
    np.testing.assert_allclose(found["c"], sigmoid(lstm_run.drives["f"]), rtol=1e-13)
    block = rd.jacobian(lstm_run)[..., HIDDEN:, HIDDEN:]
    np.testing.assert_allclose(block, found["c"][..., None] * np.eye(HIDDEN), atol=1e-13)


def test_the_direct_path_of_a_gru_is_its_update_gate(rng):
    run = run_of(rd.cells.gru(), rng)
    found = dynamics.direct_factors(run)
    np.testing.assert_allclose(found["h"], sigmoid(run.drives["z"]), rtol=1e-13)
    assert [gate.name for gate in dynamics.gates(run)] == ["r", "z", "n"]


def test_a_simple_network_has_neither_gates_nor_a_direct_path(rng):
    run = run_of(rd.cells.elman(), rng)
    assert dynamics.gates(run) == []
    assert dynamics.direct_factors(run) == {}
    assert [result.name for result in dynamics.states(run)] == ["h"]


def test_a_lstm_without_weights_forgets_at_the_rate_of_its_bias(rng):
    cell = rd.cells.lstm()
    zeros = {name: np.zeros_like(value) for name, value in cell.init(INPUT, HIDDEN, dtype="float64").items()}
    zeros["b"][HIDDEN : 2 * HIDDEN] = bias = np.linspace(-1, 4, HIDDEN)
    run = run_of(cell, rng, **zeros)
    factors = dynamics.direct_factors(run)["c"]
    rate = -np.log(sigmoid(bias))
    np.testing.assert_allclose(dynamics.time_scales(factors).steps, 1 / rate)
    jacobians = rd.jacobian(run)
    logs = dynamics.jacobian_products(jacobians).log_singular_values[:, 0]
    # One step lets the cell state pass into the output too; of longer products the forget gates are left, H of them.
    assert (logs[:, HIDDEN:] == -np.inf).all()
    paths = dynamics.path_norms(jacobians, factors, offset=HIDDEN, slot="c")
    assert (paths.rest == 0).all()
    np.testing.assert_allclose(
        paths.direct[:, 0], np.sqrt(np.mean(np.exp(-2 * np.outer([1, 2, 4, 8], rate)), axis=1))
    )


def test_products_of_jacobians_bound_the_growth_of_gradients(lstm_run, rng):
    d_output = np.zeros_like(lstm_run.output)
    d_output[-1] = rng.standard_normal((BATCH, HIDDEN))
    grads = rd.backward(lstm_run, d_output)
    whole = np.concatenate([grads.states[slot] for slot in ("h", "c")], axis=-1)
    norms = np.linalg.norm(whole, axis=-1)
    products = dynamics.jacobian_products(rd.jacobian(lstm_run)[-8:], steps=[8])
    largest = np.exp(products.log_singular_values[0, :, 0])
    assert (norms[-9] <= (1 + 1e-9) * largest * norms[-1]).all()


def test_the_analyses_take_a_run_of_one_sequence(rng):
    cell = rd.cells.lstm()
    run = rd.forward(cell, cell.init(INPUT, HIDDEN, dtype="float64"), rng.standard_normal((STEPS, INPUT)))
    assert dynamics.gates(run)[0].values.shape == (STEPS, 1, HIDDEN)
    assert dynamics.direct_factors(run)["c"].shape == (STEPS, 1, HIDDEN)
    assert dynamics.states(run)[0].mean.shape == (HIDDEN,)


def test_the_flow_through_a_cell_state_starts_one_step_before_the_loss(rng):
    cell, steps = rd.cells.lstm(), 40
    params = cell.init(INPUT, HIDDEN, rng=rng, dtype="float64")
    run = rd.forward(cell, params, rng.standard_normal((steps, BATCH, INPUT)))
    d_output = np.zeros_like(run.output)
    d_output[-1] = rng.standard_normal((BATCH, HIDDEN))
    grads = rd.backward(run, d_output)
    h, c = (dynamics.gradient_flow(grads.states[slot]) for slot in ("h", "c"))
    assert (h.entry, c.entry) == (0, 1)
    assert c.norms[0] == 0  # after the last step only h is read
    J = rd.jacobian(run)[-1]  # what enters the cell state is what the last step hands back to it
    into_c = np.einsum("bij,bi->bj", J[:, :HIDDEN, HIDDEN:], d_output[-1])
    assert c.norms[1] == pytest.approx(np.linalg.norm(into_c, axis=-1).mean())
    for flow in (h, c):
        assert np.isfinite(flow.relative).all()
        assert flow.relative[flow.entry] == 1
        assert 2 < flow.reach() < steps
    assert c.rate() == pytest.approx(h.rate(), rel=0.05)  # the same product of Jacobians
