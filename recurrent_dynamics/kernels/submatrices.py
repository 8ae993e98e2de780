"""Matrices within flat arrays, and how a product writes its result. Without Numba, so that the import is fast."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SET, ADD, SUBTRACT = range(3)


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
    """The block of a whole matrix, or of a copy if the matrix is contiguous in neither order."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return block(a.T).T
    a = np.ascontiguousarray(a)
    return Block(a.reshape(-1), 0, a.shape[1], 1, (a.shape[0], a.shape[1]))
