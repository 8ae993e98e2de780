"""The gradients by W, U and the bias after the backward pass: outer products summed over all steps; and by the input.

Compiled once for all cells. Every sum has one order: the rows of a group as they are listed, then group after group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from ...kernels.access import LIGHT, LIGHT_ENTRY, get, put
from ...kernels.barrier import share
from ...kernels.compiled_once import compiled_once
from ...kernels.flat_arrays import empty, flattened, part, table_of, zeros
from ...kernels.microkernel import TILE_ROWS, move_strip
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
from .input_products import bias_of, write_input_gradient
from .stage_products import pack_matrix
from .tables import COLUMNS, COLUMNS_OF_PRODUCTS, HEADS, INPUT, MATRIX, OPERAND, ROWS, SOURCE, STATE, TARGET

# A block has about BLOCK rows of dE, a strip about CHUNK columns. A panel of the right factor of an outer product then
# stays in the first cache (25 of 48 kB), the left factor in the second. With 192 or 256 rows, strips would be a large
# power of two apart and share few lines of the cache.
BLOCK = 200
CHUNK = 64
SUMMED = 4  # rows of dE that are summed before they are added to the bias
BLOCKS = 8  # blocks whose operands are packed at once where threads share a group


@njit(**LIGHT)
def _operand(products, p, X, n, S, k, E, e):
    """The array in which the operand of a product lies, and the length of its rows."""
    if products[p, OPERAND] == INPUT:
        return X, n
    if products[p, OPERAND] == STATE:
        return S, k
    return E, e


@njit(**LIGHT)
def _left_factors(a, lda, index, first, rows, m0, m1, strips, so):
    """Pack the columns m0 to m1 of a as left factors of tiles: strips of a few columns, one after the other.

    It takes a few rows at a time, so that both sides are read and written by whole cache lines.
    """
    width = strip_width(a)
    for q0 in range(0, rows, TILE_ROWS):
        for m in range(m0, m1, width):
            for q in range(q0, min(q0 + TILE_ROWS, rows)):
                source, to = get(index, first + q) * lda + m, so + (m - m0) * rows + q * width
                if m + width <= m1:
                    move_strip(a, source, strips, to)
                else:
                    for s in range(m1 - m):
                        put(strips, to + s, get(a, source + s))


@njit(**LIGHT)
def _panels(products, block, like):
    """Where the packed operand of each product begins, for one block of rows. Products of one operand share a place."""
    starts, end = zeros(products.shape[0] + 1, np.int64), 0
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


@njit(**LIGHT)
def _right_factors(
    products, starts, block, X, n, S, k, E, e, index, first, count, panels, po, worker, threads
):
    """Pack the operands of all products into panels, from po on: one worker's share of the rows."""
    done, q0, q1 = ZERO(), share(count, threads, worker), share(count, threads, worker + 1)
    for p in range(products.shape[0]):
        if starts[p] == done:
            x, ldx = _operand(products, p, X, n, S, k, E, e)
            C = products[p, COLUMNS]
            for head in range(products[p, HEADS]):
                pack_rows(
                    x, products[p, SOURCE] + head * C, ldx, index, first, q0, q1, count, C, panels, po + done
                )
                done += packed_size(block, C, E)


@njit(**LIGHT)
def _clear(dW, dU, d_bias, q, groups, worker, threads):
    """Set the sums of group q to zero: one worker's share."""
    for a in (dW, dU, d_bias):
        size = a.size // groups
        first = share(size, threads, worker)
        clear(a, q * size + first, share(size, threads, worker + 1) - first)


@njit(**LIGHT)
def _add_rows(dE, e, index, first, count, m0, m1, d_bias, at, classes, drives):
    """d_bias[at:] += the sum of columns m0 to m1 over rows; several rows at once where they have the same bias."""
    q = ZERO()
    if classes.size == 0:
        while q + SUMMED <= count:
            a, b = get(index, first + q) * e, get(index, first + q + 1) * e
            c, d = get(index, first + q + 2) * e, get(index, first + q + 3) * e
            for j in range(m0, m1):
                s = (get(dE, a + j) + get(dE, b + j)) + (get(dE, c + j) + get(dE, d + j))
                put(d_bias, at + j, get(d_bias, at + j) + s)
            q += SUMMED
    while q < count:
        row = get(index, first + q)
        to, source = at + bias_of(classes, row, drives), row * e
        for j in range(m0, m1):
            put(d_bias, to + j, get(d_bias, to + j) + get(dE, source + j))
        q += 1


@njit(**LIGHT)
def _group_share(groups, threads, i):
    """(first group, end, worker, workers) of thread i: its groups, and the share of them that it computes."""
    if groups % threads == 0:
        return share(groups, threads, i), share(groups, threads, i + 1), ZERO(), ONE()
    if threads % groups == 0:
        members = threads // groups
        return i // members, i // members + 1, i % members, members
    return ZERO(), groups, i, threads


@njit(**LIGHT)
def _add_block(
    products, starts, block, panels, po, dE, e, index, first, count, strips, so, dW, dU, d_bias, classes, q, groups,
    drives, wide, worker, workers, identity,
):  # fmt: skip
    """Add the contribution of a block of rows to dW, dU and d_bias of group q: one worker's share of the columns of dE.

    `identity` lists the rows of a strip's tiles, which are its columns in order.
    """
    width = strip_width(dE)
    for m0 in range(worker * wide, drives, workers * wide):
        m1 = min(m0 + wide, drives)
        _left_factors(dE, e, index, first, count, m0, m1, strips, so)
        for p in range(products.shape[0]):
            R, C = products[p, ROWS], products[p, COLUMNS]
            out = dW if products[p, OPERAND] == INPUT else dU
            for head in range(products[p, HEADS]):
                target = products[p, TARGET] + head * R
                m, last = max(m0, target), min(m1, target + R)
                while m < last:
                    strip = (m - m0) // width * width
                    tall = min(m0 + strip + width, last) - m
                    to = q * (out.size // groups) + products[p, MATRIX]
                    gemm_near(
                        tall, C, count, strips, so + strip * count + m - m0 - strip, ONE(), width, panels,
                        po + starts[p] + head * packed_size(block, C, dE), out, to + (head * R + m - target) * C, C,
                        identity, np.int64(TILE_ROWS),
                    )  # fmt: skip
                    m += tall
        if d_bias.size > 0:
            _add_rows(
                dE, e, index, first, count, m0, m1, d_bias, q * (d_bias.size // groups), classes, drives
            )


@njit(**LIGHT)
def _add_groups(sums, whole, groups, worker, threads):
    """whole = the sum over the groups: one worker's share."""
    first, end = share(whole.size, threads, worker), share(whole.size, threads, worker + 1)
    for j in range(first, end):
        put(whole, j, get(sums, j))
    for q in range(1, groups):
        for j in range(first, end):
            put(whole, j, get(whole, j) + get(sums, q * whole.size + j))


@njit(**LIGHT)
def _pack_input_transposed(i, threads, W, g, n, right):
    pack_matrix(W, ZERO(), g, n, True, right, ZERO(), i, threads)


@njit(**LIGHT)
def _pack_operands(
    i, threads, products, starts, block, X, n, S, k, E, e, index, ends, chunk, blocks_packed, panels, dW, dU, d_bias,
    clear,
):  # fmt: skip
    """Pack the operands of some blocks of each group, where threads share a group and read each other's panels."""
    groups = ends.size - 1
    begin, end, worker, workers = _group_share(groups, threads, i)
    for q in range(begin, end):
        if clear:
            _clear(dW, dU, d_bias, q, groups, worker, workers)
        rows = ends[q + 1] - ends[q]
        for r in range(chunk, min(rows, chunk + blocks_packed * block), block):
            _right_factors(
                products, starts, block, X, n, S, k, E, e, index, TILE_ROWS + ends[q] + r, min(block, rows - r), panels,
                (q * blocks_packed + (r - chunk) // block) * starts[-1], worker, workers,
            )  # fmt: skip


@njit(**LIGHT)
def _block_sizes(ends, threads, drives, like):
    """(rows of the longest group, its blocks, rows of a block, columns of a strip)."""
    groups, longest, width = ends.size - 1, ZERO(), strip_width(like)
    for q in range(groups):
        longest = max(longest, ends[q + 1] - ends[q])
    blocks = max(1, (longest + BLOCK // 2) // BLOCK)
    members = _group_share(groups, threads, ZERO())[3]
    wide = min(
        CHUNK // width * width, max(width, (drives + members * width - 1) // (members * width) * width)
    )
    return longest, blocks, max(1, (longest + blocks - 1) // blocks), wide


@compiled_once(options=LIGHT)
def _add_blocks_of_thread(
    i, threads, table, starts, block, wide, strips, identity, X, n, S, k, E, e, index, ends, chunk, blocks_packed,
    panels, dW, dU, d_bias, clear, own_groups, dE, dX, right, no_bias, g, assign, classes, drives,
):  # fmt: skip
    """`_add_blocks` with its memory, as it cannot raise; `table` is the flat table of products."""
    products, groups, po = table_of(table, COLUMNS_OF_PRODUCTS), ends.size - 1, ZERO()
    begin, end, worker, workers = _group_share(groups, threads, i)
    for q in range(begin, end):
        if own_groups and clear:
            _clear(dW, dU, d_bias, q, groups, worker, workers)
        rows = ends[q + 1] - ends[q]
        for r in range(chunk, min(rows, chunk + blocks_packed * block), block):
            count, first = min(block, rows - r), TILE_ROWS + ends[q] + r
            if own_groups:
                _right_factors(
                    products, starts, block, X, n, S, k, E, e, index, first, count, panels, po, worker, workers
                )  # fmt: skip
            else:
                po = (q * blocks_packed + (r - chunk) // block) * starts[-1]
            q0, q1 = share(count, workers, worker), share(count, workers, worker + 1)
            if assign:
                write_input_gradient(dX, right, dE, no_bias, ZERO(), q1 - q0, n, g, e, index, first + q0)
            else:
                gemm(
                    q1 - q0, n, g, dE, ZERO(), e, ONE(), right, ZERO(), dX, ZERO(), n, index, first + q0, ZERO(), ONE()
                )  # fmt: skip
            _add_block(
                products, starts, block, panels, po, dE, e, index, first, count, strips, ZERO(), dW, dU, d_bias,
                classes, q, groups, drives, wide, worker, workers, identity,
            )  # fmt: skip


@njit(**LIGHT)
def _add_blocks(
    i, threads, products, X, n, S, k, E, e, index, ends, chunk, blocks_packed, panels, dW, dU, d_bias, clear,
    own_groups, dE, dX, right, no_bias, g, assign, classes, drives,
):  # fmt: skip
    """Add the contributions of some blocks of each group.

    With `own_groups` no two threads work on one group, and each thread packs the operands of its groups itself.
    """
    _, blocks, block, wide = _block_sizes(ends, threads, drives, E)
    starts = _panels(products, block, E)
    if own_groups:
        panels, blocks_packed = empty(starts[-1], E.dtype), blocks
    strips, identity = empty(block * wide, dE.dtype), new_index(strip_width(dE))
    _add_blocks_of_thread(
        i, threads, flattened(products), starts, block, wide, strips, identity, X, n, S, k, E, e, index, ends, chunk,
        blocks_packed, panels, dW, dU, d_bias, clear, own_groups, dE, dX, right, no_bias, g, assign, classes, drives,
    )  # fmt: skip


@njit(**LIGHT)
def add_own_groups(
    i, threads, products, dE, X, S, E, dW, dU, d_bias, classes, index, ends, n, drives, k, e, first_time
):
    """`gradients` of the groups of one thread, which nobody else adds to; without the gradient by X."""
    none = part(E, ZERO(), ZERO())
    _add_blocks(
        i, threads, products, X, n, S, k, E, e, index, ends, ZERO(), ZERO(), none, dW, dU, d_bias, first_time, True,
        dE, none, none, none, ZERO(), False, classes, drives,
    )  # fmt: skip


@njit(**LIGHT)
def add_all_groups(i, threads, groups, dW, dU, d_bias, total_W, total_U, total_bias):
    for sums, whole in ((dW, total_W), (dU, total_U), (d_bias, total_bias)):
        _add_groups(sums, whole, groups, i, threads)


@kernel(options=LIGHT_ENTRY)
def gradients(
    threads, products, dE, X, W, S, E, dX, dW, dU, d_bias, total_W, total_U, total_bias, classes, index, ends, n, g,
    drives, k, e, assign, first_time, last_time,
):  # fmt: skip
    """The gradients that the cotangents dE of all values give, summed for each group of rows.

    `index` lists the rows; those of group q stand from ends[q] to ends[q + 1]. dW or dU += dE[target]^T operand for
    every product with a matrix. d_bias += the sum of dE[:, :drives] over all rows, or over the rows of each class,
    unless it is empty. Where g > 0, dX = (if `assign`) or += dE[:, :g] W.

    The `first_time` the sums begin at zero, whatever the arrays hold. The `last_time` the sums of several groups are
    added up into the totals. dE is larger than the caches, so everything is done for one block of rows after the other.
    Where threads share a group, they first pack the operands of some blocks, which all of them read. Otherwise they do
    not wait for each other.
    """
    right, no_bias = empty(packed_size(g, n, W), W.dtype), zeros(n, W.dtype)
    groups, own_groups = ends.size - 1, (ends.size - 1) % threads == 0
    longest, blocks, block, _ = _block_sizes(ends, threads, drives, E)
    starts = _panels(products, block, E)
    blocks_packed = blocks if own_groups else min(blocks, max(1, BLOCKS // groups))
    panels = empty(ZERO() if own_groups else groups * blocks_packed * starts[-1], E.dtype)
    if g > 0:
        parallel(_pack_input_transposed, threads, (threads, W, g, n, right))
    for chunk in range(0, max(1, longest), blocks_packed * block):
        clear = chunk == 0 and first_time
        operands = (X, n, S, k, E, e, index, ends, chunk, blocks_packed, panels, dW, dU, d_bias, clear)
        if not own_groups:
            parallel(_pack_operands, threads, (threads, products, starts, block) + operands)
        parallel(
            _add_blocks, threads,
            (threads, products) + operands + (own_groups, dE, dX, right, no_bias, g, assign, classes, drives),
        )  # fmt: skip
    if last_time and groups > 1:
        parallel(add_all_groups, threads, (threads, groups, dW, dU, d_bias, total_W, total_U, total_bias))


def group_sums(groups: int, totals: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For `gradients`: arrays for the sums of each group, then the totals. With one group both are the same arrays."""
    flat = [a.reshape(-1) for a in totals]
    return flat + flat if groups == 1 else [np.empty(groups * a.size, a.dtype) for a in flat] + flat
