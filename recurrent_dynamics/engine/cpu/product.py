"""Matrix products on flat arrays with offsets and strides, from one register tile; every remainder, both dtypes.

C[M, N] += A[M, K] B[K, N]. The right factor is packed once into panels of two vectors' width; each row of the result is
summed over k in one fixed order, whatever the tile that computes it, so results do not depend on how rows are cut.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .memory import OPTIONS, get, put
from .microkernel import BYTES, ROWS, VECTORS, tile_full, tile_half, tile_one, tile_pair

HALF = ROWS // 2


@njit(**OPTIONS)
def ONE():
    """1 as an ordinary integer: Numba would compile a copy of the callee for each literal argument."""
    return np.int64(1)


@njit(**OPTIONS)
def ZERO():
    """0, likewise."""
    return np.int64(0)


@njit(**OPTIONS)
def panel_width(like):
    return VECTORS * BYTES // like.itemsize


@njit(**OPTIONS)
def packed_size(K, N, like):
    """Entries of a right factor (K, N) once packed."""
    w = panel_width(like)
    return (N + w - 1) // w * w * K


@njit(**OPTIONS)
def pack(source, at, k_step, n_step, K, N, packed, start):
    """packed[start:] = panels of the matrix source[at + k k_step + n n_step], the last one padded with zeros."""
    w = panel_width(source)
    for p in range((N + w - 1) // w):
        m = min(w, N - p * w)
        for k in range(K):
            d, s = start + (p * K + k) * w, at + k * k_step + p * w * n_step
            for n in range(m):
                put(packed, d + n, get(source, s + n * n_step))
            for n in range(m, w):
                put(packed, d + n, source.dtype.type(0))


@njit(**OPTIONS)
def _tiles(M, K, a, ao, row_step, k_step, packed, po, c, co, ldc):
    """At most ROWS rows of one panel: a full tile, or the remainder in halves."""
    i = 0
    if M == ROWS:
        tile_full(a, ao, row_step, k_step, packed, po, K, c, co, ldc)
        i = ROWS
    if i + HALF <= M:
        tile_half(a, ao, row_step, k_step, packed, po, K, c, co, ldc)
        i = HALF
    while i + 2 <= M:
        tile_pair(a, ao + i * row_step, row_step, k_step, packed, po, K, c, co + i * ldc, ldc)
        i += 2
    if i < M:
        tile_one(a, ao + i * row_step, row_step, k_step, packed, po, K, c, co + i * ldc, ldc)


@njit(**OPTIONS)
def gemm(M, N, K, a, ao, row_step, k_step, packed, po, c, co, ldc, edge, eo):
    """C += A B with B packed at po; `edge` from eo on is scratch of ROWS panels' rows for the last, narrower panel.

    One call of the tiles serves whole and narrow panels: what it inlines is most of the compile time.
    """
    if K == 0:
        return
    w = panel_width(a)
    for p in range((N + w - 1) // w):
        m = min(w, N - p * w)
        for i in range(0, M, ROWS):
            rows = min(ROWS, M - i)
            at = co + i * ldc + p * w
            if m < w:
                for q in range(rows):
                    for n in range(m):
                        put(edge, eo + q * w + n, get(c, at + q * ldc + n))
            to, start, ld = (c, at, ldc) if m == w else (edge, eo, w)
            _tiles(rows, K, a, ao + i * row_step, row_step, k_step, packed, po + p * K * w, to, start, ld)
            if m < w:
                for q in range(rows):
                    for n in range(m):
                        put(c, at + q * ldc + n, get(edge, eo + q * w + n))


@njit(**OPTIONS)
def edge_size(like):
    """Entries of the scratch of `gemm`; it starts as zeros, as lanes that are never read are computed too."""
    return ROWS * panel_width(like)


@njit(**OPTIONS)
def share(n, parts, i):
    """Where part i of n rows begins; whole tiles where there are enough of them."""
    i = np.int64(i)  # the index of a parallel loop is unsigned
    if n < 2 * ROWS * parts:
        return n * i // parts
    tiles = (n + ROWS - 1) // ROWS
    return min(n, tiles * i // parts * ROWS)


@njit(error_model="numpy", fastmath={"contract", "nsz", "reassoc"}, no_cpython_wrapper=True)
def total(a, at, n):
    """Sum of n entries in an order that is fixed by n alone; reassociated, so that it vectorizes."""
    s = a.dtype.type(0)
    for j in range(n):
        s += get(a, at + j)
    return s
