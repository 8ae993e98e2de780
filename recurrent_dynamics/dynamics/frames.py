"""Orthonormal frames carried along a trajectory by its Jacobians, and orthonormalized again as often as needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .trajectories import Segment, Source

# The condition number up to which a pushed frame is trusted: the smallest diagonal entry of R is then known to
# eps * condition, 2e-11 in double precision.
CONDITION = {True: 1e5, False: 1e2}
GROWTH = 200.0  # nats; far from where numbers overflow
SAFETY = 0.7


@dataclass(frozen=True)
class Stretch:
    """The steps between two orthonormalizations: A = Q R, A the frame before them pushed through.

    Attributes
    ----------
    start, steps : the first step, and how many
    before, after : the frames around them, vectors in rows, (B, k, S)
    log_diagonal : ln |R_ii|, (B, k); -inf where R_ii is 0 to rounding
    triangles : R, (B, k, k)
    segment, offset : where the steps are
    """

    start: int
    steps: int
    before: np.ndarray
    after: np.ndarray
    log_diagonal: np.ndarray
    triangles: np.ndarray
    segment: Segment
    offset: int


def random_frame(source: Source, count: int, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal rows (B, count, S) in random directions."""
    return orthonormalize(rng.standard_normal((source.batch, count, source.size)))[0]


def orthonormalize(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q with orthonormal rows (B, k, S) and upper triangles R (B, k, k) with rows[b].T = Q[b].T R[b].

    By NumPy, which pushes the frames too: SciPy's LAPACK has threads of its own, and the two fight for the cores.

    Examples
    --------
    >>> Q, R = orthonormalize(np.array([[[3.0, 4.0], [1.0, 0.0]]]))
    >>> bool(np.allclose(Q[0].T @ R[0], [[3, 1], [4, 0]]))
    True
    """
    Q, R = np.linalg.qr(np.swapaxes(rows, 1, 2))
    return np.swapaxes(Q, 1, 2), R


def walk(
    source: Source, count: int, steps: int, marks: np.ndarray, rng: np.random.Generator
) -> Iterator[Stretch]:
    """Carry a random frame of `count` vectors through the steps, orthonormalizing at all `marks` at least.

    Between the marks the interval follows the condition number of the pushed frame. An interval that turns out too
    long is walked again in shorter ones.
    """
    frame, start, interval = random_frame(source, count, rng), 0, 1
    for segment in source.segments(steps, count):
        limit = math.log(CONDITION[segment.exact])
        a = 0
        while a < segment.steps:
            mark = int(marks[np.searchsorted(marks, start, side="right")])
            n = min(interval, segment.steps - a, mark - start)
            with np.errstate(over="ignore", invalid="ignore"):  # looked at below
                pushed = segment.push(frame, a, a + n)
            finite = bool(np.isfinite(pushed).all())
            if not finite and n == 1:
                raise FloatingPointError(f"tangent vectors became infinite in step {start}")
            if finite:
                after, triangles = orthonormalize(pushed)
                used = _used(triangles)
            else:
                used = math.inf
            used = max(used / limit, 0.0) if math.isfinite(used) else math.inf
            if used > 1 and n > 1:
                interval = max(1, min(n // 2, int(SAFETY * n / used)))
                continue
            yield Stretch(start, n, frame, after, _log_diagonal(triangles), triangles, segment, a)
            longest = 2 * n if n == interval else max(2 * n, interval)
            interval = max(1, min(longest, int(SAFETY * n / used) if used > 0 else longest))
            frame, a, start = after, a + n, start + n


def _used(triangles: np.ndarray) -> float:
    """The largest ln condition number; growth counts too, in proportion to how much is allowed of it."""
    from scipy.linalg import lapack

    used = 0.0
    for R in triangles:
        diagonal = np.abs(R.diagonal())
        if not diagonal.all():
            return math.inf
        scale = math.log(CONDITION[True]) / GROWTH
        used = max(used, scale * float(np.abs(np.log(diagonal)).max()))
        if len(R) > 1:
            reciprocal, _ = lapack.dtrcon(R)
            used = max(used, -math.log(reciprocal) if reciprocal > 0 else math.inf)
    return used


def _log_diagonal(triangles: np.ndarray) -> np.ndarray:
    """ln |R_ii|, -inf for what is nothing but rounding beside the largest entry of R."""
    diagonal = np.abs(np.diagonal(triangles, axis1=1, axis2=2))
    largest = np.abs(triangles).max(axis=(1, 2))[:, None]
    rounding = triangles.shape[1] * np.finfo(np.float64).eps * largest
    with np.errstate(divide="ignore"):
        return np.where(diagonal > rounding, np.log(diagonal), -np.inf)
