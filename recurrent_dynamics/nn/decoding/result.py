"""What a search for the most probable sequences found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...checks import integer
from ...results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Decoded(Result):
    """The best sequences of each source; see `beam_search` and `exact_search`.

    Attributes
    ----------
    sequences : ndarray of int (T, B, n_best)
        Symbols after the prime, without the end symbol; T is the largest of the lengths. What is after the end of a
        sequence is filled with the end symbol, or with 0 if there is none.
    lengths : ndarray of int (B, n_best)
        Symbols of each sequence, the end symbol not counted: 0 where the end came first.
    log_probabilities : ndarray (B, n_best)
        Of the whole sequence after the prime, in nats, that of the end symbol included where it has ended; ``-inf``
        where fewer than `n_best` sequences were found.
    scores : ndarray (B, n_best)
        The log-probability over a power of the number of predicted symbols. Sequences that have ended come first, then
        by falling score.
    ended : ndarray of bool (B, n_best)
        Whether the end symbol came within the length. False for all if there is no end symbol.
    exact : ndarray of bool (B,)
        Whether the first sequence is complete, and provably none of all complete sequences has a higher score.
    bounds : ndarray (B,)
        No complete sequence that the search left out has a higher score; ``-inf`` if none was left out.
    predictions : int
        Rows of log-probabilities that the predictor was asked for.
    length_penalty : float
        The exponent of the rule for the length.
    stop : int or None
        The end symbol.
    """

    sequences: NDArray[np.intp]
    lengths: NDArray[np.intp]
    log_probabilities: NDArray[np.float64]
    scores: NDArray[np.float64]
    ended: NDArray[np.bool_]
    exact: NDArray[np.bool_]
    bounds: NDArray[np.float64]
    predictions: int
    length_penalty: float
    stop: int | None

    def sequence(self, source: int = 0, rank: int = 0) -> NDArray[np.intp]:
        """The symbols (length,) of one sequence, the best of the first source by default.

        Parameters
        ----------
        source : int
            In 0..B-1.
        rank : int
            In 0..n_best-1; 0 is the best.
        """
        sources, ranks = self.lengths.shape
        b = integer("source", source, at_least=0, at_most=sources - 1)
        k = integer("rank", rank, at_least=0, at_most=ranks - 1)
        return self.sequences[: self.lengths[b, k], b, k].copy()

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the scores of a source with the bound of what was left out; see `plot.decoded`."""
        from ...plot import decoded

        return decoded(self, ax=ax, **options)
