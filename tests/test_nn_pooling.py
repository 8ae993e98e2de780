"""One target for each sequence: the readout at the last valid step, or of the mean over the valid steps."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics.nn import Batch, Model, pooling

LENGTHS = np.array([7, 3, 0, 1])


def pooling_model(pool, loss="cross_entropy"):
    return Model(
        [rd.cells.lstm(), rd.cells.lstm()],
        hidden_size=[5, 4],
        input_size=2,
        output_size=3,
        loss=loss,
        pool=pool,
    )


def labelled(rng, loss="cross_entropy", **options):
    targets = rng.integers(0, 3, 4) if loss == "cross_entropy" else rng.standard_normal((4, 3))
    return Batch(rng.standard_normal((7, 4, 2)), targets, **options)


@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_the_gradient_is_the_slope_of_the_loss(pool, lengths, loss, rng):
    model = pooling_model(pool, loss)
    params = model.init(rng=1, dtype="float64")
    batch = labelled(rng, loss, lengths=lengths, mask=np.array([1.0, 0.5, 1.0, 2.0]))
    vector, unravel = rd.ravel(params)
    gradient = rd.ravel(model.loss_and_grad(params, batch)[1])[0]
    for _ in range(3):
        direction = rng.standard_normal(vector.size)
        up, down = (model.loss(unravel(vector + h * direction), batch) for h in (1e-6, -1e-6))
        assert (up - down) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_each_sequence_is_read_as_if_it_were_alone(pool, rng):
    model = pooling_model(pool)
    params = model.init(rng=1, dtype="float64")
    batch = labelled(rng, lengths=LENGTHS)
    beyond = np.arange(7)[:, None] >= LENGTHS
    inputs = np.where(beyond[:, :, None], np.nan, batch.inputs)  # what is beyond the lengths is not read
    output = model.predict(params, inputs, lengths=LENGTHS)
    steps = [model.forward(params, batch.inputs[:n, [i]]) for i, n in enumerate(LENGTHS) if n]
    for run, i in zip(steps, (0, 1, 3), strict=True):
        np.testing.assert_allclose(output[i], run.output[0], atol=1e-13)
        features = run.runs[-1].output[:, 0]
        pooled = features[-1] if pool == "last" else features.mean(axis=0)
        expected = params["readout"]["W"] @ pooled + params["readout"]["b"]
        np.testing.assert_allclose(output[i], expected, atol=1e-13)
    losses = [
        model.loss(params, (batch.inputs[:n, [i]], batch.targets[[i]])) for i, n in enumerate(LENGTHS) if n
    ]
    assert model.loss(params, batch) == pytest.approx(np.mean(losses), rel=1e-12)
    assert batch.weight(pooled=True) == 3


def test_a_sequence_without_a_step_has_a_readout_of_bias_and_no_gradient(rng):
    model = pooling_model("last")
    params = model.init(rng=1, dtype="float64")
    run = model.run(params, labelled(rng, lengths=LENGTHS))
    np.testing.assert_array_equal(run.output[2], params["readout"]["b"])
    d_output = np.zeros_like(run.output)
    d_output[2] = 1
    grads = model.backward(run, d_output)
    assert not np.any(grads.inputs)
    assert not any(np.any(a) for state in grads.initial for a in state.values())


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_the_adjoint_of_pooling_is_its_transpose(pool, lengths, rng):
    features, d_pooled = rng.standard_normal((7, 4, 3)), rng.standard_normal((4, 3))
    forth = np.sum(pooling.pooled(features, pool, lengths) * d_pooled)
    assert np.sum(features * pooling.pooled_adjoint(d_pooled, 7, pool, lengths)) == pytest.approx(
        forth, rel=1e-12
    )


@pytest.mark.parametrize(
    ("pool", "targets", "message"),
    [
        (None, np.zeros(4, int), Refusal("targets", "(T, B)", "pool='last'")),
        ("last", np.zeros((7, 4), int), Refusal("targets", "(B,)", "pool=None")),
        ("mean", np.zeros(3, int), Refusal("targets", "(4,)")),
    ],
)
def test_targets_of_the_other_kind_are_refused(pool, targets, message, rng):
    model = pooling_model(pool)
    with refused(message):
        model.loss(model.init(dtype="float64"), (rng.standard_normal((7, 4, 2)), targets))


def test_another_pool_is_refused():
    with refused("pool", "be one of last, mean", "'max'"):
        pooling_model("max")


def test_predictions_beyond_the_lengths_are_marked(rng):
    model = Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=3)
    params = model.init(rng=1)
    x = rng.standard_normal((7, 4, 2)).astype("float32")
    valid = np.arange(7)[:, None] < LENGTHS
    output = model.predict(params, x, lengths=LENGTHS)
    shares = model.predict(params, x, "probabilities", lengths=LENGTHS)
    classes = model.predict(params, x, "class", lengths=LENGTHS)
    np.testing.assert_array_equal(output[valid], model.forward(params, x, lengths=LENGTHS).output[valid])
    np.testing.assert_allclose(shares[valid].sum(axis=-1), 1, atol=1e-6)
    np.testing.assert_array_equal(classes[valid], shares[valid].argmax(axis=-1))
    assert np.isnan(output[~valid]).all()
    assert np.isnan(shares[~valid]).all()
    assert (classes[~valid] == -1).all()
    pooled = pooling_model("last")
    found = pooled.predict(pooled.init(), x, "class", lengths=LENGTHS)
    assert found[2] == -1
    assert (found[[0, 1, 3]] >= 0).all()


def test_classes_of_a_model_of_numbers_are_refused(rng):
    model = pooling_model("last", "mean_squared_error")
    with refused("kind", "be 'output'"):
        model.predict(model.init(), np.zeros((2, 1, 2), "float32"), "class")


def test_a_model_that_pools_is_diagnosed(rng):
    model = Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=3, pool="last")
    params = model.init(rng=0)
    x = rng.standard_normal((30, 4, 2)).astype("float32")
    targets = rng.integers(0, 3, 4)
    steps = Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=3)
    found = rd.diagnose(model, (x, targets), params=params)
    same = rd.diagnose(steps, (x, np.tile(targets, (30, 1))), params=params)
    assert (found.verdict, found.reach) == (same.verdict, same.reach)
    with refused("validation", "be None"):
        rd.diagnose(model, (x, targets), params=params, validation=(x, targets))
