"""Dense Jacobians of every step: d state after / d state before.

The derivatives of the values of a step by the state are computed one after the other. For a drive that multiplies the
state it is a block of U. For an operand it is a sum of scaled rows, for a product with an operand a matrix product. For
a cell of one stage the result is `diagonal blocks + diagonal times U`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import OPTIONS, get, put
from ...kernels.flat_arrays import empty, zeros
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads
from ...kernels.product import ONE, ZERO, clear, gemm, new_index, pack, packed_size
from .rows import compute_rows, row_task
from .tables import (
    COLUMNS,
    D_AT,
    D_FROM_STATE,
    D_HIGH,
    D_IN,
    D_LOW,
    D_NEW,
    D_OUT,
    D_STAGE,
    D_WIDTH,
    HEADS,
    MATRIX,
    OPERAND,
    ROWS,
    SOURCE,
    STAGE,
    STATE,
    TARGET,
)  # fmt: skip
from .work_split import unit_ranges

INSTANCES = 4  # instances that share one read of U


@by_threads
def jacobian(
    i, threads, kernel, active, widths, rows, k, e, stages, products, entries, local_size, U, P, C, E, S, J,
    lengths, times, batch,
):  # fmt: skip
    """J (rows, k, k); `times` (rows,) is the step of each row. Beyond its length the Jacobian is the identity."""
    some_rows_are_zero, at_once = _state_rows(entries) < k, _instances_at_once(entries)
    local = zeros(at_once * local_size, E.dtype)
    D = zeros(e * k, E.dtype)  # the derivatives of the values by the state, (e, k)
    sizes, task = unit_ranges(widths, ZERO(), ONE()), row_task(e, k, local_size, (E, S, P, C, local))
    widest, tallest = 0, 0
    for p in range(products.shape[0]):
        widest, tallest = max(widest, products[p, COLUMNS]), max(tallest, products[p, ROWS])
        if products[p, OPERAND] == STATE:
            _place(products, p, U, D, k)
    packed = empty(packed_size(widest, k, E), E.dtype)
    index, listed, end = new_index(tallest), empty(at_once, np.int64), rows * (i + 1) // threads
    for r in range(rows * i // threads, end, at_once):
        instances = min(at_once, end - r)
        if some_rows_are_zero:
            clear(J, r * k * k, instances * k * k)
        for stage in range(stages + 1):
            if active[stage]:
                count = ZERO()
                for q in range(instances):
                    if not _has_ended(lengths, times, batch, r + q):
                        listed[count] = q
                        count += 1
                compute_rows(kernel, stage, task, sizes, listed, ZERO(), r, count)
            _combine(entries, stage, local, local_size, D, k, J, r, instances)
            for p in range(products.shape[0]):
                if products[p, STAGE] == stage and products[p, OPERAND] != STATE:
                    _product(products, p, U, D, k, packed, index)
        for q in range(r, r + instances):
            if _has_ended(lengths, times, batch, q):
                clear(J, q * k * k, k * k)
                for j in range(k):
                    put(J, (q * k + j) * k + j, J.dtype.type(1))


@njit(**OPTIONS)
def _has_ended(lengths, times, batch, row):
    """Whether the sequence of a row has ended, so that the row has no values."""
    return lengths.size > 0 and times[row] >= lengths[row % batch]


@njit(**OPTIONS)
def _instances_at_once(entries):
    """Instances computed at once: several if the derivatives of their values by the state are the same, namely U."""
    for m in range(entries.shape[0]):
        if not entries[m, D_NEW]:
            return 1
    return INSTANCES


@njit(**OPTIONS)
def _place(products, p, U, D, k):
    """Copy the blocks of U of a product with the state into D."""
    R, C = products[p, ROWS], products[p, COLUMNS]
    for head in range(products[p, HEADS]):
        for row in range(R):
            for c in range(C):
                u = get(U, products[p, MATRIX] + (head * R + row) * C + c)
                put(D, (products[p, TARGET] + head * R + row) * k + products[p, SOURCE] + head * C + c, u)


@njit(**OPTIONS)
def _combine(entries, stage, local, local_size, D, k, J, r, instances):
    """Compute the targets of a stage: sums of diagonals times derivatives.

    Each row is written to memory once, and computed for all instances, so that U is read once: both are larger than the
    caches.
    """
    first = 0
    while first < entries.shape[0]:
        end = first + 1
        while end < entries.shape[0] and _same_target(entries, end, first):
            end += 1
        if entries[first, D_STAGE] == stage:
            for j in range(entries[first, D_WIDTH]):
                out = (entries[first, D_OUT] + j) * k
                for q in range(instances):
                    if entries[first, D_NEW]:
                        _row(entries, first, end, j, local, q * local_size, D, k, J, (r + q) * k * k + out)
                    else:
                        _row(entries, first, end, j, local, q * local_size, D, k, D, out)
        first = end


@njit(**OPTIONS)
def _row(entries, first, end, j, local, lo, D, k, target, to):
    """One row of a target, at `to`."""
    low, high, lead = k, k, end
    for m in range(end - 1, first - 1, -1):
        if not entries[m, D_FROM_STATE]:
            low, high, lead = entries[m, D_LOW], entries[m, D_HIGH], m
    for c in range(low):
        put(target, to + c, D.dtype.type(0))
    for c in range(high, k):
        put(target, to + c, D.dtype.type(0))
    m, fresh = lead, True
    while m < end and not entries[m, D_FROM_STATE]:
        # As many terms at once as share their columns: each pass reads and writes the row.
        terms = 1
        while terms < 4 and m + terms < end and _same_columns(entries, m, m + terms):
            terms += 1
        low, high = entries[m, D_LOW], entries[m, D_HIGH]
        x0, s0 = _term(entries, m, j, local, lo, k)
        x1, s1 = _term(entries, min(m + 1, end - 1), j, local, lo, k)
        x2, s2 = _term(entries, min(m + 2, end - 1), j, local, lo, k)
        x3, s3 = _term(entries, min(m + 3, end - 1), j, local, lo, k)
        if fresh and terms == 4:
            for c in range(low, high):
                total = x0 * get(D, s0 + c) + x1 * get(D, s1 + c)
                put(target, to + c, total + x2 * get(D, s2 + c) + x3 * get(D, s3 + c))
        elif fresh and terms == 3:
            for c in range(low, high):
                put(target, to + c, x0 * get(D, s0 + c) + x1 * get(D, s1 + c) + x2 * get(D, s2 + c))
        elif fresh and terms == 2:
            for c in range(low, high):
                put(target, to + c, x0 * get(D, s0 + c) + x1 * get(D, s1 + c))
        elif fresh:
            for c in range(low, high):
                put(target, to + c, x0 * get(D, s0 + c))
        elif terms > 1:
            terms = 2
            for c in range(low, high):
                put(target, to + c, get(target, to + c) + x0 * get(D, s0 + c) + x1 * get(D, s1 + c))
        else:
            for c in range(low, high):
                put(target, to + c, get(target, to + c) + x0 * get(D, s0 + c))
        m, fresh = m + terms, False
    for m in range(first, end):
        if entries[m, D_FROM_STATE]:
            at = to + entries[m, D_IN] + j
            put(target, at, get(target, at) + get(local, lo + entries[m, D_AT] + j))


@njit(**OPTIONS)
def _same_target(entries, m, n):
    """Whether two diagonals belong to the same rows."""
    for column in range(D_OUT + 1):
        if entries[m, column] != entries[n, column]:
            return False
    return True


@njit(**OPTIONS)
def _same_columns(entries, m, n):
    """Whether two diagonals have derivatives with the same columns."""
    same = not entries[n, D_FROM_STATE]
    return same and entries[m, D_LOW] == entries[n, D_LOW] and entries[m, D_HIGH] == entries[n, D_HIGH]


@njit(**OPTIONS)
def _term(entries, m, j, local, lo, k):
    """(the factor of a term, the place of the row that it multiplies)."""
    return get(local, lo + entries[m, D_AT] + j), (entries[m, D_IN] + j) * k


@njit(**OPTIONS)
def _state_rows(entries):
    """How many rows of the new state depend on anything."""
    n = 0
    for m in range(entries.shape[0]):
        if entries[m, D_NEW] and (m == 0 or not _same_target(entries, m, m - 1)):
            n += entries[m, D_WIDTH]
    return n


@njit(**OPTIONS)
def _product(products, p, U, D, k, packed, index):
    """D[target] = M D[operand]."""
    R, C = products[p, ROWS], products[p, COLUMNS]
    target, source = products[p, TARGET] * k, products[p, SOURCE] * k
    if products[p, MATRIX] < 0:
        clear(D, target, k)
        for j in range(C):
            for c in range(k):
                put(D, target + c, get(D, target + c) + get(D, source + j * k + c))
        for c in range(k):
            put(D, target + c, get(D, target + c) / D.dtype.type(C))
        for j in range(1, R):
            for c in range(k):
                put(D, target + j * k + c, get(D, target + c))
        return
    clear(D, target, R * products[p, HEADS] * k)
    for head in range(products[p, HEADS]):
        pack(D, source + head * C * k, k, ONE(), C, k, packed, ZERO())
        at = products[p, MATRIX] + head * R * C
        gemm(
            R,
            k,
            C,
            U,
            at,
            C,
            ONE(),
            packed,
            ZERO(),
            D,
            target + head * R * k,
            k,
            index,
            TILE_ROWS,
            ZERO(),
            ONE(),
        )
