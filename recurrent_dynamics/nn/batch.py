"""What a model is trained on in one update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError
from ..engine import check
from ..engine.run import within_lengths
from ..results import describe


class Batch(NamedTuple):
    """Inputs and targets of one update, time first.

    Attributes
    ----------
    inputs : ndarray
        Class indices (T, B), or real numbers (T, B, N).
    targets : ndarray
        Class indices (T, B) for the cross-entropy, real numbers (T, B, K) for the mean squared error. For a model that
        pools over time one target a sequence: (B,) or (B, K).
    mask : ndarray, optional
        Weights (T, B) of the losses, (B,) for a model that pools, boolean or non-negative; every loss counts when
        absent. With the mean squared error also (T, B, K) or (B, K), a weight for each number of a target.
    lengths : ndarray, optional
        Valid steps (B,) of each sequence. Losses beyond them do not count, nor does that of a sequence of length 0.
    reset : ndarray, optional
        Boolean (T, B): where the state returns to the initial one before the step.
    signals : dict of ndarray, optional
        What cells read besides the input, by name: (T, B), or (T, B, H) with a value for each unit. ``{"dt": ...}``
        for data at irregular times.

    Examples
    --------
    >>> batch = Batch(np.array([[0], [1]]), np.array([[1], [0]]), lengths=np.array([1]))
    >>> batch.weights()
    array([[ True],
           [False]])
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]
    mask: NDArray[Any] | None = None
    lengths: NDArray[Any] | None = None
    reset: NDArray[Any] | None = None
    signals: Mapping[str, NDArray[Any]] | None = None

    def __repr__(self) -> str:
        given = ((name, value) for name, value in self._asdict().items() if value is not None)
        return "\n".join(["Batch", *(f"  {name:7s}  {describe(value)}" for name, value in given)])

    def weights(self, pooled: bool = False) -> NDArray[Any] | None:
        """Weights (T, B) of the losses: the mask, and zero beyond the lengths; None when every loss counts.

        (B,) with `pooled`, for the losses of a model that pools over time: the mask, and zero for a length of 0.
        A mask of each number of a target has an axis more, and so have the weights.
        """
        if self.lengths is None:
            return None if self.mask is None else _weights(self.mask)
        ends = check.array("lengths", self.lengths)
        valid = ends > 0 if pooled else within_lengths(len(self.inputs), ends)
        if not valid.any():
            raise ArgumentError(
                "lengths", "be above 0 for one sequence at least, or there is no loss", repr(ends)
            )
        if self.mask is None:
            return valid
        mask = _weights(self.mask)
        if mask.shape[: valid.ndim] != valid.shape:
            return mask  # the loss refuses another shape
        weights = np.where(valid.reshape(*valid.shape, *(1,) * (mask.ndim - valid.ndim)), mask, 0)
        if not weights.any():
            raise ArgumentError(
                "mask", "be above 0 somewhere within the lengths, or there is no loss", "only zeros"
            )
        return weights

    def weight(self, pooled: bool = False) -> float:
        """Sum of the weights: how many losses the mean is taken over. K numbers of a target are one loss."""
        weights = self.weights(pooled)
        if weights is not None:
            numbers = weights.shape[-1] if weights.ndim > (1 if pooled else 2) else 1
            return float(weights.sum(dtype=np.float64)) / numbers
        return float(math.prod(np.shape(self.targets)[: 1 if pooled else 2]))


def _weights(mask: Any) -> NDArray[Any]:
    found = check.array("mask", mask)
    if found.dtype.kind not in "biuf":
        raise ArgumentTypeError("mask", "be booleans or real weights", found.dtype)
    return found


def as_batch(batch: Batch | Sequence[Any]) -> Batch:
    """Take a tuple (inputs, targets[, mask[, lengths[, reset[, signals]]]]) for a Batch."""
    if isinstance(batch, Batch):
        return batch
    if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 6:
        came = f"{len(batch)} arrays" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise ArgumentTypeError(
            "batch", "be a Batch or a tuple (inputs, targets[, mask[, lengths[, reset[, signals]]]])", came
        )
    return Batch(*batch)
