"""Matrices whose groups of units hear themselves and later groups only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..checks import ArgumentError, integer
from .contract import Array, Parametrization, Pull, matrix, of_shape, real, square


@lru_cache(maxsize=8)
def _mask(n: int, groups: int) -> Array:
    """(n, n): True where the group of the column is that of the row or a later one."""
    group = group_of_units(n, groups)
    mask = group[:, None] <= group
    mask.flags.writeable = False
    return mask


def group_of_units(n: int, groups: int) -> Array:
    """The group of each of n units: groups of equal size, or sizes that differ by one.

    Raises
    ------
    ValueError
        When there are more groups than units.

    Examples
    --------
    >>> group_of_units(5, 2)
    array([0, 0, 0, 1, 1])
    """
    if n < groups:
        raise ArgumentError("groups", f"be at most {n}, the number of units", groups)
    return np.arange(n) * groups // n


@dataclass(frozen=True)
class BlockTriangular(Parametrization):
    """U upper block-triangular: a unit reads its own group and later ones (Koutnik et al. 2014).

    `free` (n, n) is a matrix of which the blocks below the diagonal do not count.

    Parameters
    ----------
    groups : int
        How many, of equal size or of sizes that differ by one.

    Notes
    -----
    `initials`: "uniform" in (-1, 1) / sqrt(n).

    Examples
    --------
    >>> U, pull = BlockTriangular(groups=2)(np.ones((4, 4)))
    >>> U
    array([[1., 1., 1., 1.],
           [1., 1., 1., 1.],
           [0., 0., 1., 1.],
           [0., 0., 1., 1.]])
    """

    groups: int = 2
    initials = ("uniform",)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("groups", self.groups, at_least=1)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        M = real("free", free, 2)
        mask = _mask(square(*M.shape), self.groups)
        M[~mask] = 0

        def pull(d_U: Array) -> Array:
            return np.where(mask, of_shape("d_U", d_U, M.shape), d_U.dtype.type(0))

        return M, pull

    def invert(self, U: Array) -> Array:
        """The free parameters of the nearest such matrix."""
        U = matrix("U", U)
        return np.where(_mask(square(*U.shape), self.groups), U, U.dtype.type(0))

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        return np.where(_mask(n, self.groups), rng.uniform(-1, 1, (n, n)) / np.sqrt(n), 0)

    def _check(self, U: Array) -> float:
        return float(np.abs(U[~_mask(square(*U.shape), self.groups)]).max(initial=0))


block_triangular = BlockTriangular()
