"""The loops over time of the forward pass, the backward pass and a single step, compiled once for all cells.

All arrays are flat. A row is one instance at one step: row i = t * batch + b. Of width e (the values of a step):
E values, dE cotangents, tE tangents, uE tangents of the cotangents. Of width k (the state): S before the step and N
after it, with the same prefixes. Usually S and N are two views of one array that are one step apart: the state that a
step writes to N is the one that the next step reads from S. Where the state may be reset they are separate arrays, and
`resets` (t, b) says where S is taken from the initial state.

A thread has the instances b0 to b1, and of each the units of `worker`, one of `workers` (see `work_split`). Row kernels
compute the units of their worker only. Products read all units and write the columns of their worker, so barriers stand
around products. Both leave out instances that have ended (`lengths`). With resets a thread has whole instances, and
where the cell reads a memory (M, with `places` of each instance in it): row kernels compute the reads.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import LIGHT, LIGHT_ENTRY, get, prefetch, put
from ...kernels.barrier import barrier, share
from ...kernels.flat_arrays import empty, part
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads, kernel, parallel
from ...kernels.product import LINE, ONE, ZERO, clear, new_index, total
from .input_products import write_drives, write_input_gradient
from .resets_and_lengths import (
    active_instances,
    apply_reset,
    copy,
    hold_adjoint,
    hold_adjoint_of_all_steps,
    hold_ended,
    reset_adjoint,
    rows_of_steps,
)
from .rows import compute_rows, row_task
from .stage_products import has_products, multiply, multiply_transposed
from .weight_gradients import add_all_groups, add_own_groups
from .work_split import assignment, unit_ranges

INPUT_ROWS = 96  # rows, those of some steps, whose input is multiplied by W at once
# Fewest steps of a window. Where threads share the units of a step, one thread may be a step ahead of another, which
# still reads the states before its own step. So rows are overwritten only after this number of steps.
SHORTEST_WINDOW = 3

# Largest number of entries of a step that are prefetched in the backward pass. The hardware prefetcher misses them
# because each row is short. More would evict the matrices from the cache.
PREFETCHED = 1 << 16


@njit(**LIGHT)
def _input_steps(b0, b1):
    """For how many steps the input is multiplied at once."""
    return max(1, INPUT_ROWS // max(1, b1 - b0))


@njit(**LIGHT)
def _start_window(resets, initial, begin, last, b0, b1, N, S, k, out):
    """Copy the state after the last step of a window, in the rows that begin at `last`, to S of the first step.

    The first window begins with the initial state; with a tape S has it already. With resets `apply_reset` copies both.
    """
    if resets.size == 0 and out.size > 0:
        if begin > 0:
            copy(N, (last + b0) * k, S, b0 * k, (b1 - b0) * k)
        else:
            copy(initial, b0 * k, S, b0 * k, (b1 - b0) * k)


@njit(**LIGHT)
def _write_output(lengths, t, of_output, first, b0, b1, N, k, slot, width, out, worker, workers):
    """Copy the output of step t out of the states, which are overwritten later; zeros for sequences that have ended.

    A thread copies the units that it has computed itself.
    """
    j0, j1 = share(width, workers, worker), share(width, workers, worker + 1)
    for b in range(b0, b1):
        to = (of_output + b) * width + j0
        if lengths.size == 0 or t < lengths[b]:
            copy(N, (first + b) * k + slot + j0, out, to, j1 - j0)
        else:
            clear(out, to, j1 - j0)


@by_threads(options=LIGHT_ENTRY, varying=("X", "out", "final"))
def forward(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S, N,
    initial, lengths, resets, by_units, counters, checksums, X, W, bias, classes, n, g, drives, window, slot, width,
    out, final,
):  # fmt: skip
    """The forward pass of one thread. `checksums` gets the sum of its states, which is finite if all of them are.

    The input is multiplied by W for a few steps at once, so that E is in cache when the steps read it.

    E, S and N have the rows of `window` steps: of all steps with a tape. Without one there are fewer, at least
    `SHORTEST_WINDOW`, which are overwritten again and again: the first state is `initial`, `final` gets the last one,
    and `out` the output of all steps, `width` numbers of the state from `slot` on. The sum of the input is then added
    to `checksums`, because nothing checked it before.
    """
    indices, at, epoch = new_index(2 * batch + INPUT_ROWS), np.int64(TILE_ROWS), ZERO()
    b0, b1, worker, workers = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, input_steps = unit_ranges(widths, worker, workers), _input_steps(b0, b1)
    task = row_task(e, k, P.size, (E, S, P, C, N, M, places))
    checksum = E.dtype.type(0)
    for begin in range(0, steps, window):
        end = min(begin + window, steps)
        for t in range(begin, end):
            of_all, first = t * batch, (t - begin) * batch
            count = active_instances(lengths, t, b0, b1, indices, at)
            previous = (first if first > 0 else window * batch) - batch
            if (t - begin) % input_steps == 0:
                # After the barrier no thread is at a step whose rows are overwritten now.
                epoch = barrier(counters, workers, epoch)
                if worker == 0 and t == begin:
                    _start_window(resets, initial, begin, previous, b0, b1, N, S, k, out)
                if drives > 0:
                    until = min(t + input_steps, end)
                    ahead = rows_of_steps(lengths, t, until, batch, b0, b1, indices, at + batch)
                    write_drives(
                        X, W, bias, classes, E, of_all, first, ahead, n, g, drives, e, indices, at + batch, worker,
                        workers,
                    )  # fmt: skip
                epoch = barrier(counters, workers, epoch)
            apply_reset(resets, initial, N, S, t, first, previous, batch, b0, b1, k)
            for stage in range(stages + 1):
                if active[stage]:
                    compute_rows(rows, stage, task, sizes, indices, at, first, count)
                if has_products(products, stage):
                    epoch = barrier(counters, workers, epoch)
                    multiply(
                        products, stage, packed, starts, True, S, E, E, first, count, k, e, indices, at, worker, workers
                    )  # fmt: skip
                    epoch = barrier(counters, workers, epoch)
            if worker == 0:
                # Other threads may still be at the last stage of this step, so the states before it are summed. No
                # other thread writes the rows of sequences that have ended.
                hold_ended(lengths, t, first, b0, b1, S, N, k)
                if workers == 1:
                    checksum += total(N, (first + b0) * k, (b1 - b0) * k)
                elif t > 0:
                    checksum += total(N, previous * k, batch * k)
            if out.size > 0:
                _write_output(lengths, t, of_all, first, b0, b1, N, k, slot, width, out, worker, workers)
                if worker == 0:
                    checksum += total(X, (of_all + b0) * n, (b1 - b0) * n)
    epoch = barrier(counters, workers, epoch)
    last = (steps - 1) % window * batch
    if workers > 1 and worker == 0:
        checksum += total(N, last * k, batch * k)
    if final.size > 0 and worker == 0:
        copy(N, (last + b0) * k, final, b0 * k, (b1 - b0) * k)
    checksums[i] = checksum


@njit(**LIGHT)
def _prefetch_rows(a, width, first, count, index, at):
    """Prefetch rows that `index` lists into the second cache."""
    for q in range(count):
        row = (first + get(index, at + q)) * width
        for j in range(0, width, LINE):
            prefetch(a, row + j)


@njit(**LIGHT)
def _add_to_memories(rows, stage, task, sizes, lengths, steps, batch, b0, b1, indices, at):
    """Add what waited for all steps to the cotangents of the memories, instance by instance: each stays in cache."""
    for b in range(b0, b1):
        put(indices, at, np.int64(b))
        end = steps if lengths.size == 0 else min(steps, lengths[b])
        for t in range(end - 1, -1, -1):
            compute_rows(rows, stage, task, sizes, indices, at, t * batch, ONE())


@njit(**LIGHT)
def _adjoint_of_piece(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S, dE,
    dS, dN, dP, dM, d_initial, lengths, resets, by_units, counters, zeros, dX, W, n, g,
):  # fmt: skip
    """The backward pass of one thread through `steps` steps, see `adjoint`.

    dX is written for a few steps at once too, unless g is 0; `zeros` has n entries.
    """
    indices, at, epoch = new_index(2 * batch + INPUT_ROWS), np.int64(TILE_ROWS), ZERO()
    b0, b1, worker, workers = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, input_steps = unit_ranges(widths, worker, workers), _input_steps(b0, b1)
    task = row_task(e, k, P.size, (E, S, P, C, dN, dE, dS, dP, M, dM, places))
    if workers > 1 and worker == 0:
        hold_adjoint_of_all_steps(lengths, steps, batch, b0, b1, dN, dS, dE, k, e)
    for t in range(steps - 1, -1, -1):
        first, count = t * batch, active_instances(lengths, t, b0, b1, indices, at)
        if t > 0 and count * (e + 2 * k) < PREFETCHED:
            _prefetch_rows(E, e, first - batch, count, indices, at)
            _prefetch_rows(S, k, first - batch, count, indices, at)
            _prefetch_rows(dN, k, first - batch, count, indices, at)
        for stage in range(stages, -1, -1):
            if has_products(products, stage):
                epoch = barrier(counters, workers, epoch)
                multiply_transposed(
                    products, stage, packed, starts, True, dE, dS, dE, first, count, k, e, indices, at, worker, workers
                )  # fmt: skip
                epoch = barrier(counters, workers, epoch)
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
        if g > 0 and t % input_steps == 0:
            until = min(t + input_steps, steps)
            done = rows_of_steps(lengths, t, until, batch, b0, b1, indices, at + batch)
            write_input_gradient(dX, W, dE, zeros, first, done, n, g, e, indices, at + batch)
        if workers == 1:
            hold_adjoint(lengths, t, batch, b0, b1, dN, dS, dE, k, e)
        reset_adjoint(resets, dS, dN, d_initial, t, batch, b0, b1, k)
    if dM.size > 0:
        _add_to_memories(rows, stages + 1, task, sizes, lengths, steps, batch, b0, b1, indices, at)


@njit(**LIGHT)
def _rows_of_groups(steps, batch, groups):
    """The rows of some steps, group after group, and where the groups end: `groups.every_row_grouped` for a thread."""
    index, ends = new_index(steps * batch), empty(groups + 1, np.int64)
    for q in range(groups + 1):
        ends[q] = steps * share(batch, groups, q)
    at = np.int64(TILE_ROWS)
    for q in range(groups):
        for t in range(steps):
            for b in range(share(batch, groups, q), share(batch, groups, q + 1)):
                put(index, at, t * batch + b)
                at += 1
    return index, ends


@njit(**LIGHT)
def _adjoint_of_thread(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S, dE,
    dS, dN, dP, dM, d_initial, lengths, resets, by_units, counters, zeros, dX, W, n, g, per_piece, parameters, X,
    classes, dW, dU, d_bias, groups, drives,
):  # fmt: skip
    """`adjoint` of one thread, with the gradients of its groups."""
    start = (steps - 1) // per_piece * per_piece
    while start >= 0:
        count, first_time = min(per_piece, steps - start), start + per_piece >= steps
        first, size = start * batch, count * batch
        of_E, of_S = part(E, first * e, size * e), part(S, first * k, size * k)
        _adjoint_of_piece(
            i, threads, rows, active, widths, count, batch, k, e, stages, products, packed, starts, P, C, M, places,
            of_E, of_S, dE, part(dS, first * k, size * k), part(dN, first * k, size * k), dP, dM, d_initial, lengths,
            resets, by_units, counters, zeros, part(dX, first * n, size * n), W, n, g,
        )  # fmt: skip
        if groups > 0:
            index, ends = _rows_of_groups(count, batch, groups)
            of_X = part(X, first * n, size * n) if X.size > 0 else X
            of_classes = part(classes, first, size) if classes.size > 0 else classes
            add_own_groups(
                i, threads, parameters, dE, of_X, of_S, of_E, dW, dU, d_bias, of_classes, index, ends, n, drives, k, e,
                first_time,
            )  # fmt: skip
        start -= per_piece


@kernel(options=LIGHT_ENTRY)
def adjoint(
    threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S, dE, dS,
    dN, dP, dM, d_initial, lengths, resets, by_units, counters, zeros, dX, W, n, g, per_piece, parameters, X, classes,
    dW, dU, d_bias, total_W, total_U, total_bias, groups, drives,
):  # fmt: skip
    """The backward pass. dN arrives with the cotangents from outside; dS of the step after is added.

    It goes back by pieces of `per_piece` steps, and dE has the rows of one piece. Unless `groups` is 0, each piece is
    followed by the gradients that it gives, see `weight_gradients.gradients`: of this number of groups, which the
    number of threads divides. A thread computes the gradients from rows that it has written itself, and threads wait
    for each other only at the end. So it has the same instances in all pieces. Threads that share the units of a step,
    lengths and resets need one piece of all steps, and lengths no groups.
    """
    parallel(
        _adjoint_of_thread, threads,
        (
            threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, M, places, E, S,
            dE, dS, dN, dP, dM, d_initial, lengths, resets, by_units, counters, zeros, dX, W, n, g, per_piece,
            parameters, X, classes, dW, dU, d_bias, groups, drives,
        ),
    )  # fmt: skip
    if groups > 1:
        parallel(add_all_groups, threads, (threads, groups, dW, dU, d_bias, total_W, total_U, total_bias))


@kernel(options=LIGHT_ENTRY)
def one_step(
    rows, active, widths, k, e, n, g, drives, stages, products, W, bias, classes, packed, starts, P, C, M, places, X,
    E, S, N, batch,
):  # fmt: skip
    """`forward` for one step on one thread, with packed matrices. Returns the sum of the input and of the new state."""
    index, sizes = new_index(batch), unit_ranges(widths, ZERO(), ONE())
    task = row_task(e, k, P.size, (E, S, P, C, N, M, places))
    write_drives(
        X, W, bias, classes, E, ZERO(), ZERO(), batch, n, g, drives, e, index, TILE_ROWS, ZERO(), ONE()
    )
    for stage in range(stages + 1):
        if active[stage]:
            compute_rows(rows, stage, task, sizes, index, TILE_ROWS, ZERO(), batch)
        multiply(
            products, stage, packed, starts, True, S, E, E, ZERO(), batch, k, e, index, TILE_ROWS, ZERO(), ONE(),
        )  # fmt: skip
    return total(X, ZERO(), batch * n) + total(N, ZERO(), batch * k)
