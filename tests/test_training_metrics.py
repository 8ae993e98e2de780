"""Metrics of validations, and the order of a list of batches."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import training
from recurrent_dynamics.nn import Batch, Model


def classifier():
    return Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=3, pool="last")


def batches(rng, number=5, size=4):
    return [
        Batch(
            rng.standard_normal((6, size, 2)).astype("float32"),
            rng.integers(0, 3, size),
            lengths=np.arange(size) + 3,
        )
        for _ in range(number)
    ]


def fit(data, **options):
    model = classifier()
    defaults = {"optimizer": training.adam(), "learning_rate": 0.01, "updates": 12}
    return training.fit(model, model.init(), data, **(defaults | options))


def test_metrics_are_those_of_all_predictions_together(rng):
    model, data = classifier(), [*batches(rng, 2), *batches(rng, 1, size=3)]
    params = model.init()
    found = training.measure(model, params, data, ["accuracy", "cross_entropy"])
    right = [model.predict(params, b.inputs, "class", lengths=b.lengths) == b.targets for b in data]
    assert found["accuracy"] == pytest.approx(np.concatenate(right).mean())
    assert found["cross_entropy"] == pytest.approx(found["loss"])
    assert found["loss"] == training.evaluate(model, params, data)


def test_metrics_do_not_read_what_does_not_count(rng):
    output, targets = rng.standard_normal((3, 2, 4)), rng.integers(0, 4, (3, 2))
    weights = np.array([[1, 0], [2, 1], [0, 0]])
    right = output.argmax(axis=-1) == targets
    assert training.accuracy(output, targets, weights) == pytest.approx((right * weights).sum() / 4)
    values = rng.standard_normal(output.shape)
    values[weights == 0] = np.nan
    error = np.abs(output - values).mean(axis=-1)
    expected = np.nansum(error * weights) / 4
    assert training.mean_absolute_error(output, values, weights) == pytest.approx(expected)


def test_shapes_that_do_not_agree_are_refused():
    with refused("targets", "have shape"):
        training.accuracy(np.zeros((2, 3)), np.zeros((2, 1), int))
    with refused("weights", "have shape"):
        training.mean_absolute_error(np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3))


def test_the_history_keeps_metrics(rng, tmp_path):
    def largest(output, targets, weights):
        return output.max()

    data, held_out = batches(rng), batches(rng, 2)
    result = fit(data, validation=held_out, metrics=["accuracy", largest])
    table = result.history.validation
    assert table["update"].tolist() == [5, 10, 12]
    final = training.measure(
        classifier(), result.params, held_out, {"accuracy": training.accuracy, "largest": largest}
    )
    assert table["accuracy"][-1] == final["accuracy"]
    assert table["largest"][-1] == final["largest"]
    result.history.write_csv(tmp_path / "history.csv")
    again = training.History.read_csv(tmp_path / "history.csv")
    assert again.metrics == ("accuracy", "largest")
    np.testing.assert_array_equal(again.validation.array(), table.array())
    np.testing.assert_array_equal(again.training.array(), result.history.training.array())


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("accuracy", wrong_type("metrics", came="write ['accuracy']")),
        (["precision"], Refusal("metrics", "be one of accuracy")),
        ([lambda output, targets, weights: 0.0], Refusal("metrics", came="give a dict")),
        (["accuracy", "accuracy"], Refusal("metrics", "names of their own")),
        ({"loss": training.accuracy}, Refusal("metrics", "names of their own")),
        ([3], wrong_type("metrics", "names or functions")),
        (
            {"shape": lambda output, targets, weights: output.shape},
            wrong_type("metric 'shape'", "return a number", "tuple"),
        ),
    ],
)
def test_metrics_that_cannot_be_taken_are_refused(metrics, message, rng):
    data = batches(rng, 1)
    with refused(message):
        fit(data, validation=data, metrics=metrics)


def test_metrics_without_a_validation_are_refused(rng):
    with refused("validation", "since metrics are given"):
        fit(batches(rng), metrics=["accuracy"])


def test_shuffled_epochs_hold_every_batch_once_in_orders_of_their_own(rng):
    source = training.BatchList(batches(rng, 6), shuffle=3)
    order = [[b is source.batches[i] for i in range(6)].index(True) for b in map(source.batch, range(18))]
    epochs = np.reshape(order, (3, 6))
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(6), (3, 1)))
    assert len({tuple(e) for e in epochs.tolist()}) == 3
    same = training.BatchList(source.batches, shuffle=3)
    assert all(same.batch(n) is source.batch(n) for n in range(18))


def test_a_resumed_run_goes_on_in_the_same_order_with_the_same_metrics(rng, tmp_path):
    data, path = batches(rng), tmp_path / "run.npz"
    options = {"shuffle": 2, "validation": data, "metrics": ["accuracy"], "validate_every": 4}
    whole = fit(data, updates=12, **options)
    fit(data, updates=8, checkpoint=path, **options)
    resumed = fit(data, updates=12, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])
    np.testing.assert_array_equal(resumed.history["loss"], whole.history["loss"])
    np.testing.assert_array_equal(
        resumed.history.validation["accuracy"], whole.history.validation["accuracy"]
    )
    straight = fit(data, updates=12)
    assert (straight.history["loss"] != whole.history["loss"]).any()
    for changed, message in (
        ({"shuffle": None}, Refusal("shuffle", "be 2")),
        ({"metrics": []}, Refusal("metrics", "be accuracy")),
    ):
        with refused(message):
            fit(data, updates=12, checkpoint=path, resume=True, **(options | changed))


def test_a_source_is_not_shuffled(rng):
    with refused("shuffle", "be None for a source"):
        fit(training.BatchList(batches(rng)), shuffle=1)
