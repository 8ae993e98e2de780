"""Derivatives of single steps by state, input and parameters: against the complex step, the adjoint, and products."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import StepDerivatives, jacobian_products
from recurrent_dynamics.engine import reference


def case(name, rng, steps=4, batch=2):
    cell = getattr(rd.cells, name)()
    params = cell.init(3, 5, dtype="float64", rng=rng)
    return cell, params, rd.forward(cell, params, rng.standard_normal((steps, batch, 3)))


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_what_is_applied_is_what_is_formed(name, rng):
    _, params, run = case(name, rng)
    steps, S = StepDerivatives(run), run.tape.after.shape[-1]
    d_state, d_x = rng.standard_normal((4, 2, S)), rng.standard_normal((4, 2, 3))
    d_params = {k: rng.standard_normal(v.shape) for k, v in params.items()}
    J, W = rd.jacobian(run), steps.by_input()
    assert W.shape == (4, 2, S, 3)
    np.testing.assert_allclose(steps.matvec(d_state), np.einsum("tbij,tbj->tbi", J, d_state), atol=1e-13)
    np.testing.assert_allclose(steps.matvec(d_x=d_x), np.einsum("tbij,tbj->tbi", W, d_x), atol=1e-13)
    by_params = steps.matvec(d_params=d_params)
    formed = sum(np.tensordot(steps.by_parameter(k, 2, 1), d_params[k], d_params[k].ndim) for k in params)
    np.testing.assert_allclose(by_params[2, 1], formed, atol=1e-13)
    together = steps.matvec(d_state, d_x, d_params)
    np.testing.assert_allclose(
        together, steps.matvec(d_state) + steps.matvec(d_x=d_x) + by_params, atol=1e-12
    )
    v = rng.standard_normal((4, 2, S))
    pulled = steps.rmatvec(v)
    sides = (pulled.state * d_state).sum() + (pulled.x * d_x).sum()
    sides += sum((pulled.params[k] * d_params[k]).sum() for k in params)
    assert sides == pytest.approx((v * together).sum(), rel=1e-11)


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_the_derivative_by_the_input_is_that_of_a_complex_step(name, rng):
    cell, params, run = case(name, rng, steps=1, batch=1)
    found = StepDerivatives(run).by_input()[0, 0]
    for j in range(3):
        x = run.x.astype(complex)
        x[..., j] += 1e-30j
        moved = reference.forward(cell, params, x, run.initial)
        exact = np.concatenate([moved[s][0, 0] for s in cell.state]).imag / 1e-30
        assert np.abs(found[:, j] - exact).max() < 1e-9 * np.abs(exact).max()


def test_products_of_a_run_are_those_of_its_jacobians_over_any_span(rng):
    _, _, run = case("lstm", rng, steps=20)
    J = rd.jacobian(run)
    for start, lengths in ((0, None), (7, [1, 5, 13])):
        found = jacobian_products(run, lengths, start=start)
        expected = jacobian_products(J[start:], lengths)
        np.testing.assert_array_equal(found.steps, expected.steps)
        np.testing.assert_allclose(found.log_singular_values, expected.log_singular_values, atol=1e-9)
    product = np.linalg.multi_dot(J[7:10, 1][::-1])
    spectrum = jacobian_products(run, [3], start=7).log_singular_values[0, 1]
    np.testing.assert_allclose(np.exp(spectrum), np.linalg.svd(product, compute_uv=False), atol=1e-14)


def test_bad_input_says_what_is_wrong(rng):
    cell, params, run = case("gru", rng)
    steps = StepDerivatives(run)
    with refused("d_x", came="(4, 2, 2)"):
        steps.matvec(d_x=np.zeros((4, 2, 2)))
    with refused("v", came="(4, 5)"):
        steps.rmatvec(np.zeros((4, 5)))
    with refused("name", came="'V'"):
        steps.by_parameter("V", 0)
    with refused("step", ("0", "3"), "4"):
        steps.by_parameter("U", 4)
    with refused("start", ("0", "3"), "4"):
        jacobian_products(run, start=4)
    with refused("steps", "1..2"):
        jacobian_products(run, [3], start=2)
    ragged = rd.forward(cell, params, run.x, lengths=[2, 4])
    with refused("run", "whole sequences"):
        StepDerivatives(ragged)
    alone = rd.forward(rd.cells.elman(), rd.cells.elman().init(0, 3), steps=3)
    with refused("run", "input"):
        StepDerivatives(alone).by_input()
