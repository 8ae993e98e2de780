"""The walks through time, each written once and compiled for every cell: forward, adjoint, tangent, second order.

All arrays are flat. A row is one instance at one step: row i = t * batch + b. Of width e (the values of a step):
E values, dE cotangents, tE tangents, uE tangents of the cotangents. Of width k (the state): S before the step and N
after it, with the same prefixes; usually S and N are two views of one array that are one step apart, and what a step
writes to N is what the next one reads from S. Where the state may be reset they are separate arrays, and `resets`
(t, b) says where S is taken from the initial state.

A thread has instances b0 to b1 and of each the part `own` of `parts` of the units (see `team`). Row functions touch the
units of their part only, products read all units and write their part of the columns: barriers stand around products.
Instances that have ended (`lengths`) are left out of both; resets come with whole instances only.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ...kernels.access import OPTIONS, get, prefetch, put
from ...kernels.barrier import barrier, share
from ...kernels.microkernel import ROWS
from ...kernels.parallel import by_threads, kernel
from ...kernels.product import (
    LINE,
    ONE,
    ZERO,
    clear,
    gemm,
    gemm_from,
    new_index,
    pack,
    panel_width,
    total,
)
from .rows import compute_rows, row_task
from .tables import (
    COLUMNS,
    HEADS,
    MATRIX,
    OPERAND,
    ROWS_,
    SINGLE_SOURCE,
    SINGLE_TARGET,
    SOURCE,
    STAGE,
    STATE,
    TARGET,
)  # fmt: skip
from .teams import assignment, units

ALL_STAGES = -1
TOGETHER = 96  # rows of as many steps for which W is read at once
# Steps at least between two that share a row: where threads share units, one may be a step ahead of another, which
# still reads the states before its own.
WINDOW = 3

# Entries of a step that a walk back has the processor fetch while it still works on the step after: rows of each array
# are too short for it to see by itself that they go on. More of them would only drive the matrices out of the cache.
AHEAD = 1 << 16


@njit(**OPTIONS)
def pack_part(M, at, rows, columns, transposed, packed, start, own, parts):
    """One part of the panels of a matrix (rows, columns) as right factor of `v M^T`, or transposed of `d M`."""
    K, N, k_step, n_step = (rows, columns, columns, ONE()) if transposed else (columns, rows, ONE(), columns)
    w = panel_width(M)
    panels = (N + w - 1) // w
    first, end = share(panels, parts, own) * w, min(N, share(panels, parts, own + 1) * w)
    pack(M, at + first * n_step, k_step, n_step, K, end - first, packed, start + first * K)


@by_threads
def pack_factors(i, threads, products, U, W, n, g, transposed, packed, starts, of_input):
    """The blocks of U and W (g, n) as right factors of `v U^T` and `x W^T`, or transposed of `d U` and `d W`.

    Blocks of U go to `packed`, each to where `starts` says, W to `of_input`.
    """
    for p in range(products.shape[0]):
        if products[p, MATRIX] >= 0:
            R, C, heads = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            for head in range(heads):
                start = starts[p] + (starts[p + 1] - starts[p]) // heads * head
                pack_part(U, products[p, MATRIX] + head * R * C, R, C, transposed, packed, start, i, threads)
    pack_part(W, ZERO(), g, n, transposed, of_input, ZERO(), i, threads)


@njit(**OPTIONS)
def bias_of(classes, row, parts):
    """Where the bias of a row begins: there is one for all, or, with class indices, one for each class."""
    return get(classes, row) * parts if classes.size > 0 else ZERO()


@njit(**OPTIONS)
def take_input(X, W, bias, classes, E, of_input, first, count, n, g, drives, e, index, at, own, parts):
    """The drives' part that needs no state, in rows that `index` lists: E[:, :drives] = bias, and E[:, :g] += X W^T.

    Rows are counted from `of_input` in the input, from `first` in E. With class indices, n is 0 and there is a bias
    for each class. Of the columns it does the part `own` of `parts`.
    """
    multiplied = g if n > 0 else ZERO()
    begin = multiplied + share(drives - multiplied, parts, own)
    end = multiplied + share(drives - multiplied, parts, own + 1)
    for q in range(count):
        r = get(index, at + q)
        row, source = (first + r) * e, bias_of(classes, of_input + r, drives)
        for j in range(begin, end):
            put(E, row + j, get(bias, source + j))
    gemm_from(
        count, g, n, X, of_input * n, n, ONE(), W, ZERO(), bias, ZERO(), ZERO(), E, first * e, e, index, at,
        own, parts,
    )  # fmt: skip


@njit(**OPTIONS)
def give_input(dX, W, dE, nothing, first, count, n, g, e, index, at):
    """The adjoint of `take_input` by X: dX = dE[:, :g] W; `nothing` is n zeros."""
    gemm_from(
        count, n, g, dE, first * e, e, ONE(), W, ZERO(), nothing, ZERO(), ZERO(), dX, first * n, n, index, at,
        ZERO(), ONE(),
    )  # fmt: skip


@njit(**OPTIONS)
def has_products(products, stage):
    for p in range(products.shape[0]):
        if products[p, STAGE] == stage:
            return True
    return False


@njit(**OPTIONS)
def multiply(
    products, stage, packed, starts, means, S, E, out, first, count, k, e, index, at, own, parts
):  # fmt: skip
    """out[target] += M operand for the products of a stage; operands in S and E, in `count` rows that `index` lists."""
    for p in range(products.shape[0]):
        if stage == ALL_STAGES or products[p, STAGE] == stage:
            R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            target = first * e + products[p, TARGET]
            if products[p, MATRIX] < 0:
                if means:
                    single, source = products[p, SINGLE_TARGET], first * e + products[p, SOURCE]
                    _mean(E, source, out, target, e, R, single, True, index, at, count, own, parts)
            else:
                size = (starts[p + 1] - starts[p]) // n
                v, ld = (S, k) if products[p, OPERAND] == STATE else (E, e)
                source = first * ld + products[p, SOURCE]
                for head in range(n):
                    gemm(
                        count, R, C, v, source + head * C, ld, ONE(), packed, starts[p] + head * size,
                        out, target + head * R, e, index, at, own, parts,
                    )  # fmt: skip


@njit(**OPTIONS)
def multiply_transposed(
    products, stage, packed, starts, means, dT, dS, dE, first, count, k, e, index, at, own, parts
):  # fmt: skip
    """operand's cotangent += M^T dT[target]: in dS where the operand is the state, else in dE."""
    for p in range(products.shape[0] - 1, -1, -1):
        if products[p, STAGE] == stage:
            R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            target = first * e + products[p, TARGET]
            if products[p, MATRIX] < 0:
                if means:
                    single, source = products[p, SINGLE_SOURCE], first * e + products[p, SOURCE]
                    _mean(dT, target, dE, source, e, R, single, False, index, at, count, own, parts)
            else:
                size = (starts[p + 1] - starts[p]) // n
                v, ld = (dS, k) if products[p, OPERAND] == STATE else (dE, e)
                source = first * ld + products[p, SOURCE]
                for head in range(n):
                    gemm(
                        count, C, R, dT, target + head * R, e, ONE(), packed, starts[p] + head * size,
                        v, source + head * C, ld, index, at, own, parts,
                    )  # fmt: skip


@njit(**OPTIONS)
def _mean(a, at, c, to, e, width, single, fresh, index, first, count, own, parts):
    """c = or, unless it is fresh or a single number, += the mean of a stretch of a; of all units of each row."""
    for i in range(count):
        row = get(index, first + i) * e
        m = total(a, at + row, width) / a.dtype.type(width)
        if single:
            if own == 0:
                put(c, to + row, m)
        elif fresh:
            for j in range(width * own // parts, width * (own + 1) // parts):
                put(c, to + row + j, m)
        else:
            for j in range(width * own // parts, width * (own + 1) // parts):
                put(c, to + row + j, get(c, to + row + j) + m)


@njit(**OPTIONS)
def _copy(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(a, at + j))


@njit(**OPTIONS)
def _add(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(c, to + j) + get(a, at + j))


@njit(**OPTIONS)
def _enter(resets, initial, N, S, t, first, previous, batch, b0, b1, k):
    """S of step t where it is an array of its own: the state before, or the initial one after a reset.

    The rows of the step begin at `first`, those of the step before at `previous`.
    """
    if resets.size > 0:
        for b in range(b0, b1):
            if t == 0 or resets[t * batch + b]:
                _copy(initial, b * k, S, (first + b) * k, k)
            else:
                _copy(N, (previous + b) * k, S, (first + b) * k, k)


@njit(**OPTIONS)
def _leave(resets, dS, dN, d_initial, t, batch, b0, b1, k):
    """The adjoint of `_enter`."""
    if resets.size > 0:
        for b in range(b0, b1):
            i = t * batch + b
            if t == 0 or resets[i]:
                _add(dS, i * k, d_initial, b * k, k)
            else:
                _add(dS, i * k, dN, (i - batch) * k, k)


@njit(**OPTIONS)
def _active(lengths, t, b0, b1, index, at):
    """List the instances whose sequence has not ended before step t; their number."""
    count = 0
    for b in range(b0, b1):
        if lengths.size == 0 or t < lengths[b]:
            put(index, at + count, np.int64(b))
            count += 1
    return count


@njit(**OPTIONS)
def _steps_together(b0, b1):
    return max(1, TOGETHER // max(1, b1 - b0))


@njit(**OPTIONS)
def _active_rows(lengths, t, end, batch, b0, b1, index, at):
    """List the rows, counted from step t, of all that is active before step `end`; their number."""
    count = 0
    for q in range(end - t):
        some = _active(lengths, t + q, b0, b1, index, at + count)
        for i in range(at + count, at + count + some):
            put(index, i, get(index, i) + q * batch)
        count += some
    return count


@njit(**OPTIONS)
def _hold(lengths, t, first, b0, b1, S, N, k):
    """The states of sequences that have ended, in the rows of step t, which begin at `first`."""
    if lengths.size > 0:
        for b in range(b0, b1):
            if t >= lengths[b]:
                _copy(S, (first + b) * k, N, (first + b) * k, k)


@njit(**OPTIONS)
def _go_on(resets, last, b0, b1, N, S, k):
    """The state before the first step of a window: that after the last one of the window before, in the same rows.

    With resets `_enter` has it from there.
    """
    if resets.size == 0:
        _copy(N, (last + b0) * k, S, b0 * k, (b1 - b0) * k)


@njit(**OPTIONS)
def _give_output(lengths, t, of_output, first, b0, b1, N, k, slot, width, out, own, parts):
    """The output of step t out of the states, which are written over; zeros of sequences that have ended.

    Of the units it takes those that the thread itself has computed.
    """
    j0, j1 = share(width, parts, own), share(width, parts, own + 1)
    for b in range(b0, b1):
        to = (of_output + b) * width + j0
        if lengths.size == 0 or t < lengths[b]:
            _copy(N, (first + b) * k + slot + j0, out, to, j1 - j0)
        else:
            clear(out, to, j1 - j0)


@njit(**OPTIONS)
def _release(lengths, t, batch, b0, b1, dN, dS, dE, k, e):
    """The adjoint of `_hold`; the values of such a step have no part in anything."""
    if lengths.size > 0:
        for b in range(b0, b1):
            if t >= lengths[b]:
                r = t * batch + b
                _add(dN, r * k, dS, r * k, k)
                clear(dE, r * e, e)


@njit(**OPTIONS)
def _release_all(lengths, steps, batch, b0, b1, dN, dS, dE, k, e):
    """The adjoint of `_hold_all`, before the walk."""
    for t in range(steps - 1, -1, -1):
        _release(lengths, t, batch, b0, b1, dN, dS, dE, k, e)


@by_threads
def forward(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, N, initial,
    lengths, resets, by_units, counters, sums, X, W, bias, classes, n, g, drives, window, slot, width, out,
):  # fmt: skip
    """The walk forth of one thread; in `sums` the sum of its states.

    The input is taken for a few steps ahead, so that E is in cache.

    E, S and N have rows of `window` steps, a tape those of all. Fewer, at least `WINDOW`, are written over again and
    again, and `out` takes the output (`width` numbers of the state from `slot` on) of all steps. Then `sums` has the
    sum of the input too, which no one has looked at.
    """
    indices, at, turn = new_index(2 * batch + TOGETHER), np.int64(ROWS), ZERO()
    b0, b1, own, parts = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, together = units(widths, own, parts), _steps_together(b0, b1)
    task = row_task(e, k, P.size, (E, S, P, C, N))
    seen = E.dtype.type(0)
    for begin in range(0, steps, window):
        end = min(begin + window, steps)
        for t in range(begin, end):
            of_all, first, count = t * batch, (t - begin) * batch, _active(lengths, t, b0, b1, indices, at)
            previous = (first if first > 0 else window * batch) - batch
            if (t - begin) % together == 0:
                turn = barrier(
                    counters, parts, turn
                )  # no thread is still at a step whose rows are written over
                if own == 0 and 0 < begin == t:
                    _go_on(resets, previous, b0, b1, N, S, k)
                if drives > 0:
                    ahead = _active_rows(
                        lengths, t, min(t + together, end), batch, b0, b1, indices, at + batch
                    )
                    take_input(
                        X, W, bias, classes, E, of_all, first, ahead, n, g, drives, e, indices, at + batch, own, parts
                    )  # fmt: skip
                turn = barrier(counters, parts, turn)
            _enter(resets, initial, N, S, t, first, previous, batch, b0, b1, k)
            for stage in range(stages + 1):
                if active[stage]:
                    compute_rows(rows, stage, task, sizes, indices, at, first, count)
                if has_products(products, stage):
                    turn = barrier(counters, parts, turn)
                    multiply(
                        products, stage, packed, starts, True, S, E, E, first, count, k, e, indices, at, own, parts
                    )  # fmt: skip
                    turn = barrier(counters, parts, turn)
            if own == 0:
                # Other threads may still be at the last stage of this step, so the states before it are summed. No
                # other thread writes the rows of sequences that have ended.
                _hold(lengths, t, first, b0, b1, S, N, k)
                if parts == 1:
                    seen += total(N, (first + b0) * k, (b1 - b0) * k)
                elif t > 0:
                    seen += total(N, previous * k, batch * k)
            if out.size > 0:
                _give_output(lengths, t, of_all, first, b0, b1, N, k, slot, width, out, own, parts)
                if own == 0:
                    seen += total(X, (of_all + b0) * n, (b1 - b0) * n)
    turn = barrier(counters, parts, turn)
    if parts > 1 and own == 0:
        seen += total(N, (steps - 1) % window * batch * k, batch * k)
    sums[i] = seen


@njit(**OPTIONS)
def _fetch(a, width, first, count, index, at):
    """Bring rows that `index` lists into the second cache."""
    for q in range(count):
        row = (first + get(index, at + q)) * width
        for j in range(0, width, LINE):
            prefetch(a, row + j)


@by_threads
def adjoint(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, dE, dS, dN, dP,
    d_initial, lengths, resets, by_units, counters, nothing, dX, W, n, g,
):  # fmt: skip
    """The walk back of one thread; dN arrives with the cotangents from outside, dS of the step after is added to it.

    dX is written for a few steps at once too, unless g is 0; `nothing` is n zeros.
    """
    indices, at, turn = new_index(2 * batch + TOGETHER), np.int64(ROWS), ZERO()
    b0, b1, own, parts = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, together = units(widths, own, parts), _steps_together(b0, b1)
    task = row_task(e, k, P.size, (E, S, P, C, dN, dE, dS, dP))
    if parts > 1 and own == 0:
        _release_all(lengths, steps, batch, b0, b1, dN, dS, dE, k, e)
    for t in range(steps - 1, -1, -1):
        first, count = t * batch, _active(lengths, t, b0, b1, indices, at)
        if t > 0 and count * (e + 2 * k) < AHEAD:
            _fetch(E, e, first - batch, count, indices, at)
            _fetch(S, k, first - batch, count, indices, at)
            _fetch(dN, k, first - batch, count, indices, at)
        for stage in range(stages, -1, -1):
            if has_products(products, stage):
                turn = barrier(counters, parts, turn)
                multiply_transposed(
                    products, stage, packed, starts, True, dE, dS, dE, first, count, k, e, indices, at, own, parts
                )  # fmt: skip
                turn = barrier(counters, parts, turn)
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
        if g > 0 and t % together == 0:
            behind = _active_rows(lengths, t, min(t + together, steps), batch, b0, b1, indices, at + batch)
            give_input(dX, W, dE, nothing, first, behind, n, g, e, indices, at + batch)
        if parts == 1:
            _release(lengths, t, batch, b0, b1, dN, dS, dE, k, e)
        _leave(resets, dS, dN, d_initial, t, batch, b0, b1, k)


@by_threads
def tangent(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, tE, tS, tN, tP,
    t_initial, lengths, resets, by_units, counters,
):  # fmt: skip
    """tE arrives with all that does not depend on the tangent of the state."""
    indices, at, turn = new_index(batch), np.int64(ROWS), ZERO()
    b0, b1, own, parts = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, task = units(widths, own, parts), row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, tN))
    for t in range(steps):
        first, count = t * batch, _active(lengths, t, b0, b1, indices, at)
        _enter(resets, t_initial, tN, tS, t, first, first - batch, batch, b0, b1, k)
        for stage in range(stages + 1):
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
            if has_products(products, stage):
                turn = barrier(counters, parts, turn)
                multiply(
                    products, stage, packed, starts, True, tS, tE, tE, first, count, k, e, indices, at, own, parts
                )  # fmt: skip
                turn = barrier(counters, parts, turn)
        if own == 0:
            _hold(lengths, t, first, b0, b1, tS, tN, k)


@by_threads
def second(
    i, threads, rows, active, widths, steps, batch, k, e, stages, products, packed, starts, moved, P, C, E, S, tE, tS,
    tP, dE, dN, uE, uS, uN, uP, u_initial, lengths, resets, by_units, counters,
):  # fmt: skip
    """The tangent of `adjoint`: dN and dE are what it left, tE and tS what `tangent` left."""
    indices, at, turn = new_index(batch), np.int64(ROWS), ZERO()
    b0, b1, own, parts = assignment(counters, by_units, batch, lengths, threads, i)
    sizes, task = (
        units(widths, own, parts),
        row_task(e, k, P.size, (E, S, P, C, tE, tS, tP, dE, dN, uN, uE, uS, uP)),
    )
    if parts > 1 and own == 0:
        _release_all(lengths, steps, batch, b0, b1, uN, uS, uE, k, e)
    for t in range(steps - 1, -1, -1):
        first, count = t * batch, _active(lengths, t, b0, b1, indices, at)
        for stage in range(stages, -1, -1):
            if has_products(products, stage):
                turn = barrier(counters, parts, turn)
                multiply_transposed(
                    products, stage, packed, starts, True, uE, uS, uE, first, count, k, e, indices, at, own, parts
                )  # fmt: skip
                multiply_transposed(
                    products, stage, moved, starts, False, dE, uS, uE, first, count, k, e, indices, at, own, parts
                )  # fmt: skip
                turn = barrier(counters, parts, turn)
            if active[stage]:
                compute_rows(rows, stage, task, sizes, indices, at, first, count)
        if parts == 1:
            _release(lengths, t, batch, b0, b1, uN, uS, uE, k, e)
        _leave(resets, uS, uN, u_initial, t, batch, b0, b1, k)


@kernel
def one_step(
    rows, active, widths, k, e, n, g, drives, stages, products, W, bias, classes, packed, starts, P, C, X, E, S, N,
    batch,
):  # fmt: skip
    """`forward` for one step on one thread, with everything packed before. Sum of the input and of the new state."""
    index, sizes = new_index(batch), units(widths, ZERO(), ONE())
    task = row_task(e, k, P.size, (E, S, P, C, N))
    take_input(X, W, bias, classes, E, ZERO(), ZERO(), batch, n, g, drives, e, index, ROWS, ZERO(), ONE())
    for stage in range(stages + 1):
        if active[stage]:
            compute_rows(rows, stage, task, sizes, index, ROWS, ZERO(), batch)
        multiply(
            products, stage, packed, starts, True, S, E, E, ZERO(), batch, k, e, index, ROWS, ZERO(), ONE(),
        )  # fmt: skip
    return total(X, ZERO(), batch * n) + total(N, ZERO(), batch * k)
