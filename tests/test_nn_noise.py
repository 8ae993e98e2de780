"""Layers that draw noise: cells with masks, weight drop, in one direction and in two, in training and in evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from layer_checks import check_gradients
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.cells import recurrent_dropout, variational_dropout, zoneout
from recurrent_dynamics.nn import Context

STEPS, BATCH, CLASSES = 6, 3, 5
LENGTHS = np.array([6, 0, 4])
NOISY = zoneout(recurrent_dropout(variational_dropout(rd.cells.lstm(), 0.4), 0.3), 0.2)


def both(cell, **options):
    return nn.bidirectional(nn.recurrent(cell, 3, 2, **options), nn.recurrent(cell, 3, **options))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_the_pull_back_with_all_noise(lengths, rng):
    layer = nn.chain(
        both(NOISY, weight_drop={"U": 0.5, "W": 0.2}), nn.recurrent(zoneout(rd.cells.gru(), 0.3), 2)
    )
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((STEPS, BATCH, 2))
    for seed in (None, 7):
        check_gradients(layer, params, x, rng, lengths=lengths, rng=seed)


def test_the_pull_back_with_resets_and_a_parametrization(rng):
    layer = nn.recurrent(
        variational_dropout(rd.cells.elman(), 0.4), 4, 2, rd.parametrize.cayley, weight_drop=0.3
    )
    reset = rng.random((STEPS, BATCH)) < 0.3
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((STEPS, BATCH, 2))
    check_gradients(layer, params, x, rng, lengths=LENGTHS, reset=reset, rng=3)


@pytest.mark.parametrize("steps", [STEPS, 1], ids=["folded", "looked up"])
def test_the_pull_back_behind_an_embedding(steps, rng):
    layer = nn.chain(nn.embedding(CLASSES, 3), nn.recurrent(NOISY, 2, weight_drop={"W": 0.5, "U": 0.5}))
    words = rng.integers(0, CLASSES, (steps, BATCH))
    check_gradients(layer, layer.init(rng=1, dtype="float64"), words, rng, rng=5)


def test_noise_is_seeded_drawn_anew_and_off_in_evaluation(rng):
    layer = both(NOISY, weight_drop=0.5)
    params, x = layer.init(rng=1), rng.standard_normal((STEPS, BATCH, 2)).astype("float32")
    y, pull = layer(params, x, Context(rng=4))
    np.testing.assert_array_equal(layer(params, x, Context(rng=4))[0], y)
    generator = np.random.default_rng(4)
    first, second = (layer(params, x, Context(rng=generator))[0] for _ in range(2))
    np.testing.assert_array_equal(first, y)
    assert not np.array_equal(second, y)
    evaluated, _ = layer(params, x)
    np.testing.assert_array_equal(layer(params, x)[0], evaluated)
    assert not np.array_equal(evaluated, y)
    # Both directions draw masks of their own.
    assert not np.array_equal(pull.runs["forward"].params["U"] == 0, pull.runs["backward"].params["U"] == 0)
    # The same entries in both dtypes.
    double, _ = layer(layer.init(rng=1, dtype="float64"), x.astype("float64"), Context(rng=4))
    np.testing.assert_allclose(y, double, atol=1e-6)


def test_weight_drop_is_off_in_evaluation_and_leaves_the_raw_weights(rng):
    plain, layer = (nn.recurrent(rd.cells.lstm(), 20, 2, **options) for options in ({}, {"weight_drop": 0.4}))
    params, x = layer.init(rng=1), rng.standard_normal((STEPS, BATCH, 2)).astype("float32")
    kept = {name: a.copy() for name, a in params.items()}
    y, pull = layer(params, x, Context(rng=2))
    d_params, _ = pull(y)
    np.testing.assert_array_equal(layer(params, x)[0], plain(params, x)[0])
    for name, a in kept.items():
        np.testing.assert_array_equal(params[name], a)
    dropped = pull.run.params["U"]
    assert set(np.unique(dropped == 0)) == {False, True}
    np.testing.assert_array_equal(dropped[dropped != 0], (kept["U"] * np.float32(1 / 0.6))[dropped != 0])
    assert (dropped == 0).mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / dropped.size))
    np.testing.assert_array_equal(d_params["U"][dropped == 0], 0)
    assert (d_params["U"][dropped != 0] != 0).all()
    np.testing.assert_array_equal(pull.run.params["W"], kept["W"])


def test_weight_drop_of_all_recurrent_matrices_and_of_diagonals():
    layer = nn.recurrent(rd.cells.lstm_projected(2), 4, 3, weight_drop=0.5)
    assert layer.weight_drop == {"U": 0.5, "U_h": 0.5}
    assert nn.recurrent(rd.cells.indrnn(), 4, 3, weight_drop=0.5).weight_drop == {"U": 0.5}
    assert nn.recurrent(rd.cells.gru(), 4, 3).weight_drop == {}
    low = rd.cells.elman().with_structure(rd.cells.low_rank(2))
    assert set(nn.recurrent(low, 4, 3, weight_drop=0.5).weight_drop) == {"U_left", "U_right"}


def test_masks_that_are_given_are_not_drawn(rng):
    layer = nn.recurrent(zoneout(rd.cells.gru(), 0.3), 4, 2)
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((STEPS, BATCH, 2))
    masks = {"zoneout_h": rng.random((STEPS, BATCH, 4))}
    y, pull = layer(params, x, Context(rng=3, signals=masks))
    np.testing.assert_array_equal(y, rd.forward(layer.cell, params, x, signals=masks).output)
    check_gradients(layer, params, x, rng, signals=masks, rng=3)
    assert set(pull.gradients(y).signals) == {"zoneout_h"}
    assert layer(params, x, Context(rng=3))[1].gradients(y).signals == {}


def test_a_model_draws_as_a_chain_to_the_bit(rng):
    gru = zoneout(rd.cells.gru(), 0.3)
    model = nn.Model([NOISY, gru], hidden_size=[4, 2], vocabulary_size=CLASSES, dropout=0.4)
    layer = nn.chain(
        nn.embedding(CLASSES, 4),
        nn.recurrent(NOISY, 4),
        nn.dropout(0.4),
        nn.recurrent(gru, 2),
        nn.dense(None, CLASSES),
    )
    assert model.signals == ()
    whole, params = model.init(rng=3), layer.init(rng=3)
    words = rng.integers(0, CLASSES, (STEPS, BATCH))
    for seed in (None, 5):
        run = model.forward(whole, words, dropout_rng=None if seed is None else np.random.default_rng(seed))
        y, pull = layer(params, words, Context(rng=seed))
        np.testing.assert_array_equal(y, run.output)
        found = model.backward(run, y)
        np.testing.assert_array_equal(pull(y)[0]["1"]["U"], found.params["layers"]["0"]["U"])
        assert found.signals == {}
    # What generates and what searches runs the model in evaluation.
    assert len(nn.generate(model, whole, [0, 1], 5, rng=0)) == 5


def test_training_with_noise_resumes_to_the_bit(tmp_path, rng):
    layer = nn.chain(
        nn.embedding(CLASSES, 4), nn.recurrent(NOISY, 4, weight_drop=0.3), nn.dense(None, CLASSES)
    )
    objective = nn.Objective(layer)
    words = rng.integers(0, CLASSES, (STEPS, BATCH))
    options = {"optimizer": "adam", "learning_rate": 0.01, "progress": False, "rng": 3}
    params = objective.init(rng=1)
    whole = rd.training.fit(objective, params, [(words, words)], updates=6, **options)
    path = tmp_path / "run.npz"
    rd.training.fit(objective, params, [(words, words)], updates=3, checkpoint=path, **options)
    resumed = rd.training.fit(
        objective, params, [(words, words)], updates=6, checkpoint=path, resume=True, **options
    )
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    np.testing.assert_array_equal(resumed.history["loss"], whole.history["loss"])
    other = nn.Objective(
        nn.chain(nn.embedding(CLASSES, 4), nn.recurrent(NOISY, 4, weight_drop=0.4), nn.dense(None, CLASSES))
    )
    with refused("model", "0.3", "0.4"):
        rd.training.fit(other, params, [(words, words)], updates=9, checkpoint=path, resume=True, **options)


def test_noise_in_files(tmp_path, rng):
    own = rd.cells.lstm().with_normalization()
    cells = [
        NOISY, zoneout(rd.cells.elman("relu"), {"h": 0.4}), variational_dropout(own, 0.3),
        recurrent_dropout(rd.cells.gru(), 0.2, per_sequence=True),
    ]  # fmt: skip
    layer = nn.chain(*(nn.recurrent(cell, 3, 3, weight_drop={"U": 0.3}) for cell in cells))
    objective = nn.Objective(layer, "mean_squared_error")
    params, x = objective.init(rng=1), rng.standard_normal((STEPS, BATCH, 3)).astype("float32")
    nn.save(tmp_path / "layers.npz", objective, params)
    again = nn.load(tmp_path / "layers.npz").model
    for seed in (None, 1):
        y, other = (o.layer(params, x, Context(rng=seed))[0] for o in (objective, again))
        np.testing.assert_array_equal(y, other)
    model = nn.Model(cells, 3, input_size=2, output_size=1, loss="mean_squared_error")
    nn.save(tmp_path / "model.npz", model, model.init())
    found = nn.load(tmp_path / "model.npz").model
    assert [c.masks for c in found.cells] == [c.masks for c in cells]
    assert [c.fingerprint for c in found.cells] == [c.fingerprint for c in cells]


REFUSED = [
    (lambda: nn.recurrent(rd.cells.gru(), 2, 2, weight_drop=1.0), ("weight_drop", "1", "1.0")),
    (lambda: nn.recurrent(rd.cells.gru(), 2, 2, weight_drop={"V": 0.1}), ("weight_drop", "U", "V")),
    (lambda: nn.recurrent(rd.cells.gru(), 2, 2, weight_drop={"U": -0.1}), ("weight_drop['U']", "0", "-0.1")),
    (lambda: nn.recurrent(rd.cells.min_gru(), 2, 2, weight_drop=0.1), ("weight_drop", "minGRU", "0.1")),
    (lambda: nn.weight_drop({"U": np.ones(2)}, {"b": 0.1}, 0), ("rates", "U", "b")),
    (lambda: nn.weight_drop({"U": np.ones(2)}, 0.1, 0), ("rates", "U", "0.1")),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call, said):
    with refused(*said):
        call()
