"""The loop over the levels of a graph of rows for second derivatives, compiled once for all cells; see `tree_loops`."""

from __future__ import annotations

from numba import njit

from ...kernels.access import OPTIONS
from ...kernels.barrier import barrier
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads
from ...kernels.product import ONE, ZERO
from .rows import compute_rows, row_task
from .stage_products import multiply_transposed
from .tree_loops import CHUNK_ROWS, _collect, _copy_rows, _part, _range, _sum_drives
from .work_split import unit_ranges


@njit(**OPTIONS)
def _step_second(
    rows, active, sizes, task, stages, products, packed, t_packed, starts, dE, uS, uE, index, r, count, k, e
):  # fmt: skip
    """All stages of `count` rows from r on, from the last to the first: the tangent of a step of the adjoint.

    The products with U of the tangents uE, and those with the tangent of U of the cotangents dE.
    """
    at = TILE_ROWS + r
    for stage in range(stages, -1, -1):
        multiply_transposed(
            products, stage, packed, starts, True, uE, uS, uE, ZERO(), count, k, e, index, at, ZERO(), ONE()
        )  # fmt: skip
        multiply_transposed(
            products, stage, t_packed, starts, False, dE, uS, uE, ZERO(), count, k, e, index, at, ZERO(), ONE()
        )  # fmt: skip
        if active[stage]:
            compute_rows(rows, stage, task, sizes, index, at, ZERO(), count)


@by_threads
def second(
    i, threads, shared, bounds, begin, target, position, row_of, leaving, arcs, spans, index, counters, first_products,
    with_arcs, uF, qdrives,
    rows, active, widths, k, e, stages, products, packed, starts, P, C, t_packed, E, S, tE, tS, tP, dE, dN, uE, uS, uN,
    uP,
    qrows, qactive, qwidths, qe, qstages, qproducts, qpacked, qstarts, QP, QC, qt_packed, QE, QS, tQE, tQS, tQP, dQE,
    dQN, uQE, uQS, uQN, uQP,
):  # fmt: skip
    """The tangent of `tree_loops.adjoint`: dN and dE as that left them, tE and tS as `tree_loops.tangent` left them.

    uN arrives with the tangents of the cotangents from outside, uS and uQS with zeros.
    """
    part, parts, workers = _part(counters, shared, threads, i)
    epoch = ZERO()
    sizes, qsizes = unit_ranges(widths, ZERO(), ONE()), unit_ranges(qwidths, ZERO(), ONE())
    task = row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, dE, dN, uN, uE, uS, uP))
    qtask = row_task(qe, k, QP.size, (QE, QS, QP, QC, tQE, tQS, tQP, dQE, dQN, uQN, uQE, uQS, uQP))
    for level in range(bounds.shape[1] - 1 if part >= 0 else -1, -1, -1):
        r0, end = _range(bounds, threads, part, parts, level)
        while r0 < end:
            r1 = min(r0 + CHUNK_ROWS, end)
            if with_arcs:
                _collect(uQS, row_of, leaving, arcs, position, spans, uN, r0, r1, k)
            else:
                _collect(uS, row_of, leaving, arcs, position, spans, uN, r0, r1, k)
            now = first_products if level == 0 else products
            _step_second(
                rows, active, sizes, task, stages, now, packed, t_packed, starts, dE, uS, uE, index, r0, r1 - r0, k, e
            )  # fmt: skip
            if with_arcs:
                a0, last = begin[r0], begin[r1]
                while a0 < last:
                    a1 = min(a0 + CHUNK_ROWS, last)
                    _copy_rows(uS, target, uQN, a0, a1, k)
                    _step_second(
                        qrows, qactive, qsizes, qtask, qstages, qproducts, qpacked, qt_packed, qstarts, dQE, uQS, uQE,
                        index, a0, a1 - a0, k, qe,
                    )  # fmt: skip
                    a0 = a1
                _sum_drives(uQE, begin, uF, r0, r1, qdrives, qe)
            r0 = r1
        if workers > 1:
            epoch = barrier(counters, workers, epoch)
