"""Products for all steps at once, before a walk; compiled once for all cells."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import PARALLEL
from .microkernel import ROWS
from .product import ONE, ZERO, gemm, packed_size
from .team import share
from .walks import ALL_STAGES, multiply, pack_part, take_input

TOGETHER = 6 * ROWS  # rows of the input that stay in cache while all panels of W are read


@njit(**PARALLEL)
def inputs(build, X, W, bias, classes, E, index, n, g, parts, e, threads):
    """E[:, :parts] = bias, or what it was if that is empty, and E[:, :g] += X W^T; X (rows, n), W (g, n).

    With class indices, n is 0 and there is a bias for each class.
    """
    packed = np.empty(packed_size(n, g, X), X.dtype)
    for i in prange(threads):
        pack_part(W, ZERO(), g, n, False, packed, ZERO(), np.int64(i), threads)
    rows = index.size - ROWS
    for i in prange(threads):
        end = share(rows, threads, np.int64(i) + 1)
        for r in range(share(rows, threads, np.int64(i)), end, TOGETHER):
            some, at = min(TOGETHER, end - r), ROWS + r
            if bias.size > 0:
                take_input(X, packed, bias, classes, E, ZERO(), some, n, g, parts, e, index, at)
            else:
                gemm(
                    some, g, n, X, ZERO(), n, ONE(), packed, ZERO(), E, ZERO(), e, index, at, ZERO(), ONE()
                )  # fmt: skip


@njit(**PARALLEL)
def add_matrices(build, products, packed, starts, S, E, out, index, k, e, threads):
    """out[target] += M operand with the operands of S and E and no mean: the part of a tangent that moves U."""
    rows = index.size - ROWS
    for i in prange(threads):
        r0, r1 = share(rows, threads, np.int64(i)), share(rows, threads, np.int64(i) + 1)
        multiply(
            products, ALL_STAGES, packed, starts, False, S, E, out, ZERO(), r1 - r0, k, e, index, ROWS + r0,
            ZERO(), ONE(),
        )  # fmt: skip
