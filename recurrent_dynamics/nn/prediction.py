"""From a readout to what is told of it: numbers, probabilities, classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.run import within_lengths

KINDS = ("output", "probabilities", "class")


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Probabilities (..., V) of logits (..., V).

    Examples
    --------
    >>> softmax(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def by_uniform(shares: NDArray[Any], u: NDArray[np.float64]) -> NDArray[np.intp]:
    """A class (B,) for each row of shares (B, V), drawn by a uniform number (B,) in [0, 1) of its own.

    Examples
    --------
    >>> by_uniform(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.4, 0.6]))
    array([0, 1])
    """
    cumulative = np.cumsum(shares, axis=-1)
    # "<=" never draws a class of share 0; the minimum guards the rounding of the last product.
    below = (cumulative <= (u * cumulative[:, -1])[:, None]).sum(axis=-1)
    return np.minimum(below, shares.shape[-1] - 1)


def predicted(output: NDArray[Any], kind: str, lengths: NDArray[Any] | None) -> NDArray[Any]:
    """The prediction from a readout (T, B, V) or (B, V); NaN, or class -1, where there is no valid step."""
    if kind == "class":
        found = np.asarray(output.argmax(axis=-1))
    else:
        found = softmax(output) if kind == "probabilities" else output.copy()
    if lengths is not None:
        valid = lengths > 0 if output.ndim == 2 else within_lengths(len(output), lengths)
        found[~valid] = -1 if kind == "class" else np.nan
    return found
