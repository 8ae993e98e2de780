"""Outer products for all steps at once, after a walk back: the gradients by W, U and the bias, and by the input.

Compiled once for all cells. Every sum has one order: the rows of a group as they are listed, then group after group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from ...kernels.access import OPTIONS, get, put
from ...kernels.barrier import share
from ...kernels.microkernel import ROWS, move_strip
from ...kernels.parallel import kernel, parallel
from ...kernels.product import (
    ONE,
    ZERO,
    clear,
    gemm,
    gemm_near,
    new_index,
    pack_rows,
    packed_size,
    strip_width,
)
from .tables import COLUMNS, HEADS, INPUT, MATRIX, OPERAND, ROWS_, SOURCE, STATE, TARGET
from .walks import bias_of, give_input, pack_part

# Rows, about, and columns of dE that an outer product takes at once: a panel of its right factor stays in the first
# cache (25 of 48 kB), all of the left one in the second. 200 rather than 192 or 256 rows, as strips that are a large
# power of two apart would share few lines of the cache.
BLOCK = 200
CHUNK = 64
SUMMED = 4  # rows of dE whose sum is added to the bias at once
BLOCKS = 8  # blocks whose operands are packed at once where threads share a group, else one


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
    """Columns m0..m1 of a as left factors of tiles: strips of some columns, one after the other.

    Some rows at a time, so that both sides are read and written by the line.
    """
    width = strip_width(a)
    for q0 in range(0, rows, ROWS):
        for m in range(m0, m1, width):
            for q in range(q0, min(q0 + ROWS, rows)):
                source, to = get(index, first + q) * lda + m, so + (m - m0) * rows + q * width
                if m + width <= m1:
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
def _clear(dW, dU, d_bias, q, groups, own, threads):
    """The share of one thread of the sums of group q of zeros."""
    for a in (dW, dU, d_bias):
        size = a.size // groups
        first = share(size, threads, own)
        clear(a, q * size + first, share(size, threads, own + 1) - first)


@njit(**OPTIONS)
def _add_rows(dE, e, index, first, some, m0, m1, d_bias, at, classes, parts):
    """d_bias[at:] += the sum of columns m0 to m1 of some rows; several rows at once where they have the same bias."""
    q = ZERO()
    if classes.size == 0:
        while q + SUMMED <= some:
            a, b = get(index, first + q) * e, get(index, first + q + 1) * e
            c, d = get(index, first + q + 2) * e, get(index, first + q + 3) * e
            for j in range(m0, m1):
                s = (get(dE, a + j) + get(dE, b + j)) + (get(dE, c + j) + get(dE, d + j))
                put(d_bias, at + j, get(d_bias, at + j) + s)
            q += SUMMED
    while q < some:
        row = get(index, first + q)
        to, source = at + bias_of(classes, row, parts), row * e
        for j in range(m0, m1):
            put(d_bias, to + j, get(d_bias, to + j) + get(dE, source + j))
        q += 1


@njit(**OPTIONS)
def _work(groups, threads, i):
    """Of thread i: the first and the end of its groups, and which of how many parts of them it does."""
    if groups % threads == 0:
        return share(groups, threads, i), share(groups, threads, i + 1), ZERO(), ONE()
    if threads % groups == 0:
        members = threads // groups
        return i // members, i // members + 1, i % members, members
    return ZERO(), groups, i, threads


@njit(**OPTIONS)
def _add_outer(
    products, starts, block, panels, po, dE, e, index, first, some, strips, so, dW, dU, d_bias, classes, q, groups,
    parts, wide, own, shared, numbers,
):  # fmt: skip
    """The share of one thread of what a block of rows gives: dW, dU and d_bias of group q, by columns of dE.

    The tiles of a strip read the panels together; `numbers` lists their rows of it.
    """
    width = strip_width(dE)
    for m0 in range(own * wide, parts, shared * wide):
        m1 = min(m0 + wide, parts)
        _left_factors(dE, e, index, first, some, m0, m1, strips, so)
        for p in range(products.shape[0]):
            R, C = products[p, ROWS_], products[p, COLUMNS]
            out = dW if products[p, OPERAND] == INPUT else dU
            for head in range(products[p, HEADS]):
                target = products[p, TARGET] + head * R
                m, last = max(m0, target), min(m1, target + R)
                while m < last:
                    strip = (m - m0) // width * width
                    tall = min(m0 + strip + width, last) - m
                    to = q * (out.size // groups) + products[p, MATRIX]
                    gemm_near(
                        tall, C, some, strips, so + strip * some + m - m0 - strip, ONE(), width, panels,
                        po + starts[p] + head * packed_size(block, C, dE), out, to + (head * R + m - target) * C, C,
                        numbers, np.int64(ROWS),
                    )  # fmt: skip
                    m += tall
        if d_bias.size > 0:
            _add_rows(dE, e, index, first, some, m0, m1, d_bias, q * (d_bias.size // groups), classes, parts)


@njit(**OPTIONS)
def _add_groups(sums, whole, groups, own, threads):
    """The share of one thread of whole = the sum over the groups."""
    first, end = share(whole.size, threads, own), share(whole.size, threads, own + 1)
    for j in range(first, end):
        put(whole, j, get(sums, j))
    for q in range(1, groups):
        for j in range(first, end):
            put(whole, j, get(whole, j) + get(sums, q * whole.size + j))


@njit(**OPTIONS)
def _pack_input_transposed(i, threads, W, g, n, right):
    pack_part(W, ZERO(), g, n, True, right, ZERO(), i, threads)


@njit(**OPTIONS)
def _pack_operands(
    i, threads, products, starts, block, X, n, S, k, E, e, index, ends, chunk, together, panels, dW, dU, d_bias, clear
):  # fmt: skip
    """The operands of some blocks of each group as panels, where threads share a group and all of them read these."""
    groups = ends.size - 1
    begin, end, own, shared = _work(groups, threads, i)
    for q in range(begin, end):
        if clear:
            _clear(dW, dU, d_bias, q, groups, own, shared)
        rows = ends[q + 1] - ends[q]
        for r in range(chunk, min(rows, chunk + together * block), block):
            _right_factors(
                products, starts, block, X, n, S, k, E, e, index, ROWS + ends[q] + r, min(block, rows - r), panels,
                (q * together + (r - chunk) // block) * starts[-1], own, shared,
            )  # fmt: skip


@njit(**OPTIONS)
def _add_blocks(
    i, threads, products, starts, block, X, n, S, k, E, e, index, ends, chunk, together, panels, dW, dU, d_bias, clear,
    alone, dE, dX, right, nothing, g, fresh, classes, parts, wide,
):  # fmt: skip
    """What some blocks of each group give; `alone`, a thread has groups of its own, whose operands it packs itself."""
    groups, po = ends.size - 1, i * starts[-1]
    strips, numbers = np.empty(block * wide, dE.dtype), new_index(strip_width(dE))
    begin, end, own, shared = _work(groups, threads, i)
    for q in range(begin, end):
        if alone and clear:
            _clear(dW, dU, d_bias, q, groups, own, shared)
        rows = ends[q + 1] - ends[q]
        for r in range(chunk, min(rows, chunk + together * block), block):
            some, first = min(block, rows - r), ROWS + ends[q] + r
            if alone:
                _right_factors(
                    products, starts, block, X, n, S, k, E, e, index, first, some, panels, po, own, shared
                )
            else:
                po = (q * together + (r - chunk) // block) * starts[-1]
            q0, q1 = share(some, shared, own), share(some, shared, own + 1)
            if fresh:
                give_input(dX, right, dE, nothing, ZERO(), q1 - q0, n, g, e, index, first + q0)
            else:
                gemm(
                    q1 - q0, n, g, dE, ZERO(), e, ONE(), right, ZERO(), dX, ZERO(), n, index, first + q0, ZERO(), ONE()
                )  # fmt: skip
            _add_outer(
                products, starts, block, panels, po, dE, e, index, first, some, strips, ZERO(), dW, dU, d_bias, classes,
                q, groups, parts, wide, own, shared, numbers,
            )  # fmt: skip


@njit(**OPTIONS)
def _add_all_groups(i, threads, groups, dW, dU, d_bias, whole_W, whole_U, whole_bias):
    for sums, whole in ((dW, whole_W), (dU, whole_U), (d_bias, whole_bias)):
        _add_groups(sums, whole, groups, i, threads)


@kernel
def gradients(
    threads, products, dE, X, W, S, E, dX, dW, dU, d_bias, whole_W, whole_U, whole_bias, classes, index, ends, n, g,
    parts, k, e, fresh, first_time, last_time,
):  # fmt: skip
    """What the cotangents dE of all values give, added up for each group of rows: dW, dU, d_bias one after the other.

    Group q is what `index` lists from ends[q] to ends[q + 1]. Where g > 0, dX = or, unless `fresh`, += dE[:, :g] W; dW
    or dU += dE[target]^T operand for every product with a matrix; d_bias, unless that is empty, += the sum of
    dE[:, :parts] over all rows, or over those of each class. The `first_time` the sums begin at zero, whatever is
    there; the `last_time` those of several groups are added up into the wholes. All of it block of rows by block, as dE
    is larger than the caches. Where threads share a group, they first pack the operands of some blocks, which all of
    them read; else they need not wait for each other.
    """
    right, nothing = np.empty(packed_size(g, n, W), W.dtype), np.zeros(n, W.dtype)
    groups, longest, alone = ends.size - 1, ZERO(), (ends.size - 1) % threads == 0
    for q in range(groups):
        longest = max(longest, ends[q + 1] - ends[q])
    blocks = max(1, (longest + BLOCK // 2) // BLOCK)
    block = max(1, (longest + blocks - 1) // blocks)
    starts, together = _panels(products, block, E), blocks if alone else min(blocks, max(1, BLOCKS // groups))
    panels = np.empty((threads if alone else groups * together) * starts[-1], E.dtype)
    members, width = _work(groups, threads, ZERO())[3], strip_width(E)
    wide = min(CHUNK // width * width, max(width, (parts + members * width - 1) // (members * width) * width))
    if g > 0:
        parallel(_pack_input_transposed, threads, (threads, W, g, n, right))
    for chunk in range(0, max(1, longest), together * block):
        clear = chunk == 0 and first_time
        some = (
            threads, products, starts, block, X, n, S, k, E, e, index, ends, chunk, together, panels, dW, dU, d_bias,
            clear,
        )  # fmt: skip
        if not alone:
            parallel(_pack_operands, threads, some)
        parallel(_add_blocks, threads, some + (alone, dE, dX, right, nothing, g, fresh, classes, parts, wide))
    if last_time and groups > 1:
        parallel(_add_all_groups, threads, (threads, groups, dW, dU, d_bias, whole_W, whole_U, whole_bias))


def sums_for(groups: int, wholes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For `gradients`: arrays for the sums of each group, then the wholes; the same for one group."""
    flat = [a.reshape(-1) for a in wholes]
    return flat + flat if groups == 1 else [np.empty(groups * a.size, a.dtype) for a in flat] + flat
