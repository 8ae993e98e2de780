"""How hypotheses of different lengths compare, and which sequences count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, integer, number


class LengthRule:
    """Scores ``log_probability / L ** penalty``, where L counts all predicted symbols, the end symbol too.

    A sequence is complete when its last symbol is `stop`; without an end symbol, when it has `longest` symbols. Only
    complete sequences have a score that counts.
    """

    def __init__(
        self, vocabulary_size: int, longest: Any, stop: Any, penalty: Any = 0.0, shortest: Any = 0
    ) -> None:
        self.longest = integer("length", longest, at_least=1)
        self.stop = None if stop is None else integer("stop", stop, at_least=0, at_most=vocabulary_size - 1)
        self.penalty = number("length_penalty", penalty, at_least=-10, at_most=10)
        self.shortest = integer("minimum_length", shortest, at_least=0)
        if self.stop is None and self.shortest:
            raise ArgumentError("minimum_length", "be 0 without an end symbol (stop=None)", self.shortest)
        if self.shortest >= self.longest:
            raise ArgumentError(
                "minimum_length",
                f"be below the length {self.longest}, so that a sequence can end",
                self.shortest,
            )
        lengths = np.maximum(np.arange(self.longest + 1.0), 1)  # there is no length of 0
        self.divisors = lengths**self.penalty

    def blocks_end(self, length: int) -> bool:
        """Whether the end must not be the symbol number `length`."""
        return self.stop is not None and length <= self.shortest

    def score(self, log_probability: Any, length: Any) -> Any:
        """Of hypotheses with `length` symbols."""
        return log_probability / self.divisors[length]

    def bound(self, log_probability: NDArray[np.float64], length: int) -> NDArray[np.float64]:
        """The largest score of a complete sequence that begins with an open hypothesis of `length` symbols.

        A further symbol makes no sequence more probable. A log-probability is negative, so that the largest divisor
        within reach gives the bound: that of the longest sequence for a positive penalty, of the next end for a
        negative one.
        """
        if self.stop is None:
            return np.asarray(log_probability / self.divisors[self.longest])
        within_reach = self.divisors[max(length, self.shortest) + 1 :]
        if not len(within_reach):
            return np.full(np.shape(log_probability), -np.inf)
        return np.asarray(log_probability / within_reach.max())
