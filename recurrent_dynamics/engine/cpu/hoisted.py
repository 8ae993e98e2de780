"""Products for all steps at once, before a walk; compiled once for all cells."""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import OPTIONS
from ...kernels.barrier import share
from ...kernels.microkernel import ROWS
from ...kernels.parallel import by_threads, kernel, parallel
from ...kernels.product import ONE, ZERO, gemm, packed_size
from .walks import ALL_STAGES, multiply, pack_part, take_input

TOGETHER = 6 * ROWS  # rows of the input that stay in cache while all panels of W are read


@njit(**OPTIONS)
def _pack_input(i, threads, W, g, n, packed):
    pack_part(W, ZERO(), g, n, False, packed, ZERO(), i, threads)


@njit(**OPTIONS)
def _inputs(i, threads, X, packed, bias, classes, E, index, n, g, drives, e):
    rows = index.size - ROWS
    end = share(rows, threads, i + 1)
    for r in range(share(rows, threads, i), end, TOGETHER):
        some, at = min(TOGETHER, end - r), ROWS + r
        if bias.size > 0:
            take_input(
                X, packed, bias, classes, E, ZERO(), ZERO(), some, n, g, drives, e, index, at, ZERO(), ONE()
            )  # fmt: skip
        else:
            gemm(some, g, n, X, ZERO(), n, ONE(), packed, ZERO(), E, ZERO(), e, index, at, ZERO(), ONE())


@kernel
def inputs(threads, X, W, bias, classes, E, index, n, g, drives, e):
    """E[:, :drives] = bias, or what it was if that is empty, and E[:, :g] += X W^T; X (rows, n), W (g, n).

    With class indices, n is 0 and there is a bias for each class.
    """
    packed = np.empty(packed_size(n, g, X), X.dtype)
    parallel(_pack_input, threads, (threads, W, g, n, packed))
    parallel(_inputs, threads, (threads, X, packed, bias, classes, E, index, n, g, drives, e))


@by_threads
def add_matrices(i, threads, products, packed, starts, S, E, out, index, k, e):
    """out[target] += M operand with the operands of S and E and no mean: the part of a tangent that moves U."""
    rows = index.size - ROWS
    r0, r1 = share(rows, threads, i), share(rows, threads, i + 1)
    multiply(
        products, ALL_STAGES, packed, starts, False, S, E, out, ZERO(), r1 - r0, k, e, index, ROWS + r0, ZERO(), ONE()
    )  # fmt: skip
