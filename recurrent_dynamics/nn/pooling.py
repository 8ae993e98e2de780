"""One vector of features for a whole sequence: the last valid step, or the mean over the valid steps.

A sequence of length 0 has no valid step; its features are 0, and no gradient passes through them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..engine import check
from ..engine.run import within_lengths

POOLS = ("last", "mean")


def pooled(features: NDArray[Any], pool: str, lengths: ArrayLike | None = None) -> NDArray[Any]:
    """The features of each sequence.

    Parameters
    ----------
    features : ndarray (T, B, H)
    pool : {"last", "mean"}
    lengths : array_like of int (B,), optional
        Valid steps of each sequence; all T when absent.

    Returns
    -------
    ndarray (B, H)
        0 for a sequence of length 0.

    Examples
    --------
    >>> features = np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
    >>> pooled(features, "last", [2, 1]).T, pooled(features, "mean", [2, 0]).T
    (array([[3., 2.]]), array([[2., 0.]]))
    """
    steps, size, _ = features.shape
    if lengths is None:
        return features[-1].copy() if pool == "last" else features.mean(axis=0)
    ends = check.lengths(lengths, steps, size)
    if pool == "last":
        found: NDArray[Any] = features[np.maximum(ends - 1, 0), np.arange(size)]
        found[ends == 0] = 0
        return found
    return np.einsum("tbh,tb->bh", features, _shares(ends, steps, features.dtype))


def pooled_adjoint(
    d_pooled: NDArray[Any], steps: int, pool: str, lengths: ArrayLike | None = None
) -> NDArray[Any]:
    """Derivative by the features (T, B, H) from the derivative (B, H) by what `pooled` returned.

    Examples
    --------
    >>> pooled_adjoint(np.array([[1.0], [2.0]]), 2, "mean", [2, 1])[..., 0]
    array([[0.5, 2. ],
           [0.5, 0. ]])
    """
    size = len(d_pooled)
    ends = np.full(size, steps) if lengths is None else check.lengths(lengths, steps, size)
    if pool == "mean":
        return _shares(ends, steps, d_pooled.dtype)[:, :, None] * d_pooled
    found = np.zeros((steps, *d_pooled.shape), d_pooled.dtype)
    some = np.flatnonzero(ends)
    found[ends[some] - 1, some] = d_pooled[some]
    return found


def _shares(ends: NDArray[Any], steps: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """How much each step counts in the mean, (T, B)."""
    return (within_lengths(steps, ends) / np.maximum(ends, 1)).astype(dtype)
