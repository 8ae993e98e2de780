"""Products of matrices and of parts of them: small ones by NumPy, large ones on the threads of the engine's walks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .contract import Array

SET, ADD, SUBTRACT = range(3)
LARGE = 128  # rows beyond which the engine is called, and compiled or loaded; up to them a BLAS is as fast


class Block(NamedTuple):
    """A matrix within a flat array: entry (i, j) at `at` + i `row` + j `column`."""

    flat: Array
    at: int
    row: int
    column: int
    shape: tuple[int, int]

    @property
    def T(self) -> Block:
        return Block(self.flat, self.at, self.column, self.row, self.shape[::-1])

    def part(self, rows: slice, columns: slice) -> Block:
        """The entries of some rows and columns, given by their first ones and ends."""
        (i0, i1, _), (j0, j1, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        at = self.at + i0 * self.row + j0 * self.column
        return Block(self.flat, at, self.row, self.column, (i1 - i0, j1 - j0))

    def array(self) -> Array:
        """The same as a view."""
        size = self.flat.itemsize
        return np.ndarray(
            self.shape, self.flat.dtype, self.flat, self.at * size, (self.row * size, self.column * size)
        )


def block(a: Array) -> Block:
    """The whole of a matrix; a copy of it where it is contiguous in neither order."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return block(a.T).T
    a = np.ascontiguousarray(a)
    return Block(a.reshape(-1), 0, a.shape[1], 1, (a.shape[0], a.shape[1]))


@lru_cache(maxsize=1)
def _engine() -> Any:
    from ..engine import matrices  # the one way up in the house, and only here: it needs Numba

    return None if matrices.INTERPRETED else matrices


def compiled(n: int) -> Any:
    """The engine's functions for matrices of n rows; None where NumPy does as well, or nothing is compiled."""
    return _engine() if n > LARGE else None


def multiply(c: Block, a: Block, b: Block, how: int = SET) -> None:
    """C = A B, C += A B or C -= A B; C has contiguous rows, in memory that is of neither A nor B.

    Examples
    --------
    >>> c = np.ones((2, 2))
    >>> multiply(block(c), block(np.array([[1.0, 2.0], [3.0, 4.0]])), block(np.eye(2)).T, SUBTRACT)
    >>> c
    array([[ 0., -1.],
           [-2., -3.]])
    """
    multiply_parts([(c, a, b)], how)


def multiply_parts(parts: Sequence[tuple[Block, Block, Block]], how: int = SET) -> None:
    """The same for several (C, A, B) at once: parts of the same three matrices, C's without entries in common."""
    work = [(a.shape[0] * a.shape[1] * b.shape[1]) for _, a, b in parts]
    some = [part for part, size in zip(parts, work, strict=True) if size]
    fast = _engine() if sum(work) > LARGE**3 else None
    if fast is not None:
        fast.multiply(some, how)
        return
    for c, a, b in some:
        if how == SET:
            np.matmul(a.array(), b.array(), out=c.array())
        else:
            (np.add if how == ADD else np.subtract)(c.array(), a.array() @ b.array(), out=c.array())


def product(a: Array, b: Array) -> Array:
    """A B of two matrices in one dtype, of any strides.

    Examples
    --------
    >>> product(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]).T)
    array([[1., 3.],
           [2., 4.]])
    """
    if len(a) <= LARGE or a.dtype.kind != "f":
        return np.asarray(a @ b)
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)
    multiply(block(c), block(a), block(b))
    return c
