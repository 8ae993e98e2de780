"""The Hessian of a model's loss times a vector: against differences of the exact gradient, and symmetric."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics.nn import Batch, Model, loss_hvp

LSTM, GRU = rd.cells.lstm(), rd.cells.gru()


def classes(rng):
    model = Model([LSTM, GRU], 4, vocabulary_size=5, embedding_size=3)
    inputs, targets = rng.integers(0, 5, (2, 6, 3))
    return model, Batch(inputs, targets, lengths=np.array([6, 2, 4]), reset=rng.random((6, 3)) < 0.2)


def numbers(rng):
    model = Model(GRU, 4, input_size=2, output_size=3, loss="mean_squared_error")
    x, y = rng.standard_normal((6, 3, 2)), rng.standard_normal((6, 3, 3))
    return model, Batch(x, y, mask=rng.random((6, 3)))


@pytest.mark.parametrize("case", [classes, numbers])
def test_the_product_is_the_derivative_of_the_gradient(case, rng):
    model, batch = case(rng)
    params = model.init(rng=0, dtype="float64")
    start, unravel = rd.ravel(params)
    u, v = rng.standard_normal((2, start.size))
    gradient = lambda vector: rd.ravel(model.loss_and_grad(unravel(vector), batch)[1])[0]
    product = lambda vector: rd.ravel(loss_hvp(model, params, batch, unravel(vector)))[0]
    step = 1e-5
    expected = (gradient(start + step * v) - gradient(start - step * v)) / (2 * step)
    np.testing.assert_allclose(product(v), expected, atol=1e-8)
    assert u @ product(v) == pytest.approx(v @ product(u), rel=1e-10)


def test_what_has_no_product_is_refused(rng):
    model, batch = numbers(rng)
    params = model.init(dtype="float64")
    for direction, message in (
        (model.init(), Refusal("direction", "'layers/0/W' must be float64", "float32")),
        ({"layers": params["layers"]}, Refusal("direction", "'readout/W' must be float64", "none")),
    ):
        with refused(message):
            loss_hvp(model, params, batch, direction)
    free = Model(
        rd.cells.elman(), 4, 2, output_size=3, loss="mean_squared_error", parametrize=rd.parametrize.cayley
    )
    with refused("model", "have no parametrizations"):
        loss_hvp(free, free.init(), batch, free.init())
