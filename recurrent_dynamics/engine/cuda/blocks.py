"""Walk 1: a block of threads takes a tile of instances through all steps, and no block ever waits for another.

What a step reads and writes lies in the shared memory of the block, and U too where it fits (`resident`); else U is
read from the device's memory at every step, through its caches. Rows are those of `engine.cpu.walks`: row i = t * batch
+ b, of width e (values), k (state) or v (vectors). `lengths` (batch,) holds a length for every instance, `resets` is
read where `separate` is set: then `before` is an array of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from .driver import cuda, kernel
from .products import KINDS, tools
from .programs import moving, program, unit_sizes
from .tables import SOURCE, TARGET

_MADE: dict[tuple[Any, ...], Any] = {}


def walk(cell: Cell, verb: str, dtype: str, tile: int, resident: bool) -> Any:
    """The kernel of a verb: "forward", "tangent" or "adjoint"."""
    labels, stages = len(width_labels(cell)), cell.schedule.stages
    key = (cell.fingerprint, verb, dtype, tile, resident)
    if key not in _MADE:
        sizes = unit_sizes(labels)
        if verb == "adjoint":
            row = program(cell, verb, dtype)
            _MADE[key] = kernel(_back(row, sizes, stages, dtype, tile, resident), "block", dtype)
        else:
            row = moving(cell, verb, dtype)
            forth = _forth(row, sizes, stages, dtype, tile, resident, verb == "tangent")
            _MADE[key] = kernel(forth, "block", dtype)
    return _MADE[key]


def _forth(row: Any, sizes: Any, stages: int, dtype: str, tile: int, resident: bool, tangent: bool) -> Any:
    """The walk of the values and states in `tE`, `initial`, `after`; a tangent walks along the point (E, S)."""
    kind = KINDS[dtype]
    multiply, _, means = tools(dtype, tile)

    def forth(
        steps, batch, k, e, widths, widest, table, products, packed, P, tP, C, E, S, tE, initial, before, after,
        lengths, resets, separate,
    ):  # fmt: skip
        shared = cuda.shared.array(0, kind)
        tid, threads, first = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x * tile
        at = packed.size if resident else 0
        A = shared[:at] if resident else packed
        for i in range(tid, at, threads):
            shared[i] = packed[i]
        values, states = tile * e, tile * k
        mE, mS, N = shared[at : at + values], shared[at + values :], shared[at + values + states :]
        at += values + 2 * states
        oE, oS = mE, mS
        if tangent:
            oE, oS = shared[at : at + values], shared[at + values :]
            at += values + states
        scratch = shared[at:]
        for i in range(tid, states, threads):
            if first + i // k < batch:
                mS[i] = initial[first * k + i]
        for t in range(steps):
            start = t * batch + first
            for i in range(tid, values, threads):
                if first + i // e < batch:
                    mE[i] = tE[start * e + i]
                    if tangent:
                        oE[i] = E[start * e + i]
            for i in range(tid, states, threads):
                if first + i // k < batch:
                    if tangent:
                        oS[i] = S[start * k + i]
                    if separate:
                        if resets[start + i // k]:
                            mS[i] = initial[first * k + i]
                        before[start * k + i] = mS[i]
            cuda.syncthreads()
            for stage in range(stages + 1):
                for i in range(tid, tile * widest, threads):
                    q = i // widest
                    if first + q < batch and t < lengths[first + q]:
                        row(stage, sizes(widths, i - q * widest), oE, q * e, oS, q * k, P, C, mE, mS, tP, N)
                cuda.syncthreads()
                if stage < stages:
                    means(table, products, stage, SOURCE, TARGET, mE, e, scratch, tid, threads)
                    multiply(table, products, stage, A, mS, k, mE, e, scratch, tid, threads)
            for i in range(tid, states, threads):
                b = first + i // k
                if b < batch:
                    if t < lengths[b]:
                        mS[i] = N[i]
                    after[start * k + i] = mS[i]
            for i in range(tid, values, threads):
                b = first + i // e
                if b < batch and t < lengths[b]:
                    tE[start * e + i] = mE[i]

    return forth


def _back(row: Any, sizes: Any, stages: int, dtype: str, tile: int, resident: bool) -> Any:
    """The walk back: `after` arrives with the cotangents from outside and leaves with all of them."""
    kind, zero = KINDS[dtype], np.dtype(dtype).type(0)
    _, multiply_transposed, means = tools(dtype, tile)

    def back(
        steps, batch, k, e, v, widths, widest, table, products, packed, P, C, E, S, d_values, after, d_vectors,
        d_initial, lengths, resets, separate,
    ):  # fmt: skip
        shared = cuda.shared.array(0, kind)
        tid, threads, first = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x * tile
        at = packed.size if resident else 0
        A = shared[:at] if resident else packed
        for i in range(tid, at, threads):
            shared[i] = packed[i]
        values, states, vectors = tile * e, tile * k, tile * v
        oE, dE, oS = shared[at : at + values], shared[at + values :], shared[at + 2 * values :]
        at += 2 * values + states
        dN, dS, dP = shared[at:], shared[at + states :], shared[at + 2 * states :]
        scratch = shared[at + 2 * states + vectors :]
        for i in range(tid, states, threads):
            dS[i] = zero
        for i in range(tid, vectors, threads):
            dP[i] = zero
        for t in range(steps - 1, -1, -1):
            start = t * batch + first
            for i in range(tid, values, threads):
                if first + i // e < batch:
                    oE[i] = E[start * e + i]
            for i in range(tid, states, threads):
                if first + i // k < batch:
                    oS[i] = S[start * k + i]
                    dN[i] = after[start * k + i] + dS[i]
                    after[start * k + i] = dN[i]
                    dS[i] = zero
            cuda.syncthreads()
            for stage in range(stages, -1, -1):
                if stage < stages:
                    means(table, products, stage, TARGET, SOURCE, dE, e, scratch, tid, threads)
                    multiply_transposed(table, products, stage, A, dS, k, dE, e, scratch, tid, threads)
                for i in range(tid, tile * widest, threads):
                    q = i // widest
                    if first + q < batch and t < lengths[first + q]:
                        s, u = q * k, sizes(widths, i - q * widest)
                        row(0, stage, u, oE, q * e, oS, s, P, C, dN, s, dE, dS, s, dP, q * v)
                cuda.syncthreads()
            for i in range(tid, states, threads):
                b = first + i // k
                if b < batch:
                    if t >= lengths[b]:
                        dS[i] = dN[i]
                    if t == 0 or (separate and resets[start + i // k]):
                        d_initial[first * k + i] += dS[i]
                        dS[i] = zero
            for i in range(tid, values, threads):
                b = first + i // e
                if b < batch:
                    d_values[start * e + i] = dE[i] if t < lengths[b] else zero
        for i in range(tid, vectors, threads):
            if first + i // v < batch:
                d_vectors[first * v + i] = dP[i]

    return back
