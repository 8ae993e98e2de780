"""Pseudospectra: closed forms, mpmath, both ways to a smallest singular value, and what perturbations reach."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_examples import REFUSED, grcar, jordan, normal, square
from refusals import Refusal, refused

from recurrent_dynamics.dynamics import (
    kreiss_constant,
    pseudospectra,
    pseudospectral_abscissa,
    pseudospectral_radius,
    spectral_radius,
)
from recurrent_dynamics.dynamics.matrices.matrix_stacks import smallest_singular_values, triangle_of

EIGENVALUES = np.array([0.9, 0.3 + 0.6j, -0.5 + 0.2j, -0.1 - 0.8j])


def plane(points=9, half=1.5):
    axis = np.linspace(-half, half, points)
    return axis + 1j * axis[:, None]


def test_of_a_normal_matrix_it_is_the_distance_from_the_eigenvalues(rng):
    found = pseudospectra(normal(EIGENVALUES, rng), points=11, limits=(-1, 1, -2, 2))
    z = found.real + 1j * found.imaginary[:, None]
    expected = np.abs(z[..., None] - EIGENVALUES).min(axis=-1)
    np.testing.assert_allclose(found.smallest_singular_values, expected, atol=1e-14)
    for epsilon in (1e-8, 0.1, 5.0):
        matrix = normal(EIGENVALUES, rng)
        assert pseudospectral_radius(matrix, epsilon) == pytest.approx(0.9 + epsilon, rel=1e-12)
        assert pseudospectral_abscissa(matrix, epsilon) == pytest.approx(0.9 + epsilon, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(0.5, 2.0), (-0.3 + 0.4j, 1.5j), (0.0, 30.0)])
@pytest.mark.parametrize("epsilon", [1e-6, 0.01, 1.0])
def test_of_a_jordan_block_of_two_it_is_a_disk(a, b, epsilon):
    matrix, radius = np.array([[a, b], [0, a]]), np.sqrt(epsilon**2 + epsilon * abs(b))
    circle = a + radius * np.exp(1j * np.arange(7))
    values = smallest_singular_values(triangle_of(matrix), circle)
    np.testing.assert_allclose(values, epsilon, rtol=1e-8)
    assert pseudospectral_radius(matrix, epsilon) == pytest.approx(abs(a) + radius, rel=1e-9)
    assert pseudospectral_abscissa(matrix, epsilon) == pytest.approx(np.real(a) + radius, rel=1e-9)


@pytest.mark.parametrize("n", [12, 44])  # all singular values at once, and inverse iteration
def test_smallest_singular_values_agree_with_many_digits(n):
    matrix, z = grcar(n), 0.5 + 1.5j
    (found,) = smallest_singular_values(triangle_of(matrix), np.array([z]))
    with mpmath.workdps(30):
        inverse = mpmath.inverse(mpmath.matrix(z * np.eye(n) - matrix))
        vector = mpmath.ones(n, 1)
        for _ in range(30):
            vector = inverse * (inverse.H * vector)
            size = mpmath.norm(vector)
            vector /= size
        expected = float(1 / mpmath.sqrt(size))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-15 * n)


def test_inverse_iteration_agrees_with_all_singular_values(rng):
    n = 64
    for matrix in (rng.standard_normal((n, n)) / 8, grcar(n), np.diag(np.arange(n) / n) + 0j):
        points = plane(7, 3.0)
        expected = np.linalg.svd(points[..., None, None] * np.eye(n) - matrix, compute_uv=False)[..., -1]
        found = smallest_singular_values(triangle_of(matrix), points)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-13 * n)


def test_on_an_eigenvalue_it_is_of_the_size_of_rounding():
    matrix = np.diag(np.arange(50.0)) + np.triu(np.ones((50, 50)), 1) / 50
    assert smallest_singular_values(triangle_of(matrix), np.array([7.0 + 0j]))[0] < 1e-12
    assert smallest_singular_values(np.zeros((50, 50), complex), np.array([0j, 2.0])).tolist() == (
        pytest.approx([0, 2], abs=1e-15)
    )


def test_inside_the_symbol_of_a_toeplitz_matrix_the_resolvent_grows_with_the_size():
    # sigma_min of z I - J_n is at most |z|^n for |z| < 1 (the vector 1, z, z^2, ...).
    for n in (5, 10, 20):
        value = smallest_singular_values(triangle_of(jordan(n)), np.array([0.6j]))[0]
        assert 0.6**n * (1 - 0.6**2) < value < 0.6**n


@settings(max_examples=40)
@given(square(), st.floats(0.01, 1.0), st.integers(0, 2**32 - 1))
def test_eigenvalues_of_perturbed_matrices_stay_inside(matrix, epsilon, seed):
    rng = np.random.default_rng(seed)
    n = len(matrix)
    E = rng.standard_normal((20, n, n)) + 1j * rng.standard_normal((20, n, n))
    E *= epsilon / np.linalg.norm(E, 2, axis=(-2, -1))[:, None, None]
    moved = np.linalg.eigvals(matrix + E)
    radius, abscissa = pseudospectral_radius(matrix, epsilon), pseudospectral_abscissa(matrix, epsilon)
    slack = 1e-9 * (1 + radius)
    assert np.abs(moved).max() <= radius + slack
    assert moved.real.max() <= abscissa + slack
    assert np.abs(np.trace(matrix)) / n + epsilon <= radius + slack  # r_eps >= r + epsilon
    assert abscissa <= radius + slack


@settings(max_examples=40)
@given(square(), st.floats(0.01, 1.0))
def test_radius_and_abscissa_are_those_of_a_fine_grid(matrix, epsilon):
    radius, abscissa = pseudospectral_radius(matrix, epsilon), pseudospectral_abscissa(matrix, epsilon)
    half = radius + epsilon
    found = pseudospectra(matrix, points=121, limits=(-half, half, -half, half))
    z = found.real + 1j * found.imaginary[:, None]
    cell = half / 60  # sigma_min changes by at most the distance: half a diagonal to the next grid point
    inside = found.smallest_singular_values <= epsilon
    near = found.smallest_singular_values <= epsilon + cell
    assert np.abs(z[inside]).max(initial=0) <= radius * (1 + 1e-9)
    assert z.real[inside].max(initial=-np.inf) <= abscissa + 1e-9 * half
    assert np.abs(z[near]).max() >= radius - cell
    assert z.real[near].max() >= abscissa - cell


def test_the_pseudospectral_radius_is_reached_by_a_perturbation(rng):
    matrix, epsilon = rng.standard_normal((6, 6)) / 3, 0.05
    radius = pseudospectral_radius(matrix, epsilon)
    z = radius * np.exp(1j * np.linspace(0, 2 * np.pi, 20001))
    values = smallest_singular_values(triangle_of(matrix), z)
    best = z[values.argmin()]
    u, s, vh = np.linalg.svd(best * np.eye(6) - matrix)
    moved = matrix + s[-1] * np.outer(u[:, -1], vh[-1])
    assert s[-1] == pytest.approx(epsilon, rel=1e-6)
    assert spectral_radius(moved) == pytest.approx(radius, rel=1e-6)


def test_the_kreiss_constant_is_the_steepest_pseudospectral_radius():
    # K = sup over epsilon of (r_epsilon - 1) / epsilon (Trefethen and Embree, section 16).
    matrix = 0.5 * jordan(4, 1.2)
    value = kreiss_constant(matrix).value
    epsilons = np.exp(np.linspace(-8, 3, 300))
    ratios = [(pseudospectral_radius(matrix, e) - 1) / e for e in epsilons]
    assert max(ratios) <= value * (1 + 1e-9)
    assert value == pytest.approx(max(ratios), rel=1e-2)


def test_batches_are_their_matrices(rng):
    batch = rng.standard_normal((2, 3, 3, 3))
    for function in (pseudospectral_abscissa, pseudospectral_radius):
        found = function(batch, 0.1)
        assert found.shape == (2, 3)
        assert found[1, 2] == function(batch[1, 2], 0.1)


@pytest.mark.parametrize(
    "function",
    [pseudospectra, lambda m: pseudospectral_abscissa(m, 0.1), lambda m: pseudospectral_radius(m, 0.1)],
)
@pytest.mark.parametrize(("matrices", "refusal"), REFUSED)
def test_what_is_no_matrix_is_refused(function, matrices, refusal):
    with refused(refusal):
        function(matrices)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"points": 1}, Refusal("points", "2", "1")),
        ({"kind": "both"}, Refusal("kind", came="'both'")),
        ({"limits": (0, 1)}, Refusal("limits", came="(0, 1)")),
        ({"limits": (1, 0, 0, 1)}, Refusal("limits", "have left < right and bottom < top")),
        ({"limits": (0, 1j, 0, 1)}, Refusal("limits", came="1j")),
    ],
)
def test_wrong_options_are_refused(options, refusal):
    with refused(refusal):
        pseudospectra(np.eye(2), **options)


def test_one_matrix_at_a_time_and_a_positive_epsilon():
    with refused("matrices", came="shape"):
        pseudospectra(np.ones((3, 2, 2)))
    for function in (pseudospectral_abscissa, pseudospectral_radius):
        with refused("epsilon", "0", "0"):
            function(np.eye(2), 0)


@pytest.mark.parametrize(("kind", "name"), [("map", "unit circle"), ("flow", "imaginary axis")])
def test_the_figure_shows_contours_eigenvalues_and_the_bound_of_stability(kind, name):
    found = pseudospectra(grcar(8), points=30, kind=kind)
    ax = found.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"$\mathrm{Re}\,z$", r"$\mathrm{Im}\,z$")
    named = {artist.get_label(): artist for artist in [*ax.get_lines(), *ax.patches]}
    assert name in named
    np.testing.assert_allclose(np.sort(named["eigenvalues"].get_xdata()), np.sort(found.eigenvalues.real))
    assert found.plot(ax=ax, exponents=[-2, -1]) is ax
