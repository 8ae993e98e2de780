"""Matrix products on flat arrays with offsets and strides, from one register tile; every remainder, both dtypes.

C[M, N] = start + A[M, K] B[K, N]; usually C is its worker start. The right factor is packed once into panels of two
vectors' width; each row of the result is summed over k in one fixed order, whatever the tile that computes it, so
results do not depend on how rows are cut.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import overload

from .access import OPTIONS, SUM, get, moved, pointer, put
from .compiled_once import compiled_once
from .flat_arrays import empty
from .microkernel import (
    HALF_TILE,
    PARTS,
    TILE_ROWS,
    VECTORS,
    WIDE,
    move_panel,
    move_vector,
    panel_entries,
    strip_entries,
    tile_full,
    tile_half,
    tile_one,
    tile_one_wide,
    tile_pair,
    tile_pair_wide,
    tile_tall,
    tile_tallest,
    transpose_square,
    vector_entries,
)
from .processor import BYTES

LINE = 16  # entries, about a line of the cache
NEAR = 1 << 18  # bytes of a packed matrix that stays in the second cache: nothing of it is prefetched


@njit(**OPTIONS)
def ONE():
    """1 as an ordinary integer: for a literal argument Numba would compile another copy of the callee."""
    return np.int64(1)


@njit(**OPTIONS)
def ZERO():
    """0, likewise."""
    return np.int64(0)


def _width(entries):
    """A function of an array, of how many `entries` there are for numbers of its size. Compiled code has a constant."""

    def width(like):
        return entries(like.itemsize)

    @overload(width, jit_options=OPTIONS)
    def compiled(like):
        constant = entries(like.dtype.bitwidth // 8)
        return lambda like: np.int64(constant)

    return width


panel_width = _width(panel_entries)  # columns of a panel
strip_width = _width(strip_entries)  # columns of a strip
vector_width = _width(vector_entries)


@njit(**OPTIONS)
def clear(a, at, n):
    """a[at : at + n] = 0; Numba takes half a second to compile the assignment to a slice."""
    for j in range(n):
        put(a, at + j, a.dtype.type(0))


@njit(**OPTIONS)
def packed_size(K, N, like):
    """Entries of a right factor (K, N) once packed."""
    w = panel_width(like)
    return (N + w - 1) // w * w * K


@njit(**OPTIONS)
def transpose(source, at, k_step, n_step, K, N, out, to, w):
    """out[to + k w + n] = source[at + k k_step + n n_step].

    Whichever of the steps is 1, both sides are read and written by the vector, but for what remains beyond whole ones.
    """
    side = vector_width(source)
    whole, done = N // side * side, ZERO()
    if n_step == 1:
        done = K
        for k in range(K):
            for n in range(0, whole, side):
                move_vector(source, at + k * k_step + n, out, to + k * w + n)
    elif k_step == 1:
        done = K // side * side
        for k in range(0, done, side):
            for n in range(0, whole, side):
                transpose_square(source, at + n * n_step + k, n_step, out, to + k * w + n, w)
    for k in range(K):
        for n in range(whole if k < done else 0, N):
            put(out, to + k * w + n, get(source, at + k * k_step + n * n_step))


@compiled_once
def pack(source, at, k_step, n_step, K, N, packed, start):
    """packed[start:] = panels of the matrix source[at + k k_step + n n_step], padded with zeros."""
    w = panel_width(source)
    for p in range((N + w - 1) // w):
        m, panel, to = min(w, N - p * w), at + p * w * n_step, start + p * K * w
        if m == w and n_step == 1:
            for k in range(K):
                move_panel(source, panel + k * k_step, packed, to + k * w)
            continue
        transpose(source, panel, k_step, n_step, K, m, packed, to, w)
        for q in range(K):
            for n in range(m, w):
                put(packed, to + q * w + n, source.dtype.type(0))


@compiled_once
def pack_rows(source, at, ld, index, first, k0, k1, K, N, packed, start):
    """packed[start:] = panels of the matrix source[at + index[first + k] ld + n], rows k0 to k1 of K."""
    w = panel_width(source)
    whole = N // w
    for k in range(k0, k1):
        row = at + get(index, first + k) * ld
        for p in range(whole):
            move_panel(source, row + p * w, packed, start + (p * K + k) * w)
        if whole * w < N:
            to = start + (whole * K + k) * w
            for n in range(N - whole * w):
                put(packed, to + n, get(source, row + whole * w + n))
            for n in range(N - whole * w, w):
                put(packed, to + n, source.dtype.type(0))


@njit(**OPTIONS)
def _cut(M):
    """Cut M rows into tiles: (whole tiles, further rows that make these taller, rows that remain beyond half tiles).

    Each tile reads the panel, one of one or two rows as a full one does: 25 rows took the time of 27. So rows that
    remain make other tiles taller. With 16 registers all tiles are as tall as can be, and two rows that remain read
    several panels at once, which takes less time than two tiles of four rows: 8 rows are 6 and 2. With 32 registers
    twelve tiles of eight rows take less time than ten that are taller.
    """
    if TILE_ROWS == HALF_TILE and M % (TILE_ROWS + 2) == 2:
        tiles = M // (TILE_ROWS + 2)
        return tiles, 2 * tiles, M - tiles * (TILE_ROWS + 2)
    tiles = M // TILE_ROWS
    if TILE_ROWS == HALF_TILE:
        tiles = min(tiles, (M + TILE_ROWS + 1) // (TILE_ROWS + 2))
    rest = M - tiles * TILE_ROWS
    if rest > 2 * tiles:
        rest %= HALF_TILE
    taller = min(rest, 2 * tiles)
    return tiles, taller, rest - taller


@njit(**OPTIONS)
def new_index(n):
    """An index for `gemm`: 0 to TILE_ROWS - 1, which it needs itself, then 0 to n - 1, which a caller may change."""
    index = empty(TILE_ROWS + n, np.int64)
    for i in range(TILE_ROWS):
        index[i] = i
    for i in range(n):
        index[TILE_ROWS + i] = i
    return index


@njit(**OPTIONS)
def gemm(M, N, K, a, ao, row_step, k_step, packed, po, c, co, ldc, index, at, worker, workers):
    """C += A B, see `gemm_from`."""
    gemm_from(
        M, N, K, a, ao, row_step, k_step, packed, po, c, co, ldc, c, co, ldc, index, at, worker, workers
    )


@njit(**OPTIONS)
def gemm_from(
    M, N, K, a, ao, row_step, k_step, packed, po, start, so, lds, c, co, ldc, index, at, worker, workers
):
    """C = start + A B with B packed at po: M rows that `index` lists from `at` on, and a worker's share of columns.

    Nothing is written where K is 0. Rows beyond half tiles read WIDE panels at once, where there are so many.
    """
    if M > 0 and N > 0 and K > 0:
        multiply_rows(
            M, N, K, pointer(a, ao), row_step, k_step, pointer(packed, po), pointer(start, so), lds,
            pointer(c, co), ldc, pointer(index, at), worker, workers, ONE(),
        )  # fmt: skip


@njit(**OPTIONS)
def gemm_near(M, N, K, a, ao, row_step, k_step, packed, po, c, co, ldc, index, at):
    """`gemm` for a B that the second cache holds, with all columns."""
    if M > 0 and N > 0 and K > 0:
        multiply_rows(
            M, N, K, pointer(a, ao), row_step, k_step, pointer(packed, po), pointer(c, co), ldc, pointer(c, co), ldc,
            pointer(index, at), ZERO(), ONE(), ZERO(),
        )  # fmt: skip


@njit(**OPTIONS)
def _prefetched(rows, K, pace, w):
    """How many entries of the next panel the tiles of so many rows prefetch."""
    return rows * pace // PARTS * K * w // (VECTORS * BYTES)


@compiled_once
def multiply_rows(M, N, K, a, row_step, k_step, packed, start, lds, c, ldc, index, worker, workers, far):
    """`gemm_from` on pointers: passing arrays to a tile instead took 3 % of a training step, for words on the stack.

    Where B is `far` (1, else 0), the tiles of a panel prefetch the next panel into the second cache, each a part of it
    in proportion to its rows. The hardware prefetcher looks ahead too little: 24 rows times the U of an LSTM of 512
    units took up to 1.5 times as long. The third cache is too slow to deliver the whole panel during the first tile.
    Where B stays in the second cache, prefetching took 3 % of the time (U of an LSTM of 64 units, Zen 4).

    Nothing is divided between two tiles: the next one would wait for it.
    """
    w = panel_width(a)
    panels = (N + w - 1) // w
    p, last = (
        (ZERO(), panels) if workers == 1 else (panels * worker // workers, panels * (worker + 1) // workers)
    )
    far = ZERO() if panels * K * (VECTORS * BYTES) <= NEAR else far
    whole, extra, left = _cut(M)
    end, tall, pace = p, M, ZERO()
    while p < last:
        if p == end:
            group = p + WIDE <= last and (p + WIDE) * w <= N
            end, tall = (p + WIDE, M - left) if group else (p + 1, M)
            pace = far * (VECTORS * BYTES * PARTS) // tall if tall > 0 else ZERO()  # of one row
        B, begin, C, width = moved(packed, p * K * w), moved(start, p * w), moved(c, p * w), N - p * w
        next_panel = moved(packed, (p + far) * K * w)
        # The first tiles are as tall as can be. With AVX2 a tile of five rows takes nearly as long as one of six.
        n = extra // 2
        tile_tallest(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, index, next_panel, pace)
        i = n * (TILE_ROWS + 2)
        ahead, n = moved(next_panel, _prefetched(i, K, pace, w)), extra % 2
        tile_tall(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, moved(index, i), ahead, pace)
        i += n * (TILE_ROWS + 1)
        ahead, n = moved(next_panel, _prefetched(i, K, pace, w)), whole - (extra + 1) // 2
        tile_full(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, moved(index, i), ahead, pace)
        i += n * TILE_ROWS
        if i < tall:
            ahead = moved(next_panel, _prefetched(i, K, pace, w))
            if HALF_TILE < TILE_ROWS:
                n = (tall - i) // HALF_TILE
                tile_half(
                    n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, moved(index, i), ahead, pace
                )
                i += n * HALF_TILE
            n = (tall - i) // 2
            tile_pair(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, moved(index, i), ahead, pace)
            i += n * 2
            n = tall - i
            tile_one(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, moved(index, i), ahead, pace)
        p += 1
        if p == end and tall < M:
            # Without prefetching: they read memory as fast as it delivers.
            q, n = p - WIDE, (M - tall) // 2
            B, begin, C, width = moved(packed, q * K * w), moved(start, q * w), moved(c, q * w), N - q * w
            pairs, single = moved(index, tall), moved(index, tall + 2 * n)
            tile_pair_wide(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, pairs, B, ZERO())
            n = M - tall - 2 * n
            tile_one_wide(n, a, row_step, k_step, B, K, begin, lds, C, ldc, width, single, B, ZERO())


def provide_rows(dtype):
    """Compile `multiply_rows` for numbers of a dtype, or read it from the disk."""
    real = "p" + np.dtype(dtype).char
    multiply_rows.provide(f"iii{real}ii{real}{real}i{real}ipiiii")


@njit(**SUM)
def total(a, at, n):
    """Sum of n entries in an order that is fixed by n alone; reassociated, so that it vectorizes."""
    s = a.dtype.type(0)
    for j in range(n):
        s += get(a, at + j)
    return s
