"""The next symbol of a target, once its source was read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError
from ..decoding.model_predictor import log_softmax
from .steps import DecoderSteps, Rows


class SourcePredictor:
    """The next symbol of the targets of B sources; `EncoderDecoder.predictor` makes it.

    A row has the same numbers, bit for bit, whatever the other rows are.

    Attributes
    ----------
    vocabulary_size : int
    prime : ndarray of int (1, B)
        What the decoder reads first, one symbol for each source.
    """

    def __init__(
        self, vocabulary_size: int, prime: NDArray[np.int64], steps: DecoderSteps, rows: Rows
    ) -> None:
        self.vocabulary_size, self.prime = vocabulary_size, prime
        self._steps, self._begin = steps, rows

    def __repr__(self) -> str:
        return f"SourcePredictor({len(self._begin)} sources, {self.vocabulary_size} symbols)"

    def start(self, prime: NDArray[np.intp]) -> tuple[NDArray[np.float64], Rows]:
        """Read the first symbols (n, B); see `Predictor`."""
        if prime.shape[1] != len(self._begin):
            raise ArgumentError("prime", f"have {len(self._begin)} sequences, one a source", prime.shape[1])
        rows = self._begin
        for symbols in prime:
            found, rows = self.step(rows, symbols)
        return found, rows

    def step(self, state: Rows, symbols: NDArray[np.intp]) -> tuple[NDArray[np.float64], Rows]:
        """Read one symbol more of each row; see `Predictor`."""
        logits, rows = self._steps(state, symbols)
        return log_softmax(logits), rows

    def coverage(self, state: Rows) -> NDArray[np.float64]:
        """(n,) how little of each source was read: the sum of the logarithms of its positions' weights, at most 0.

        The weights of a position are added over the steps, and cut at 1. 0 for all without attention.
        """
        return self._steps.coverage(state)

    def take(self, state: Rows, index: NDArray[np.intp]) -> Rows:
        """A state of rows of another one; see `Predictor`."""
        return state.take(index)
