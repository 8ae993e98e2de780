"""The loop over the levels of a graph of rows for second derivatives, compiled once for all cells; see `tree_loops`."""

from __future__ import annotations

from ...kernels.access import LIGHT_ENTRY
from ...kernels.barrier import barrier
from ...kernels.flat_arrays import empty
from ...kernels.parallel import by_threads
from ...kernels.product import ONE, ZERO
from .rows import row_task
from .tree_loops import CHUNK_ROWS, _arcs, _collect, _part, _range, _step, _sum_drives
from .work_split import unit_ranges


@by_threads(options=LIGHT_ENTRY)
def second(
    i, threads, shared, bounds, begin, target, position, row_of, leaving, arcs, spans, index, counters, first_products,
    with_arcs, uF, qdrives,
    rows, active, widths, k, e, stages, products, packed, starts, P, C, t_packed, E, S, tE, tS, tP, dE, dN, uE, uS, uN,
    uP,
    qrows, qactive, qwidths, qe, qstages, qproducts, qpacked, qstarts, QP, QC, qt_packed, QE, QS, tQE, tQS, tQP, dQE,
    dQN, uQE, uQS, uQN, uQP,
):  # fmt: skip
    """The tangent of `tree_loops.adjoint`: dN and dE as that left them, tE and tS as `tree_loops.tangent` left them.

    uN arrives with the tangents of the cotangents from outside.
    """
    part, parts, workers = _part(counters, shared, threads, i)
    epoch = ZERO()
    sizes, qsizes = unit_ranges(widths, ZERO(), ONE()), unit_ranges(qwidths, ZERO(), ONE())
    task = row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, dE, dN, uN, uE, uS, uP))
    nothing = empty(0, E.dtype)
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
            _step(
                True, rows, active, sizes, task, stages, now, packed, starts, uS, uE, t_packed, dE, index, r0, r1 - r0,
                k, e,
            )  # fmt: skip
            if with_arcs:
                _arcs(
                    True, target, uS, uQN, nothing, target, r0, begin[r0], begin[r1], qrows, qactive, qsizes, qtask,
                    qstages, qproducts, qpacked, qstarts, uQS, uQE, qt_packed, dQE, index, qdrives, k, qe,
                )  # fmt: skip
                _sum_drives(uQE, begin, uF, r0, r1, qdrives, qe)
            r0 = r1
        if workers > 1:
            epoch = barrier(counters, workers, epoch)
