"""One update of the training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..nn.scored import Scored
from .checkpoint import Checkpoint
from .clipping import clip_by_value, l2_penalty
from .evaluate import carried_state
from .history import History
from .optimizers import Optimizer, advance
from .schedules import Schedule
from .source import BatchSource
from .tree import Tree, global_norm, map_leaves

Penalty = Callable[[Tree], tuple[float, Mapping[str, Any]]]


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

    model: Scored
    source: BatchSource
    optimizer: Optimizer
    schedule: Schedule
    clip_norm: float | None
    clip_value: float | None
    l2: float
    penalty: Penalty | None
    rng: np.random.Generator

    def __call__(self, state: Checkpoint) -> tuple[Checkpoint, dict[str, float], float]:
        number, per_epoch = state.update, self.source.batches_per_epoch
        batch = self.source.batch(number)
        carry = None if per_epoch and number % per_epoch == 0 else state.carry
        rate = self.schedule(number)
        try:
            loss, run, gradients = self.model.differentiate(
                state.params, batch, carry, self.rng, copy_params=False
            )
        except FloatingPointError as error:
            raise self._divergence(str(error), number, rate, state.history) from error
        grads = gradients.params
        if self.l2:
            grads = map_leaves(np.add, grads, l2_penalty(state.params, self.l2)[1])
        if self.penalty is not None:
            grads = map_leaves(np.add, grads, self.penalty(state.params)[1])
        unclipped = None
        if self.clip_value is not None:
            unclipped = global_norm(grads)
            if not math.isfinite(unclipped):
                raise self._divergence(
                    f"the norm of the gradient became {unclipped}", number, rate, state.history
                )
            grads = clip_by_value(grads, self.clip_value)
        limit = math.inf if self.clip_norm is None else self.clip_norm
        after = advance(self.optimizer, grads, state.optimizer_state, state.params, rate, limit)
        norm = after.norm if unclipped is None else unclipped
        if not math.isfinite(norm):
            raise self._divergence(f"the norm of the gradient became {norm}", number, rate, state.history)
        if not math.isfinite(after.length):
            raise self._divergence(
                f"the step in the weights became {after.length}", number, rate, state.history
            )
        new = replace(
            state,
            update=number + 1,
            params=after.params,
            optimizer_state=after.state,
            carry=carried_state(run, self.source.carry_steps),
            rng_state=dict(self.rng.bit_generator.state),
        )
        row = {
            "update": number + 1,
            "epoch": (number + 1) / per_epoch if per_epoch else float("nan"),
            "loss": loss,
            "grad_norm": norm,
            "clipped_norm": min(after.norm, limit),
            "update_norm": after.length,
            "learning_rate": rate,
        }
        return new, row, batch.weight(self.model.pool is not None)

    def _divergence(self, what: str, number: int, rate: float, history: History) -> DivergenceError:
        clipping = "" if self.clip_norm or self.clip_value else ", or clip the gradient (clip_norm)"
        advice = f"lower the learning rate (now {rate:g}){clipping}"
        return DivergenceError(f"update {number + 1}: {what}; {advice}", number + 1, history)
