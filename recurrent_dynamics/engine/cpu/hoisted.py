"""Products for all steps at once, before and after a walk; compiled once for all cells.

`rows` is steps times batch. Threads own rows of the result, so that every sum has one order.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from .memory import OPTIONS, PARALLEL, get, put
from .microkernel import ROWS
from .product import edge_size, gemm, pack, packed_size, share
from .tables import COLUMNS, FROM_STATE, HEADS, MATRIX, ROWS_, SOURCE, TARGET
from .walks import pack_matrices

BLOCK = 192  # rows that an outer product takes at once: both factors stay in cache


@njit(**PARALLEL)
def inputs(build, X, W, bias, E, rows, n, g, parts, e, threads):
    """E[:, :parts] = bias, and E[:, :g] += X W^T; X (rows, n), W (g, n)."""
    packed = np.empty(packed_size(n, g, X), X.dtype)
    pack(W, 0, 1, n, n, g, packed, 0)
    edges = np.empty(threads * edge_size(X), X.dtype)
    for i in prange(threads):
        end = share(rows, threads, i + 1)
        for r in range(share(rows, threads, i), end, 6 * ROWS):
            some = min(6 * ROWS, end - r)
            for q in range(r, r + some):
                for j in range(parts):
                    put(E, q * e + j, get(bias, j))
            gemm(some, g, n, X, r * n, n, 1, packed, 0, E, r * e, e, edges, i * edge_size(X))


@njit(**PARALLEL)
def add_inputs(build, X, W, E, rows, n, g, e, threads):
    """E[:, :g] += X W^T."""
    packed = np.empty(packed_size(n, g, X), X.dtype)
    pack(W, 0, 1, n, n, g, packed, 0)
    edges = np.empty(threads * edge_size(X), X.dtype)
    for i in prange(threads):
        r0, r1 = share(rows, threads, i), share(rows, threads, i + 1)
        gemm(r1 - r0, g, n, X, r0 * n, n, 1, packed, 0, E, r0 * e, e, edges, i * edge_size(X))


@njit(**PARALLEL)
def add_matrices(build, products, U, S, E, out, rows, k, e, threads):
    """out[target] += M operand with the operands of S and E and no mean: the part of a tangent that moves U."""
    packed, starts = pack_matrices(products, U, False)
    edges = np.empty(threads * edge_size(U), U.dtype)
    for i in prange(threads):
        r0, r1, eo = share(rows, threads, i), share(rows, threads, i + 1), i * edge_size(U)
        for p in range(products.shape[0]):
            if products[p, MATRIX] >= 0:
                R, C, n = products[p, ROWS_], products[p, COLUMNS], products[p, HEADS]
                size = (starts[p + 1] - starts[p]) // n
                for head in range(n):
                    source, target = products[p, SOURCE] + head * C, products[p, TARGET] + head * R
                    at = starts[p] + head * size
                    if products[p, FROM_STATE]:
                        gemm(
                            r1 - r0,
                            R,
                            C,
                            S,
                            r0 * k + source,
                            k,
                            1,
                            packed,
                            at,
                            out,
                            r0 * e + target,
                            e,
                            edges,
                            eo,
                        )
                    else:
                        gemm(
                            r1 - r0,
                            R,
                            C,
                            E,
                            r0 * e + source,
                            e,
                            1,
                            packed,
                            at,
                            out,
                            r0 * e + target,
                            e,
                            edges,
                            eo,
                        )


@njit(**PARALLEL)
def input_adjoint(build, dE, W, dX, rows, n, g, e, threads):
    """dX += dE[:, :g] W."""
    packed = np.empty(packed_size(g, n, W), W.dtype)
    pack(W, 0, n, 1, g, n, packed, 0)
    edges = np.empty(threads * edge_size(W), W.dtype)
    for i in prange(threads):
        r0, r1 = share(rows, threads, i), share(rows, threads, i + 1)
        gemm(r1 - r0, n, g, dE, r0 * e, e, 1, packed, 0, dX, r0 * n, n, edges, i * edge_size(W))


@njit(**OPTIONS)
def _outer(n, rows, a, ao, lda, x, xo, ldx, c, co, m0, m1, packed, strip, edge):
    """c[m, n] += sum_r a[r, m] x[r, n] for m0 <= m < m1, in blocks of r."""
    for r in range(0, rows, BLOCK):
        some = min(BLOCK, rows - r)
        pack(x, xo + r * ldx, ldx, 1, some, n, packed, 0)
        for m in range(m0, m1, ROWS):
            tall = min(ROWS, m1 - m)
            for q in range(some):
                for s in range(tall):
                    put(strip, q * ROWS + s, get(a, ao + (r + q) * lda + m + s))
            gemm(tall, n, some, strip, 0, 1, ROWS, packed, 0, c, co + m * n, n, edge, 0)


@njit(**PARALLEL)
def weights_adjoint(build, dE, X, dW, rows, n, g, e, threads):
    """dW += dE[:, :g]^T X."""
    for i in prange(threads):
        packed, strip = np.empty(packed_size(BLOCK, n, X), X.dtype), np.empty(BLOCK * ROWS, X.dtype)
        edge = np.empty(edge_size(X), X.dtype)
        _outer(
            n,
            rows,
            dE,
            0,
            e,
            X,
            0,
            n,
            dW,
            0,
            share(g, threads, i),
            share(g, threads, i + 1),
            packed,
            strip,
            edge,
        )


@njit(**PARALLEL)
def matrices_adjoint(build, products, dE, S, E, dU, rows, k, e, threads):
    """dU += dE[target]^T operand for every product with a block of U."""
    widest = 0
    for p in range(products.shape[0]):
        widest = max(widest, products[p, COLUMNS])
    for i in prange(threads):
        packed, strip = np.empty(packed_size(BLOCK, widest, E), E.dtype), np.empty(BLOCK * ROWS, E.dtype)
        edge = np.empty(edge_size(E), E.dtype)
        for p in range(products.shape[0]):
            if products[p, MATRIX] >= 0:
                R, C = products[p, ROWS_], products[p, COLUMNS]
                m0, m1 = share(R, threads, i), share(R, threads, i + 1)
                for head in range(products[p, HEADS]):
                    target, source = products[p, TARGET] + head * R, products[p, SOURCE] + head * C
                    co = products[p, MATRIX] + head * R * C
                    if products[p, FROM_STATE]:
                        _outer(C, rows, dE, target, e, S, source, k, dU, co, m0, m1, packed, strip, edge)
                    else:
                        _outer(C, rows, dE, target, e, E, source, e, dU, co, m0, m1, packed, strip, edge)


@njit(**PARALLEL)
def bias_adjoint(build, dE, d_bias, rows, parts, e, threads):
    """d_bias += the sum of dE[:, :parts] over all rows."""
    for i in prange(threads):
        j0, j1 = parts * i // threads, parts * (i + 1) // threads
        for r in range(rows):
            for j in range(j0, j1):
                put(d_bias, j, get(d_bias, j) + get(dE, r * e + j))
