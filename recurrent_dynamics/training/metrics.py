"""What is measured of predictions besides the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, listed, one_of, reals
from ..nn import cross_entropy as nats
from ..nn import mean_squared_error as squares
from .history import TRAINING

Metric = Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None], float]


def accuracy(output: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Share of the targets that have the largest output.

    Parameters
    ----------
    output : ndarray (..., V)
        Logits or probabilities.
    targets : ndarray of int (...)
    weights : ndarray (...), optional
        Non-negative; where one is 0, neither output nor target is read.

    Returns
    -------
    float

    Examples
    --------
    >>> accuracy(np.array([[0.0, 2.0], [3.0, 1.0]]), np.array([1, 1]))
    0.5
    """
    output, targets = reals("output", output), reals("targets", targets)
    if not output.ndim or not output.shape[-1]:
        raise ArgumentError("output", "have shape (..., V) with at least one class", output.shape)
    _same_shape(targets, output.shape[:-1])
    return _mean(output.argmax(axis=-1) == targets, weights)


def mean_absolute_error(
    output: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None = None
) -> float:
    """Mean of the absolute differences (..., K), by weights (...) of vectors or (..., K) of entries.

    Examples
    --------
    >>> mean_absolute_error(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]))
    1.5
    """
    output, targets = reals("output", output), reals("targets", targets)
    if not output.ndim:
        raise ArgumentError("output", "have shape (..., K)", output.shape)
    _same_shape(targets, output.shape)
    with np.errstate(invalid="ignore"):  # where the weight is 0
        errors = np.abs(output - targets)
        weights = None if weights is None else reals("weights", weights)
        return _mean(
            errors if weights is not None and np.shape(weights) == errors.shape else errors.mean(axis=-1),
            weights,
        )


def mean_squared_error(
    output: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None = None
) -> float:
    """Mean of the squared differences (..., K), the value of `nn.mean_squared_error`.

    Examples
    --------
    >>> mean_squared_error(np.array([[1.0, 3.0]]), np.array([[0.0, 1.0]]))
    2.5
    """
    return squares(output, targets, weights)[0]


def cross_entropy(output: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Mean negative log-likelihood of classes in nats, the value of `nn.cross_entropy`.

    Examples
    --------
    >>> round(cross_entropy(np.zeros((1, 2)), np.array([0])), 4)
    0.6931
    """
    return nats(output, targets, weights)[0]


METRICS: dict[str, Metric] = {
    f.__name__: f for f in (accuracy, mean_absolute_error, mean_squared_error, cross_entropy)
}


def named_metrics(metrics: Sequence[str | Metric] | Mapping[str, Metric]) -> dict[str, Metric]:
    """Metrics by the names of their columns.

    Raises
    ------
    TypeError, ValueError
        When one is neither a known name nor a function, or has a name that is taken.

    Examples
    --------
    >>> list(named_metrics(["accuracy", mean_absolute_error]))
    ['accuracy', 'mean_absolute_error']
    """
    if isinstance(metrics, str):
        raise ArgumentTypeError(
            "metrics", "be a sequence of names and functions", f"{metrics!r}: write [{metrics!r}]"
        )
    if isinstance(metrics, Mapping):
        pairs = list(metrics.items())
    else:
        pairs = []
        for metric in listed("metrics", metrics, "of names and functions"):
            if isinstance(metric, str):
                pairs.append((metric, METRICS[one_of("metrics", metric, METRICS)]))
            else:
                pairs.append((getattr(metric, "__name__", "<lambda>"), metric))
    found: dict[str, Metric] = {}
    for name, function in pairs:
        if not callable(function):
            raise ArgumentTypeError("metrics", "be names or functions", repr(function))
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(
                "metrics",
                "have names, so that a history can hold them",
                f"{name!r}: give a dict, such as {{'error': function}}",
            )
        if name in TRAINING or name in found:
            raise ArgumentError("metrics", "have names of their own", f"{name!r}, which is a column already")
        found[name] = function
    return found


def _same_shape(targets: NDArray[Any], shape: tuple[int, ...]) -> None:
    if targets.shape != shape:
        raise ArgumentError("targets", f"have shape {shape}, as the output", targets.shape)


def _mean(values: NDArray[Any], weights: NDArray[Any] | None) -> float:
    """Weighted mean of the values whose weight is not 0."""
    if weights is None:
        return float(np.mean(values, dtype=np.float64))
    w = reals("weights", weights).astype(np.float64)
    if w.shape != values.shape:
        raise ArgumentError("weights", f"have shape {values.shape}, one a target", w.shape)
    counted = w > 0
    if not counted.any() or not np.isfinite(w).all():
        raise ArgumentError("weights", "be finite, one of them above 0", "others")
    return float(np.average(np.asarray(values, np.float64)[counted], weights=w[counted]))
