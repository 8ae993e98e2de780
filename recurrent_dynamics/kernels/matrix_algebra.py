"""Products and an inverse of large matrices, on all threads: for constraints that build U outside of a recurrence.

They use the register tile and the threads of the engine. A BLAS has threads of its own, which poll for work for
milliseconds after each call, on the cores that the engine needs. Every sum has one order, whatever the number of
threads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from .access import INTERPRETED, OPTIONS, get, put
from .barrier import share
from .flat_arrays import empty, zeros
from .microkernel import TILE_ROWS
from .parallel import by_threads, kernel, parallel
from .product import ONE, ZERO, clear, gemm, new_index, pack, packed_size, panel_width
from .submatrices import SET, SUBTRACT, Block
from .threads import POOL, launch, threads_for
from .tuning import current

__all__ = ["INTERPRETED", "above", "antisymmetric", "invert", "multiply"]

STEP = 64  # rows that the inverse eliminates at once
TILE = 16  # side of a transposed block: lines a power of two apart share few places of the first cache


def _threads(rows: int, flops: float) -> int:
    """How many threads share so many rows, each of so many operations."""
    return threads_for(rows, flops) if rows * flops > current().min_parallel_matrix_flops else 1


def multiply(parts: Sequence[tuple[Block, Block, Block]], how: int) -> None:
    """C = A B, C += A B or C -= A B for several (C, A, B), as `parametrize.matrix_products.multiply`."""
    c, a, b = parts[0]
    tasks = np.array([(a.at, b.at, c.at, *a.shape, b.shape[1]) for c, a, b in parts])
    threads = _threads(int(tasks[:, 3].max()), 2.0 * int((tasks[:, 4] * tasks[:, 5]).sum()))
    with POOL:
        launch(
            threads, _multiply, how, tasks, a.flat, a.row, a.column, b.flat, b.row, b.column, c.flat, c.row,
        )  # fmt: skip


def invert(a: np.ndarray) -> None:
    """Replace a C-contiguous matrix whose symmetric part is at least I by its inverse.

    By Gauss-Jordan elimination in blocks, without exchanges of rows: for such matrices no pivot is below 1. Rounding
    errors grow with the square of the norm of the antisymmetric part (Golub and Van Loan 1979), which the caller has to
    check.

    Examples
    --------
    >>> a = np.array([[1.0, 1.0], [-1.0, 1.0]])
    >>> invert(a)
    >>> a
    array([[ 0.5, -0.5],
           [ 0.5,  0.5]])
    """
    n = len(a)
    threads = _threads(n, 2.0 * n * n)
    with POOL:
        launch(threads, _invert, a.reshape(-1), n)


def antisymmetric(v: np.ndarray, n: int, diagonal: float) -> np.ndarray:
    """The matrix (n, n) with v above its diagonal, row by row, -v mirrored below it, and a number on it."""
    a = np.empty((n, n), v.dtype)
    threads = _threads(n, 8.0 * n)
    with POOL:
        launch(threads, _antisymmetric, v, v.dtype.type(diagonal), a.reshape(-1), n)
    return a


def above(d: np.ndarray, scale: float) -> np.ndarray:
    """The entries of scale (D - D^T) above the diagonal, row by row, of a C-contiguous D."""
    n = len(d)
    v = np.empty(n * (n - 1) // 2, d.dtype)
    threads = _threads(n, 8.0 * n)
    with POOL:
        launch(threads, _above, d.reshape(-1), d.dtype.type(scale), v, n)
    return v


@njit(**OPTIONS)
def _negate(a, start, end):
    for j in range(start, end):
        put(a, j, -get(a, j))


@njit(**OPTIONS)
def _pack_right(i, threads, how, tasks, starts, b, b_row, b_column, packed):
    """The right factors as panels, a share of them for each thread; minus them to subtract."""
    w = panel_width(packed)
    for q in range(tasks.shape[0]):
        K, N = tasks[q, 4], tasks[q, 5]
        panels = (N + w - 1) // w
        p0, p1 = share(panels, threads, i), share(panels, threads, i + 1)
        po = starts[q] + p0 * K * w
        pack(b, tasks[q, 1] + p0 * w * b_column, b_row, b_column, K, min(N, p1 * w) - p0 * w, packed, po)
        if how == SUBTRACT:
            _negate(packed, po, starts[q] + p1 * K * w)


@njit(**OPTIONS)
def _multiply_rows(i, threads, how, tasks, starts, a, a_row, a_column, packed, c, ldc, index):
    """The products, a share of the rows for each thread."""
    for q in range(tasks.shape[0]):
        M, K, N = tasks[q, 3], tasks[q, 4], tasks[q, 5]
        r0, r1 = share(M, threads, i), share(M, threads, i + 1)
        if how == SET:
            for r in range(r0, r1):
                clear(c, tasks[q, 2] + r * ldc, N)
        gemm(
            r1 - r0, N, K, a, tasks[q, 0], a_row, a_column, packed, starts[q], c, tasks[q, 2], ldc, index,
            TILE_ROWS + r0, ZERO(), ONE(),
        )  # fmt: skip


@kernel
def _multiply(threads, how, tasks, a, a_row, a_column, b, b_row, b_column, c, ldc):
    count = tasks.shape[0]
    starts, tallest = zeros(count + 1, np.int64), 0
    for q in range(count):
        starts[q + 1] = starts[q] + packed_size(tasks[q, 4], tasks[q, 5], c)
        tallest = max(tallest, tasks[q, 3])
    packed, index = empty(starts[-1], c.dtype), new_index(tallest)
    parallel(_pack_right, threads, (threads, how, tasks, starts, b, b_row, b_column, packed))
    parallel(
        _multiply_rows, threads, (threads, how, tasks, starts, a, a_row, a_column, packed, c, ldc, index)
    )


@njit(**OPTIONS)
def _invert_small(a, at, lda, m, d, to, row):
    """d, rows of STEP from `to` on, = the inverse of a block (m, m) of a."""
    for i in range(m):
        for j in range(m):
            put(d, to + i * STEP + j, get(a, at + i * lda + j))
        for j in range(m, STEP):
            put(d, to + i * STEP + j, d.dtype.type(0))
    for p in range(m):
        pivot = get(d, to + p * STEP + p)
        put(d, to + p * STEP + p, d.dtype.type(1))
        for j in range(STEP):  # whole rows: their length is known to the compiler
            put(row, j, get(d, to + p * STEP + j) / pivot)
        for i in range(m):
            factor = get(d, to + i * STEP + p)
            put(d, to + i * STEP + p, d.dtype.type(0))
            for j in range(STEP):
                put(d, to + i * STEP + j, get(d, to + i * STEP + j) - factor * get(row, j))
        for j in range(STEP):
            put(d, to + p * STEP + j, get(row, j))


@njit(**OPTIONS)
def _set_aside(r0, r1, k, m, n, a, left, index):
    """Rows r0 to r1 of those listed: their columns k to k + m go to `left`, rows of STEP, and become 0."""
    for q in range(r0, r1):
        r = get(index, TILE_ROWS + q)
        for j in range(m):
            put(left, r * STEP + j, get(a, r * n + k + j))
        clear(a, r * n + k, m)


@njit(**OPTIONS)
def _eliminate_in_block(i, threads, k, m, n, a, left, packed, first):
    """Rows of the block times the inverse of that on the diagonal, and minus them as panels: some of the columns."""
    w, s = panel_width(a), np.int64(STEP)
    panels = (n + w - 1) // w
    p0, p1 = share(panels, threads, i), share(panels, threads, i + 1)
    c0, po = p0 * w, p0 * m * w
    columns, co = min(n, p1 * w) - c0, k * n + c0
    pack(a, co, n, ONE(), m, columns, packed, po)
    for r in range(m):
        clear(a, co + r * n, columns)
    gemm(
        m, columns, m, left, n * s, s, ONE(), packed, po, a, co, n, first, np.int64(TILE_ROWS), ZERO(), ONE()
    )
    pack(a, co, n, ONE(), m, columns, packed, po)
    _negate(packed, po, p1 * m * w)


@njit(**OPTIONS)
def _eliminate_elsewhere(i, threads, k, m, n, a, left, packed, index):
    """Minus multiples of the rows of the block for the other rows, some of which are this thread's."""
    r0, r1 = share(n - m, threads, i), share(n - m, threads, i + 1)
    _set_aside(r0, r1, k, m, n, a, left, index)
    gemm(
        r1 - r0, n, m, left, ZERO(), np.int64(STEP), ONE(), packed, ZERO(), a, ZERO(), n, index, TILE_ROWS + r0,
        ZERO(), ONE(),
    )  # fmt: skip


@kernel
def _invert(threads, a, n):
    s = np.int64(STEP)
    index, first = new_index(n), new_index(s)
    packed, left = empty(packed_size(s, n, a), a.dtype), empty((n + s) * s, a.dtype)
    row = empty(s, a.dtype)
    for k in range(0, n, STEP):
        m = min(s, n - k)
        # The inverse of the block on the diagonal, beyond the rows of `left`; and the identity in its place.
        _invert_small(a, k * n + k, n, m, left, n * s, row)
        for r in range(m):
            clear(a, (k + r) * n + k, m)
            put(a, (k + r) * n + k + r, a.dtype.type(1))
        for q in range(n - m):  # all rows but those of the block
            put(index, TILE_ROWS + q, q if q < k else q + m)
        parallel(_eliminate_in_block, threads, (threads, k, m, n, a, left, packed, first))
        parallel(_eliminate_elsewhere, threads, (threads, k, m, n, a, left, packed, index))


@by_threads
def _antisymmetric(worker, threads, v, diagonal, a, n):
    for i0 in range(worker * TILE, n, threads * TILE):
        for j0 in range(i0, n, TILE):
            for i in range(i0, min(i0 + TILE, n)):
                row = i * (2 * n - i - 1) // 2 - i - 1
                for j in range(max(j0, i + 1), min(j0 + TILE, n)):
                    x = get(v, row + j)
                    put(a, i * n + j, x)
                    put(a, j * n + i, -x)
        for i in range(i0, min(i0 + TILE, n)):
            put(a, i * n + i, diagonal)


@by_threads
def _above(worker, threads, d, scale, v, n):
    for i0 in range(worker * TILE, n, threads * TILE):
        for j0 in range(i0, n, TILE):
            for i in range(i0, min(i0 + TILE, n)):
                row = i * (2 * n - i - 1) // 2 - i - 1
                for j in range(max(j0, i + 1), min(j0 + TILE, n)):
                    put(v, row + j, scale * (get(d, i * n + j) - get(d, j * n + i)))
