# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The compiled part of `frames`: products with formed Jacobians, and QR, each thread with trajectories of its own.

A frame (S, k) is kept as panels of a register tile's width, one after the other: the layout of the right factor of a
product, so that a push by a Jacobian packs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ..access import OPTIONS, get, put
from ..barrier import share
from ..flat_arrays import empty, zeros
from ..parallel import by_threads
from ..product import ZERO, clear, new_index
from ..threads import POOL, launch, threads_for
from .condition import measure
from .gram_schmidt import orthonormalize, spread
from .householder import factor, form
from .panels import HUGE, TINY, dot, push, width

if TYPE_CHECKING:
    from . import Structure

COLUMN = 2e4  # overhead of a column of QR in operations: about 0.2 microseconds


def carry(
    jacobians: np.ndarray,
    where: Structure,
    panels: np.ndarray,
    moved: np.ndarray,
    triangles: np.ndarray,
    log_diagonal: np.ndarray,
    log_condition: np.ndarray,
) -> None:
    """Push the frames in `panels`, factor the result A = Q R, and write Q, R, ln |R_ii| and ln of the condition number.

    `log_diagonal` (m, B, k) and `log_condition` (m, B) say how often: once after all steps, or m times after one step
    each. The condition number is then a lower bound, and accurate for the last step. R is not kept where its array is
    empty. If the sum of the squares of A is too large or too small, the condition is NaN, and nothing further is
    written.
    """
    steps, batch, size, _ = jacobians.shape
    times, _, count = log_diagonal.shape
    qr = (4.0 if triangles.size else 2.0) * count * size + COLUMN
    threads = threads_for(batch, (2.0 * steps * size * size + times * qr) * count)
    with POOL, np.errstate(all="ignore"):  # for interpreted code; overflow is checked for
        launch(
            threads, _carry, jacobians.reshape(-1), steps // times, where.low, where.high, where.diagonals,
            panels.reshape(-1), moved.reshape(-1), triangles.reshape(-1), log_diagonal, log_condition, size,
        )  # fmt: skip


@by_threads
def _carry(i, threads, J, steps, low, high, diagonals, frames, moved, R, logs, conditions, size):
    batch, count = logs.shape[1:]
    panels = (count + width() - 1) // width()
    # Buffers of the thread, which stay in its cache: three frames, and R if it is not kept.
    own = empty(3 * panels * width() * size, frames.dtype)
    kept = empty(0 if R.size > 0 else count * count, frames.dtype)
    scratch = zeros((size + 2 + (2 + panels) * width()) * width(), frames.dtype)
    index, two = new_index(max(size, width())), zeros(2 * count + 2, frames.dtype)
    for b in range(share(batch, threads, i), share(batch, threads, i + 1)):
        r, ro = (R, b * count * count) if R.size > 0 else (kept, ZERO())
        _one(
            J, steps, low, high, diagonals, frames, moved, r, ro, R.size > 0, logs, conditions, b, size, own, scratch,
            two, index,
        )  # fmt: skip


@njit(**OPTIONS)
def _one(
    J, steps, low, high, diagonals, frames, moved, R, ro, keep, logs, conditions, b, size, own, scratch, two, index,
):  # fmt: skip
    """One trajectory."""
    times, batch, count = logs.shape
    whole = (count + width() - 1) // width() * width() * size
    triangles = (size + 2 + 2 * width()) * width()
    at = np.int64(-1)  # which buffer holds the frame; -1: still the given one
    for time in range(times):
        well, here, known = time + 1 == times, at, True
        triangular = well  # whether there will be an R
        # By Gram-Schmidt, unless R is kept; if that would not do, once more from the push on by reflections.
        for reflecting in range(1 if keep else 0, 2):
            here = at
            for t in range(steps):
                source, so = (frames, b * whole) if here < 0 else (own, here * whole)
                here = _other(here, at)
                first = ((time * steps + t) * batch + b) * size * size
                push(J, first, low, high, diagonals, source, so, own, here * whole, size, whole, index)
            if steps == 0:
                here = ZERO()
                for j in range(whole):
                    put(own, j, get(frames, b * whole + j))
            A = here * whole
            if not reflecting:
                if orthonormalize(own, A, R, size, count, scratch, logs[time, b], well):
                    break
                continue
            squares = dot(own, A, own, A, whole)
            known, triangular = TINY < squares < HUGE, True
            if known:
                if keep:
                    clear(R, ro, count * count)
                factor(own, A, R, ro, size, count, scratch, triangles, index)
                here = _other(here, at)
                clear(own, here * whole, whole)
                form(own, A, own, here * whole, size, count, scratch, triangles, index)
        at = here
        if not known:
            conditions[time, b] = np.nan
            return
        if triangular:
            conditions[time, b] = measure(R, ro, count, logs[time, b], well, two)
        else:
            conditions[time, b] = spread(logs[time, b])
    for j in range(whole):
        put(moved, b * whole + j, get(own, at * whole + j))


@njit(**OPTIONS)
def _other(a, b):
    """One of three that is neither."""
    for c in range(3):
        if c != a and c != b:
            return np.int64(c)
    return np.int64(0)
