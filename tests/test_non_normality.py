"""Norms, numerical range and departure from normality of matrices with known answers, and what holds for all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matrix_examples import REFUSED, grcar, jordan, normal, square
from refusals import refused
from scipy.linalg import companion, expm
from scipy.spatial import ConvexHull

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import (
    departure_from_normality,
    eigenvector_condition,
    logarithmic_norm,
    numerical_abscissa,
    numerical_radius,
    numerical_range,
    spectral_abscissa,
    spectral_radius,
)

NUMBERS = [
    departure_from_normality,
    eigenvector_condition,
    logarithmic_norm,
    numerical_abscissa,
    numerical_radius,
    spectral_abscissa,
    spectral_radius,
]
EIGENVALUES = np.array([0.9, 0.3 + 0.6j, -0.5 + 0.2j, -0.1 - 0.8j, 0.1])


def test_of_a_normal_matrix_only_the_eigenvalues_count(rng):
    matrix = normal(EIGENVALUES, rng)
    assert departure_from_normality(matrix) < 1e-14
    assert departure_from_normality(matrix, relative=True) < 1e-14
    assert eigenvector_condition(matrix) == pytest.approx(1, abs=1e-12)
    assert numerical_radius(matrix) == pytest.approx(0.9, abs=1e-14)
    assert numerical_abscissa(matrix) == pytest.approx(0.9, abs=1e-14)
    assert spectral_radius(matrix) == pytest.approx(0.9, abs=1e-14)
    assert spectral_abscissa(1j * matrix) == pytest.approx(0.8, abs=1e-14)


def test_the_numerical_range_of_a_normal_matrix_is_the_hull_of_its_eigenvalues(rng):
    found = numerical_range(normal(EIGENVALUES, rng), points=359)  # none of them square to a side
    corners = EIGENVALUES[ConvexHull(np.column_stack([EIGENVALUES.real, EIGENVALUES.imag])).vertices]
    distances = np.abs(found.boundary[:, None] - corners)
    assert distances.min(axis=1).max() < 1e-12  # every point is a corner
    assert distances.min(axis=0).max() < 1e-12  # every corner is a point
    np.testing.assert_allclose(
        found.support, (np.exp(1j * found.angles)[:, None] * EIGENVALUES).real.max(1), atol=1e-14
    )


@pytest.mark.parametrize(("a", "b"), [(0.5, 2.0), (-0.3 + 0.4j, 1.5j), (0.0, 3.0)])
def test_a_jordan_block_of_two_has_a_disk(a, b):
    matrix = np.array([[a, b], [0, a]])
    found = numerical_range(matrix, points=37)
    np.testing.assert_allclose(np.abs(found.boundary - a), abs(b) / 2, rtol=1e-14)
    assert numerical_radius(matrix) == pytest.approx(abs(a) + abs(b) / 2, rel=1e-14)
    assert numerical_abscissa(matrix) == pytest.approx(np.real(a) + abs(b) / 2, rel=1e-14)
    assert departure_from_normality(matrix) == pytest.approx(abs(b), rel=1e-14)
    assert eigenvector_condition(matrix) == np.inf


@pytest.mark.parametrize("n", [1, 2, 3, 10, 25])
def test_jordan_blocks(n):
    radius = np.cos(np.pi / (n + 1))  # Haagerup and de la Harpe 1992
    assert numerical_radius(jordan(n)) == pytest.approx(radius, rel=1e-13, abs=1e-15)
    assert numerical_radius(jordan(n, 0.7j)) == pytest.approx(0.7 + radius, rel=1e-13)
    assert departure_from_normality(jordan(n, 0.7)) == pytest.approx(np.sqrt(n - 1), rel=1e-14)
    assert departure_from_normality(jordan(n), relative=True) == (1 if n > 1 else 0)


def test_the_ellipse_of_a_matrix_of_two_rows():
    # The foci are the eigenvalues 1 and -1, the minor axis is |b| (the elliptical range theorem).
    found = numerical_range([[1.0, 1.5], [0.0, -1.0]], points=64).boundary
    major = np.hypot(2.0, 1.5)
    np.testing.assert_allclose(np.abs(found - 1) + np.abs(found + 1), major, rtol=1e-13)


def test_the_condition_of_eigenvectors_in_closed_form():
    # Unit eigenvectors with the cosine c between them: condition sqrt((1 + c) / (1 - c)).
    a, b, d = 1.0, 3.0, 2.5
    cosine = b / np.hypot(b, d - a)
    expected = np.sqrt((1 + cosine) / (1 - cosine))
    assert eigenvector_condition([[a, b], [0.0, d]]) == pytest.approx(expected, rel=1e-12)


def test_a_companion_matrix_has_the_roots_of_its_polynomial():
    roots = np.array([0.5, -0.8, 0.3 + 0.4j, 0.3 - 0.4j])
    matrix = companion(np.poly(roots).real)
    assert spectral_radius(matrix) == pytest.approx(0.8, rel=1e-12)
    assert spectral_abscissa(matrix) == pytest.approx(0.5, rel=1e-12)
    expected = np.sqrt(np.linalg.norm(matrix) ** 2 - np.sum(np.abs(roots) ** 2))
    assert departure_from_normality(matrix) == pytest.approx(expected, rel=1e-12)


def test_the_norms_of_the_grcar_matrix():
    matrix = grcar(30)
    assert logarithmic_norm(matrix, 1) == logarithmic_norm(matrix, np.inf) == 1 + 3 + 1
    # The numerical range of a banded Toeplitz matrix lies in the hull of the curve of its symbol.
    turn = np.exp(1j * np.linspace(0, 2 * np.pi, 4001))
    symbol = -turn + 1 + 1 / turn + turn**-2.0 + turn**-3.0
    assert 0.97 * np.abs(symbol).max() < numerical_radius(matrix) < np.abs(symbol).max()
    assert 0.97 * symbol.real.max() < numerical_abscissa(matrix) < symbol.real.max()


def test_logarithmic_norms_by_their_definition(rng):
    matrix, h = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4)), 1e-7
    for order in (1, 2, np.inf):
        slope = (np.linalg.norm(np.eye(4) + h * matrix, order) - 1) / h
        assert logarithmic_norm(matrix, order) == pytest.approx(slope, abs=1e-5)


@given(square())
def test_radii_and_norms_are_in_order(matrix):
    norm = np.linalg.norm(matrix, 2)
    slack = 1e-12 * (1 + norm)
    # A defective eigenvalue of order n is known only to the n-th root of rounding.
    assert spectral_radius(matrix) <= numerical_radius(matrix) + 2e-3 * (1 + norm)
    assert numerical_radius(matrix) <= norm + slack
    assert norm <= 2 * numerical_radius(matrix) + slack


@given(square())
def test_the_numerical_radius_is_the_largest_of_all_angles(matrix):
    found = numerical_range(matrix, points=500)
    radius = numerical_radius(matrix)
    slack = 1e-12 * (1 + radius)
    assert np.abs(found.boundary).max() <= radius + slack
    assert radius * np.cos(np.pi / 500) <= found.support.max() + slack


@given(square())
def test_the_boundary_lies_in_all_half_planes_and_holds_the_eigenvalues(matrix):
    found = numerical_range(matrix, points=24)
    slack = 1e-12 * (1 + np.linalg.norm(matrix))
    turned = np.exp(1j * found.angles)[:, None]
    assert ((turned * found.boundary).real <= found.support[:, None] + slack).all()
    hermitian_part = (turned * np.trace(matrix) / len(matrix)).real  # the mean eigenvalue, known exactly
    assert (hermitian_part <= found.support[:, None] + slack).all()
    assert numerical_abscissa(matrix) == pytest.approx(found.support[0], abs=slack)


@given(square(), st.sampled_from([1, 2, np.inf]), st.floats(0.01, 2))
def test_exponentials_grow_at_most_like_the_logarithmic_norm(matrix, order, t):
    mu = logarithmic_norm(matrix, order)
    assert np.linalg.norm(expm(t * matrix), order) <= np.exp(mu * t) * (1 + 1e-10)
    assert mu >= spectral_abscissa(matrix) - 2e-3 * (1 + np.linalg.norm(matrix))


@given(square())
def test_henricis_departure_is_what_the_eigenvalues_leave_of_the_norm(matrix):
    found = departure_from_normality(matrix)
    total = np.linalg.norm(matrix) ** 2
    left = total - np.sum(np.abs(np.linalg.eigvals(matrix)) ** 2)
    assert found**2 == pytest.approx(left, abs=1e-2 * (1 + total))
    assert 0 <= departure_from_normality(matrix, relative=True) <= 1 + 1e-14
    # 0 together with the commutator, and bounded by it (Henrici 1962).
    commutator = np.linalg.norm(matrix @ matrix.conj().T - matrix.conj().T @ matrix)
    n = len(matrix)
    assert found**2 <= np.sqrt((n**3 - n) / 12) * commutator + 1e-12 * (1 + total)


@pytest.mark.parametrize("function", NUMBERS)
def test_batches_are_their_matrices(function, rng):
    batch = rng.standard_normal((3, 2, 4, 4))
    found = function(batch)
    assert found.shape == (3, 2)
    assert found.dtype == np.float64
    for index in np.ndindex(3, 2):
        assert found[index] == pytest.approx(function(batch[index]), rel=1e-12)
    assert np.ndim(function(batch[0, 0])) == 0
    assert function(batch[0, 0].astype("float32")) == pytest.approx(found[0, 0], rel=1e-4)


def test_a_batch_of_numerical_ranges_is_that_of_its_matrices(rng):
    batch = rng.standard_normal((2, 3, 3))
    found, single = numerical_range(batch, 16), numerical_range(batch[1], 16)
    assert found.boundary.shape == found.support.shape == (2, 16)
    np.testing.assert_allclose(found.boundary[1], single.boundary, atol=1e-13)
    with refused("field", came="a batch"):
        found.plot()


def test_jacobians_of_a_run_go_straight_in(rng):
    cell = rd.cells.elman()
    run = rd.forward(cell, cell.init(2, 3, rng=0, dtype="float64"), rng.standard_normal((6, 2, 2)))
    jacobians = rd.jacobian(run)
    assert spectral_radius(jacobians).shape == (6, 2)
    assert (numerical_radius(jacobians) <= np.linalg.norm(jacobians, 2, axis=(-2, -1)) + 1e-14).all()


@pytest.mark.parametrize("function", [*NUMBERS, numerical_range])
@pytest.mark.parametrize(("matrices", "refusal"), REFUSED)
def test_what_is_no_matrix_is_refused(function, matrices, refusal):
    with refused(refusal):
        function(matrices)


def test_wrong_options_are_refused():
    with refused("order", ("1", "2"), "3"):
        logarithmic_norm(np.eye(2), 3)
    with refused("points", "3", "2"):
        numerical_range(np.eye(2), points=2)
    with refused("relative", came="'yes'"):
        departure_from_normality(np.eye(2), relative="yes")


def test_zeros_are_as_good_as_any_matrix():
    zeros = np.zeros((3, 3))
    for function in (spectral_radius, numerical_radius, departure_from_normality, logarithmic_norm):
        assert function(zeros) == 0
    assert departure_from_normality(zeros, relative=True) == 0
    assert eigenvector_condition(zeros) == 1
