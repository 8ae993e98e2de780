"""Products for all steps at once, before and after a walk; compiled once for all cells.

`rows` is steps times batch. Threads own rows of the result, so that every sum has one order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import OPTIONS, PARALLEL, get, put, zeros
from .microkernel import ROWS, move_strip
from .product import ONE, ZERO, gemm, pack_rows, packed_size
from .tables import COLUMNS, HEADS, INPUT, MATRIX, OPERAND, ROWS_, SOURCE, STATE, TARGET
from .team import share
from .walks import ALL_STAGES, bias_of, give_input, multiply, pack_part, take_input

# Rows, about, and columns of dE that an outer product takes at once: a panel of its right factor stays in the first
# cache (25 of 48 kB), all of the left one in the second. 200 rather than 192 or 256 rows, as strips that are a large
# power of two apart would share few lines of the cache.
BLOCK = 200
CHUNK = 64
SUMMED = 4  # rows of dE whose sum is added to the bias at once
BLOCKS = 8  # blocks whose operands are packed at once
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
def _panels(products, block, like):
    """Where the operand of each product is kept as panels of a block of rows; the same place for the same operand."""
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
            end += products[p, HEADS] * packed_size(block, products[p, COLUMNS], like)
    starts[-1] = end
    return starts


@njit(**OPTIONS)
def _right_factors(products, starts, block, X, n, S, k, E, e, index, first, some, panels, po, own, threads):
    """The share of one thread of the rows of all operands, as panels from po on."""
    done, q0, q1 = ZERO(), share(some, threads, own), share(some, threads, own + 1)
    for p in range(products.shape[0]):
        if starts[p] == done:
            x, ldx = _operand(products, p, X, n, S, k, E, e)
            C = products[p, COLUMNS]
            for head in range(products[p, HEADS]):
                pack_rows(
                    x, products[p, SOURCE] + head * C, ldx, index, first, q0, q1, some, C, panels, po + done
                )
                done += packed_size(block, C, E)


@njit(**OPTIONS)
def _clear(a, own, threads):
    """The share of one thread of an array of zeros."""
    a[share(a.size, threads, own) : share(a.size, threads, own + 1)] = 0


@njit(**OPTIONS)
def _add_rows(dE, e, index, first, some, m0, m1, d_bias, classes, parts):
    """d_bias += the sum of columns m0 to m1 of some rows; several rows at once where they have the same bias."""
    q = ZERO()
    if classes.size == 0:
        while q + SUMMED <= some:
            a, b = get(index, first + q) * e, get(index, first + q + 1) * e
            c, d = get(index, first + q + 2) * e, get(index, first + q + 3) * e
            for j in range(m0, m1):
                s = (get(dE, a + j) + get(dE, b + j)) + (get(dE, c + j) + get(dE, d + j))
                put(d_bias, j, get(d_bias, j) + s)
            q += SUMMED
    while q < some:
        row = get(index, first + q)
        to, source = bias_of(classes, row, parts), row * e
        for j in range(m0, m1):
            put(d_bias, to + j, get(d_bias, to + j) + get(dE, source + j))
        q += 1


@njit(**PARALLEL)
def gradients(
    build, products, dE, X, W, S, E, dX, dW, dU, d_bias, classes, index, n, g, parts, k, e, fresh, first_time, threads
):  # fmt: skip
    """What the cotangents dE of all values give, added up.

    dX = or, unless `fresh`, += dE[:, :g] W; dW or dU += dE[target]^T operand for every product with a matrix; d_bias,
    unless that is empty, += the sum of dE[:, :parts] over all rows, or over those of each class. The `first_time` the
    sums begin at zero, whatever is there. All of it block of rows by block, as dE is larger than the caches; for some
    blocks at a time the threads first pack the operands, which all of them read.
    """
    right, nothing = np.empty(packed_size(g, n, W), W.dtype), zeros(n, W)
    rows = index.size - ROWS
    blocks = max(1, (rows + BLOCK // 2) // BLOCK)
    block = max(1, (rows + blocks - 1) // blocks)
    starts, together = _panels(products, block, E), min(blocks, BLOCKS)
    panels = np.empty(together * starts[-1], E.dtype)
    wide = min(CHUNK, max(ROWS, (parts + threads * ROWS - 1) // (threads * ROWS) * ROWS))
    strips = np.empty(threads * block * wide, E.dtype)
    for i in prange(threads):
        pack_part(W, ZERO(), g, n, True, right, ZERO(), np.int64(i), threads)
        if first_time:
            _clear(dW, np.int64(i), threads)
            _clear(dU, np.int64(i), threads)
            _clear(d_bias, np.int64(i), threads)
    for group in range(0, rows, together * block):
        last = min(rows, group + together * block)
        for i in prange(threads):
            for r in range(group, last, block):
                _right_factors(
                    products, starts, block, X, n, S, k, E, e, index, ROWS + r, min(block, rows - r),
                    panels, (r - group) // block * starts[-1], np.int64(i), threads,
                )  # fmt: skip
        for i in prange(threads):
            own = np.int64(i)
            so = own * block * wide
            for r in range(group, last, block):
                some, first, po = min(block, rows - r), ROWS + r, (r - group) // block * starts[-1]
                q0, q1 = share(some, threads, own), share(some, threads, own + 1)
                if fresh:
                    give_input(dX, right, dE, nothing, ZERO(), q1 - q0, n, g, e, index, first + q0)
                else:
                    gemm(
                        q1 - q0, n, g, dE, ZERO(), e, ONE(), right, ZERO(), dX, ZERO(), n, index, first + q0,
                        ZERO(), ONE(),
                    )  # fmt: skip
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
                                    panels, po + starts[p] + head * packed_size(block, C, E),
                                    out, products[p, MATRIX] + (head * R + m - target) * C, C,
                                    index, ZERO(), ZERO(), ONE(),
                                )  # fmt: skip
                                m += tall
                    if d_bias.size > 0:
                        _add_rows(dE, e, index, first, some, m0, m1, d_bias, classes, parts)
