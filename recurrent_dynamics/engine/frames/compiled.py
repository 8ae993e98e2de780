# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The compiled part of `frames`: products with formed Jacobians, and QR, each thread with trajectories of its own.

A frame (S, k) is kept as panels of a register tile's width, one after the other: the layout of the right factor of a
product, so that a push by a Jacobian packs nothing. QR is by Householder reflections, a panel of them at a time as
``I - V T V^T`` with ``T^-1 = striu(V^T V) + diag(V^T V) / 2`` [1]_: orthogonal to rounding whatever the condition
number, and but for the panels themselves all products of matrices.

References
----------
.. [1] Joffrain, Low, Quintana-Orti, van de Geijn and Van Zee, Accumulating Householder transformations, revisited, ACM
   Transactions on Mathematical Software 32 (2006).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from ..cpu.memory import OPTIONS, PARALLEL, get, put, zeros
from ..cpu.microkernel import ROWS
from ..cpu.pool import POOL, launch, threads_for
from ..cpu.product import ONE, ZERO, gemm, new_index
from ..cpu.rows import BUILT
from ..cpu.team import share
from .rows import WIDTH, reflect_rows

if TYPE_CHECKING:
    from . import Structure

TINY, HUGE = (
    1e-200,
    1e200,
)  # of the sum of squares of a frame: within, no product of two entries that matter is lost
REFLECTION = 3e4  # what a reflection takes beside its arithmetic, as operations: it is some 0.3 microseconds
NOTHING = 1e-280  # the squared norm of a column below which it counts as zero


def carry(
    jacobians: np.ndarray,
    where: Structure,
    panels: np.ndarray,
    moved: np.ndarray,
    triangles: np.ndarray,
    log_diagonal: np.ndarray,
    log_condition: np.ndarray,
) -> None:
    """Fill the last four with what A = Q R gives, A the frames in `panels` pushed: Q, R, ln |R_ii|, ln condition.

    As often as `log_diagonal` (m, B, k) and `log_condition` (m, B) have room: once after all steps, or m times after
    one each; the condition is then at least that large, and known well for the last. R is not kept where there is no
    room for it. The condition is NaN, and nothing else is there or comes after it, where the sum of the squares of A is
    not of a size to work with.
    """
    steps, batch, size, _ = jacobians.shape
    times, _, count = log_diagonal.shape
    threads = threads_for(
        batch, ((2.0 * steps * size + 4.0 * times * count) * size + times * REFLECTION) * count
    )
    with POOL:
        launch(
            threads, _carry, BUILT, jacobians.reshape(-1), steps // times, where.low, where.high, where.diagonals,
            panels.reshape(-1), moved.reshape(-1), triangles.reshape(-1), log_diagonal, log_condition, size, threads,
        )  # fmt: skip


@njit(**OPTIONS)
def _width():
    return np.int64(WIDTH)


@njit(**OPTIONS)
def _multiply(M, K, a, ao, row_step, k_step, b, bo, c, co, index, none):
    """C += A B of one panel: C (M, WIDTH) from co on, B (K, WIDTH) from bo on."""
    gemm(
        M, _width(), K, a, ao, row_step, k_step, b, bo, c, co, _width(), index, ROWS, none, ZERO(), ZERO(), ONE()
    )  # fmt: skip


@njit(**OPTIONS)
def _clear(a, at, n):
    for i in range(n):
        put(a, at + i, 0.0)


@njit(**PARALLEL)
def _carry(build, J, steps, low, high, diagonals, frames, moved, R, logs, conditions, size, threads):
    times, batch, count = logs.shape
    whole = (count + _width() - 1) // _width() * _width() * size
    squares_at = (size + 2) * _width()
    triangles = squares_at + 2 * _width() ** 2
    for i in prange(threads):
        index, none = new_index(max(size, _width())), zeros(1, frames)
        scratch = zeros(triangles + whole // (size * _width()) * _width() ** 2, frames)
        two = zeros(2 * count + 2, frames)
        # In what the thread itself has, which stays in its cache: the pushed frame, and R if it is not kept.
        pushed, own = zeros(whole, frames), zeros(0 if R.size > 0 else count * count, frames)
        for b in range(share(batch, threads, np.int64(i)), share(batch, threads, np.int64(i) + 1)):
            start = b * whole
            kept, ro = (R, b * count * count) if R.size > 0 else (own, ZERO())
            for time in range(times):
                for t in range(steps):  # the last push ends in `pushed`, those before alternate
                    at = ((time * steps + t) * batch + b) * size * size
                    if (steps - t) % 2:
                        source, so = (frames, start) if t == 0 and time == 0 else (moved, start)
                        _push(
                            J, at, low, high, diagonals, source, so, pushed, ZERO(), size, whole, index, none
                        )
                    else:
                        source, so = (frames, start) if t == 0 else (pushed, ZERO())
                        _push(J, at, low, high, diagonals, source, so, moved, start, size, whole, index, none)
                if steps == 0:
                    for j in range(whole):
                        put(pushed, j, get(frames, start + j))
                squares = _dot(pushed, ZERO(), pushed, ZERO(), whole)
                if not (TINY < squares < HUGE):
                    conditions[time, b] = np.nan
                    break
                if R.size > 0:
                    _clear(kept, ro, count * count)
                _factor(pushed, ZERO(), kept, ro, size, count, scratch, triangles, index, none)
                _clear(moved, start, whole)
                _form(pushed, ZERO(), moved, start, size, count, scratch, triangles, index, none)
                conditions[time, b] = _measure(kept, ro, count, logs[time, b], time + 1 == times, two)


@njit(**OPTIONS)
def _push(J, at, low, high, diagonals, source, so, target, to, size, whole, index, none):
    w = _width()
    for panel in range(0, whole, size * w):
        left, right = to + panel, so + panel
        _clear(target, left, size * w)
        for m in range(diagonals.shape[0]):
            for j in range(diagonals[m, 2]):
                row, column = diagonals[m, 0] + j, diagonals[m, 1] + j
                if column < low or column >= high:
                    x = get(J, at + row * size + column)
                    for c in range(w):
                        y = get(target, left + row * w + c) + x * get(source, right + column * w + c)
                        put(target, left + row * w + c, y)
        _multiply(
            size, high - low, J, at + low, size, ONE(), source, right + low * w, target, left, index, none
        )


@njit(**OPTIONS)
def _reflect_panel(A, panel, first, size, columns, R, ro, count, scratch, index, none):
    """Householder vectors of a panel, from its row `first` on, in place of its columns, zeros above them; R beside."""
    w = _width()
    factors = size * w
    sums, top = factors + w, panel + first * w
    _clear(scratch, factors, 2 * w)
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
            _clear(scratch, sums, w)
            if size - row > 2:
                reflect_rows(A, pivot + 2 * w, size - row - 2, j, j + 1, scratch, factors, sums)


@njit(**OPTIONS)
def _triangle(A, panel, first, size, scratch, T, index, none):
    """scratch[T:] = -T of a panel, from the sums of products in a square before it."""
    w = _width()
    G, V = (size + 2) * w, panel + first * w
    _clear(scratch, G, w * w)
    _clear(scratch, T, w * w)
    _multiply(w, size - first, A, V, ONE(), w, A, V, scratch, G, index, none)
    for i in range(w - 1, -1, -1):  # T^-1 T = 1, row by row from the last
        row, d = T + i * w, get(scratch, G + i * w + i) / 2
        if d > 0.0:  # else there was nothing to reflect
            _multiply(
                ONE(), w - 1 - i, scratch, G + i * w + i + 1, ZERO(), ONE(), scratch, row + w, scratch, row, index, none
            )  # fmt: skip
            put(scratch, row + i, 1.0)
            for c in range(w):
                put(scratch, row + c, get(scratch, row + c) / -d)


@njit(**OPTIONS)
def _factor(A, at, R, ro, size, count, scratch, triangles, index, none):
    """R of a frame, in A the Householder vectors, behind scratch[triangles:] a triangle -T for each panel."""
    w = _width()
    Z, panels = triangles - w * w, (count + w - 1) // w
    for p in range(panels):
        first, panel, T = p * w, at + p * size * w, triangles + p * w * w
        _reflect_panel(A, panel, first, size, min(w, count - first), R, ro, count, scratch, index, none)
        _triangle(A, panel, first, size, scratch, T, index, none)
        if p + 1 < panels:
            V, rows = panel + first * w, size - first
            for i in range(w):
                for j in range(w):
                    put(scratch, Z + j * w + i, get(scratch, T + i * w + j))
            _clear(scratch, first * w, rows * w)  # - V T^T
            _multiply(rows, w, A, V, w, ONE(), scratch, Z, scratch, first * w, index, none)
        for q in range(p + 1, panels):
            right = at + (q * size + first) * w
            _clear(scratch, Z, w * w)
            _multiply(w, rows, A, V, ONE(), w, A, right, scratch, Z, index, none)
            _multiply(rows, w, scratch, first * w, w, ONE(), scratch, Z, A, right, index, none)
            columns = min(w, count - q * w)
            for i in range(w):
                for c in range(columns):
                    put(R, ro + (first + i) * count + q * w + c, get(A, right + i * w + c))


@njit(**OPTIONS)
def _form(A, at, Q, qo, size, count, scratch, triangles, index, none):
    """The first columns of the product of all reflections, into Q, which is zero before."""
    w = _width()
    Z, panels = triangles - w * w, (count + w - 1) // w
    for p in range(panels - 1, -1, -1):
        first = p * w
        V, rows = at + (p * size + first) * w, size - first
        _clear(scratch, first * w, rows * w)  # - V T
        _multiply(rows, w, A, V, w, ONE(), scratch, triangles + p * w * w, scratch, first * w, index, none)
        for q in range(p, panels):
            right = qo + (q * size + first) * w
            if q > p:
                _clear(scratch, Z, w * w)
                _multiply(w, rows, A, V, ONE(), w, Q, right, scratch, Z, index, none)
            else:  # V^T of columns of the identity
                columns = min(w, count - first)
                for c in range(columns):
                    put(Q, right + c * w + c, 1.0)
                for i in range(w):
                    for c in range(w):
                        put(scratch, Z + i * w + c, get(A, V + c * w + i) if c < columns else 0.0)
            _multiply(rows, w, scratch, first * w, w, ONE(), scratch, Z, Q, right, index, none)


@njit(error_model="numpy", fastmath={"contract", "nsz", "reassoc"}, no_cpython_wrapper=True)
def _dot(a, at, b, to, n):
    s = 0.0
    for i in range(n):
        s += get(a, at + i) * get(b, to + i)
    return s


@njit(**OPTIONS)
def _measure(R, ro, count, logs, well, two):
    """Fill in ln |R_ii| and return ln of the condition number: what the diagonal says if that is much, or enough.

    Otherwise, in the 1-norm, R^T x = d with d_i = 1 or -1, whichever makes x grow, and R y = x: |y| / |x| is about the
    norm of the inverse (Cline, Moler, Stewart and Wilkinson, SIAM J. Numer. Anal. 16, 1979).
    """
    x, y = two[: count + 1], two[count + 1 :]
    largest, least, most = 0.0, np.inf, 0.0
    _clear(x, 0, count)
    _clear(y, 0, count)
    for i in range(count):
        row = ro + i * count
        for j in range(i, count):
            entry = abs(get(R, row + j))
            put(x, j, get(x, j) + entry)
            put(y, j, entry if entry > get(y, j) else get(y, j))
        entry = abs(get(R, row + i))
        least, most = min(least, entry), max(most, entry)
    norm = 0.0
    for j in range(count):
        norm, largest = max(norm, get(x, j)), max(largest, get(y, j))
    for i in range(count):
        entry = abs(get(R, ro + i * count + i))
        logs[i] = math.log(entry) if entry > count * 2.220446049250313e-16 * largest else -np.inf
    if least == 0.0 or most / least > 1e8 or not well:
        return math.log(most / least) if least > 0.0 else np.inf
    _clear(x, 0, count)
    above = 0.0
    for i in range(count):
        row = ro + i * count
        s = get(x, i)
        s = (-math.copysign(1.0, s) - s) / get(R, row + i)
        put(x, i, s)
        above += abs(s)
        for j in range(i + 1, count):
            put(x, j, get(x, j) + s * get(R, row + j))
    below = 0.0
    for i in range(count - 1, -1, -1):
        row = ro + i * count
        s = (get(x, i) - _dot(R, row + i + 1, y, i + 1, count - i - 1)) / get(R, row + i)
        put(y, i, s)
        below += abs(s)
    return math.log(max(norm * below / above, most / least))
