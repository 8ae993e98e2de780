"""What a decoder reads while it is trained: the target, its own output, or either by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, instance, integer, number, one_of
from ...results import describe
from ..prediction import by_uniform

KINDS = ("constant", "linear", "inverse_sigmoid", "exponential")
DRAWS = ("sample", "greedy")


@dataclass(frozen=True)
class TeacherRatio:
    """The probability that a decoder reads the target's symbol, as a function of the update's number from 0.

    Made by one of its four class methods, the three schedules of Bengio et al. (2015) and a constant.

    Attributes
    ----------
    kind : {"constant", "linear", "inverse_sigmoid", "exponential"}
    value : float
        The constant, the length of the line in updates, k of the sigmoid or the base of the exponential.
    first, last : float
        Where the line begins and ends.

    References
    ----------
    Bengio, Vinyals, Jaitly, Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", NIPS
    2015.

    Examples
    --------
    >>> ratio = TeacherRatio.linear(updates=100, first=1.0, last=0.25)
    >>> [ratio(update) for update in (0, 50, 100, 200)]
    [1.0, 0.625, 0.25, 0.25]
    >>> round(TeacherRatio.inverse_sigmoid(k=100.0)(0), 3), TeacherRatio.exponential(0.5)(3)
    (0.99, 0.125)
    """

    kind: str
    value: float
    first: float = 1.0
    last: float = 0.0

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        number("first", self.first, at_least=0, at_most=1)
        number("last", self.last, at_least=0, at_most=1)
        if self.kind == "constant":
            number("ratio", self.value, at_least=0, at_most=1)
        elif self.kind == "exponential":
            number("base", self.value, above=0, at_most=1)
        else:
            number("updates" if self.kind == "linear" else "k", self.value, at_least=1)

    @classmethod
    def constant(cls, ratio: float) -> TeacherRatio:
        """The same ratio at every update."""
        return cls("constant", ratio)

    @classmethod
    def linear(cls, updates: float, first: float = 1.0, last: float = 0.0) -> TeacherRatio:
        """A line from `first` to `last` over a number of updates, then `last`."""
        return cls("linear", updates, first, last)

    @classmethod
    def inverse_sigmoid(cls, k: float) -> TeacherRatio:
        """``k / (k + exp(update / k))``, k at least 1: near 1 at first, 1/2 after k log k updates."""
        return cls("inverse_sigmoid", k)

    @classmethod
    def exponential(cls, base: float) -> TeacherRatio:
        """``base ** update``, base in (0, 1]."""
        return cls("exponential", base)

    def __call__(self, update: int) -> float:
        """The ratio at an update."""
        update = integer("update", update, at_least=0)
        if self.kind == "constant":
            return float(self.value)
        if self.kind == "linear":
            return float(self.first + (self.last - self.first) * min(update / self.value, 1.0))
        if self.kind == "exponential":
            return float(self.value**update)
        return float(self.value / (self.value + math.exp(min(update / self.value, 700.0))))


@dataclass(frozen=True)
class Feeding:
    """How often a decoder reads the target, and how its own symbols are chosen else; see `scheduled_sampling`."""

    ratio: TeacherRatio
    draw: str = "sample"

    def __post_init__(self) -> None:
        instance("ratio", self.ratio, TeacherRatio)
        one_of("draw", self.draw, DRAWS)

    def __repr__(self) -> str:
        r = self.ratio
        if r == TeacherRatio.constant(1.0):
            return "teacher_forcing()"
        span = f", {r.first:g}, {r.last:g}" if r.kind == "linear" else ""
        return f"scheduled_sampling({r.kind} {r.value:g}{span}, {self.draw})"


def teacher_forcing() -> Feeding:
    """The decoder reads the target's symbols in training.

    Returns
    -------
    Feeding

    Examples
    --------
    >>> teacher_forcing()
    teacher_forcing()
    """
    return Feeding(TeacherRatio.constant(1.0))


def scheduled_sampling(ratio: TeacherRatio | float, draw: str = "sample") -> Feeding:
    """The decoder reads the target's symbol or its own in training; a coin is tossed for each symbol.

    Parameters
    ----------
    ratio : TeacherRatio or float
        The probability of the target's symbol, by the number of the update or a constant. 1 is teacher forcing, to the
        bit; 0 is `free_running`.
    draw : {"sample", "greedy"}
        Whether its own symbol is drawn from its distribution or is the most probable one. Real outputs are fed back as
        they are.

    Returns
    -------
    Feeding

    Notes
    -----
    The decoder first goes step by step, without dropout, to find what it reads. The gradient is that of a run over
    these symbols as if they had been given: it does not go through the choice of a symbol, nor through a real output
    that is fed back.

    References
    ----------
    Bengio, Vinyals, Jaitly, Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", NIPS
    2015.

    Examples
    --------
    >>> scheduled_sampling(TeacherRatio.linear(updates=1000), draw="greedy")
    scheduled_sampling(linear 1000, 1, 0, greedy)
    """
    if not isinstance(ratio, TeacherRatio):
        ratio = TeacherRatio.constant(number("ratio", ratio, at_least=0, at_most=1))
    return Feeding(ratio, draw)


def free_running(draw: str = "sample") -> Feeding:
    """The decoder reads its own symbols alone in training; otherwise as `scheduled_sampling`.

    Returns
    -------
    Feeding

    Examples
    --------
    >>> free_running("greedy")
    scheduled_sampling(constant 0, greedy)
    """
    return scheduled_sampling(0.0, draw)


def drawn(logits: NDArray[Any], draw: str, u: NDArray[np.float64]) -> NDArray[np.int64]:
    """A symbol (B,) for each row of logits (B, V), by a uniform number (B,) of its own.

    Examples
    --------
    >>> drawn(np.log([[0.5, 0.5], [0.5, 0.5]]), "sample", np.array([0.4, 0.6]))
    array([0, 1])
    """
    if draw == "greedy":
        return logits.argmax(axis=-1)
    shares = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    return by_uniform(shares, u)


def as_feeding(feeding: Any) -> Feeding:
    """Refuse what is not one."""
    if not isinstance(feeding, Feeding):
        raise ArgumentError(
            "feeding", "be teacher_forcing(), scheduled_sampling(...) or free_running()", describe(feeding)
        )
    return feeding
