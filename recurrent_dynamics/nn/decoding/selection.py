"""The largest entries of each row, with ties in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def largest(values: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Places (A, count) of the largest entries of each row (A, n), in descending order; of equal ones the first.

    Among entries of -inf the choice is open.

    `np.argpartition` alone leaves open which of equal entries are taken. A sequence would then depend on those beside
    it.

    Examples
    --------
    >>> largest(np.array([[0.5, 2.0, 1.0, 2.0, 1.0]]), 3)
    array([[1, 3, 2]])
    """
    n = values.shape[1]
    if count >= n:
        return np.argsort(-values, axis=1, kind="stable")
    # As many entries as wanted, but of those that equal the smallest of them others than the first, perhaps.
    found = np.argpartition(values, n - count, axis=1)[:, n - count :]
    found.sort(axis=1)
    taken = np.take_along_axis(values, found, axis=1)
    smallest = taken.min(axis=1)
    ties = np.count_nonzero(values == smallest[:, None], axis=1)
    open_choice = ties > np.count_nonzero(taken == smallest[:, None], axis=1)
    for row in np.flatnonzero(open_choice & (smallest > -np.inf)):
        above = np.flatnonzero(values[row] > smallest[row])
        equal = np.flatnonzero(values[row] == smallest[row])
        found[row] = np.sort(np.concatenate([above, equal[: count - len(above)]]))
        taken[row] = values[row, found[row]]
    order = np.argsort(-taken, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1)
