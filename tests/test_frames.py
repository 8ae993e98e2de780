"""Frames pushed by Jacobians and orthonormalized: against NumPy, and where NumPy's own way would be hard put."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurrent_dynamics as rd
from recurrent_dynamics.engine.sparsity import structure
from recurrent_dynamics.kernels.qr import Frames, carry, carry_each


def columns(frames: Frames) -> np.ndarray:
    return np.swapaxes(frames.rows, 1, 2)


def frames_of(columns: np.ndarray) -> Frames:
    return Frames.of(np.swapaxes(columns, 1, 2))


def assert_factored(carried, pushed, scale=1.0):
    """A = Q R with Q orthonormal and R upper triangular, whose diagonal is told in logarithms."""
    Q, R, count = columns(carried.frames), carried.triangles, pushed.shape[-1]
    np.testing.assert_allclose(np.swapaxes(Q, 1, 2) @ Q, np.broadcast_to(np.eye(count), R.shape), atol=1e-14)
    np.testing.assert_allclose(Q @ R, pushed, atol=1e-14 * scale * np.abs(pushed).max())
    assert (np.tril(R, -1) == 0).all()
    found = np.abs(np.diagonal(R, axis1=1, axis2=2))
    told = np.exp(carried.log_diagonal)
    np.testing.assert_allclose(told[told > 0], found[told > 0], rtol=1e-13)
    assert carried.finite


@st.composite
def jacobians_and_starts(draw):
    batch, size = draw(st.integers(1, 4)), draw(st.integers(1, 70))
    count, steps = draw(st.integers(1, size)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    jacobians = rng.standard_normal((steps, batch, size, size)) / np.sqrt(size)
    return jacobians, rng.standard_normal((batch, size, count))


@settings(max_examples=30)
@given(jacobians_and_starts())
def test_frames_are_pushed_and_factored(drawn):
    jacobians, start = drawn
    pushed, size = start, start.shape[1]
    for J in jacobians:
        pushed = J @ pushed
    kept = frames_of(start)
    carried = carry(kept, jacobians)
    assert_factored(carried, pushed, scale=size)
    np.testing.assert_array_equal(columns(kept), start)
    if not len(jacobians):
        theirs = np.abs(np.linalg.qr(start)[1])
        np.testing.assert_allclose(np.abs(carried.triangles), theirs, atol=1e-12 * theirs.max())
    for log_condition, R in zip(carried.log_condition, carried.triangles, strict=True):
        exact = np.log(np.linalg.cond(R, 1))
        assert exact - 4 < log_condition < exact + 1e-6


def test_an_ill_conditioned_frame_is_orthonormal_to_rounding(rng):
    """Where the product of the frame with itself, which shorter ways to Q start from, would be indefinite."""
    left, right = (np.linalg.qr(rng.standard_normal((2, 60, 60)))[0] for _ in range(2))
    pushed = left * np.logspace(0, -14, 60) @ right
    carried = carry(frames_of(pushed))
    assert_factored(carried, pushed)
    np.testing.assert_array_equal(
        carry(frames_of(pushed), triangles=False).frames.panels, carried.frames.panels
    )
    expected = np.log(np.abs(np.diagonal(np.linalg.qr(pushed)[1], axis1=1, axis2=2)))
    assert np.isfinite(carried.log_diagonal).all()
    np.testing.assert_allclose(carried.log_diagonal[:, :30], expected[:, :30], atol=1e-6)
    assert (carried.log_condition > np.log(1e8)).all()


def test_columns_that_are_zero_or_dependent_have_no_logarithm(rng):
    pushed = rng.standard_normal((1, 40, 20))
    pushed[:, :, 3] = 0
    pushed[:, :, 18] = pushed[:, :, 0] + pushed[:, :, 17]
    carried = carry(frames_of(pushed))
    assert_factored(carried, pushed)
    np.testing.assert_array_equal(np.flatnonzero(np.isneginf(carried.log_diagonal[0])), [3, 18])
    assert carried.log_condition[0] == np.inf or carried.log_condition[0] > np.log(1e14)
    assert_factored(carry(frames_of(np.zeros((2, 5, 3)))), np.zeros((2, 5, 3)))


@pytest.mark.parametrize("scale", [1e-250, 1e-120, 1e120, 1e250])
def test_frames_whose_squares_would_be_lost(scale, rng):
    pushed = rng.standard_normal((3, 20, 17))
    expected = carry(frames_of(pushed)).log_diagonal + np.log(scale)
    carried = carry(frames_of(scale * pushed))
    np.testing.assert_allclose(carried.log_diagonal, expected, atol=1e-10)
    Q = columns(carried.frames)
    np.testing.assert_allclose(np.swapaxes(Q, 1, 2) @ Q, np.broadcast_to(np.eye(17), (3, 17, 17)), atol=1e-14)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_frame_that_is_not_finite_is_told(bad, rng):
    start = rng.standard_normal((2, 9, 4))
    jacobians = rng.standard_normal((1, 2, 9, 9))
    assert carry(frames_of(start), jacobians).finite
    jacobians[0, 1, 2, 3] = bad
    assert not carry(frames_of(start), jacobians).finite


@settings(max_examples=30)
@given(jacobians_and_starts())
def test_without_triangles_the_frame_and_the_logarithms_are_the_same(drawn):
    """By Gram-Schmidt, where the triangles come from reflections: Q up to signs, ln |R_ii|, the condition number."""
    jacobians, start = drawn
    kept, size = frames_of(start), start.shape[1]
    expected, carried = carry(kept, jacobians), carry(kept, jacobians, triangles=False)
    rounding = 1e-15 * size * np.exp(expected.log_condition).max()
    np.testing.assert_allclose(carried.log_diagonal, expected.log_diagonal, atol=10 * rounding)
    np.testing.assert_allclose(carried.log_condition, expected.log_condition, atol=1e-9 + rounding)
    signs = np.sign((carried.frames.rows * expected.frames.rows).sum(axis=2, keepdims=True))
    np.testing.assert_allclose(carried.frames.rows * signs, expected.frames.rows, atol=10 * rounding)
    assert carried.finite
    assert carried.triangles.size == 0


@pytest.mark.parametrize("smallest", [1e-3, 1e-6, 1e-9, 1e-12, 0.0])
def test_gram_schmidt_is_left_where_it_would_lose_orthogonality(smallest, rng):
    """A column comes near to those before it, in the first panel or in the last."""
    for near in (2, 57):
        pushed = np.linalg.qr(rng.standard_normal((1, 70, 60)))[0]
        pushed[:, :, near] = pushed[:, :, 0] + smallest * pushed[:, :, near]
        expected, carried = carry(frames_of(pushed)), carry(frames_of(pushed), triangles=False)
        Q = columns(carried.frames)[0]
        loss = np.abs(Q.T @ Q - np.eye(60)).max()
        assert loss < (1e-15 / smallest if smallest > 1e-7 else 1e-14)
        np.testing.assert_allclose(Q @ (Q.T @ pushed[0]), pushed[0], atol=max(1e-14, 2 * loss))
        told = [np.exp(c.log_diagonal) for c in (carried, expected)]
        np.testing.assert_allclose(*told, atol=1e-14)
        assert np.isneginf(carried.log_diagonal).sum() == (smallest == 0)


def test_a_frame_of_unlike_columns_needs_no_reflections(rng):
    """What counts is the angles, not the lengths: columns scaled by powers of two give the same frame bit by bit."""
    start, scales = rng.standard_normal((1, 40, 30)), 2.0 ** -np.arange(30)
    even, uneven = (carry(frames_of(a), triangles=False) for a in (start, start * scales))
    np.testing.assert_array_equal(uneven.frames.panels, even.frames.panels)
    np.testing.assert_allclose(uneven.log_diagonal - np.log(scales), even.log_diagonal, atol=1e-13)


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_the_structure_of_a_cell_loses_nothing_of_its_jacobians(name, rng):
    cell = getattr(rd.cells, name)()
    run = rd.forward(cell, cell.init(3, 11, dtype="float64", rng=rng), rng.standard_normal((4, 2, 3)))
    J, where = rd.jacobian(run), structure(cell, run.tape.layout)
    size = J.shape[-1]
    pushed = start = rng.standard_normal((2, size, size))
    for step in J:
        pushed = step @ pushed
    assert_factored(carry(frames_of(start), J, where), pushed, scale=size)
    each, dense = (carry_each(frames_of(start), J, given) for given in (where, None))
    np.testing.assert_allclose(each.log_diagonal, dense.log_diagonal, atol=1e-9)
    assert (where.low, where.high) == (0, 11)  # c of an LSTM is read by no product


def test_the_numbers_do_not_depend_on_the_number_of_threads(set_threads, rng):
    start, jacobians = rng.standard_normal((7, 50, 50)), rng.standard_normal((2, 7, 50, 50))
    found = []
    for threads in (1, 2, 7):
        set_threads(threads)
        carried, each = carry(frames_of(start), jacobians), carry_each(frames_of(start), jacobians)
        found.append((carried.frames.panels, carried.triangles, each.frames.panels, each.log_diagonal))
    for some in found[1:]:
        for one, first in zip(some, found[0], strict=True):
            np.testing.assert_array_equal(one, first)


@pytest.mark.parametrize("scale", [1.0, 1e-150])
def test_steps_carried_at_once_are_those_carried_one_by_one(scale, rng):
    frames, jacobians = (
        frames_of(rng.standard_normal((3, 20, 18))),
        scale * rng.standard_normal((5, 3, 20, 20)),
    )
    jacobians[2, 1] = 0
    at_once = carry_each(frames, jacobians)
    assert at_once.finite
    for t in range(5):
        one = carry(frames, jacobians[t : t + 1], triangles=False)
        np.testing.assert_array_equal(at_once.log_diagonal[t], one.log_diagonal)
        assert (at_once.log_condition[t] <= one.log_condition).all()
        frames = one.frames
    np.testing.assert_array_equal(at_once.frames.panels, frames.panels)
    np.testing.assert_array_equal(at_once.log_condition[-1], one.log_condition)
    jacobians[3, 0, 1, 1] = np.nan
    assert not carry_each(frames, jacobians).finite
