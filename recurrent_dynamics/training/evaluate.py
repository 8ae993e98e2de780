"""The loss, and metrics, over a whole set of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, instance
from ..nn import ModelRun, ObjectiveRun
from ..nn.trainable import Trainable
from .metrics import Metric, named_metrics
from .source import BatchSource, as_source

State = dict[str, Any]


def evaluate(model: Trainable, params: Mapping[str, Any], data: BatchSource | Sequence[Any]) -> float:
    """Mean loss over one epoch of data, without dropout, the state carried as in training.

    Parameters
    ----------
    model : Model, Objective, EncoderDecoder, TwoReadings, CtcObjective or TreeModel
    params : dict
    data : BatchSource or list of Batch
        With a finite epoch.

    Returns
    -------
    float
        In nats for the cross-entropy.
    """
    return measure(model, params, data)["loss"]


def measure(
    model: Trainable,
    params: Mapping[str, Any],
    data: BatchSource | Sequence[Any],
    metrics: Sequence[str | Metric] | Mapping[str, Metric] = (),
) -> dict[str, float]:
    """Mean loss and metrics over one epoch of data, without dropout, the state carried as in training.

    Parameters
    ----------
    model : Model, Objective, EncoderDecoder, TwoReadings, CtcObjective or TreeModel
    params : dict
    data : BatchSource or list of Batch
        With a finite epoch.
    metrics : sequence of (str or callable), or dict of callable
        Names of {"accuracy", "mean_absolute_error", "mean_squared_error", "cross_entropy"}, or functions
        ``metric(output, targets, weights)`` of the readout, the targets and the weights of their losses (None for
        equal ones). The values of batches are averaged by the sums of their weights.

    Returns
    -------
    dict of float
        "loss", and each metric by its name.

    Raises
    ------
    ValueError, TypeError
        When the data has no end, or a metric is not known or gives no number.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> text = np.arange(7)[:, None] % 3
    >>> list(measure(model, model.init(rng=0), [(text[:-1], text[1:])], ["accuracy"]))
    ['loss', 'accuracy']
    """
    instance("model", model, Trainable)
    source, functions = as_source(data), named_metrics(metrics)
    if source.batches_per_epoch is None:
        raise ArgumentError(
            "data", "have a finite epoch", "a task without end: draw a list of batches from it"
        )
    totals = dict.fromkeys(("loss", *functions), 0.0)
    weight = 0.0
    carry: list[State] | None = None
    for number in range(source.batches_per_epoch):
        batch = source.batch(number)
        # A state to carry from within the batch is on the tape only.
        within = source.carry_steps is not None and source.carry_steps < len(batch.inputs)
        run = model.run(params, batch, carry, tape=within)
        losses = model.compared(batch)
        share = losses.weight
        totals["loss"] += share * model.score(run.output, batch)[0]
        for name, function in functions.items():
            totals[name] += share * _value(name, function(run.output, losses.targets, losses.weights))
        weight += share
        carry = carried_state(run, source.carry_steps)
    return {name: total / weight for name, total in totals.items()}


def _value(name: str, value: Any) -> float:
    if np.ndim(value) or not isinstance(value, int | float | np.generic):
        raise ArgumentTypeError(f"metric {name!r}", "return a number", type(value).__name__)
    return float(value)


def carried_state(run: ModelRun | ObjectiveRun, steps: int | None) -> list[State] | None:
    """The state of every layer after a number of steps of a run, None for none."""
    if steps is None or not run.runs:
        return None
    if steps >= len(run.runs[0].output):
        return [dict(final) for final in run.final]
    return [{slot: values[steps - 1].copy() for slot, values in layer.states.items()} for layer in run.runs]
