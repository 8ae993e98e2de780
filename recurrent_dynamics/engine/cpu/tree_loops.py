"""The loops over the levels of a graph of rows: forward pass, backward pass and tangents, compiled once for all cells.

A row is a node. Rows are ordered by level, and all predecessors of a row stand on lower levels, so a level takes the
place of a step. `begin`, `source`, `position` list the arcs: those into row r are begin[r] to begin[r + 1], arc a comes
from row source[a], and the state it brings goes to place position[a] of the state before its row. `leaving`, `arcs`
list the arcs that leave a row. Both directions gather, so no two rows write to one place.

There may be a second cell, that of the arcs: its state before is the state of the source, its input is that of the
target, and its state after goes to the target. The arrays of its rows have the names of those of the nodes with a Q in
front, q for numbers. The part of its drives that needs no state is computed once for each target, in F. Without such a
cell an arc brings the state itself. See `time_loops` for the other names.

On the lowest level no row has a predecessor. There `first_products` stand in place of `products`: without those of the
state where the initial states are 0, and on the way back, where `initial_adjoint` has them once for each tree.

A thread has the rows `bounds[i, l]` to `bounds[i + 1, l]` of level l. If those are whole trees no thread waits for
another one. Otherwise barriers stand between the levels (`shared`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import LIGHT, LIGHT_ENTRY, get, put
from ...kernels.barrier import barrier, meet
from ...kernels.flat_arrays import empty
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads, kernel
from ...kernels.product import ONE, ZERO, clear, total
from .input_products import write_drives
from .resets_and_lengths import copy
from .rows import compute_rows, row_task
from .stage_products import multiply, multiply_transposed
from .work_split import unit_ranges

CHUNK_ROWS = 96  # rows that pass through all stages before the next rows, so that their values stay in cache


@njit(**LIGHT)
def _add(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(c, to + j) + get(a, at + j))


@njit(**LIGHT)
def _gather(M, brings, begin, position, places, spans, initial, tree, S, r0, r1, k):
    """Write the state before rows r0 to r1: what their arcs bring, and the initial state in places without an arc.

    Arc a brings row brings[a] of M. Arcs to one place are added up in their order. `spans` (offset, width) say which
    part of a state each place has: place p has `width` entries from `offset + p * width` on.
    """
    for r in range(r0, r1):
        first, end = begin[r], begin[r + 1]
        if end - first < places:
            copy(initial, tree[r] * k, S, r * k, k)
        before = np.int64(-1)
        for a in range(first, end):
            p = position[a]
            for s in range(spans.shape[0]):
                at = spans[s, 0] + p * spans[s, 1]
                if p == before:
                    _add(M, brings[a] * k + at, S, r * k + at, spans[s, 1])
                else:
                    copy(M, brings[a] * k + at, S, r * k + at, spans[s, 1])
            before = p


@njit(**LIGHT)
def _collect(dM, row_of, leaving, arcs, position, spans, dN, r0, r1, k):
    """The adjoint of `_gather` by M: add to dN what came back along the arcs that leave rows r0 to r1."""
    for r in range(r0, r1):
        for q in range(leaving[r], leaving[r + 1]):
            a = arcs[q]
            for s in range(spans.shape[0]):
                at = spans[s, 0] + position[a] * spans[s, 1]
                _add(dM, row_of[a] * k + at, dN, r * k + at, spans[s, 1])


@njit(**LIGHT)
def _copy_rows(M, rows, S, a0, a1, k):
    """S[a] = M[rows[a]] for a from a0 to a1."""
    for a in range(a0, a1):
        copy(M, rows[a] * k, S, a * k, k)


@njit(**LIGHT)
def _share_drives(F, target, r0, E, a0, a1, drives, e):
    """Copy the drives in F, those of target r0 first, to each arc that leads to it."""
    for a in range(a0, a1):
        copy(F, (target[a] - r0) * drives, E, a * e, drives)


@njit(**LIGHT)
def _sum_drives(dE, begin, dF, r0, r1, drives, e):
    """The adjoint of `_share_drives`: dF[r] = the sum over the arcs into row r, in their order."""
    for r in range(r0, r1):
        for a in range(begin[r], begin[r + 1]):
            if a == begin[r]:
                copy(dE, a * e, dF, r * drives, drives)
            else:
                _add(dE, a * e, dF, r * drives, drives)


@njit(**LIGHT)
def _step(
    back, rows, active, sizes, task, stages, products, packed, starts, S, E, t_packed, D, index, r, count, k, e
):  # fmt: skip
    """All stages of `count` rows from r on, of the states or the tangents in S and E; `back`: of the cotangents.

    Cotangents of the state begin at zero here, where they are in cache. Of the tangents of cotangents also the products
    of the cotangents D with `t_packed`, the tangent of U; else that is empty.
    """
    at = TILE_ROWS + r
    if back:
        clear(S, r * k, count * k)
    for i in range(stages + 1):
        stage = stages - i if back else i
        if back:
            multiply_transposed(
                products, stage, packed, starts, True, E, S, E, ZERO(), count, k, e, index, at, ZERO(), ONE()
            )  # fmt: skip
            if t_packed.size > 0:
                multiply_transposed(
                    products, stage, t_packed, starts, False, D, S, E, ZERO(), count, k, e, index, at, ZERO(), ONE()
                )  # fmt: skip
        if active[stage]:
            compute_rows(rows, stage, task, sizes, index, at, ZERO(), count)
        if not back:
            multiply(
                products, stage, packed, starts, True, S, E, E, ZERO(), count, k, e, index, at, ZERO(), ONE()
            )  # fmt: skip


@njit(**LIGHT)
def _arcs(
    back, ends, M, given, F, target, r0, a0, last, rows, active, sizes, task, stages, products, packed, starts, S, E,
    t_packed, D, index, drives, k, e,
):  # fmt: skip
    """`_step` for the arcs a0 to last, some at a time: each is given the row of M at its end, and its drives in F."""
    while a0 < last:
        a1 = min(a0 + CHUNK_ROWS, last)
        _copy_rows(M, ends, given, a0, a1, k)
        if F.size > 0:
            _share_drives(F, target, r0, E, a0, a1, drives, e)
        _step(
            back, rows, active, sizes, task, stages, products, packed, starts, S, E, t_packed, D, index, a0, a1 - a0, k,
            e,
        )  # fmt: skip
        a0 = a1


@njit(**LIGHT)
def _part(counters, shared, threads, i):
    """(part, parts, workers) of thread i: which of the parts of each level it has; -1 if it has none.

    Where threads wait for each other and not all run at once, one of them does everything.
    """
    i = np.int64(i)
    if not shared:
        return i, np.int64(threads), ONE()
    worker, workers = meet(counters, threads)
    return worker, workers, workers


@njit(**LIGHT)
def _range(bounds, threads, part, parts, level):
    """The rows of a part of a level; all rows where one thread does everything."""
    if parts < threads:
        return bounds[0, level], bounds[threads, level]
    return bounds[part, level], bounds[part + 1, level]


@by_threads(options=LIGHT_ENTRY)
def forward(
    i, threads, shared, bounds, begin, source, target, position, brings, places, spans, tree, index, counters,
    checksums, initial, first_products, with_arcs,
    rows, active, widths, k, e, stages, products, packed, starts, P, C, E, S, N, X, W, bias, classes, n, g, drives,
    qrows, qactive, qwidths, qe, qstages, qproducts, qpacked, qstarts, QP, QC, QE, QS, QN, QW, qbias, qg, qdrives,
):  # fmt: skip
    """The forward pass of one thread. `checksums` gets the sum of its states, which is finite if all of them are."""
    part, parts, workers = _part(counters, shared, threads, i)
    epoch, checksum = ZERO(), E.dtype.type(0)
    sizes, task = unit_ranges(widths, ZERO(), ONE()), row_task(e, k, P.size, (E, S, P, C, N))
    qsizes, qtask = unit_ranges(qwidths, ZERO(), ONE()), row_task(qe, k, QP.size, (QE, QS, QP, QC, QN))
    F, nothing = empty(CHUNK_ROWS * qdrives if with_arcs else 0, E.dtype), empty(0, E.dtype)
    for level in range(bounds.shape[1] if part >= 0 else 0):
        r0, end = _range(bounds, threads, part, parts, level)
        while r0 < end:
            r1 = min(r0 + CHUNK_ROWS, end)
            if with_arcs:
                if begin[r0] < begin[r1]:
                    write_drives(
                        X, QW, qbias, classes, F, r0, ZERO(), r1 - r0, n, qg, qdrives, qdrives, index, TILE_ROWS,
                        ZERO(), ONE(),
                    )  # fmt: skip
                _arcs(
                    False, source, N, QS, F, target, r0, begin[r0], begin[r1], qrows, qactive, qsizes, qtask, qstages,
                    qproducts, qpacked, qstarts, QS, QE, nothing, nothing, index, qdrives, k, qe,
                )  # fmt: skip
                _gather(QN, brings, begin, position, places, spans, initial, tree, S, r0, r1, k)
            else:
                _gather(N, brings, begin, position, places, spans, initial, tree, S, r0, r1, k)
            write_drives(
                X, W, bias, classes, E, ZERO(), ZERO(), r1 - r0, n, g, drives, e, index, TILE_ROWS + r0, ZERO(), ONE()
            )  # fmt: skip
            now = first_products if level == 0 else products
            _step(
                False, rows, active, sizes, task, stages, now, packed, starts, S, E, nothing, nothing, index,
                r0, r1 - r0, k, e,
            )  # fmt: skip
            checksum += total(N, r0 * k, (r1 - r0) * k)
            r0 = r1
        if workers > 1:
            epoch = barrier(counters, workers, epoch)
    checksums[i] = checksum


@by_threads(options=LIGHT_ENTRY)
def adjoint(
    i, threads, shared, bounds, begin, target, position, row_of, leaving, arcs, spans, index, counters, first_products,
    with_arcs, dF, qdrives,
    rows, active, widths, k, e, stages, products, packed, starts, P, C, E, S, dE, dS, dN, dP,
    qrows, qactive, qwidths, qe, qstages, qproducts, qpacked, qstarts, QP, QC, QE, QS, dQE, dQS, dQN, dQP,
):  # fmt: skip
    """The backward pass of one thread. dN arrives with the cotangents from outside."""
    part, parts, workers = _part(counters, shared, threads, i)
    epoch = ZERO()
    sizes, task = unit_ranges(widths, ZERO(), ONE()), row_task(e, k, P.size, (E, S, P, C, dN, dE, dS, dP))
    qsizes = unit_ranges(qwidths, ZERO(), ONE())
    qtask = row_task(qe, k, QP.size, (QE, QS, QP, QC, dQN, dQE, dQS, dQP))
    nothing = empty(0, E.dtype)
    for level in range(bounds.shape[1] - 1 if part >= 0 else -1, -1, -1):
        r0, end = _range(bounds, threads, part, parts, level)
        while r0 < end:
            r1 = min(r0 + CHUNK_ROWS, end)
            if with_arcs:
                _collect(dQS, row_of, leaving, arcs, position, spans, dN, r0, r1, k)
            else:
                _collect(dS, row_of, leaving, arcs, position, spans, dN, r0, r1, k)
            now = first_products if level == 0 else products
            _step(
                True, rows, active, sizes, task, stages, now, packed, starts, dS, dE, nothing, nothing, index,
                r0, r1 - r0, k, e,
            )  # fmt: skip
            if with_arcs:
                _arcs(
                    True, target, dS, dQN, nothing, target, r0, begin[r0], begin[r1], qrows, qactive, qsizes, qtask,
                    qstages, qproducts, qpacked, qstarts, dQS, dQE, nothing, nothing, index, qdrives, k, qe,
                )  # fmt: skip
                _sum_drives(dQE, begin, dF, r0, r1, qdrives, qe)
            r0 = r1
        if workers > 1:
            epoch = barrier(counters, workers, epoch)


@by_threads(options=LIGHT_ENTRY)
def tangent(
    i, threads, shared, bounds, begin, source, position, brings, places, spans, tree, index, counters, t_initial,
    with_arcs,
    rows, active, widths, k, e, stages, products, packed, starts, P, C, E, S, tE, tS, tN, tP,
    qrows, qactive, qwidths, qe, qstages, qproducts, qpacked, qstarts, QP, QC, QE, QS, tQE, tQS, tQN, tQP,
):  # fmt: skip
    """The tangents of the forward pass. tE and tQE arrive with all that does not depend on the tangent of the state."""
    part, parts, workers = _part(counters, shared, threads, i)
    epoch = ZERO()
    sizes, task = unit_ranges(widths, ZERO(), ONE()), row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, tN))
    qsizes = unit_ranges(qwidths, ZERO(), ONE())
    qtask = row_task(qe, k, QP.size, (QE, QS, QP, QC, tQE, tQS, tQP, tQN))
    nothing = empty(0, E.dtype)
    for level in range(bounds.shape[1] if part >= 0 else 0):
        r0, end = _range(bounds, threads, part, parts, level)
        while r0 < end:
            r1 = min(r0 + CHUNK_ROWS, end)
            if with_arcs:
                _arcs(
                    False, source, tN, tQS, nothing, source, r0, begin[r0], begin[r1], qrows, qactive, qsizes, qtask,
                    qstages, qproducts, qpacked, qstarts, tQS, tQE, nothing, nothing, index, ZERO(), k, qe,
                )  # fmt: skip
                _gather(tQN, brings, begin, position, places, spans, t_initial, tree, tS, r0, r1, k)
            else:
                _gather(tN, brings, begin, position, places, spans, t_initial, tree, tS, r0, r1, k)
            _step(
                False, rows, active, sizes, task, stages, products, packed, starts, tS, tE, nothing, nothing, index,
                r0, r1 - r0, k, e,
            )  # fmt: skip
            r0 = r1
        if workers > 1:
            epoch = barrier(counters, workers, epoch)


@kernel(options=LIGHT_ENTRY)
def initial_adjoint(
    begin, position, places, spans, tree, index, leaves, dS, d_initial, k, stages, products, packed, starts, dE, sums,
    e,
):  # fmt: skip
    """The adjoint of `_gather` by the initial states: the sum over places without an arc, in the order of the rows.

    The products of the state before the `leaves`, the rows of the lowest level, were left out. They have them here, of
    the sum of the cotangents of each tree; `products` are those alone, `sums` arrives with zeros.
    """
    for r in range(begin.size - 1):
        a, end = begin[r], begin[r + 1]
        if end - a < places:
            for p in range(places):
                if a < end and position[a] == p:
                    a += 1
                else:
                    for s in range(spans.shape[0]):
                        at = spans[s, 0] + p * spans[s, 1]
                        _add(dS, r * k + at, d_initial, tree[r] * k + at, spans[s, 1])
    for r in range(leaves):
        _add(dE, r * e, sums, tree[r] * e, e)
    trees = sums.size // max(1, e)
    for stage in range(stages, -1, -1):
        multiply_transposed(
            products, stage, packed, starts, False, sums, d_initial, sums, ZERO(), trees, k, e, index, TILE_ROWS,
            ZERO(), ONE(),
        )  # fmt: skip
