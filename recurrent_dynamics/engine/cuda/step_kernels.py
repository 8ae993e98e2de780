"""Walk 3: a launch for each stage of a step, between the products of cuBLAS: for U that no shared memory holds.

A block of threads takes one instance. The values and the state of the step stand in small arrays of their own, so that
every step does the same with the same addresses, and a few of them can be captured in a CUDA graph that is launched
again and again. Which step it is, each block counts for itself in `clock`.

One kernel goes from the products of one stage to those of the next, over the end of a step too (`turn`): the stages
`a` to the last, then the next step, up to stage `b`. Arrays as in `block_kernels`; where the cell reads a memory also
M, and `places` of each instance in it. The threads of a block share the reads of their instance, see `block_reads`.
Of such a cell the widths are an array: offsets that are known to be the same in every stage would all be held in
registers, and spill.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from .block_products import KINDS, tools
from .block_reads import reader
from .driver import cuda, kernel
from .programs import moving, program, unit_sizes
from .tables import SOURCE, TARGET

_MADE: dict[tuple[str, str, str], Any] = {}


def walk(cell: Cell, verb: str, dtype: str) -> Any:
    """The kernel of a verb: "forward", "tangent" or "adjoint"."""
    key = (cell.fingerprint, verb, dtype)
    if key not in _MADE:
        sizes, stages = unit_sizes(len(width_labels(cell))), cell.schedule.stages
        if verb == "adjoint":
            made = _backward_pass(program(cell, verb, dtype), reader(cell, verb, dtype), sizes, stages, dtype)
        else:
            made = _forward_pass(moving(cell, verb, dtype), reader(cell, verb, dtype), sizes, stages, dtype)
        _MADE[key] = kernel(made, "reads" if cell.memory else "block", dtype)
    return _MADE[key]


def _forward_pass(row: Any, read: Any, sizes: Any, stages: int, dtype: str) -> Any:
    """The walk of the values and states in `tE`, `initial`, `after`; a tangent walks along the point (E, S, M)."""
    kind, zero = KINDS[dtype], np.dtype(dtype).type(0)
    _, _, means = tools(dtype, 1)

    def forward_pass(
        a, b, turn, clock, steps, batch, k, e, widths, widest, table, products, P, tP, C, E, S, tE, initial, before,
        after, lengths, resets, separate, M, tM, places, work_values, work_state, work_next,
    ):  # fmt: skip
        scratch = cuda.shared.array(0, kind)
        tid, threads, q = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
        mE, mS, N = work_values[q * e :], work_state[q * k :], work_next[q * k :]
        m, source = places[3 * q], places[3 * q + 1]
        t, end = clock[q], lengths[q]
        first, last = a, stages if turn else b
        for part in range(2 if turn else 1):  # stages of this step, and of the next one
            r = max(t, 0) * batch + q
            if part == 1:
                if t >= 0:
                    for c in range(tid, k, threads):
                        if t < end:
                            mS[c] = N[c]
                        after[r * k + c] = mS[c]
                    for c in range(tid, e, threads):
                        tE[r * e + c] = mE[c] if t < end else zero
                cuda.syncthreads()  # every thread has read the clock, and this step's state is whole
                t += 1
                first, last = 0, b
                r = t * batch + q
                if t < steps:
                    for c in range(tid, k, threads):
                        if t == 0:
                            mS[c] = initial[q * k + c]
                        if separate:
                            if resets[r]:
                                mS[c] = initial[(batch + q) * k + c]
                            before[r * k + c] = mS[c]
                    for c in range(tid, e, threads):
                        mE[c] = tE[r * e + c]
                if tid == 0:
                    clock[q] = t
                cuda.syncthreads()
            if t >= 0 and t < end:
                for stage in range(first, last + 1):
                    for j in range(tid, widest, threads):
                        row(stage, sizes(widths, j), E[r * e :], 0, S[r * k :], 0, P, C, mE, mS, tP, N)
                    cuda.syncthreads()
                    if stage < stages:
                        means(table, products, stage, SOURCE, TARGET, mE, e, scratch, tid, threads)
                        read(
                            stage, widths, E[r * e :], S[r * k :], P, C, mE, mS, tP, M, tM, m, 0, source, scratch,
                            tid, threads,
                        )  # fmt: skip

    return forward_pass


def _backward_pass(row: Any, read: Any, sizes: Any, stages: int, dtype: str) -> Any:
    """The walk back, from stage `a` down to `b`; `after` arrives with cotangents and leaves with all of them."""
    kind, zero = KINDS[dtype], np.dtype(dtype).type(0)
    _, _, means = tools(dtype, 1)

    def backward_pass(
        a, b, turn, clock, steps, batch, k, e, v, widths, widest, table, products, P, C, E, S, d_values, after,
        d_vectors, d_initial, lengths, resets, separate, M, dM, places, work_values, work_state,
    ):  # fmt: skip
        scratch = cuda.shared.array(0, kind)
        tid, threads, q = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
        dE, dS, dP = work_values[q * e :], work_state[q * k :], d_vectors[q * v :]
        m, source, dm = places[3 * q], places[3 * q + 1], places[3 * q + 2]
        t, end = clock[q], lengths[q]
        first, last = a, 0 if turn else b
        for part in range(2 if turn else 1):  # stages of this step, and of the one before
            r = min(t, steps - 1) * batch + q
            if part == 1:
                if t < steps:
                    for c in range(tid, k, threads):
                        if separate and resets[r]:
                            d_initial[(batch + q) * k + c] += dS[c]
                            dS[c] = zero
                        elif t == 0:
                            d_initial[q * k + c] = dS[c]
                    for c in range(tid, e, threads):
                        d_values[r * e + c] = dE[c]
                cuda.syncthreads()  # every thread has read the clock
                t -= 1
                first, last = stages, b
                r = t * batch + q
                if t >= 0:
                    for c in range(tid, k, threads):
                        d = after[r * k + c] + dS[c]
                        after[r * k + c] = d
                        dS[c] = zero if t < end else d
                    if t >= end:
                        for c in range(tid, e, threads):
                            dE[c] = zero
                if tid == 0:
                    clock[q] = t
                cuda.syncthreads()
            if t >= 0 and t < end:
                for stage in range(first, last - 1, -1):
                    if stage < stages:
                        means(table, products, stage, TARGET, SOURCE, dE, e, scratch, tid, threads)
                        read(
                            stage, widths, E[r * e :], S[r * k :], P, C, dE, dS, dP, M, dM, m, dm, source, scratch,
                            tid, threads,
                        )  # fmt: skip
                    for j in range(tid, widest, threads):
                        u = sizes(widths, j)
                        row(
                            0,
                            stage,
                            u,
                            E[r * e :],
                            0,
                            S[r * k :],
                            0,
                            P,
                            C,
                            after[r * k :],
                            0,
                            dE,
                            dS,
                            0,
                            dP,
                            0,
                        )
                    cuda.syncthreads()

    return backward_pass
