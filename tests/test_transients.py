"""Kreiss constants and transient growth: closed forms, bounds, and what an independent search finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matrix_examples import REFUSED, grcar, jordan, normal, square
from refusals import Refusal, refused
from scipy.linalg import expm
from scipy.optimize import minimize_scalar

from recurrent_dynamics.dynamics import (
    kreiss_constant,
    numerical_abscissa,
    spectral_abscissa,
    spectral_radius,
    transient_growth,
)


def closed_form(a, b, kind):
    """The Kreiss constant of [[a, b], [0, a]], a real: the resolvent norm is known and is largest on the real axis."""

    def minus(log_gap):
        gap = np.exp(log_gap)
        w = gap + (1 - abs(a) if kind == "map" else -a)
        return -gap * (b + np.hypot(b, 2 * w)) / (2 * w**2)

    return -minimize_scalar(minus, bounds=(-15, 15), method="bounded", options={"xatol": 1e-12}).fun


@pytest.mark.parametrize("a", [0.0, 0.5, -0.9])
@pytest.mark.parametrize("b", [3.0, 50.0])
def test_the_kreiss_constant_of_a_map_of_two(a, b):
    found = kreiss_constant([[a, b], [0.0, a]])
    assert found.value == pytest.approx(closed_form(a, b, "map"), rel=1e-10)
    assert found.lower_bound == pytest.approx(found.value, rel=1e-10)
    assert found.lower_bound < found.value


@pytest.mark.parametrize("a", [-1.0, -0.01])
@pytest.mark.parametrize("b", [3.0, 500.0])
def test_the_kreiss_constant_of_a_flow_of_two(a, b):
    found = kreiss_constant([[a, b], [0.0, a]], "flow")
    assert found.value == pytest.approx(closed_form(a, b, "flow"), rel=1e-10)
    assert found.value == pytest.approx(b / (4 * abs(a)), rel=0.5)


def test_the_kreiss_constant_is_reached_at_its_point(rng):
    matrix = 0.9 * np.triu(rng.standard_normal((5, 5)), 1) + 0.5 * np.eye(5)
    found = kreiss_constant(matrix)
    sigma = np.linalg.svd(found.point * np.eye(5) - matrix, compute_uv=False)[-1]
    assert found.value == pytest.approx((abs(found.point) - 1) / sigma, rel=1e-9)
    assert found.value > 3


@pytest.mark.parametrize("kind", ["map", "flow"])
def test_a_normal_matrix_has_the_kreiss_constant_one(kind, rng):
    eigenvalues = np.array([0.9, -0.5 + 0.2j, 0.1j, -0.8]) - (kind == "flow")
    found = kreiss_constant(normal(eigenvalues, rng), kind)
    assert found.value == pytest.approx(1, abs=1e-9)
    assert found.lower_bound == pytest.approx(1, abs=1e-9)


def test_isometries_and_zeros_have_the_kreiss_constant_one(rng):
    q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    assert kreiss_constant(q).value == pytest.approx(1, abs=1e-9)
    assert kreiss_constant(q - q.T, "flow").value == pytest.approx(1, abs=1e-9)
    for kind in ("map", "flow"):
        assert kreiss_constant(np.zeros((2, 2)), kind).value == 1


def test_an_unstable_matrix_has_no_finite_kreiss_constant():
    found = kreiss_constant(np.diag([0.5, -1.1]))
    assert found.value == found.lower_bound == np.inf
    assert found.point == pytest.approx(-1.1)
    assert kreiss_constant(np.diag([-0.5, 0.1]), "flow").value == np.inf
    assert kreiss_constant(np.diag([-0.5, -2.1]), "flow").value == pytest.approx(1)


@pytest.mark.parametrize("kind", ["map", "flow"])
def test_a_fine_grid_finds_nothing_better(kind, rng):
    for _ in range(3):
        matrix = rng.standard_normal((6, 6))
        if kind == "map":
            matrix *= 0.97 / spectral_radius(matrix)
        else:
            matrix -= (spectral_abscissa(matrix) + 0.05) * np.eye(6)
        gaps = np.exp(np.linspace(-7, 4, 120))[:, None]
        if kind == "map":
            z = (1 + gaps) * np.exp(1j * np.linspace(0, 2 * np.pi, 240))
        else:
            z = gaps + 1j * np.linspace(-6, 6, 240)
        resolvent = 1 / np.linalg.svd(z[..., None, None] * np.eye(6) - matrix, compute_uv=False)[..., -1]
        best = (gaps * resolvent).max()
        found = kreiss_constant(matrix, kind).value
        assert best <= found * (1 + 1e-12)
        assert found == pytest.approx(best, rel=0.02)


def test_the_kreiss_constant_of_a_flow_does_not_depend_on_the_unit_of_time():
    matrix = grcar(8) - (0.05 + spectral_abscissa(grcar(8))) * np.eye(8)
    found = kreiss_constant(matrix, "flow")
    assert found.value > 1.5
    for unit in (1e-6, 1e5):
        assert kreiss_constant(unit * matrix, "flow").value == pytest.approx(found.value, rel=1e-8)


@settings(max_examples=25)
@given(square(largest=3), st.floats(0.1, 0.99))
def test_powers_keep_the_bounds_of_kreiss(matrix, radius):
    assume(spectral_radius(matrix) > 0.1)
    matrix = matrix * (radius / spectral_radius(matrix))
    found = transient_growth(matrix, steps=3000)
    assume(found.global_peak)
    assert found.kreiss.lower_bound <= found.peak * (1 + 1e-10)
    assert found.peak <= found.upper_bound
    assert found.upper_bound == pytest.approx(np.e * len(matrix) * found.kreiss.value)


@settings(max_examples=25)
@given(square(largest=3), st.floats(0.1, 2))
def test_exponentials_keep_the_bounds_of_kreiss(matrix, decay):
    matrix = matrix - (spectral_abscissa(matrix) + decay) * np.eye(len(matrix))
    found = transient_growth(matrix, steps=1000, kind="flow")
    assume(found.global_peak)
    assert found.kreiss.lower_bound <= found.peak * (1 + 1e-6)
    assert found.peak <= found.upper_bound
    if numerical_abscissa(matrix) <= 0:
        assert found.peak == 1


def test_norms_are_those_of_the_powers(rng):
    matrix = rng.standard_normal((4, 4)) / 2
    found = transient_growth(matrix, steps=12, bounds=False)
    expected = [np.linalg.norm(np.linalg.matrix_power(matrix, k), 2) for k in range(13)]
    np.testing.assert_allclose(found.norms, expected, rtol=1e-12)
    assert found.times.tolist() == list(range(13))
    assert found.kreiss is None
    assert found.upper_bound is None


def test_a_nilpotent_matrix_grows_and_is_gone():
    found = transient_growth(3 * jordan(4), steps=6)
    assert found.norms.tolist() == pytest.approx([1, 3, 9, 27, 0, 0, 0])
    assert (found.peak, found.at, found.global_peak) == (pytest.approx(27), 3, True)
    with np.errstate(over="raise"):
        assert transient_growth(np.diag([10.0]), steps=400).peak == np.inf


def test_the_peak_of_an_exponential_in_closed_form():
    # e^{tA} for A = [[-1, b], [0, -1]] is e^{-t} [[1, b t], [0, 1]], of norm e^{-t + asinh(b t / 2)}.
    b = 40.0
    found = transient_growth([[-1.0, b], [0.0, -1.0]], steps=2000, kind="flow", bounds=False)
    at = np.sqrt(1 - 4 / b**2)
    assert found.at == pytest.approx(at, abs=1e-6)
    assert found.peak == pytest.approx(np.exp(np.arcsinh(b * at / 2) - at), rel=1e-12)
    np.testing.assert_allclose(found.norms, np.exp(np.arcsinh(b * found.times / 2) - found.times), rtol=1e-10)
    coarse = transient_growth([[-1.0, b], [0.0, -1.0]], steps=10, kind="flow", time_step=0.7, bounds=False)
    assert coarse.peak == pytest.approx(found.peak, rel=1e-9)


def test_a_search_that_ended_too_early_says_so():
    matrix = np.array([[0.99, 1.0], [0.0, 0.99]])
    assert not transient_growth(matrix, steps=50, bounds=False).global_peak
    full = transient_growth(matrix, steps=2000, bounds=False)
    assert full.global_peak
    assert full.at == pytest.approx(-1 / np.log(0.99), abs=1)


@pytest.mark.parametrize("kind", ["map", "flow"])
def test_batches_are_their_matrices(kind, rng):
    batch = rng.standard_normal((2, 2, 3, 3)) / 2 - (kind == "flow") * 2 * np.eye(3)
    found = transient_growth(batch, steps=30, kind=kind, time_step=0.1 if kind == "flow" else None)
    assert found.norms.shape == (2, 2, 31)
    for index in np.ndindex(2, 2):
        one = transient_growth(batch[index], steps=30, kind=kind, time_step=0.1 if kind == "flow" else None)
        np.testing.assert_allclose(found.norms[index], one.norms, rtol=1e-12)
        assert found.peak[index] == pytest.approx(one.peak, rel=1e-12)
        assert found.at[index] == pytest.approx(one.at)
        assert found.global_peak[index] == one.global_peak
        assert found.kreiss.value[index] == pytest.approx(one.kreiss.value)
        assert found.kreiss.lower_bound[index] == pytest.approx(one.kreiss.lower_bound)
    with refused("growth", came="a batch"):
        found.plot()


@pytest.mark.parametrize("function", [kreiss_constant, transient_growth])
@pytest.mark.parametrize(("matrices", "refusal"), REFUSED)
def test_what_is_no_matrix_is_refused(function, matrices, refusal):
    with refused(refusal):
        function(matrices)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"kind": "both"}, Refusal("kind", came="'both'")),
        ({"steps": 0}, Refusal("steps", "1", "0")),
        ({"time_step": 0.1}, Refusal("time_step", came="0.1")),
        ({"kind": "flow", "time_step": 0.0}, Refusal("time_step", "0", "0.0")),
        ({"bounds": 1}, Refusal("bounds", came="1")),
    ],
)
def test_wrong_options_are_refused(options, refusal):
    with refused(refusal):
        transient_growth(np.eye(2), **options)


def test_the_figure_shows_the_norms_and_the_bound():
    found = transient_growth([[0.5, 4.0], [0.0, 0.5]], steps=10)
    ax = found.plot()
    assert ax.get_xlabel() == "$k$ (steps)"
    assert ax.get_ylabel()
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), found.norms)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "Kreiss constant $K$" in labels
    flow = transient_growth(-expm(np.eye(2)), kind="flow", bounds=False).plot(ax=ax)
    assert flow is ax
    assert ax.get_xlabel() == "$t$ (units of time)"
