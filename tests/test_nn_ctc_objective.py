"""CTC as what is trained: the loss of every frame, its gradient, and a training that reads names."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.training import DivergenceError, fit, load_checkpoint, measure


def objective_of(frames=2, classes=4, **options):
    gru = nn.recurrent(rd.cells.gru(), 3)
    layer = nn.chain(nn.embedding(5, 3), nn.bidirectional(gru, gru), nn.dense(None, frames * classes))
    return nn.CtcObjective(layer, frames, **options)


def data_of(rng, size=6, **options):
    inputs = [rng.integers(0, 5, n) for n in rng.integers(3, 8, size)]
    targets = [rng.integers(1, 4, n) for n in rng.integers(0, 4, size)]
    return rd.data.NamedBatches({"inputs": inputs, "targets": targets}, **({"batch_size": 3} | options))


def test_each_step_makes_frames_one_after_another(rng):
    objective, batch = objective_of(), data_of(rng).batch(1)
    params = objective.init(rng=0, dtype="float64")
    y, _ = objective.layer(params, batch["inputs"], nn.Context(lengths=batch["inputs_lengths"]))
    run = objective.run(params, batch)
    assert run.output.shape == (2 * len(y), 3, 4)
    for t in range(len(y)):
        np.testing.assert_array_equal(
            np.concatenate([run.output[2 * t], run.output[2 * t + 1]], axis=1), y[t]
        )
    np.testing.assert_array_equal(run.lengths, 2 * batch["inputs_lengths"])
    losses, _ = nn.ctc_loss(run.output, batch["targets"].T, run.lengths, batch["targets_lengths"])
    assert objective.loss(params, batch) == pytest.approx(losses.mean(), rel=1e-14)


def test_the_gradient_is_that_of_the_mean_loss(rng):
    objective, batch = objective_of(frames=3, blank=2), data_of(rng).batch(1)
    batch["targets"][batch["targets"] == 2] = 0
    params = objective.init(rng=0, dtype="float64")
    flat, back = rd.ravel(params)
    _, grads = objective.loss_and_grad(params, batch)
    gradient = rd.ravel(grads)[0]
    for direction in rng.standard_normal((3, len(flat))):
        step = 1e-6
        ends = [objective.loss(back(flat + sign * step * direction), batch) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient @ direction, rel=1e-7)


def test_padding_and_absent_lengths_change_nothing(rng):
    objective, batch = objective_of(), data_of(rng).batch(0)
    params = objective.init(rng=0, dtype="float64")
    loss = objective.loss(params, batch)
    batch["inputs"][np.arange(len(batch["inputs"]))[:, None] >= batch["inputs_lengths"]] = 4
    batch["targets"][np.arange(len(batch["targets"]))[:, None] >= batch["targets_lengths"]] = 3
    assert objective.loss(params, batch) == loss
    whole = {"inputs": np.zeros((4, 2), int), "targets": np.ones((2, 2), int)}
    told = whole | {"inputs_lengths": np.array([4, 4]), "targets_lengths": np.array([2, 2])}
    assert objective.loss(params, whole) == objective.loss(params, told)


def test_it_is_trained_and_resumed_to_the_same_bits(rng, tmp_path):
    objective, data = objective_of(), data_of(rng, size=12, seed=1)
    options = {"optimizer": "adam", "learning_rate": 0.03, "progress": False, "validation": data}
    whole = fit(objective, objective.init(rng=0), data, updates=40, **options)
    losses = whole.history.validation["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] == pytest.approx(measure(objective, whole.params, data)["loss"])
    path = tmp_path / "run.npz"
    fit(objective, objective.init(rng=0), data, updates=23, checkpoint=path, **options)
    fit(objective, objective.init(rng=0), data, updates=40, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(load_checkpoint(path).params)[0], rd.ravel(whole.params)[0])


def test_decoding_is_that_of_the_logits(rng):
    objective, batch = objective_of(), data_of(rng).batch(0)
    params = objective.init(rng=0)
    run = objective.run(params, batch)
    expected = nn.ctc_decode(run.output, run.lengths, width=4, n_best=2)
    found = objective.decode(params, batch["inputs"], batch["inputs_lengths"], width=4, n_best=2)
    assert [[x.labels.tolist() for x in own] for own in found] == [
        [x.labels.tolist() for x in own] for own in expected
    ]


def test_targets_without_an_alignment_end_the_training_or_are_left_out():
    batch = {"inputs": np.zeros((1, 2), int), "targets": np.array([[1, 1], [2, 1], [1, 1]])}
    params = objective_of().init(rng=0)
    with pytest.raises(FloatingPointError, match="inf"):
        objective_of().loss_and_grad(params, batch)
    assert objective_of(zero_infinity=True).loss(params, batch) == 0


def test_logits_that_are_not_finite_end_the_training():
    objective = nn.CtcObjective(nn.chain(nn.embedding(5, 3), nn.dense(None, 4)))
    params = objective.init(rng=0)
    params["0"]["table"][:] = 1e30
    params["1"]["W"][:] = 1e30
    params["1"]["W"][1] = np.array([1e30, -1e30, 1e30])
    batch = {"inputs": np.zeros((3, 2), int), "targets": np.ones((1, 2), int)}
    with np.errstate(over="ignore", invalid="ignore"):
        for call in (objective.loss, objective.loss_and_grad):
            with pytest.raises(FloatingPointError, match=r"the logits became (inf|nan) at index \(0, 0"):
                call(params, batch)
        with pytest.raises(DivergenceError, match="the logits became"):
            fit(objective, params, [batch], optimizer="sgd", learning_rate=0.1, updates=1)


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        (wrong_type("layer", "be a Layer"), lambda o: nn.CtcObjective(3)),
        (Refusal("layer", "a multiple of 3"), lambda o: nn.CtcObjective(o.layer, 3)),
        (Refusal("blank", "below 4"), lambda o: nn.CtcObjective(o.layer, 2, blank=4)),
        (Refusal("frames", "at least 1"), lambda o: nn.CtcObjective(o.layer, 0)),
        (
            wrong_type("batch", "be a dict"),
            lambda o: o.loss(o.init(), (np.zeros((1, 1), int), np.zeros((1, 1), int))),
        ),
        (
            Refusal("batch", "have inputs and targets"),
            lambda o: o.loss(o.init(), {"inputs": np.zeros((1, 1), int)}),
        ),
        (Refusal("batch", "have no"), lambda o: o.loss(o.init(), {"source": np.zeros((1, 1), int)})),
        (Refusal("initial", "be None"), lambda o: o.run(o.init(), {}, [{}])),
        (Refusal("initial", "be None"), lambda o: o.run(o.init(), {}, 3)),
        (wrong_type("dropout_rng", "a NumPy generator"), lambda o: o.run(o.init(), {}, None, 7)),
    ],
)
def test_wrong_arguments_are_named(refusal, call):
    with refused(refusal):
        call(objective_of())


def test_an_objective_comes_back_from_its_file(rng, tmp_path):
    objective, batch = objective_of(frames=2, blank=3, zero_infinity=True), data_of(rng).batch(0)
    params = objective.init(rng=0)
    nn.save(tmp_path / "labels.npz", objective, params)
    found = nn.load(tmp_path / "labels.npz")
    assert repr(found.model) == repr(objective)
    assert found.model.zero_infinity
    expected = objective.run(params, batch).output
    np.testing.assert_array_equal(found.model.run(found.params, batch).output, expected)
