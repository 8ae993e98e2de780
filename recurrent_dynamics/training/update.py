"""One update of the training loop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..nn.trainable import Trainable
from .checkpoint import Checkpoint
from .evaluate import carried_state
from .history import History
from .optimizers import Optimizer, advance
from .schedules import Schedule
from .source import BatchSource
from .transformations import Chained
from .tree import completed, without


class DivergenceError(FloatingPointError):
    """The loss, its gradient or a step became infinite or NaN.

    Attributes
    ----------
    update : int
        The update that failed, counted from 1.
    history : History
        Up to the update before.
    """

    def __init__(self, message: str, update: int, history: History) -> None:
        super().__init__(message)
        self.update, self.history = update, history


@dataclass
class Updater:
    """One update: from a state to the next one, the row of the history, and how many losses it saw."""

    model: Trainable
    source: BatchSource
    optimizer: Optimizer
    schedule: Schedule
    rng: np.random.Generator

    def __call__(self, state: Checkpoint) -> tuple[Checkpoint, dict[str, float], float]:
        number, per_epoch = state.update, self.source.batches_per_epoch
        batch = self.source.batch(number)
        carry = None if per_epoch and number % per_epoch == 0 else state.carry
        rate = self.schedule(number)
        try:
            loss, run, gradients = self.model.at(number).differentiate(
                state.params, batch, carry, self.rng, copy_params=False
            )
        except FloatingPointError as error:
            raise self._divergence(str(error), number, rate, state.history) from error
        fixed = self.model.statistics
        trained, grads = (without(tree, fixed) for tree in (state.params, gradients.params))
        try:
            after = advance(self.optimizer, grads, state.optimizer_state, trained, rate)
        except FloatingPointError as error:
            raise self._divergence(str(error), number, rate, state.history) from error
        if not math.isfinite(after.norm):
            raise self._divergence(
                f"the norm of the gradient became {after.norm}", number, rate, state.history
            )
        if not math.isfinite(after.length):
            raise self._divergence(
                f"the step in the weights became {after.length}", number, rate, state.history
            )
        new = replace(
            state,
            update=number + 1,
            params=completed(state.params, after.params, run.statistics) if fixed else after.params,
            optimizer_state=after.state,
            carry=carried_state(run, self.source.carry_steps),
            rng_state=dict(self.rng.bit_generator.state),
        )
        row = {
            "update": number + 1,
            "epoch": (number + 1) / per_epoch if per_epoch else float("nan"),
            "loss": loss,
            "grad_norm": after.norm,
            "clipped_norm": after.clipped,
            "update_norm": after.length,
            "learning_rate": rate,
        }
        return new, row, self.model.compared(batch).weight

    def _divergence(self, what: str, number: int, rate: float, history: History) -> DivergenceError:
        clips = isinstance(self.optimizer.update, Chained) and self.optimizer.update.clips
        clipping = "" if clips else ", or clip the gradient (clip_norm)"
        advice = f"lower the learning rate (now {rate:g}){clipping}"
        return DivergenceError(f"update {number + 1}: {what}; {advice}", number + 1, history)
