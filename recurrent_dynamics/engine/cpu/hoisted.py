"""Products for all steps at once, before and after a walk; compiled once for all cells.

`rows` is steps times batch. Threads own rows of the result, so that every sum has one order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import OPTIONS, PARALLEL, get, put, zeros
from .microkernel import ROWS, move_strip
from .product import ONE, ZERO, edge_size, gemm, pack, pack_rows, packed_size
from .tables import COLUMNS, HEADS, INPUT, MATRIX, OPERAND, ROWS_, SOURCE, STATE, TARGET
from .team import share
from .walks import ALL_STAGES, bias_of, multiply

# Rows and columns of dE that an outer product takes at once: a panel of its right factor stays in the first cache (25
# of 48 kB), all of the left one in the second. 200 rather than 192 or 256 rows, as strips that are a large power of two
# apart would share few lines of the cache.
BLOCK = 200
CHUNK = 64


@njit(**PARALLEL)
def inputs(build, X, W, bias, classes, E, index, n, g, parts, e, threads):
    """E[:, :parts] = bias, unless that is empty, and E[:, :g] += X W^T; X (rows, n), W (g, n).

    With class indices, n is 0 and there is a bias for each class.
    """
    packed = np.empty(packed_size(n, g, X), X.dtype)
    pack(W, ZERO(), ONE(), n, n, g, packed, ZERO())
    edges, rows = zeros(threads * edge_size(X), X), index.size - ROWS
    for i in prange(threads):
        end = share(rows, threads, np.int64(i) + 1)
        for r in range(
            share(rows, threads, np.int64(i)), end, 6 * ROWS
        ):  # so that E stays in cache in between
            some = min(6 * ROWS, end - r)
            if bias.size > 0:
                for q in range(r, r + some):
                    row = get(index, ROWS + q)
                    to, source = row * e, bias_of(classes, row, parts)
                    for j in range(parts):
                        put(E, to + j, get(bias, source + j))
            gemm(
                some, g, n, X, ZERO(), n, ONE(), packed, ZERO(), E, ZERO(), e, index, ROWS + r,
                edges, np.int64(i) * edge_size(X), ZERO(), ONE(),
            )  # fmt: skip


@njit(**PARALLEL)
def add_matrices(build, products, packed, starts, S, E, out, index, k, e, threads):
    """out[target] += M operand with the operands of S and E and no mean: the part of a tangent that moves U."""
    edges, rows = zeros(threads * edge_size(E), E), index.size - ROWS
    for i in prange(threads):
        r0, r1 = share(rows, threads, np.int64(i)), share(rows, threads, np.int64(i) + 1)
        multiply(
            products, ALL_STAGES, packed, starts, False, S, E, out, ZERO(), r1 - r0, k, e, index, ROWS + r0,
            edges, np.int64(i) * edge_size(E), ZERO(), ONE(),
        )  # fmt: skip


@njit(**OPTIONS)
def _operand(products, p, X, n, S, k, E, e):
    """The array in which the operand of a product lies, and the length of its rows."""
    if products[p, OPERAND] == INPUT:
        return X, n
    if products[p, OPERAND] == STATE:
        return S, k
    return E, e


@njit(**OPTIONS)
def _left_factors(a, lda, index, first, rows, m0, m1, strips, so):
    """Columns m0..m1 of a as left factors of tiles: strips of ROWS columns, one after the other.

    Some rows at a time, so that both sides are read and written by the line.
    """
    for q0 in range(0, rows, ROWS):
        for m in range(m0, m1, ROWS):
            for q in range(q0, min(q0 + ROWS, rows)):
                source, to = get(index, first + q) * lda + m, so + (m - m0) * rows + q * ROWS
                if m + ROWS <= m1:
                    move_strip(a, source, strips, to)
                else:
                    for s in range(m1 - m):
                        put(strips, to + s, get(a, source + s))


@njit(**OPTIONS)
def _panels(products, like):
    """Where the operand of each product is kept as panels of BLOCK rows; the same place for the same operand."""
    starts, end = np.zeros(products.shape[0] + 1, np.int64), 0
    for p in range(products.shape[0]):
        starts[p] = end
        for q in range(p):
            same = True
            for column in (OPERAND, SOURCE, COLUMNS, HEADS):
                same = same and products[q, column] == products[p, column]
            if same:
                starts[p] = starts[q]
        if starts[p] == end:
            end += products[p, HEADS] * packed_size(BLOCK, products[p, COLUMNS], like)
    starts[-1] = end
    return starts


@njit(**PARALLEL)
def gradients(
    build, products, dE, X, W, S, E, dX, dW, dU, d_bias, classes, index, n, g, parts, k, e, fresh, threads
):
    """What the cotangents dE of all values give, added up.

    dX = or, unless `fresh`, += dE[:, :g] W; dW or dU += dE[target]^T operand for every product with a matrix; d_bias,
    unless that is empty, += the sum of dE[:, :parts] over all rows, or over those of each class. All of it block of
    rows by block, as dE is larger than the caches.
    """
    right = np.empty(packed_size(g, n, W), W.dtype)
    pack(W, ZERO(), n, ONE(), g, n, right, ZERO())
    edges, rows = zeros(threads * edge_size(E), E), index.size - ROWS
    starts = _panels(products, E)
    panels = np.empty(threads * starts[-1], E.dtype)
    wide = min(CHUNK, max(ROWS, (parts + threads * ROWS - 1) // (threads * ROWS) * ROWS))
    strips = np.empty(threads * BLOCK * wide, E.dtype)
    for i in prange(threads):
        own = np.int64(i)
        eo, po, so = own * edge_size(E), own * starts[-1], own * BLOCK * wide
        for r in range(0, rows, BLOCK):
            some, first = min(BLOCK, rows - r), ROWS + r
            q0, q1 = share(some, threads, own), share(some, threads, own + 1)
            if fresh:
                for q in range(q0, q1):
                    row = get(index, first + q) * n
                    dX[row : row + n] = 0
            gemm(
                q1 - q0, n, g, dE, ZERO(), e, ONE(), right, ZERO(), dX, ZERO(), n, index, first + q0, edges, eo,
                ZERO(), ONE(),
            )  # fmt: skip
            done = ZERO()
            for p in range(products.shape[0]):
                if starts[p] == done:
                    x, ldx = _operand(products, p, X, n, S, k, E, e)
                    C = products[p, COLUMNS]
                    for head in range(products[p, HEADS]):
                        source = products[p, SOURCE] + head * C
                        pack_rows(x, source, ldx, index, first, some, C, panels, po + done)
                        done += packed_size(BLOCK, C, E)
            for m0 in range(own * wide, parts, threads * wide):
                m1 = min(m0 + wide, parts)
                _left_factors(dE, e, index, first, some, m0, m1, strips, so)
                for p in range(products.shape[0]):
                    R, C = products[p, ROWS_], products[p, COLUMNS]
                    out = dW if products[p, OPERAND] == INPUT else dU
                    for head in range(products[p, HEADS]):
                        target = products[p, TARGET] + head * R
                        m, end = max(m0, target), min(m1, target + R)
                        while m < end:
                            strip = (m - m0) // ROWS * ROWS
                            tall = min(m0 + strip + ROWS, end) - m
                            gemm(
                                tall, C, some, strips, so + strip * some + m - m0 - strip, ONE(), np.int64(ROWS),
                                panels, po + starts[p] + head * packed_size(BLOCK, C, E),
                                out, products[p, MATRIX] + (head * R + m - target) * C, C,
                                index, ZERO(), edges, eo, ZERO(), ONE(),
                            )  # fmt: skip
                            m += tall
                if d_bias.size > 0:
                    for q in range(some):
                        row = get(index, first + q)
                        to, source = bias_of(classes, row, parts), row * e
                        for j in range(m0, m1):
                            put(d_bias, to + j, get(d_bias, to + j) + get(dE, source + j))
