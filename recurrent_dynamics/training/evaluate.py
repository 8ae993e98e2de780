"""The loss over a whole set of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import ArgumentError
from ..nn import Model, ModelRun
from .source import BatchSource, as_source

State = dict[str, Any]


def evaluate(model: Model, params: Mapping[str, Any], data: BatchSource | Sequence[Any]) -> float:
    """Mean loss over one epoch of data, without dropout, the state carried as in training.

    Parameters
    ----------
    model : Model
    params : dict
    data : BatchSource or list of Batch
        With a finite epoch.

    Returns
    -------
    float
        In nats for the cross-entropy.
    """
    source = as_source(data)
    if source.batches_per_epoch is None:
        raise ArgumentError(
            "data", "have a finite epoch", "a task without end: draw a list of batches from it"
        )
    total = weight = 0.0
    carry: list[State] | None = None
    for number in range(source.batches_per_epoch):
        batch = source.batch(number)
        # A state to carry from within the batch is on the tape only.
        within = source.carry_steps is not None and source.carry_steps < len(batch.inputs)
        run = model.run(params, batch, carry, tape=within)
        share = batch.weight()
        total += share * model.score(run.output, batch)[0]
        weight += share
        carry = carried_state(run, source.carry_steps)
    return total / weight


def carried_state(run: ModelRun, steps: int | None) -> list[State] | None:
    """The state of every layer after a number of steps of a run, None for none."""
    if steps is None:
        return None
    if steps >= len(run.output):
        return [dict(final) for final in run.final]
    return [{slot: values[steps - 1].copy() for slot, values in layer.states.items()} for layer in run.runs]
