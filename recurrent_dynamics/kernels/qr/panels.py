# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Products with frames, for both QR algorithms: a frame (S, k) is panels of `WIDTH` columns, one after the other."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..access import OPTIONS, SUM, get, pointer
from ..microkernel import TILE_ROWS, tile_one
from ..product import ONE, ZERO, clear, gemm
from .rows import WIDTH

EPS = 2.220446049250313e-16
# Limits of the sum of squares of a frame: within them no product of two relevant entries under- or overflows.
TINY, HUGE = 1e-200, 1e200


@njit(**OPTIONS)
def width():
    """A constant of compiled code."""
    return np.int64(WIDTH)


@njit(**OPTIONS)
def multiply(M, K, a, ao, row_step, k_step, b, bo, c, co, index):
    """C += A B of one panel: C (M, WIDTH) from co on, B (K, WIDTH) from bo on."""
    gemm(
        M, width(), K, a, ao, row_step, k_step, b, bo, c, co, width(), index, TILE_ROWS, ZERO(), ONE()
    )  # fmt: skip


@njit(**SUM)
def dot(a, at, b, to, n):
    """Sum of products, in an order that is fixed by n alone."""
    s = 0.0
    for i in range(n):
        s += get(a, at + i) * get(b, to + i)
    return s


@njit(**OPTIONS)
def push(J, at, low, high, diagonals, source, so, target, to, size, whole, index):
    """The frame at target[to:] = J times that at source[so:], J dense in some columns, on diagonals in the others."""
    w = width()
    for panel in range(0, whole, size * w):
        left, right = to + panel, so + panel
        clear(target, left, size * w)
        for m in range(diagonals.shape[0]):
            for j in range(diagonals[m, 2]):
                row, column = diagonals[m, 0] + j, diagonals[m, 1] + j
                if column < low or column >= high:
                    into = pointer(target, left + row * w)
                    tile_one(
                        ONE(), pointer(J, at + row * size + column), ZERO(), ZERO(),
                        pointer(source, right + column * w), ONE(), into, ZERO(), into, ZERO(), w,
                        pointer(index, ZERO()), into, ZERO(),
                    )  # fmt: skip
        multiply(size, high - low, J, at + low, size, ONE(), source, right + low * w, target, left, index)
