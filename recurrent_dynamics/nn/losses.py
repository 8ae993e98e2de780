"""Losses as functions of arrays, each returned together with its gradient."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError
from ..engine import check


def cross_entropy(
    logits: NDArray[Any], targets: ArrayLike, mask: ArrayLike | None = None
) -> tuple[float, NDArray[Any]]:
    """Mean negative log-likelihood of class indices under a softmax, and its gradient.

    Parameters
    ----------
    logits : ndarray (..., V)
        Unnormalized log-probabilities, float32 or float64.
    targets : array_like of int (...)
        Class indices in 0..V-1. Where the mask is zero any index is accepted.
    mask : array_like (...), optional
        Non-negative weights of the losses. The mean is over their sum.

    Returns
    -------
    loss : float
        In nats.
    d_logits : ndarray (..., V)
        Derivative of the loss by the logits, in their dtype.

    Raises
    ------
    TypeError
        When the targets are not integers.
    ValueError
        When shapes do not agree, an index is out of range, or the weights are negative or all zero.

    Examples
    --------
    >>> loss, gradient = cross_entropy(np.zeros((1, 4)), [2])
    >>> float(np.exp(loss).round(12))  # as uncertain as among four
    4.0
    >>> gradient
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    logits = check.array("logits", logits)
    if logits.ndim < 1 or logits.shape[-1] < 1 or logits.dtype not in (np.float32, np.float64):
        raise ArgumentTypeError("logits", "be float32 or float64 (..., V)", f"{logits.dtype} {logits.shape}")
    targets = check.array("targets", targets)
    if targets.dtype.kind not in "iu":
        raise ArgumentTypeError("targets", "be class indices (integers)", targets.dtype)
    if targets.shape != logits.shape[:-1]:
        raise ArgumentError("targets", f"have shape {logits.shape[:-1]}, as the logits", targets.shape)
    classes = logits.shape[-1]
    weights = normalized_weights(mask, targets.shape)
    found = _log_likelihood()(logits.reshape(-1, classes), targets.reshape(-1), weights)
    if found is None:
        counted = targets.reshape(-1)[weights > 0]
        bad = counted.min() if counted.min() < 0 else counted.max()
        raise ArgumentError("targets", f"be class indices in 0..{classes - 1}", bad)
    loss, d_logits = found
    return loss, d_logits.reshape(logits.shape)


def mean_squared_error(
    output: NDArray[Any], targets: ArrayLike, mask: ArrayLike | None = None
) -> tuple[float, NDArray[Any]]:
    """Mean of (output - targets)^2 over all entries, and its gradient.

    Parameters
    ----------
    output, targets : ndarray (..., K)
        Of one shape, float32 or float64.
    mask : array_like (...) or (..., K), optional
        Non-negative weights, of the vectors of K entries or of each entry. The mean is over the sum of the weights of
        all entries.

    Returns
    -------
    loss : float
    d_output : ndarray (..., K)

    Raises
    ------
    TypeError, ValueError
        When dtype or shapes do not agree, or the weights are negative or all zero.

    Examples
    --------
    >>> mean_squared_error(np.array([[1.0, 3.0]]), np.array([[0.0, 3.0]]))
    (0.5, array([[1., 0.]]))

    The second target is missing:

    >>> mean_squared_error(np.array([[1.0, 3.0]]), np.array([[0.0, np.nan]]), np.array([[1, 0]]))
    (1.0, array([[2., 0.]]))
    """
    output = check.array("output", output)
    if output.ndim < 1 or output.size == 0 or output.dtype not in (np.float32, np.float64):
        raise ArgumentTypeError("output", "be float32 or float64 (..., K)", f"{output.dtype} {output.shape}")
    targets = check.array("targets", targets)
    if targets.dtype.kind not in "biuf":
        raise ArgumentTypeError("targets", "be real numbers", targets.dtype)
    targets = targets.astype(output.dtype, copy=False)
    if targets.shape != output.shape:
        raise ArgumentError("targets", f"have shape {output.shape}, as the output", targets.shape)
    weights = _entry_weights(mask, output.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        error = output - targets
        if mask is not None:
            np.copyto(error, 0, where=weights == 0)  # a masked entry may be infinite or NaN
        d_output = error * (2 * weights).astype(output.dtype)
        loss = 0.5 * np.vdot(d_output.astype(np.float64), error)
    if not math.isfinite(loss):
        _refuse_targets(targets, weights > 0)
    return float(loss), d_output


def _entry_weights(mask: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Weights (..., K), or (..., 1) for all K entries of a vector, of which those of all entries sum to 1."""
    if mask is not None:
        mask = check.array("mask", mask)
    if mask is None or mask.shape == shape[:-1]:
        return normalized_weights(mask, shape[:-1]).reshape(*shape[:-1], 1) / shape[-1]
    return normalized_weights(mask, shape, also=shape[:-1]).reshape(shape)


def _refuse_targets(targets: NDArray[Any], counted: NDArray[np.bool_]) -> None:
    """Name the first target that counts and is not a finite number, if there is one."""
    wrong = np.argwhere(counted & ~np.isfinite(targets))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        raise ArgumentError(
            "targets",
            "be finite wherever they count (a mask of 0 leaves a target out)",
            f"{targets[where]} at index {where}",
        )


LOSSES = {"cross_entropy": cross_entropy, "mean_squared_error": mean_squared_error}


@lru_cache(maxsize=1)
def _log_likelihood() -> Any:
    """Imported when first asked for, as Numba takes long."""
    from .softmax import log_likelihood

    return log_likelihood


@lru_cache(maxsize=2)
def _equal_weights(count: int) -> NDArray[np.float64]:
    """Not to be written to."""
    return np.full(count, 1 / count)


def normalized_weights(
    mask: ArrayLike | None, shape: tuple[int, ...], also: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """Weight of each loss in the mean, flat; they sum to 1. An error names the shape `also` too."""
    if mask is None:
        count = math.prod(shape)
        if count == 0:
            raise ArgumentError("targets", "hold at least one", f"shape {shape}")
        return _equal_weights(count)
    weights = check.array("mask", mask)
    if weights.dtype.kind not in "biuf":
        raise ArgumentTypeError("mask", "be booleans or real weights", weights.dtype)
    if weights.shape != shape:
        wanted = f"{shape}" if also is None else f"{also} or {shape}"
        raise ArgumentError("mask", f"have shape {wanted}, one weight per loss", weights.shape)
    flat = weights.reshape(-1).astype(np.float64)
    total = flat.sum()
    if not (np.isfinite(total) and total > 0 and flat.min() >= 0):
        raise ArgumentError(
            "mask", "be finite weights of at least 0, one of them above 0", f"{flat.min()} to {flat.max()}"
        )
    return flat / total
