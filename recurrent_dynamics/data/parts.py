"""Parts of a data set, such as those for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, integer, numbers


def partition(
    count: int,
    fractions: Sequence[float],
    seed: int = 0,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> tuple[NDArray[np.intp], ...]:
    """Random parts of a data set, such as those for training, validation and test.

    Parameters
    ----------
    count : int
        How many items there are.
    fractions : sequence of float
        Of each part, above 0; they sum to 1.
    seed : int
    labels : array_like (count,), optional
        Classes, each of which is divided by itself, so that all parts have the classes in like shares.
    groups : array_like (count,), optional
        Numbers or names. All items of a group come into one part, such as the utterances of one speaker, or the
        pronunciations of one word; otherwise a test would measure what was seen in training. The shares are then met
        as nearly as whole groups allow. With `labels` all items of a group must have one label.

    Returns
    -------
    tuple of ndarray of int
        For each part its indices in 0..count-1, in ascending order; every index is in one part.

    Raises
    ------
    ValueError, TypeError
        When an argument is out of range, a part stays empty, or a group has two labels.

    Examples
    --------
    >>> training, validation, test = partition(10, (0.6, 0.2, 0.2), seed=0)
    >>> len(training), len(validation), len(test)
    (6, 2, 2)

    Two pronunciations of "read" and of "wind":

    >>> words = ["read", "read", "bed", "wind", "wind", "tin"]
    >>> training, test = partition(6, (0.5, 0.5), seed=1, groups=words)
    >>> [words[i] for i in training], [words[i] for i in test]
    (['read', 'read', 'bed'], ['wind', 'wind', 'tin'])
    """
    count = integer("count", count, at_least=1)
    shares = numbers("fractions", fractions)
    if shares.ndim != 1 or not shares.size or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise ArgumentError("fractions", "be numbers above 0 that sum to 1", repr(fractions))
    rng = np.random.default_rng(integer("seed", seed, at_least=0))
    unit_of = np.arange(count) if groups is None else _numbered("groups", groups, count)
    sizes = np.bincount(unit_of)
    strata = [np.arange(len(sizes))]
    if labels is not None:
        label_of = _labels_of_units(_numbered("labels", labels, count), unit_of, len(sizes))
        strata = [np.flatnonzero(label_of == label) for label in range(label_of.max() + 1)]
    part_of = np.empty(len(sizes), np.int64)
    for units in strata:
        drawn = rng.permutation(units)
        part_of[drawn] = _parts_in_order(sizes[drawn], np.cumsum(shares)[:-1])
    parts = tuple(np.flatnonzero(part_of[unit_of] == number) for number in range(len(shares)))
    for share, part in zip(shares, parts, strict=True):
        if not part.size:
            if groups is not None:
                raise ArgumentError("groups", f"be enough for a part of {share:g}", f"{len(sizes)} groups")
            raise ArgumentError("count", f"be enough for a part of {share:g}", count)
    return parts


def _parts_in_order(sizes: NDArray[np.int64], ends: NDArray[np.float64]) -> NDArray[np.intp]:
    """The part of each unit: those before the first end, an end as near as a unit ends to that share of all items."""
    after = np.concatenate([[0], np.cumsum(sizes)])
    wanted = np.rint(ends * after[-1])
    later = np.minimum(np.searchsorted(after, wanted), len(sizes))
    cuts = later - (after[later] - wanted > wanted - after[np.maximum(later - 1, 0)])
    return np.searchsorted(cuts, np.arange(len(sizes)), side="right")


def _labels_of_units(label_of: NDArray[np.intp], unit_of: NDArray[np.intp], units: int) -> NDArray[np.intp]:
    """The one label of all items of each unit."""
    found = np.zeros(units, np.intp)
    found[unit_of] = label_of
    other = np.flatnonzero(found[unit_of] != label_of)
    if len(other):
        raise ArgumentError("groups", "have one label each", f"two in the group of item {other[0]}")
    return found


def _numbered(name: str, values: ArrayLike, count: int) -> NDArray[np.intp]:
    """For each item the number of its name among the sorted names."""
    try:
        found = np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise ArgumentError(name, "hold one number or name for each item", error) from None
    if found.shape != (count,):
        raise ArgumentError(name, f"have shape {(count,)}", found.shape)
    try:
        numbered: NDArray[Any] = np.unique(found, return_inverse=True)[1]
    except TypeError as error:  # such as None beside numbers
        raise ArgumentError(name, "be all numbers or all names", error) from None
    return numbered.reshape(-1)
