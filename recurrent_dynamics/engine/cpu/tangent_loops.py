"""The loops over time of tangents and of second derivatives, compiled once for all cells; see `time_loops`."""

from __future__ import annotations

import numpy as np

from ...kernels.access import LIGHT_ENTRY
from ...kernels.barrier import barrier
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads
from ...kernels.product import ZERO, new_index
from .resets_and_lengths import (
    active_instances,
    apply_reset,
    hold_adjoint,
    hold_adjoint_of_all_steps,
    hold_ended,
    reset_adjoint,
)
from .rows import compute_rows, row_task
from .stage_products import has_products, multiply, multiply_transposed
from .work_split import assignment, unit_ranges


@by_threads(options=LIGHT_ENTRY)
def tangent(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S, tE,
    tS, tN, tP, tM, t_initial, lengths, resets, by_units, counters,
):  # fmt: skip
    """The tangents of the forward pass. tE arrives with all that does not depend on the tangent of the state."""
    indices, at, epoch = new_index(batch), np.int64(TILE_ROWS), ZERO()
    b0, b1, worker, workers = assignment(counters, by_units, batch, lengths, threads, i)
    sizes = unit_ranges(widths, worker, workers)
    task = row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, tN, M, tM, places))
    for t in range(steps):
        first, count = t * batch, active_instances(lengths, t, b0, b1, indices, at)
        apply_reset(resets, t_initial, tN, tS, t, first, first - batch, batch, b0, b1, k)
        for stage in range(stages + 1):
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
            if has_products(products, stage):
                epoch = barrier(counters, workers, epoch)
                multiply(
                    products, stage, packed, starts, True, tS, tE, tE, first, count, k, e, indices, at, worker, workers
                )  # fmt: skip
                epoch = barrier(counters, workers, epoch)
        if worker == 0:
            hold_ended(lengths, t, first, b0, b1, tS, tN, k)


@by_threads(options=LIGHT_ENTRY)
def second(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, t_packed, P, C, M,
    places, E, S, tE, tS, tP, tM, dE, dN, uE, uS, uN, uP, uM, u_initial, lengths, resets, by_units, counters,
):  # fmt: skip
    """The tangent of `time_loops.adjoint`: dN and dE as that left them, tE and tS as `tangent` left them.

    `t_packed` is the tangent of U, packed as U is.
    """
    indices, at, epoch = new_index(batch), np.int64(TILE_ROWS), ZERO()
    b0, b1, worker, workers = assignment(counters, by_units, batch, lengths, threads, i)
    sizes = unit_ranges(widths, worker, workers)
    task = row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, dE, dN, uN, uE, uS, uP, M, tM, uM, places))
    if workers > 1 and worker == 0:
        hold_adjoint_of_all_steps(lengths, steps, batch, b0, b1, uN, uS, uE, k, e)
    for t in range(steps - 1, -1, -1):
        first, count = t * batch, active_instances(lengths, t, b0, b1, indices, at)
        for stage in range(stages, -1, -1):
            if has_products(products, stage):
                epoch = barrier(counters, workers, epoch)
                multiply_transposed(
                    products, stage, packed, starts, True, uE, uS, uE, first, count, k, e, indices, at, worker, workers
                )  # fmt: skip
                multiply_transposed(
                    products, stage, t_packed, starts, False, dE, uS, uE, first, count, k, e, indices, at, worker,
                    workers,
                )  # fmt: skip
                epoch = barrier(counters, workers, epoch)
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
        if workers == 1:
            hold_adjoint(lengths, t, batch, b0, b1, uN, uS, uE, k, e)
        reset_adjoint(resets, uS, uN, u_initial, t, batch, b0, b1, k)
