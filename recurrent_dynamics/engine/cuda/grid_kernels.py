"""Walk 2: all blocks of a device take the steps together, each with its own units, and wait for each other.

For cells whose widths are all H. The instances are divided among groups of blocks, and within a group block g has the
units H g / G ... H (g + 1) / G of every slot and drive: it holds their rows of U in its shared memory (`resident`), or
reads them through the L2 cache. All else lies in the device's memory, in the arrays of the tape, and a barrier of the
whole grid stands wherever a product reads what other blocks have written: once a step for a cell of one stage.

A step is cut into phases, one for each program of the cell. A launch takes the phases `begin` to `end`: all of them, or
in the simulator, which has no barrier of several blocks, one after the other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from ...cells import Cell
from ...equations.schedule import is_direct
from .block_products import KINDS
from .device_model import ROWS, TILE
from .driver import cuda, device, kernel
from .programs import get, moving, program, put, unit_sizes
from .tables import AT, COLUMNS, FROM_STATE, HEIGHT, SOURCE, STAGE, TARGET

_MADE: dict[tuple[Any, ...], Any] = {}


def walk(cell: Cell, verb: str, dtype: str, resident: bool, lanes: int) -> Any:
    """The kernel of a verb: "forward", "tangent" or "adjoint"; `lanes` are the threads of a warp."""
    key = (cell.fingerprint, verb, dtype, resident, lanes)
    if key not in _MADE:
        stages = cell.schedule.stages
        if verb == "adjoint":
            made = _backward_pass(program(cell, verb, dtype), stages, dtype, resident, lanes)
        else:
            made = _forward_pass(moving(cell, verb, dtype), stages, waits(cell), dtype, resident, lanes)
        _MADE[key] = kernel(made, "grid", dtype)
    return _MADE[key]


def waits(cell: Cell) -> int:
    """Bit s is set if products of stage s read values of the step, which other blocks may have written."""
    graph = cell.schedule.graph
    found = 0
    for p in cell.schedule.products:
        if not (graph.nodes[p.operand[0]].kind == "state" and is_direct(graph, cell, p.operand)):
            found |= 1 << p.stage
    return found


@cache
def _tools(dtype: str, resident: bool, lanes: int) -> tuple[Any, Any, Any]:
    """(hold, multiply, mean): the own rows of all matrices to shared memory, and the products of some instances."""
    kind, zero, real = KINDS[dtype], np.dtype(dtype).type(0), np.dtype(dtype).type
    sums, pitch = ROWS * TILE, lanes + 1  # one more, so that threads that add up lanes read different banks

    @device
    def hold(table, products, outer, inner, M, H, first, own, shared, tid, threads):
        """Copy the own rows; how many numbers they are."""
        at = 0
        for p in range(products):
            if table[p, AT] >= 0:
                n = table[p, inner]
                size = table[p, outer] // H * own * n
                for i in range(tid, size, threads):
                    m = i // n
                    source = m // own * H + first + m % own
                    shared[at + i] = M[table[p, AT] + source * n + i - m * n]
                at += size
        return at

    @device
    def multiply(
        A, at, rows, n, H, first, own, v, ldv, source, out, ldo, target, instances, scratch, tid, threads
    ):
        """out[b, target + own rows] += M[own rows] v[b, source:] for a number of instances, from rows ldv, ldo on.

        The lanes of a warp take every so-manyth term of a sum each; their parts are added up in one order.
        """
        tall, warps, lane = (rows + ROWS - 1) // ROWS, threads // lanes, tid % lanes
        items = tall * ((instances + TILE - 1) // TILE)
        total, x = cuda.local.array(sums, kind), cuda.local.array(TILE, kind)
        of_a, of_v = cuda.local.array(ROWS, numba.int64), cuda.local.array(TILE, numba.int64)
        for start in range(0, items, warps):
            item = start + tid // lanes
            if item < items:
                for i in range(ROWS):
                    m = min(item % tall * ROWS + i, rows - 1)
                    of_a[i] = at + (m if resident else m // own * H + first + m % own) * n
                for q in range(TILE):
                    of_v[q] = source + min(item // tall * TILE + q, instances - 1) * ldv
                for i in range(sums):
                    total[i] = zero
                for c in range(lane, n, lanes):
                    for q in range(TILE):
                        x[q] = get(v, of_v[q] + c, 0)
                    for i in range(ROWS):
                        a = get(A, of_a[i] + c, 0)
                        for q in range(TILE):
                            total[i * TILE + q] += a * x[q]
                for i in range(sums):
                    put(scratch, (tid // lanes * sums + i) * pitch + lane, total[i], 0)
            cuda.syncthreads()
            for o in range(tid, warps * sums, threads):
                item = start + o // sums
                m, b = item % tall * ROWS + o % sums // TILE, item // tall * TILE + o % TILE
                if m < rows and b < instances:
                    to, s = target + b * ldo + m // own * H + first + m % own, zero
                    for i in range(lanes):
                        s += get(scratch, o * pitch + i, 0)
                    put(out, to, get(out, to, 0) + s, 0)
            cuda.syncthreads()

    @device
    def mean(H, first, own, E, e, source, target, instances, scratch, tid, threads):
        """E[b, target + own units] += mean of E[b, source:] over all units."""
        warps, lane = threads // lanes, tid % lanes
        for start in range(0, instances, warps):
            b, s = start + tid // lanes, zero
            if b < instances:
                for c in range(lane, H, lanes):
                    s += get(E, source + b * e + c, 0)
                put(scratch, tid // lanes * pitch + lane, s, 0)
            cuda.syncthreads()
            for o in range(tid, warps * own, threads):
                b = start + o // own
                if b < instances:
                    to, s = target + b * e + first + o % own, zero
                    for i in range(lanes):
                        s += get(scratch, o // own * pitch + i, 0)
                    put(E, to, get(E, to, 0) + s / real(H), 0)
            cuda.syncthreads()

    return hold, multiply, mean


def _forward_pass(row: Any, stages: int, waiting: int, dtype: str, resident: bool, lanes: int) -> Any:
    kind, sizes, (hold, multiply, mean) = KINDS[dtype], unit_sizes(1), _tools(dtype, resident, lanes)

    def forward_pass(
        begin, end, groups, steps, batch, k, e, widths, widest, table, products, M, P, tP, C, E, S, tE, initial,
        before, after, lengths, resets, separate,
    ):  # fmt: skip
        grid, shared = cuda.cg.this_grid(), cuda.shared.array(0, kind)
        tid, threads, blocks, H = cuda.threadIdx.x, cuda.blockDim.x, cuda.gridDim.x // groups, widest
        g, group = cuda.blockIdx.x % blocks, cuda.blockIdx.x // blocks
        first, own = H * g // blocks, H * (g + 1) // blocks - H * g // blocks
        b0, instances = batch * group // groups, batch * (group + 1) // groups - batch * group // groups
        held = (
            hold(table, products, HEIGHT, COLUMNS, M, H, first, own, shared, tid, threads) if resident else 0
        )
        A, scratch = shared if resident else M, shared[held:]
        cuda.syncthreads()
        for phase in range(begin, end):
            t, stage = phase // (stages + 1), phase % (stages + 1)
            r0, at = t * batch + b0, 0
            for p in range(products):
                size = table[p, HEIGHT] // H * own * table[p, COLUMNS]
                if table[p, STAGE] == stage - 1 and table[p, AT] < 0:
                    source, target = r0 * e + table[p, SOURCE], r0 * e + table[p, TARGET]
                    mean(H, first, own, tE, e, source, target, instances, scratch, tid, threads)
                elif table[p, STAGE] == stage - 1:
                    state = table[p, FROM_STATE] != 0
                    ldv = k if state else e
                    multiply(
                        A, at if resident else table[p, AT], table[p, HEIGHT] // H * own, table[p, COLUMNS], H, first,
                        own, before if state else tE, ldv, r0 * ldv + table[p, SOURCE], tE, e,
                        r0 * e + table[p, TARGET], instances, scratch, tid, threads,
                    )  # fmt: skip
                at += size if table[p, AT] >= 0 else 0
            for i in range(tid, instances * own, threads):
                b, j = b0 + i // own, first + i % own
                r = t * batch + b
                if t < lengths[b]:
                    row(stage, sizes(widths, j), E, r * e, S, r * k, P, C, tE, before, tP, after)
                elif stage == stages:
                    for c in range(j, k, H):
                        after[r * k + c] = before[r * k + c]
                if stage == stages and separate and t + 1 < steps:
                    for c in range(j, k, H):
                        again = resets[r + batch]
                        other = initial[(batch + b) * k + c] if again else after[r * k + c]
                        before[(r + batch) * k + c] = other
            if phase + 1 < end:
                if stage == stages or (waiting >> stage) & 1:
                    grid.sync()
                else:
                    cuda.syncthreads()

    return forward_pass


def _backward_pass(row: Any, stages: int, dtype: str, resident: bool, lanes: int) -> Any:
    kind, zero, sizes = KINDS[dtype], np.dtype(dtype).type(0), unit_sizes(1)
    hold, multiply, mean = _tools(dtype, resident, lanes)

    def backward_pass(
        begin, end, groups, steps, batch, k, e, v, widths, widest, table, products, M, P, C, E, S, d_values, after,
        d_vectors, d_initial, carry, lengths, resets, separate,
    ):  # fmt: skip
        grid, shared = cuda.cg.this_grid(), cuda.shared.array(0, kind)
        tid, threads, blocks, H = cuda.threadIdx.x, cuda.blockDim.x, cuda.gridDim.x // groups, widest
        g, group = cuda.blockIdx.x % blocks, cuda.blockIdx.x // blocks
        first, own = H * g // blocks, H * (g + 1) // blocks - H * g // blocks
        b0, instances = batch * group // groups, batch * (group + 1) // groups - batch * group // groups
        held = (
            hold(table, products, COLUMNS, HEIGHT, M, H, first, own, shared, tid, threads) if resident else 0
        )
        A, scratch = shared if resident else M, shared[held:]
        cuda.syncthreads()
        for phase in range(begin, end):
            t, stage = steps - 1 - phase // (stages + 1), stages - phase % (stages + 1)
            r0, at = t * batch + b0, 0
            for p in range(products):
                size = table[p, COLUMNS] // H * own * table[p, HEIGHT]
                if table[p, STAGE] == stage and table[p, AT] < 0:
                    source, target = r0 * e + table[p, TARGET], r0 * e + table[p, SOURCE]
                    mean(H, first, own, d_values, e, source, target, instances, scratch, tid, threads)
                elif table[p, STAGE] == stage:
                    state = table[p, FROM_STATE] != 0
                    ldo = k if state else e
                    multiply(
                        A, at if resident else table[p, AT], table[p, COLUMNS] // H * own, table[p, HEIGHT], H, first,
                        own, d_values, e, r0 * e + table[p, TARGET], carry if state else d_values, ldo,
                        (b0 if state else r0) * ldo + table[p, SOURCE], instances, scratch, tid, threads,
                    )  # fmt: skip
                at += size if table[p, AT] >= 0 else 0
            for i in range(tid, instances * own, threads):
                b, j = b0 + i // own, first + i % own
                r, s, going = t * batch + b, b * k, t < lengths[b]
                if stage == stages:
                    for c in range(j, k, H):
                        d = after[r * k + c] + carry[s + c]
                        after[r * k + c] = d
                        carry[s + c] = zero if going else d
                    if not going:
                        for c in range(j, e, H):
                            d_values[r * e + c] = zero
                if going:
                    u = sizes(widths, j)
                    row(
                        0,
                        stage,
                        u,
                        E,
                        r * e,
                        S,
                        r * k,
                        P,
                        C,
                        after,
                        r * k,
                        d_values,
                        carry,
                        s,
                        d_vectors,
                        b * v,
                    )
                if stage == 0 and separate and resets[r]:
                    for c in range(j, k, H):
                        d_initial[batch * k + s + c] += carry[s + c]
                        carry[s + c] = zero
                elif stage == 0 and t == 0:
                    for c in range(j, k, H):
                        d_initial[s + c] = carry[s + c]
            if phase + 1 < end:
                if stage > 0:
                    grid.sync()
                else:
                    cuda.syncthreads()

    return backward_pass
