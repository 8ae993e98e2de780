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
