"""Targets of which some numbers are missing: a mask of each output, from the loss to training and diagnosis."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training
from recurrent_dynamics.nn import Batch
from recurrent_dynamics.training.last_loss import last_loss_flows, loss_by_step

STEPS, SIZE, K = 12, 4, 3
LENGTHS = np.array([12, 7, 9, 12])


@pytest.fixture(params=["model", "objective"])
def model(request):
    if request.param == "model":
        return nn.Model(rd.cells.gru(), 5, input_size=2, output_size=K, loss="mean_squared_error")
    layer = nn.chain(nn.recurrent(rd.cells.gru(), 5, input_size=2), nn.dense(None, K))
    return nn.Objective(layer, "mean_squared_error")


@pytest.fixture
def batch(rng):
    x, targets = rng.standard_normal((STEPS, SIZE, 2)), rng.standard_normal((STEPS, SIZE, K))
    mask = rng.random(targets.shape) < 0.6
    mask[0], mask[6] = True, [True, False, True]
    return Batch(x, np.where(mask, targets, np.nan), mask, LENGTHS)


def test_missing_numbers_do_not_count(model, batch, rng):
    params = model.init(rng=0, dtype="float64")
    loss, grads = model.loss_and_grad(params, batch)
    counted = batch.mask & (np.arange(STEPS)[:, None] < LENGTHS)[..., None]
    output = model.predict(params, batch.inputs, lengths=LENGTHS)
    assert loss == pytest.approx(np.mean((output - batch.targets)[counted] ** 2), rel=1e-12)
    vector, unravel = rd.ravel(params)
    direction = rng.standard_normal(vector.size)
    up, down = (model.loss(unravel(vector + h * direction), batch) for h in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx(rd.ravel(grads)[0] @ direction, rel=1e-7)


def test_batches_are_averaged_by_the_numbers_that_count(model, batch):
    params = model.init(rng=0, dtype="float64")
    halves = [Batch(*(a[:, part] for a in batch[:3]), LENGTHS[part]) for part in (slice(0, 1), slice(1, 4))]
    found = training.measure(model, params, halves, ["mean_absolute_error", "mean_squared_error"])
    assert found["loss"] == pytest.approx(model.loss(params, batch), rel=1e-12)
    assert found["mean_squared_error"] == pytest.approx(found["loss"], rel=1e-12)
    counted = batch.weights() > 0
    errors = np.abs(model.predict(params, batch.inputs) - batch.targets)[counted]
    assert found["mean_absolute_error"] == pytest.approx(errors.mean(), rel=1e-12)


def test_a_mask_of_equal_columns_is_one_of_steps(model, batch):
    params = model.init(rng=0, dtype="float64")
    steps = batch.mask[..., 0]
    whole = batch._replace(targets=np.nan_to_num(batch.targets), mask=steps)
    columns = whole._replace(mask=np.repeat(steps[..., None], K, axis=-1))
    assert model.loss(params, columns) == pytest.approx(model.loss(params, whole), rel=1e-12)
    assert columns.weight() == whole.weight()


def test_training_and_diagnosis_on_missing_numbers(model, batch):
    params = model.init(rng=0, dtype="float64")
    result = training.fit(
        model, params, [batch], optimizer="adam", learning_rate=0.02, updates=100, progress=False
    )
    assert result.history["loss"][-1] < 0.7 * result.history["loss"][0]
    by_step = loss_by_step(model, model.run(params, batch).output, model.compared(batch))
    assert np.isfinite(by_step[0])
    (flow,) = last_loss_flows(model, model.run(params, batch), batch)
    single = Batch(batch.inputs, np.nan_to_num(batch.targets), batch.mask.any(axis=-1), LENGTHS)
    (other,) = last_loss_flows(model, model.run(params, single), single)
    assert len(flow.lags) == len(other.lags)
    assert rd.diagnose(model, batch, params=params).verdict


def test_a_pooled_target_with_missing_numbers(rng):
    model = nn.Model(rd.cells.gru(), 5, 2, output_size=K, loss="mean_squared_error", pool="last")
    params, x = model.init(rng=0, dtype="float64"), rng.standard_normal((STEPS, SIZE, 2))
    targets = rng.standard_normal((SIZE, K))
    mask = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    batch = Batch(x, targets, mask, np.array([12, 3, 0, 5]))
    counted = mask * [[1], [1], [0], [1]]
    output = model.predict(params, x, lengths=batch.lengths)
    expected = np.mean((output - targets)[counted > 0] ** 2)
    assert model.loss(params, batch) == pytest.approx(expected, rel=1e-12)
    assert batch.weight(pooled=True) == pytest.approx(counted.sum() / K)


def test_windows_of_a_series_with_missing_numbers(rng):
    series = rng.standard_normal((50, 2))
    seen = rng.random((50, 2)) < 0.7
    windows = rd.data.Windows(np.zeros((50, 1)), np.where(seen, series, np.nan), 8, 3, mask=seen)
    batch = windows.batch(0)
    assert batch.mask.shape == batch.targets.shape
    np.testing.assert_array_equal(np.isnan(batch.targets), ~batch.mask)
    with refused("mask", "(50, 2)", "(50, 3)"):
        rd.data.Windows(np.zeros((50, 1)), series, 8, 3, mask=np.ones((50, 3)))


def test_a_mask_of_another_shape_is_refused(model, batch):
    params = model.init(rng=0, dtype="float64")
    with refused("mask", ("(12, 4)", "(12, 4, 3)"), "(12, 4, 2)"):
        model.loss(params, batch._replace(mask=batch.mask[..., :2]))
    classes = nn.Model(rd.cells.gru(), 5, input_size=2, output_size=K)
    own = Batch(batch.inputs, np.zeros((STEPS, SIZE), int), batch.mask)
    with refused("mask", "(12, 4)", "(12, 4, 3)"):
        classes.loss(classes.init(rng=0, dtype="float64"), own)
