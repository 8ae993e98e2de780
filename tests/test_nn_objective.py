"""Losses of composed layers: gradients, pooling, training."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training
from recurrent_dynamics.equations import tanh
from recurrent_dynamics.nn import Batch, Objective

STEPS, BATCH, CLASSES = 6, 3, 5
LENGTHS = np.array([6, 0, 4])
LSTM = rd.cells.lstm()


def own_update(drive):
    return {"h": tanh(drive.n)}


def tagger(outputs=2):
    both = nn.bidirectional(nn.recurrent(LSTM, 3), nn.recurrent(LSTM, 3))
    return nn.chain(nn.embedding(CLASSES, 4), both, nn.dropout(0.2), nn.dense(None, outputs))


@pytest.mark.parametrize("pool", [None, "last", "mean"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mean_squared_error"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradient_of_the_loss(pool, loss, lengths, rng):
    objective = Objective(tagger(), loss, pool)
    params = objective.init(rng=1, dtype="float64")
    shape = (STEPS, BATCH) if pool is None else (BATCH,)
    targets = rng.integers(0, 2, shape) if loss == "cross_entropy" else rng.standard_normal((*shape, 2))
    batch = Batch(rng.integers(0, CLASSES, (STEPS, BATCH)), targets, lengths=lengths)
    vector, unravel = rd.ravel(params)
    value, grads = objective.loss_and_grad(params, batch)
    assert value == objective.loss(params, batch)
    direction = rng.standard_normal(vector.size)
    up, down = (objective.loss(unravel(vector + h * direction), batch) for h in (1e-6, -1e-6))
    assert (up - down) / 2e-6 == pytest.approx(rd.ravel(grads)[0] @ direction, rel=1e-7, abs=1e-8)


def test_training_a_chain_is_training_the_usual_model_to_the_bit(rng):
    model = nn.Model([LSTM, LSTM], hidden_size=4, vocabulary_size=CLASSES, dropout=0.3)
    objective = Objective(
        nn.chain(
            nn.embedding(CLASSES, 4),
            nn.recurrent(LSTM, 4),
            nn.dropout(0.3),
            nn.recurrent(LSTM, 4),
            nn.dense(None, CLASSES),
        )
    )
    text = rd.data.Streams(rng.integers(0, CLASSES, 121), 4, 10)  # carries the state from window to window
    both = [
        training.fit(
            what, what.init(rng=0), text, optimizer="adam", learning_rate=0.01, updates=5, rng=3,
            validation=text, metrics=["accuracy"], validate_every=5, progress=False,
        )
        for what in (model, objective)
    ]  # fmt: skip
    (whole, composed), (one, other) = zip(*((r.params, r.history) for r in both), strict=True)
    np.testing.assert_array_equal(one["loss"], other["loss"])
    np.testing.assert_array_equal(one.validation["accuracy"], other.validation["accuracy"])
    np.testing.assert_array_equal(whole["layers"]["1"]["U"], composed["3"]["U"])
    np.testing.assert_array_equal(whole["embedding"]["table"], composed["0"]["table"])


@pytest.mark.parametrize("part", ["0", "1", "3"])
def test_parameters_of_two_dtypes_are_refused(part, rng):
    objective = Objective(tagger())
    params = objective.init()
    params[part] = objective.init(dtype="float64")[part]
    symbols = rng.integers(0, CLASSES, (STEPS, BATCH))
    for call in (objective.loss_and_grad, objective.loss):
        with refused(wrong_type("params", "have one dtype", ("float32", "float64"))):
            call(params, (symbols, np.zeros((STEPS, BATCH), int)))


def test_training_goes_on_from_a_checkpoint(tmp_path, rng):
    objective = Objective(tagger(), pool="last")
    data = [(rng.integers(0, CLASSES, (STEPS, BATCH)), rng.integers(0, 2, BATCH)) for _ in range(2)]
    options = {"optimizer": "adam", "learning_rate": 0.01, "progress": False}
    whole = training.fit(objective, objective.init(), data, updates=6, **options)
    options["checkpoint"] = tmp_path / "half.npz"
    training.fit(objective, objective.init(), data, updates=3, **options)
    resumed = training.fit(objective, objective.init(), data, updates=6, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    other = Objective(tagger(), pool="mean")
    with refused("model", "last", "mean"):
        training.fit(other, other.init(), data, updates=6, resume=True, **options)


def test_predictions(rng):
    inputs = rng.integers(0, CLASSES, (STEPS, BATCH))
    objective = Objective(tagger())
    params = objective.init()
    probabilities = objective.predict(params, inputs, "probabilities", lengths=LENGTHS)
    classes = objective.predict(params, inputs, "class", lengths=LENGTHS)
    within = np.arange(STEPS)[:, None] < LENGTHS
    np.testing.assert_allclose(probabilities.sum(axis=-1)[within], 1, rtol=1e-6)
    assert np.isnan(probabilities[~within]).all()
    np.testing.assert_array_equal(classes[within], probabilities.argmax(axis=-1)[within])
    assert (classes[~within] == -1).all()
    pooled = Objective(tagger(), pool="last").predict(params, inputs, "class", lengths=LENGTHS)
    np.testing.assert_array_equal(pooled, [classes[5, 0], -1, classes[3, 2]])


def test_an_objective_is_read_as_it_was_written(tmp_path, rng):
    own = rd.cells.Cell("my cell", state=("h",), drives=("n",), update=own_update)
    side = nn.concatenate(
        nn.dense(3, 2, bias=False), nn.recurrent(rd.cells.gru(), 2, 3, {"U.n": rd.parametrize.cayley})
    )
    layer = nn.chain(
        nn.dropout(0.3, per_sequence=True), side, nn.residual(nn.recurrent(own, 4)),
        nn.bidirectional(nn.recurrent(LSTM, 2), nn.chain(nn.dense(4, 2), nn.recurrent(LSTM, 2))), nn.dense(None, 2),
    )  # fmt: skip
    objective = Objective(layer, "mean_squared_error", "mean")
    params = objective.init(rng=1, dtype="float64")
    assert layer.shapes.keys() >= {"1/0/W", "2/U", "3/backward/0/b", "4/W"}
    assert layer.shapes["1/1/U"] is None
    nn.save(tmp_path / "own.npz", objective, params, extra={"scale": 2})
    with pytest.raises(ValueError, match="layer 1 has a cell that is not of the library, 'my cell'"):
        nn.load(tmp_path / "own.npz")
    saved = nn.load(tmp_path / "own.npz", cells=[None, own, None, None])
    assert repr(saved.model) == repr(objective)
    assert saved.extra == {"scale": 2}
    x = rng.standard_normal((STEPS, BATCH, 3))
    np.testing.assert_array_equal(saved.model.predict(saved.params, x), objective.predict(params, x))
    text = Objective(tagger())
    nn.save(tmp_path / "text.npz", text, text.init())
    assert repr(nn.load(tmp_path / "text.npz").model) == repr(text)
    with pytest.raises(ValueError, match="params must hold '0/table'"):
        nn.save(tmp_path / "text.npz", text, params)


def test_a_layer_of_another_class_is_not_written(tmp_path):
    class Other(nn.Layer):
        has_params = False
        with_input = draw = apply = None

    with refused(wrong_type("model", "of the library", "Other")):
        nn.save(tmp_path / "own.npz", Objective(Other()), {})
    with refused(wrong_type("model", "Model", "Cell")):
        nn.save(tmp_path / "own.npz", LSTM, {})


def test_an_error_names_the_argument(rng):
    with refused(wrong_type("layer", "Layer", "Cell")):
        Objective(LSTM)
    with refused("loss"):
        Objective(tagger(), "hinge")
    with refused("pool"):
        Objective(tagger(), pool="first")
    with refused("kind"):
        Objective(tagger(), "mean_squared_error").predict({}, np.zeros((2, 1), int), "class")
    objective, text = Objective(tagger(CLASSES)), rd.data.Streams(rng.integers(0, CLASSES, 121), 4, 10)
    with refused("initial", "from the end"):
        training.fit(
            objective, objective.init(), text, optimizer="adam", learning_rate=0.01, updates=2, progress=False
        )
    with refused("targets", "(T, B)"):
        objective.loss(objective.init(), (np.zeros((2, 1), int), np.zeros(1, int)))


def test_layers_without_a_state_are_trained_on_streams(rng):
    objective = Objective(nn.chain(nn.embedding(CLASSES, 3), nn.dense(None, CLASSES)))
    text = rd.data.Streams(rng.integers(0, CLASSES, 121), 4, 10)
    result = training.fit(
        objective, objective.init(), text, optimizer="adam", learning_rate=0.01, updates=3, validation=text,
        progress=False,
    )  # fmt: skip
    assert len(result.history) == 3
