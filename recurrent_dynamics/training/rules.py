"""The update rules of the optimizers: what one entry of the parameters does, given its gradient.

A rule is the tuple of its numbers. Its `step` takes the gradient g and the averages that the rule keeps, and gives what
is added to the parameter, and the averages after it. It runs on arrays of NumPy and, compiled, entry by entry
(`compiled.py`): so it must keep to arithmetic, and to the dtype of its numbers.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Entry: TypeAlias = Any  # a number or an array


def averages_of(kind: type[Rule]) -> tuple[str, ...]:
    """The names of the averages that a kind of rule keeps, at most two: the further arguments of its step."""
    return tuple(inspect.signature(kind.step).parameters)[2:]


def in_dtype(rule: Rule, kind: Any) -> Rule:
    """A rule with its numbers in a dtype."""
    return type(rule)(*map(kind, rule))


class Descent(NamedTuple):
    """Gradient descent."""

    rate: float

    def step(self, g: Entry) -> tuple[Entry, ...]:
        return (-self.rate * g,)


class Momentum(NamedTuple):
    """Gradient descent with momentum."""

    momentum: float
    rate: float

    def step(self, g: Entry, velocity: Entry) -> tuple[Entry, ...]:
        velocity = self.momentum * velocity + g
        return -self.rate * velocity, velocity


class Nesterov(NamedTuple):
    """Gradient descent with the momentum of Nesterov."""

    momentum: float
    rate: float

    def step(self, g: Entry, velocity: Entry) -> tuple[Entry, ...]:
        velocity = self.momentum * velocity + g
        return -self.rate * (self.momentum * velocity + g), velocity


class RMSprop(NamedTuple):
    """The gradient over the root of its average square; rest = 1 - decay."""

    decay: float
    rest: float
    eps: float
    rate: float

    def step(self, g: Entry, square: Entry) -> tuple[Entry, ...]:
        square = self.decay * square + self.rest * (g * g)
        return -self.rate * (g / (np.sqrt(square) + self.eps)), square


class RMSpropMomentum(NamedTuple):
    """RMSprop with momentum."""

    decay: float
    rest: float
    eps: float
    momentum: float
    rate: float

    def step(self, g: Entry, square: Entry, velocity: Entry) -> tuple[Entry, ...]:
        square = self.decay * square + self.rest * (g * g)
        velocity = self.momentum * velocity + g / (np.sqrt(square) + self.eps)
        return -self.rate * velocity, square, velocity


class Adam(NamedTuple):
    """Adam; rest = 1 - beta, and the bias corrections of the mean in `rate`, of the square in `root`."""

    beta1: float
    rest1: float
    beta2: float
    rest2: float
    root: float
    eps: float
    rate: float

    def step(self, g: Entry, mean: Entry, square: Entry) -> tuple[Entry, ...]:
        mean = self.beta1 * mean + self.rest1 * g
        square = self.beta2 * square + self.rest2 * (g * g)
        return -self.rate * (mean / (self.root * np.sqrt(square) + self.eps)), mean, square


Rule: TypeAlias = Descent | Momentum | Nesterov | RMSprop | RMSpropMomentum | Adam
