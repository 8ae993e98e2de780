"""Losses and the embedding as functions of arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

from recurrent_dynamics.nn import cross_entropy, embed, embedding_gradient, mean_squared_error


def central_difference(function, x, direction, step=1e-6):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 9))


@given(shapes, st.integers(0, 1000), st.booleans())
def test_cross_entropy_and_its_gradient(shape, seed, masked):
    rng = np.random.default_rng(seed)
    logits, direction = rng.standard_normal((2, *shape)) * 3
    targets = rng.integers(0, shape[-1], shape[:-1])
    mask = rng.random(shape[:-1]) + 0.1 if masked else None
    loss, gradient = cross_entropy(logits, targets, mask)
    likelihood = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    each = -np.log(np.take_along_axis(likelihood, targets[..., None], -1)[..., 0])
    assert loss == pytest.approx(np.average(each, weights=mask), rel=1e-12)
    slope = central_difference(lambda z: cross_entropy(z, targets, mask)[0], logits, direction)
    assert slope == pytest.approx((gradient * direction).sum(), abs=1e-8)


def test_cross_entropy_is_stable_for_large_logits():
    loss, gradient = cross_entropy(np.array([[1e4, 0.0], [-3e38, 3e38]], np.float32), [0, 1])
    assert loss == 0
    assert (gradient == 0).all()
    assert cross_entropy(np.array([[1e4, 0.0]]), [1])[0] == 1e4


def test_what_is_masked_does_not_matter(rng):
    logits = rng.standard_normal((3, 2, 4)).astype(np.float32)
    targets, mask = rng.integers(0, 4, (3, 2)), np.array([[1, 1], [1, 0], [0, 0]])
    loss, gradient = cross_entropy(logits, targets, mask)
    logits[mask == 0], targets[mask == 0] = np.nan, -100
    other, other_gradient = cross_entropy(logits, targets, mask)
    assert loss == other
    np.testing.assert_array_equal(gradient, other_gradient)
    assert (other_gradient[mask == 0] == 0).all()


@given(shapes, st.integers(0, 1000), st.booleans())
def test_mean_squared_error_and_its_gradient(shape, seed, masked):
    rng = np.random.default_rng(seed)
    output, targets, direction = rng.standard_normal((3, *shape))
    mask = rng.random(shape[:-1]) + 0.1 if masked else None
    loss, gradient = mean_squared_error(output, targets, mask)
    assert loss == pytest.approx(np.average(((output - targets) ** 2).mean(-1), weights=mask), rel=1e-12)
    slope = central_difference(lambda y: mean_squared_error(y, targets, mask)[0], output, direction)
    assert slope == pytest.approx((gradient * direction).sum(), abs=1e-8)


@given(shapes, st.integers(0, 1000))
def test_a_weight_for_each_output(shape, seed):
    rng = np.random.default_rng(seed)
    output, targets, direction = rng.standard_normal((3, *shape))
    mask = rng.random(shape) * (rng.random(shape) < 0.7)
    mask.flat[0] = 1.0
    loss, gradient = mean_squared_error(output, targets, mask)
    assert loss == pytest.approx(np.average((output - targets) ** 2, weights=mask), rel=1e-12)
    slope = central_difference(lambda y: mean_squared_error(y, targets, mask)[0], output, direction)
    assert slope == pytest.approx((gradient * direction).sum(), abs=1e-8)
    missing = np.where(mask == 0, np.nan, targets)
    again, same = mean_squared_error(output, missing, mask)
    assert again == loss
    np.testing.assert_array_equal(same, gradient)
    whole = mean_squared_error(output, targets, np.broadcast_to(mask[..., :1], shape) + 0.1)
    vectors = mean_squared_error(output, targets, mask[..., 0] + 0.1)
    assert whole[0] == pytest.approx(vectors[0], rel=1e-12)
    np.testing.assert_allclose(whole[1], vectors[1], rtol=1e-12)


def test_masked_errors_may_be_infinite(rng):
    output = np.array([[1.0], [np.inf]])
    loss, gradient = mean_squared_error(output, np.zeros((2, 1)), [1, 0])
    assert loss == 1
    np.testing.assert_array_equal(gradient, [[2], [0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_keep_the_dtype(dtype, rng):
    values = rng.standard_normal((4, 3)).astype(dtype)
    assert cross_entropy(values, [0, 1, 2, 0], [1, 0, 1, 1])[1].dtype == dtype
    assert mean_squared_error(values, np.zeros((4, 3)), [1, 0, 1, 1])[1].dtype == dtype
    assert embedding_gradient(np.array([0, 1, 1, 0]), values, 2).dtype == dtype


@given(st.integers(1, 12), st.lists(st.integers(0, 11), min_size=1, max_size=60), st.integers(0, 1000))
def test_embedding_gradient_is_the_adjoint_of_embedding(width, indices, seed):
    rng = np.random.default_rng(seed)
    table, index = rng.standard_normal((12, width)), np.array(indices)
    d_rows = rng.standard_normal((len(index), width))
    gradient = embedding_gradient(index, d_rows, 12)
    expected = np.zeros_like(table)
    np.add.at(expected, index, d_rows)
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    one_hot = np.eye(12)[index]
    np.testing.assert_array_equal(embed(table, index), one_hot @ table)


@pytest.mark.parametrize(
    ("call", "refusal"),
    [
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 3]), Refusal("targets", "0..2", "3")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, -1]), Refusal("targets", "0..2", "-1")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0.0, 1.0]), wrong_type("targets", "integers")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0]), Refusal("targets", "have shape (2,)")),
        (
            lambda: cross_entropy(np.zeros((0, 3)), np.zeros(0, int)),
            Refusal("targets", "hold at least one", "shape"),
        ),
        (lambda: cross_entropy(np.zeros((2, 3), np.float16), [0, 1]), wrong_type("logits", came="float16")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 1], [0, 0]), Refusal("mask")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 1], [1, -1]), Refusal("mask")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 1], [np.nan, 1]), Refusal("mask")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 1], [1]), Refusal("mask", "one weight per loss")),
        (lambda: mean_squared_error(np.zeros((2, 3)), np.zeros((2, 1))), Refusal("targets")),
        (lambda: mean_squared_error(np.zeros((2, 3)), np.zeros((2, 3)), np.ones((2, 1))), Refusal("mask")),
        (lambda: cross_entropy(np.zeros((2, 3)), [0, 1], np.ones((2, 3))), Refusal("mask")),
        (lambda: embed(np.zeros((2, 3)), np.array([2])), Refusal("indices", "0..1", "2")),
        (lambda: embed(np.zeros((2, 3)), np.array([0.0])), wrong_type("indices", "integers")),
    ],
)
def test_errors_name_the_argument(call, refusal):
    with refused(refusal):
        call()
