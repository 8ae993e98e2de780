"""Learning rates as functions of the update's number, counted from 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..checks import integer, number

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate at every update."""
    number("rate", rate, above=0)
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
    number("rate", rate, above=0)
    integer("updates_per_epoch", updates_per_epoch, at_least=1)
    number("factor", factor, above=0, at_most=1)
    integer("start_epoch", start_epoch, at_least=0)
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
    number("rate", rate, above=0)
    integer("updates", updates, at_least=1)
    number("final", final, at_least=0, at_most=rate)
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
    integer("updates", updates, at_least=1)
    inner = as_schedule(schedule, "schedule")
    return lambda update: inner(update) * min(1.0, (update + 1) / updates)


def as_schedule(learning_rate: Schedule | float, name: str = "learning_rate") -> Schedule:
    """A number stands for a constant schedule; errors call it by the name."""
    if callable(learning_rate):
        return learning_rate
    return constant(number(name, learning_rate, above=0))
