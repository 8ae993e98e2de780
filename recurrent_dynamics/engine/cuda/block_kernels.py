"""Walk 1: a block of threads takes a tile of instances through all steps, and no block ever waits for another.

What a step reads and writes lies in the shared memory of the block, and U too where it fits (`resident`); else U is
read from the device's memory at every step, through its caches. Rows are those of `engine.cpu.time_loops`: row i = t *
batch + b, of width e (values), k (state) or v (vectors). `lengths` (batch,) holds a length for every instance, `resets`
is read where `separate` is set: then `before` is an array of its own, and `initial` holds two states for each instance,
the one that the walk starts from and the one that a reset goes back to; so does its cotangent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from .block_products import KINDS, tools
from .driver import cuda, device, kernel
from .programs import get, moving, program, put, unit_sizes
from .tables import SOURCE, TARGET

VALUES, STATES = 2, 1  # numbers of each array that a thread reads a step ahead

_MADE: dict[tuple[Any, ...], Any] = {}


def walk(cell: Cell, verb: str, dtype: str, tile: int, resident: bool) -> Any:
    """The kernel of a verb: "forward", "tangent" or "adjoint"."""
    labels, stages = len(width_labels(cell)), cell.schedule.stages
    key = (cell.fingerprint, verb, dtype, tile, resident)
    if key not in _MADE:
        sizes = unit_sizes(labels)
        if verb == "adjoint":
            row = program(cell, verb, dtype)
            _MADE[key] = kernel(_backward_pass(row, sizes, stages, dtype, tile, resident), "block", dtype)
        else:
            row = moving(cell, verb, dtype)
            forward_pass = _forward_pass(row, sizes, stages, dtype, tile, resident, verb == "tangent")
            _MADE[key] = kernel(forward_pass, "block", dtype)
    return _MADE[key]


@cache
def _reading(count: int) -> tuple[Any, Any]:
    """(fetch, arrive): read an array a step ahead, the first `count` numbers of each thread into its registers."""

    @device
    def fetch(array, at, size, ahead, tid, threads):
        for n in range(count):
            i = tid + n * threads
            if i < size:
                ahead[n] = get(array, at + i, 0)

    @device
    def arrive(to, ahead, array, at, size, tid, threads):
        """to[i] = array[at + i]."""
        for n in range(count):
            i = tid + n * threads
            if i < size:
                put(to, i, ahead[n], 0)
        for i in range(tid + count * threads, size, threads):
            put(to, i, get(array, at + i, 0), 0)

    return fetch, arrive


def _forward_pass(
    row: Any, sizes: Any, stages: int, dtype: str, tile: int, resident: bool, tangent: bool
) -> Any:
    """The walk of the values and states in `tE`, `initial`, `after`; a tangent walks along the point (E, S)."""
    kind = KINDS[dtype]
    (fetch, arrive), (fetch_states, arrive_states) = _reading(VALUES), _reading(STATES)
    multiply, _, means = tools(dtype, tile)

    def forward_pass(
        steps, batch, k, e, widths, widest, table, products, packed, P, tP, C, E, S, tE, initial, before, after,
        lengths, resets, separate,
    ):  # fmt: skip
        shared = cuda.shared.array(0, kind)
        tid, threads, first = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x * tile
        at = packed.size if resident else 0
        A = shared[:at] if resident else packed
        for i in range(tid, at, threads):
            shared[i] = packed[i]
        mE, mS, N = shared[at:], shared[at + tile * e :], shared[at + tile * (e + k) :]
        at += tile * (e + 2 * k)
        oE, oS = mE, mS
        if tangent:
            oE, oS = shared[at:], shared[at + tile * e :]
            at += tile * (e + k)
        scratch = shared[at:]
        instances = min(tile, batch - first)
        values, states = instances * e, instances * k
        q0, dq, dj = tid // widest, threads // widest, threads % widest
        next_E, next_oE = cuda.local.array(VALUES, kind), cuda.local.array(VALUES, kind)
        next_oS = cuda.local.array(STATES, kind)
        for i in range(tid, states, threads):
            mS[i] = initial[first * k + i]
        fetch(tE, first * e, values, next_E, tid, threads)
        if tangent:
            fetch(E, first * e, values, next_oE, tid, threads)
            fetch_states(S, first * k, states, next_oS, tid, threads)
        for t in range(steps):
            start = t * batch + first
            arrive(mE, next_E, tE, start * e, values, tid, threads)
            if tangent:
                arrive(oE, next_oE, E, start * e, values, tid, threads)
                arrive_states(oS, next_oS, S, start * k, states, tid, threads)
            if separate:
                for i in range(tid, states, threads):
                    if resets[start + i // k]:
                        mS[i] = initial[(batch + first) * k + i]
                    before[start * k + i] = mS[i]
            cuda.syncthreads()
            if t + 1 < steps:  # reads that nothing of this step waits for
                fetch(tE, (start + batch) * e, values, next_E, tid, threads)
                if tangent:
                    fetch(E, (start + batch) * e, values, next_oE, tid, threads)
                    fetch_states(S, (start + batch) * k, states, next_oS, tid, threads)
            for stage in range(stages + 1):
                q, j = q0, tid - q0 * widest
                while q < instances:
                    if t < lengths[first + q]:
                        row(stage, sizes(widths, j), oE, q * e, oS, q * k, P, C, mE, mS, tP, N)
                    elif stage == stages:
                        for c in range(j, k, widest):
                            N[q * k + c] = mS[q * k + c]
                    q, j = q + dq, j + dj
                    if j >= widest:
                        q, j = q + 1, j - widest
                cuda.syncthreads()
                if stage < stages:
                    means(table, products, stage, SOURCE, TARGET, mE, e, scratch, tid, threads)
                    multiply(table, products, stage, A, mS, k, mE, e, scratch, tid, threads)
            for i in range(tid, states, threads):
                mS[i] = N[i]
                after[start * k + i] = N[i]
            for i in range(tid, values, threads):
                tE[start * e + i] = mE[i]

    return forward_pass


def _backward_pass(row: Any, sizes: Any, stages: int, dtype: str, tile: int, resident: bool) -> Any:
    """The walk back: `after` arrives with the cotangents from outside and leaves with all of them."""
    kind, zero = KINDS[dtype], np.dtype(dtype).type(0)
    (fetch, arrive), (fetch_states, arrive_states) = _reading(VALUES), _reading(STATES)
    _, multiply_transposed, means = tools(dtype, tile)

    def backward_pass(
        steps, batch, k, e, v, widths, widest, table, products, packed, P, C, E, S, d_values, after, d_vectors,
        d_initial, lengths, resets, separate,
    ):  # fmt: skip
        shared = cuda.shared.array(0, kind)
        tid, threads, first = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x * tile
        at = packed.size if resident else 0
        A = shared[:at] if resident else packed
        for i in range(tid, at, threads):
            shared[i] = packed[i]
        oE, dE, oS = shared[at:], shared[at + tile * e :], shared[at + 2 * tile * e :]
        at += tile * (2 * e + k)
        dN, dS, dP = shared[at:], shared[at + tile * k :], shared[at + 2 * tile * k :]
        scratch = shared[at + tile * (2 * k + v) :]
        instances = min(tile, batch - first)
        values, states, vectors = instances * e, instances * k, instances * v
        q0, dq, dj = tid // widest, threads // widest, threads % widest
        next_E, next_S = cuda.local.array(VALUES, kind), cuda.local.array(STATES, kind)
        next_N = cuda.local.array(STATES, kind)
        for i in range(tid, states, threads):
            dS[i] = zero
        for i in range(tid, vectors, threads):
            dP[i] = zero
        last = (steps - 1) * batch + first
        fetch(E, last * e, values, next_E, tid, threads)
        fetch_states(S, last * k, states, next_S, tid, threads)
        fetch_states(after, last * k, states, next_N, tid, threads)
        for t in range(steps - 1, -1, -1):
            start = t * batch + first
            arrive(oE, next_E, E, start * e, values, tid, threads)
            arrive_states(oS, next_S, S, start * k, states, tid, threads)
            arrive_states(dN, next_N, after, start * k, states, tid, threads)
            for i in range(tid, states, threads):
                dN[i] += dS[i]
                after[start * k + i] = dN[i]
                dS[i] = zero
            cuda.syncthreads()
            if t > 0:  # reads that nothing of this step waits for
                fetch(E, (start - batch) * e, values, next_E, tid, threads)
                fetch_states(S, (start - batch) * k, states, next_S, tid, threads)
                fetch_states(after, (start - batch) * k, states, next_N, tid, threads)
            for stage in range(stages, -1, -1):
                if stage < stages:
                    means(table, products, stage, TARGET, SOURCE, dE, e, scratch, tid, threads)
                    multiply_transposed(table, products, stage, A, dS, k, dE, e, scratch, tid, threads)
                q, j = q0, tid - q0 * widest
                while q < instances:
                    s = q * k
                    if t < lengths[first + q]:
                        row(0, stage, sizes(widths, j), oE, q * e, oS, s, P, C, dN, s, dE, dS, s, dP, q * v)
                    elif stage == stages:
                        for c in range(j, k, widest):
                            dS[s + c] = dN[s + c]
                        for c in range(j, e, widest):
                            dE[q * e + c] = zero
                    q, j = q + dq, j + dj
                    if j >= widest:
                        q, j = q + 1, j - widest
                cuda.syncthreads()
            for i in range(tid, states, threads):
                if separate and resets[start + i // k]:
                    d_initial[(batch + first) * k + i] += dS[i]
                    dS[i] = zero
                elif t == 0:
                    d_initial[first * k + i] = dS[i]
            for i in range(tid, values, threads):
                d_values[start * e + i] = dE[i]
        for i in range(tid, vectors, threads):
            d_vectors[first * v + i] = dP[i]

    return backward_pass
