"""Learning rates as functions of the update's number, counted from 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate at every update."""
    _positive("rate", rate)
    return lambda update: rate


def exponential_decay(rate: float, factor: float, updates_per_epoch: int, start_epoch: int = 0) -> Schedule:
    """The rate is multiplied by a factor at the end of every epoch from the one numbered `start_epoch` on.

    Epochs count from 1 as in char-rnn (Karpathy 2015: factor .97 from epoch 10), 0 is the same as 1: the first
    decayed update is the one after `start_epoch` whole epochs.

    Parameters
    ----------
    rate : float
        In the first epochs.
    factor : float
        In (0, 1].
    updates_per_epoch : int
    start_epoch : int

    Examples
    --------
    >>> rate = exponential_decay(1.0, factor=0.5, updates_per_epoch=100, start_epoch=2)
    >>> [rate(n) for n in (0, 199, 200, 300)]
    [1.0, 1.0, 0.5, 0.25]
    """
    _positive("rate", rate)
    _positive("updates_per_epoch", updates_per_epoch)
    if not 0 < factor <= 1:
        raise ValueError(f"factor: expected a number in (0, 1], got {factor}")
    if start_epoch < 0:
        raise ValueError(f"start_epoch: expected >= 0, got {start_epoch}")
    start = max(start_epoch, 1)
    return lambda update: float(rate * factor ** max(0, update // updates_per_epoch - start + 1))


def cosine(rate: float, updates: int, final: float = 0.0) -> Schedule:
    """From `rate` to `final` along half a cosine over a number of updates, then `final` (Loshchilov and Hutter 2017).

    Examples
    --------
    >>> schedule = cosine(1.0, updates=10)
    >>> [round(schedule(n), 3) for n in (0, 5, 10, 20)]
    [1.0, 0.5, 0.0, 0.0]
    """
    _positive("rate", rate)
    _positive("updates", updates)
    if not 0 <= final <= rate:
        raise ValueError(f"final: expected a number in [0, {rate}], got {final}")
    return lambda update: float(
        final + 0.5 * (rate - final) * (1 + np.cos(np.pi * min(update / updates, 1.0)))
    )


def warmup(schedule: Schedule | float, updates: int) -> Schedule:
    """Another schedule, multiplied by a ramp from 1/updates to 1 over the first updates.

    Examples
    --------
    >>> rate = warmup(0.1, updates=4)
    >>> [round(rate(n), 3) for n in (0, 1, 3, 9)]
    [0.025, 0.05, 0.1, 0.1]
    """
    _positive("updates", updates)
    inner = as_schedule(schedule)
    return lambda update: inner(update) * min(1.0, (update + 1) / updates)


def as_schedule(learning_rate: Schedule | float) -> Schedule:
    """A number stands for a constant schedule."""
    return learning_rate if callable(learning_rate) else constant(learning_rate)


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: expected > 0, got {value}")
