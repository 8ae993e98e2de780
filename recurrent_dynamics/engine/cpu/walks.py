"""The walks through time, each written once and compiled for every cell: forward, adjoint, tangent, second order.

All arrays are flat. A row is one instance at one step: row i = t * batch + b. Of width e (the values of a step):
E values, dE cotangents, tE tangents, uE tangents of the cotangents. Of width k (the state): S before the step and N
after it, with the same prefixes; usually S and N are two views of one array that are one step apart, and what a step
writes to N is what the next one reads from S. Where the state may be reset they are separate arrays, and `resets`
(t, b) says where S is taken from the initial state. Threads own slices of the batch through all steps: no barrier.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import OPTIONS, PARALLEL, SERIAL, get, put
from .product import ONE, ZERO, edge_size, gemm, pack, packed_size, share, total
from .rows import row_adjoint, row_forward, row_second, row_tangent
from .tables import COLUMNS, FROM_STATE, HEADS, MATRIX, ROWS_, SOURCE, STAGE, TARGET

ALL_STAGES = -1


@njit(**SERIAL)
def pack_matrices(build, products, U, transposed):
    """Blocks of U packed as right factors of `v U^T`, or transposed of `d U`; where each begins.

    Apart from the walks, because what they inline is compiled again for every cell.
    """
    starts = np.zeros(products.shape[0] + 1, np.int64)
    for p in range(products.shape[0]):
        R, C = products[p, ROWS_], products[p, COLUMNS]
        size = packed_size(R, C, U) if transposed else packed_size(C, R, U)
        starts[p + 1] = starts[p] + (products[p, HEADS] * size if products[p, MATRIX] >= 0 else 0)
    packed = np.empty(starts[-1], U.dtype)
    for p in range(products.shape[0]):
        if products[p, MATRIX] >= 0:
            R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            size = (starts[p + 1] - starts[p]) // n
            for head in range(n):
                at = products[p, MATRIX] + head * R * C
                if transposed:
                    pack(U, at, C, ONE(), R, C, packed, starts[p] + head * size)
                else:
                    pack(U, at, ONE(), C, C, R, packed, starts[p] + head * size)
    return packed, starts


@njit(**OPTIONS)
def multiply(products, stage, packed, starts, means, S, E, out, first, rows, k, e, edge, eo):
    """out[target] += M operand for the products of a stage, in `rows` rows from `first` on; operands in S and E."""
    for p in range(products.shape[0]):
        if stage == ALL_STAGES or products[p, STAGE] == stage:
            R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            target = first * e + products[p, TARGET]
            if products[p, MATRIX] < 0:
                if means:
                    _mean(E, first * e + products[p, SOURCE], out, target, rows, e, e, R)
            else:
                size = (starts[p + 1] - starts[p]) // n
                v, ld = (S, k) if products[p, FROM_STATE] else (E, e)
                source = first * ld + products[p, SOURCE]
                for head in range(n):
                    at = starts[p] + head * size
                    gemm(
                        rows, R, C, v, source + head * C, ld, ONE(), packed,
                        at, out, target + head * R, e, edge, eo,
                    )  # fmt: skip


@njit(**OPTIONS)
def multiply_transposed(products, stage, packed, starts, means, dT, dS, dE, first, rows, k, e, edge, eo):
    """operand's cotangent += M^T dT[target]: in dS where the operand is the state, else in dE."""
    for p in range(products.shape[0] - 1, -1, -1):
        if products[p, STAGE] == stage:
            R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
            target = first * e + products[p, TARGET]
            if products[p, MATRIX] < 0:
                if means:
                    _mean(dT, target, dE, first * e + products[p, SOURCE], rows, e, e, R)
            else:
                size = (starts[p + 1] - starts[p]) // n
                v, ld = (dS, k) if products[p, FROM_STATE] else (dE, e)
                source = first * ld + products[p, SOURCE]
                for head in range(n):
                    at = starts[p] + head * size
                    gemm(
                        rows, C, R, dT, target + head * R, e, ONE(), packed,
                        at, v, source + head * C, ld, edge, eo,
                    )  # fmt: skip


@njit(**OPTIONS)
def _mean(a, at, c, to, rows, lda, ldc, width):
    for i in range(rows):
        m = total(a, at + i * lda, width) / a.dtype.type(width)
        for j in range(width):
            put(c, to + i * ldc + j, get(c, to + i * ldc + j) + m)


@njit(**OPTIONS)
def _copy(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(a, at + j))


@njit(**OPTIONS)
def _add(a, at, c, to, n):
    for j in range(n):
        put(c, to + j, get(c, to + j) + get(a, at + j))


@njit(**OPTIONS)
def _enter(resets, initial, N, S, t, batch, b0, b1, k):
    """S of step t where it is an array of its own: the state before, or the initial one after a reset."""
    if resets.size > 0:
        for b in range(b0, b1):
            i = t * batch + b
            if t == 0 or resets[i]:
                _copy(initial, b * k, S, i * k, k)
            else:
                _copy(N, (i - batch) * k, S, i * k, k)


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
def _holds(lengths, t, b):
    """Whether step t is beyond the end of sequence b."""
    return lengths.size > 0 and t >= lengths[b]


@njit(**PARALLEL)
def forward(
    cell, sizes, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, N, initial, lengths, resets, threads
):  # fmt: skip
    """The walk forth; E arrives with the drives' part that needs no state."""
    edges = np.zeros(threads * edge_size(E), E.dtype)
    for i in prange(threads):
        b0, b1, eo = share(batch, threads, i), share(batch, threads, i + 1), np.int64(i) * edge_size(E)
        for t in range(steps):
            first, rows = t * batch + b0, b1 - b0
            _enter(resets, initial, N, S, t, batch, b0, b1, k)
            for stage in range(stages + 1):
                for b in range(b0, b1):
                    r = t * batch + b
                    if not _holds(lengths, t, b):
                        row_forward(cell, stage, sizes, E, r * e, S, r * k, P, C, N, r * k)
                    elif stage == stages:
                        _copy(S, r * k, N, r * k, k)
                multiply(products, stage, packed, starts, True, S, E, E, first, rows, k, e, edges, eo)


@njit(**PARALLEL)
def adjoint(
    cell, sizes, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, dE, dS, dN, dP, d_initial,
    lengths, resets, threads,
):  # fmt: skip
    """The walk back; dN arrives with the cotangents from outside, and dS of the step after is added to it."""
    edges, v = np.zeros(threads * edge_size(E), E.dtype), P.size
    for i in prange(threads):
        b0, b1, eo = share(batch, threads, i), share(batch, threads, i + 1), np.int64(i) * edge_size(E)
        for t in range(steps - 1, -1, -1):
            first, rows = t * batch + b0, b1 - b0
            for stage in range(stages, -1, -1):
                multiply_transposed(
                    products, stage, packed, starts, True, dE, dS, dE, first, rows, k, e, edges, eo
                )
                for b in range(b0, b1):
                    r = t * batch + b
                    if not _holds(lengths, t, b):
                        row_adjoint(
                            cell, stage, sizes, E, r * e, S, r * k, P, C, dN, r * k, dE, dS, r * k, dP, b * v
                        )
                    elif stage == stages:
                        _add(dN, r * k, dS, r * k, k)
                        dE[r * e : (r + 1) * e] = 0
            _leave(resets, dS, dN, d_initial, t, batch, b0, b1, k)


@njit(**PARALLEL)
def tangent(
    cell, sizes, steps, batch, k, e, stages, products, packed, starts, P, C, E, S, tE, tS, tN, tP, t_initial,
    lengths, resets, threads,
):  # fmt: skip
    """tE arrives with all that does not depend on the tangent of the state."""
    edges = np.zeros(threads * edge_size(E), E.dtype)
    for i in prange(threads):
        b0, b1, eo = share(batch, threads, i), share(batch, threads, i + 1), np.int64(i) * edge_size(E)
        for t in range(steps):
            first, rows = t * batch + b0, b1 - b0
            _enter(resets, t_initial, tN, tS, t, batch, b0, b1, k)
            for stage in range(stages + 1):
                for b in range(b0, b1):
                    r = t * batch + b
                    if not _holds(lengths, t, b):
                        row_tangent(cell, stage, sizes, E, r * e, S, r * k, P, C, tE, tS, tP, tN, r * k)
                    elif stage == stages:
                        _copy(tS, r * k, tN, r * k, k)
                multiply(products, stage, packed, starts, True, tS, tE, tE, first, rows, k, e, edges, eo)


@njit(**PARALLEL)
def second(
    cell, sizes, steps, batch, k, e, stages, products, packed, starts, moved, P, C, E, S, tE, tS, tP, dE, dN,
    uE, uS, uN, uP, u_initial, lengths, resets, threads,
):  # fmt: skip
    """The tangent of `adjoint`: dN and dE are what it left, tE and tS what `tangent` left."""
    edges, v = np.zeros(threads * edge_size(E), E.dtype), P.size
    for i in prange(threads):
        b0, b1, eo = share(batch, threads, i), share(batch, threads, i + 1), np.int64(i) * edge_size(E)
        for t in range(steps - 1, -1, -1):
            first, rows = t * batch + b0, b1 - b0
            for stage in range(stages, -1, -1):
                multiply_transposed(
                    products, stage, packed, starts, True, uE, uS, uE, first, rows, k, e, edges, eo
                )
                multiply_transposed(
                    products, stage, moved, starts, False, dE, uS, uE, first, rows, k, e, edges, eo
                )
                for b in range(b0, b1):
                    r = t * batch + b
                    if not _holds(lengths, t, b):
                        row_second(
                            cell, stage, sizes, E, r * e, S, r * k, P, C, tE, tS, tP,
                            dE, dN, r * k, uN, uE, uS, r * k, uP, b * v,
                        )  # fmt: skip
                    elif stage == stages:
                        _add(uN, r * k, uS, r * k, k)
                        uE[r * e : (r + 1) * e] = 0
            _leave(resets, uS, uN, u_initial, t, batch, b0, b1, k)


@njit(**SERIAL)
def pack_inputs(build, W, n, g):
    """W (g, n) packed as the right factor of `x W^T`."""
    packed = np.empty(packed_size(n, g, W), W.dtype)
    pack(W, ZERO(), ONE(), n, n, g, packed, ZERO())
    return packed


@njit(**SERIAL)
def one_step(
    cell, sizes, k, e, n, g, parts, stages, products, W, bias, packed, starts, P, C, X, E, S, N, batch
):
    """`forward` for one step on one thread, with everything packed before."""
    edge = np.zeros(edge_size(E), E.dtype)
    for b in range(batch):
        for j in range(parts):
            put(E, b * e + j, get(bias, j))
    gemm(batch, g, n, X, ZERO(), n, ONE(), W, ZERO(), E, ZERO(), e, edge, ZERO())
    for stage in range(stages + 1):
        for b in range(batch):
            row_forward(cell, stage, sizes, E, b * e, S, b * k, P, C, N, b * k)
        multiply(products, stage, packed, starts, True, S, E, E, ZERO(), batch, k, e, edge, ZERO())
