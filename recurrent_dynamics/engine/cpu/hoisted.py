"""Products for all steps at once, before and after a walk; compiled once for all cells.

`rows` is steps times batch. Threads own rows of the result, so that every sum has one order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import OPTIONS, PARALLEL, get, put
from .microkernel import ROWS
from .product import ONE, ZERO, edge_size, gemm, pack, packed_size, share
from .tables import COLUMNS, FROM_STATE, HEADS, MATRIX, ROWS_, SOURCE, TARGET
from .walks import ALL_STAGES, multiply

BLOCK = 192  # rows that an outer product takes at once: both factors stay in cache


@njit(**PARALLEL)
def inputs(build, X, W, bias, E, rows, n, g, parts, e, threads):
    """E[:, :parts] = bias, unless that is empty, and E[:, :g] += X W^T; X (rows, n), W (g, n)."""
    packed = np.empty(packed_size(n, g, X), X.dtype)
    pack(W, ZERO(), ONE(), n, n, g, packed, ZERO())
    edges = np.zeros(threads * edge_size(X), X.dtype)
    for i in prange(threads):
        end = share(rows, threads, i + 1)
        for r in range(share(rows, threads, i), end, 6 * ROWS):  # so that E stays in cache in between
            some = min(6 * ROWS, end - r)
            if bias.size > 0:
                for q in range(r, r + some):
                    for j in range(parts):
                        put(E, q * e + j, get(bias, j))
            gemm(
                some, g, n, X, r * n, n, ONE(), packed, ZERO(), E, r * e, e, edges, np.int64(i) * edge_size(X)
            )


@njit(**PARALLEL)
def add_matrices(build, products, packed, starts, S, E, out, rows, k, e, threads):
    """out[target] += M operand with the operands of S and E and no mean: the part of a tangent that moves U."""
    edges = np.zeros(threads * edge_size(E), E.dtype)
    for i in prange(threads):
        r0, r1, eo = share(rows, threads, i), share(rows, threads, i + 1), np.int64(i) * edge_size(E)
        multiply(products, ALL_STAGES, packed, starts, False, S, E, out, r0, r1 - r0, k, e, edges, eo)


@njit(**OPTIONS)
def _outer(n, rows, a, ao, lda, x, xo, ldx, c, co, m0, m1, panel, po, strip, so, edge, eo):
    """c[m, n] += sum_r a[r, m] x[r, n] for m0 <= m < m1, in blocks of r."""
    for r in range(0, rows, BLOCK):
        some = min(BLOCK, rows - r)
        pack(x, xo + r * ldx, ldx, ONE(), some, n, panel, po)
        for m in range(m0, m1, ROWS):
            tall = min(ROWS, m1 - m)
            for q in range(some):
                for s in range(tall):
                    put(strip, so + q * ROWS + s, get(a, ao + (r + q) * lda + m + s))
            gemm(tall, n, some, strip, so, ONE(), np.int64(ROWS), panel, po, c, co + m * n, n, edge, eo)


@njit(**OPTIONS)
def _widest(products, n):
    """The most columns of any block, or n."""
    for p in range(products.shape[0]):
        n = max(n, products[p, COLUMNS])
    return n


@njit(**PARALLEL)
def gradients(build, products, dE, X, W, S, E, dX, dW, dU, d_bias, rows, n, g, parts, k, e, threads):
    """What the cotangents dE of all values give, added up.

    dX += dE[:, :g] W, dW += dE[:, :g]^T X, dU += dE[target]^T operand for every product with a block of U, and d_bias,
    unless that is empty, += the sum of dE[:, :parts] over all rows.
    """
    right = np.empty(packed_size(g, n, W), W.dtype)
    pack(W, ZERO(), n, ONE(), g, n, right, ZERO())
    edges = np.zeros(threads * edge_size(E), E.dtype)
    size = packed_size(BLOCK, _widest(products, n), E)
    panels, strips = np.empty(threads * size, E.dtype), np.empty(threads * BLOCK * ROWS, E.dtype)
    for i in prange(threads):
        own = np.int64(i)
        eo, po, so = own * edge_size(E), own * size, own * BLOCK * ROWS
        r0, r1 = share(rows, threads, i), share(rows, threads, i + 1)
        gemm(r1 - r0, n, g, dE, r0 * e, e, ONE(), right, ZERO(), dX, r0 * n, n, edges, eo)
        for p in range(-1, products.shape[0]):  # -1 stands for W
            if p >= 0 and products[p, MATRIX] < 0:
                continue
            x, ldx, out = (X, n, dW) if p < 0 else ((S, k, dU) if products[p, FROM_STATE] else (E, e, dU))
            R, C, heads = (
                (g, n, ONE()) if p < 0 else (products[p, ROWS_], products[p, COLUMNS], products[p, HEADS])
            )
            target, source, co = (
                (ZERO(), ZERO(), ZERO())
                if p < 0
                else (products[p, TARGET], products[p, SOURCE], products[p, MATRIX])
            )
            m0, m1 = share(R, threads, i), share(R, threads, i + 1)
            for head in range(heads):
                _outer(
                    C, rows, dE, target + head * R, e, x, source + head * C, ldx, out, co + head * R * C,
                    m0, m1, panels, po, strips, so, edges, eo,
                )  # fmt: skip
        if d_bias.size > 0:
            j0, j1 = parts * i // threads, parts * (i + 1) // threads
            for r in range(rows):
                for j in range(j0, j1):
                    put(d_bias, j, get(d_bias, j) + get(dE, r * e + j))
