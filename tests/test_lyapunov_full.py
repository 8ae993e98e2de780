"""Lyapunov spectra of cells beyond the quick tier, and of a network large enough for its mean field."""

from __future__ import annotations

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell, Drive
from recurrent_dynamics.cells.declarations import DIAGONAL
from recurrent_dynamics.dynamics import jacobian_products, lyapunov
from recurrent_dynamics.equations import sigmoid, tanh

pytestmark = pytest.mark.full


@pytest.mark.parametrize(
    ("gain", "exact"), [(1.5, 0.0652172), (2, 0.1547242), (3, 0.3102493), (5, 0.5324279), (10, 0.8564352)]
)
def test_a_thousand_units_have_the_exponent_of_the_mean_field(gain, exact):
    cell, units = rd.cells.elman(), 1024
    rng = np.random.default_rng(0)
    params = cell.init(0, units, dtype="float64")
    params["U"], params["b"] = gain * rng.standard_normal((units, units)) / np.sqrt(units), np.zeros(units)
    start = {"h": rng.standard_normal(units)}
    spectrum = lyapunov(cell, params, initial=start, steps=800, count=1, transient=200, tolerance=0.03)
    assert spectrum.exponents[0] == pytest.approx(exact, abs=0.03)


def test_a_linear_network(rng):
    cell = rd.cells.linear()
    params = cell.init(0, 8, dtype="float64")
    params["b"] = np.zeros(8)
    params["U"] = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    run = rd.forward(cell, params, steps=300, initial={"h": rng.standard_normal(8)})
    np.testing.assert_allclose(lyapunov(run).exponents, 0, atol=1e-13)
    np.testing.assert_allclose(jacobian_products(rd.jacobian(run)).log_singular_values, 0, atol=1e-12)
    V, moduli = (
        rng.standard_normal((8, 8)) + 3 * np.eye(8),
        np.array([0.99, 0.8, 0.7, 0.5, 0.3, 0.2, 0.1, 0.01]),
    )
    params["U"] = V @ np.diag(moduli) @ np.linalg.inv(V)
    spectrum = lyapunov(cell, params, initial={"h": np.zeros(8)}, steps=600, transient=200)
    np.testing.assert_allclose(spectrum.exponents, np.log(moduli), atol=1e-9)


def test_a_leaky_network_at_the_origin_per_unit_time(rng):
    alpha, units = 0.9, 12
    cell = rd.cells.leaky(alpha)
    params = cell.init(0, units, dtype="float64")
    J = 0.8 * rng.standard_normal((units, units)) / np.sqrt(units)
    params["U"], params["b"] = J, np.zeros(units)
    expected = np.log(np.abs(alpha + (1 - alpha) * np.linalg.eigvals(J))) / (1 - alpha)
    spectrum = lyapunov(cell, params, initial={"h": np.zeros(units)}, steps=20_000, transient=8000)
    np.testing.assert_allclose(spectrum.exponents / (1 - alpha), np.sort(expected)[::-1], atol=0.02)


def test_a_unicornn_preserves_volume_and_its_exponents_come_in_pairs(rng):
    step, stiffness = 0.3, 1.0

    def update(drive, state, param):
        rate = step * sigmoid(param.c)
        z = state.z - rate * (tanh(drive.n) + stiffness * state.y)
        return {"y": state.y + rate * z, "z": z}

    unit = rd.cells.declarations.Unit("c", initial=(-1.0, 1.0))
    drive = Drive("n", operand=("y",), structure=DIAGONAL)
    cell = Cell("unicornn", state=("y", "z"), drives=(drive,), update=update, units=(unit,))
    params = cell.init(2, 5, dtype="float64", rng=rng)
    run = rd.forward(cell, params, rng.standard_normal((4000, 2, 2)))
    np.testing.assert_allclose(np.linalg.slogdet(rd.jacobian(run))[1], 0, atol=1e-13)
    spectrum = lyapunov(run, transient=1000, check=True)
    np.testing.assert_allclose(spectrum.sum, 0, atol=1e-12)
    np.testing.assert_allclose(spectrum.exponents, -spectrum.exponents[::-1], atol=5e-3)
    assert spectrum.checks.nearby == pytest.approx(spectrum.checks.tangent, abs=1e-4)


@pytest.mark.parametrize("name", ["lstm_peephole", "lstm_projected", "gru_reset_before", "mut1"])
def test_checks_agree_for_other_cells(name, rng):
    cell = rd.cells.by_name(name)
    params = cell.init(6, 6 if name != "lstm_projected" else 40, dtype="float64", rng=rng)
    run = rd.forward(cell, params, rng.standard_normal((200, 2, 6)))
    count = None if name != "lstm_projected" else 20
    spectrum = lyapunov(run, check=True, transient=50, count=count, tolerance=1.0)
    if count is None:
        assert spectrum.sum == pytest.approx(spectrum.checks.log_det, rel=1e-9)
    assert spectrum.checks.nearby == pytest.approx(spectrum.checks.tangent, abs=1e-5)
    assert spectrum.checks.tangent == pytest.approx(spectrum.exponents[0], abs=0.05)
