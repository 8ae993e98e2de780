# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""QR by Householder reflections: orthogonal to rounding whatever the condition number.

A panel of reflections at a time is ``I - V T V^T`` with ``T^-1 = striu(V^T V) + diag(V^T V) / 2`` [1]_: but for the
panels themselves all is products of matrices.

References
----------
.. [1] Joffrain, Low, Quintana-Orti, van de Geijn and Van Zee, Accumulating Householder transformations, revisited, ACM
   Transactions on Mathematical Software 32 (2006).
"""

from __future__ import annotations

import math

from numba import njit

from ..access import OPTIONS, get, put
from ..product import ONE, ZERO, clear
from .panels import multiply, width
from .rows import reflect_rows

NOTHING = 1e-280  # the squared norm of a column below which it counts as zero


@njit(**OPTIONS)
def _reflect_panel(A, panel, first, size, columns, R, ro, count, scratch, index):
    """Householder vectors of a panel, from its row `first` on, in place of its columns, zeros above them; R beside."""
    w = width()
    factors = size * w
    sums, top = factors + w, panel + first * w
    clear(scratch, factors, 2 * w)
    if size - first > 1:
        reflect_rows(A, top + w, size - first - 1, ZERO(), ZERO(), scratch, factors, sums)
    for j in range(columns):
        row = first + j
        pivot, to = top + j * w, ro + row * count + first
        alpha, tail = get(A, pivot + j), get(scratch, sums + j)
        beta, v, rate = alpha, 0.0, 0.0
        if tail > 0.0 and alpha * alpha + tail > NOTHING:
            beta = -math.copysign(math.sqrt(alpha * alpha + tail), alpha)
            v = alpha - beta
            rate = 1.0 / (beta * v)
        for c in range(w):
            g = rate * (v * get(A, pivot + c) + get(scratch, sums + c))
            put(scratch, factors + c, g if c > j else 0.0)
        put(R, to + j, beta)
        for c in range(j + 1, columns):
            put(R, to + c, get(A, pivot + c) + v * get(scratch, factors + c))
            put(A, pivot + c, 0.0)
        put(A, pivot + j, v)
        if j + 1 < columns:  # the next pivot, whose products are no part of the sums, and the rows below it
            reflect_rows(A, pivot + w, ONE(), j, j + 1, scratch, factors, sums)
            clear(scratch, sums, w)
            if size - row > 2:
                reflect_rows(A, pivot + 2 * w, size - row - 2, j, j + 1, scratch, factors, sums)


@njit(**OPTIONS)
def _triangle(A, panel, first, size, scratch, T, index):
    """scratch[T:] = -T of a panel, from the sums of products in a square before it."""
    w = width()
    G, V = (size + 2) * w, panel + first * w
    clear(scratch, G, w * w)
    clear(scratch, T, w * w)
    multiply(w, size - first, A, V, ONE(), w, A, V, scratch, G, index)
    for i in range(w - 1, -1, -1):  # T^-1 T = 1, row by row from the last
        row, d = T + i * w, get(scratch, G + i * w + i) / 2
        if d > 0.0:  # else there was nothing to reflect
            multiply(
                ONE(), w - 1 - i, scratch, G + i * w + i + 1, ZERO(), ONE(), scratch, row + w, scratch, row, index
            )  # fmt: skip
            put(scratch, row + i, 1.0)
            for c in range(w):
                put(scratch, row + c, get(scratch, row + c) / -d)


@njit(**OPTIONS)
def factor(A, at, R, ro, size, count, scratch, triangles, index):
    """R of a frame, in A the Householder vectors, behind scratch[triangles:] a triangle -T for each panel."""
    w = width()
    Z, panels = triangles - w * w, (count + w - 1) // w
    for p in range(panels):
        first, panel, T = p * w, at + p * size * w, triangles + p * w * w
        _reflect_panel(A, panel, first, size, min(w, count - first), R, ro, count, scratch, index)
        _triangle(A, panel, first, size, scratch, T, index)
        if p + 1 < panels:
            V, rows = panel + first * w, size - first
            for i in range(w):
                for j in range(w):
                    put(scratch, Z + j * w + i, get(scratch, T + i * w + j))
            clear(scratch, first * w, rows * w)  # - V T^T
            multiply(rows, w, A, V, w, ONE(), scratch, Z, scratch, first * w, index)
        for q in range(p + 1, panels):
            right = at + (q * size + first) * w
            clear(scratch, Z, w * w)
            multiply(w, rows, A, V, ONE(), w, A, right, scratch, Z, index)
            multiply(rows, w, scratch, first * w, w, ONE(), scratch, Z, A, right, index)
            columns = min(w, count - q * w)
            for i in range(w):
                for c in range(columns):
                    put(R, ro + (first + i) * count + q * w + c, get(A, right + i * w + c))


@njit(**OPTIONS)
def form(A, at, Q, qo, size, count, scratch, triangles, index):
    """The first columns of the product of all reflections, into Q, which is zero before."""
    w = width()
    Z, panels = triangles - w * w, (count + w - 1) // w
    for p in range(panels - 1, -1, -1):
        first = p * w
        V, rows = at + (p * size + first) * w, size - first
        clear(scratch, first * w, rows * w)  # - V T
        multiply(rows, w, A, V, w, ONE(), scratch, triangles + p * w * w, scratch, first * w, index)
        for q in range(p, panels):
            right = qo + (q * size + first) * w
            if q > p:
                clear(scratch, Z, w * w)
                multiply(w, rows, A, V, ONE(), w, Q, right, scratch, Z, index)
            else:  # V^T of columns of the identity
                columns = min(w, count - first)
                for c in range(columns):
                    put(Q, right + c * w + c, 1.0)
                for i in range(w):
                    for c in range(w):
                        put(scratch, Z + i * w + c, get(A, V + c * w + i) if c < columns else 0.0)
            multiply(rows, w, scratch, first * w, w, ONE(), scratch, Z, Q, right, index)
