"""Covariant Lyapunov vectors against eigenvectors, the Jacobians that carry them, and the spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import Map, covariant_vectors, lyapunov


def linear_map(A):
    return Map(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), *A.shape)))


def henon(s):
    return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)


def henon_jacobian(s):
    J = np.zeros((len(s), 2, 2))
    J[:, 0, 0], J[:, 0, 1], J[:, 1, 0] = -2.8 * s[:, 0], 1, 0.3
    return J


def up_to_sign(found, expected):
    np.testing.assert_allclose(np.abs((found * expected).sum(axis=-1)), 1, atol=1e-12)


@pytest.mark.parametrize("every", [1, 7])
def test_of_a_linear_map_they_are_its_eigenvectors(rng, every):
    V = rng.standard_normal((4, 4))
    V /= np.linalg.norm(V, axis=0)
    moduli = np.array([1.2, 0.7, 0.4, 0.2])
    A = V @ np.diag(moduli) @ np.linalg.inv(V)
    options = {"transient": 100, "backward_transient": 101, "every": every}
    found = covariant_vectors(linear_map(A), initial=np.zeros((2, 4)), steps=260, **options)
    assert found.times[0] == 100
    assert found.times[-1] == 159
    assert (np.diff(found.times) <= every).all()
    up_to_sign(found.vectors, V.T)
    np.testing.assert_allclose(found.exponents, np.log(moduli), atol=1e-11)
    np.testing.assert_allclose(found.angles(1, 3), np.arccos(abs(V[:, 1] @ V[:, 3])), atol=1e-7)
    Q = np.linalg.qr(V[:, :1])[0], np.linalg.qr(V[:, 1:])[0]
    smallest = np.arccos(np.linalg.svd(Q[0].T @ Q[1], compute_uv=False)[0])
    np.testing.assert_allclose(found.smallest_angle(1), smallest, atol=1e-7)


def test_the_jacobians_of_a_gated_network_carry_each_into_itself(rng):
    cell = rd.cells.gru()
    params = cell.init(2, 8, dtype="float64", rng=rng)
    params["U"] *= 2
    run = rd.forward(cell, params, rng.standard_normal((400, 2, 2)))
    found = covariant_vectors(run, transient=150, backward_transient=150)
    J = rd.jacobian(run)[found.times[:-1]]
    carried = found.vectors[:-1] @ np.swapaxes(J, 2, 3)
    norms = np.linalg.norm(carried, axis=-1)
    up_to_sign(carried / norms[..., None], found.vectors[1:])
    np.testing.assert_allclose(np.log(norms), found.growth, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=-1), 1, atol=1e-12)


def test_they_do_not_depend_on_where_the_frame_began(rng):
    henon_map = Map(henon, henon_jacobian)
    start = rng.uniform(-0.1, 0.1, (5, 2))
    one, two = (
        covariant_vectors(
            henon_map, initial=start, steps=900, transient=200, backward_transient=200, rng=seed
        )
        for seed in (1, 2)
    )
    np.testing.assert_array_equal(one.times, two.times)
    up_to_sign(one.vectors, two.vectors)
    spectrum = lyapunov(henon_map, initial=start, steps=900, transient=200)
    np.testing.assert_allclose(
        one.exponents.sum(), np.log(0.3), atol=0.01
    )  # but for the volume of the vectors at both ends
    np.testing.assert_allclose(one.exponents, spectrum.exponents, atol=0.05)
    # The Henon attractor is not hyperbolic: its two directions come close to each other.
    assert one.angles(0, 1).min() < 0.05
    np.testing.assert_allclose(one.angles(0, 1), one.smallest_angle(1), atol=1e-9)


def test_the_leading_ones_are_the_same_alone(rng):
    cell = rd.cells.gru()
    params = cell.init(2, 30, dtype="float64", rng=rng)
    run = rd.forward(cell, params, rng.standard_normal((150, 1, 2)))
    options = {"transient": 60, "backward_transient": 60}
    two, four = (covariant_vectors(run, count=count, **options) for count in (2, 4))
    both = np.intersect1d(two.times, four.times)
    up_to_sign(
        two.vectors[np.isin(two.times, both)][:, :, 0], four.vectors[np.isin(four.times, both)][:, :, 0]
    )


def test_bad_input_says_what_is_wrong():
    options = {"initial": np.zeros(3), "transient": 10}
    with refused("backward_transient", ("0", "89")):
        covariant_vectors(linear_map(np.eye(3)), steps=100, backward_transient=90, **options)
    with refused("count", "2"):
        covariant_vectors(linear_map(np.diag([1.0, 0.5, 0])), steps=100, backward_transient=20, **options)
    found = covariant_vectors(
        linear_map(np.diag([1.0, 0.5, 0.1])), steps=100, backward_transient=20, **options
    )
    with refused("j", ("0", "2"), "3"):
        found.angles(0, 3)
    with refused("leading", came="3"):
        found.smallest_angle(3)
