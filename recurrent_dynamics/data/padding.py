"""Sequences of different lengths side by side in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer, number, one_of, reals


def pad(
    sequences: Sequence[ArrayLike], value: float = 0, steps: int = 0
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sequences side by side, time first, with a value beyond the end of each.

    Parameters
    ----------
    sequences : sequence of array_like (T_b, ...)
        Of one dtype and of one shape but for the length; class indices (T_b,) or real numbers (T_b, N).
    value : float
        What stands beyond the lengths. A model does not read it.
    steps : int
        The least T, such as 1 where all sequences may be empty.

    Returns
    -------
    padded : ndarray (T, B, ...)
        T is the largest length, or `steps`.
    lengths : ndarray of int (B,)

    Raises
    ------
    TypeError, ValueError
        When there are none, or their shapes or dtypes do not go together: which one.

    Examples
    --------
    >>> padded, lengths = pad([[1, 2, 3], [4]])
    >>> padded.T
    array([[1, 2, 3],
           [4, 0, 0]])
    >>> lengths
    array([3, 1])
    """
    arrays = ragged("sequences", sequences)
    lengths = np.array([len(a) for a in arrays])
    padded = np.full(
        (max(lengths.max(), integer("steps", steps, at_least=0)), len(arrays), *arrays[0].shape[1:]),
        number("value", value),
        arrays[0].dtype,
    )
    for b, a in enumerate(arrays):
        padded[: len(a), b] = a
    return padded, lengths


def single_or_double(a: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Real numbers in one of the two dtypes of models; class indices as they are."""
    one_of("dtype", dtype, ("float32", "float64"))
    return a.astype(dtype, copy=False) if a.dtype.kind == "f" else a


def with_columns(name: str, a: NDArray[Any]) -> NDArray[Any]:
    """Refuse real numbers (n,), for which no model has inputs: classes alone are without the last axis."""
    if a.ndim == 1 and a.dtype.kind == "f":
        raise ArgumentError(
            name, "have shape (n, N), or (n,) of class indices", f"{a.dtype} {a.shape}: a[:, None] has N = 1"
        )
    return a


def ragged(name: str, sequences: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """Arrays (T_b, ...) of one dtype and one shape but for the length."""
    if (
        isinstance(sequences, str | bytes)
        or not hasattr(sequences, "__getitem__")
        or not hasattr(sequences, "__len__")
    ):
        raise ArgumentTypeError(name, "be a sequence of arrays", type(sequences).__name__)
    if isinstance(sequences, np.ndarray) and not sequences.ndim:
        raise ArgumentError(name, "be a sequence of arrays", "one number")
    arrays = [reals(f"{name}[{i}]", s) for i, s in enumerate(sequences)]
    if not arrays:
        raise ArgumentError(name, "hold at least one", "none")
    first = arrays[0]
    for i, a in enumerate(arrays):
        if a.ndim < 1 or a.dtype.kind not in "biuf":
            raise ArgumentTypeError(f"{name}[{i}]", "be numbers of shape (T, ...)", f"{a.dtype} {a.shape}")
        if a.shape[1:] != first.shape[1:] or a.dtype != first.dtype:
            raise ArgumentError(
                f"{name}[{i}]",
                f"have shape (T, {', '.join(map(str, first.shape[1:]))}) and dtype {first.dtype}, as the first",
                f"{a.dtype} {a.shape}",
            )
    return arrays
