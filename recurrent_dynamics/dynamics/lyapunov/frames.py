"""Orthonormal frames carried along a trajectory by its Jacobians, and orthonormalized again as often as needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...kernels.qr import Carried, Frames, carry
from ..trajectories.sources import Segment, Source

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
    before, after : the frames around them, if triangles were asked for
    log_diagonal : ln |R_ii|, (B, k); -inf where R_ii is 0 to rounding
    triangles : R, (B, k, k), likewise
    segment, offset : where the steps are
    """

    start: int
    steps: int
    before: Frames | None
    after: Frames | None
    log_diagonal: np.ndarray
    triangles: np.ndarray
    segment: Segment
    offset: int


def random_frame(source: Source, count: int, rng: np.random.Generator) -> Frames:
    """Orthonormal frames of so many vectors in random directions."""
    return carry(Frames.of(rng.standard_normal((source.batch, count, source.size)))).frames


def walk(
    source: Source,
    count: int,
    steps: int,
    marks: np.ndarray,
    rng: np.random.Generator,
    triangles: bool = False,
) -> Iterator[Stretch]:
    """Carry a random frame of `count` vectors through the steps, orthonormalizing at all `marks` at least.

    Between the marks the interval follows the condition number of the pushed frame. An interval that turns out too
    long is walked again in shorter ones.
    """
    frame, start, interval, together = random_frame(source, count, rng), 0, 1, 1
    for segment in source.segments(steps, count):
        limit = math.log(CONDITION[segment.exact])
        a = 0
        while a < segment.steps:
            # As long as every step asks for it, twice as many at once as before.
            together = min(2 * together, segment.together, segment.steps - a) if interval == 1 else 1
            if together > 1 and not triangles:
                moved = segment.carry_each(frame, a, a + together)
                if moved.finite:
                    for i, log_diagonal in enumerate(moved.log_diagonal):
                        yield Stretch(start + i, 1, None, None, log_diagonal, moved.triangles, segment, a + i)
                    used = max(_used(moved) / limit, 0.0)
                    interval = 2 if 2 * used <= SAFETY else 1
                    frame, a, start = moved.frames, a + together, start + together
                    continue
            mark = int(marks[np.searchsorted(marks, start, side="right")])
            n = min(interval, segment.steps - a, mark - start)
            moved = segment.carry(frame, a, a + n, triangles)
            if not moved.finite and n == 1:
                raise FloatingPointError(f"tangent vectors became infinite in step {start}")
            used = _used(moved) if moved.finite else math.inf
            used = max(used / limit, 0.0) if math.isfinite(used) else math.inf
            if used > 1 and n > 1:
                interval = max(1, min(n // 2, int(SAFETY * n / used)))
                continue
            yield Stretch(start, n, frame, moved.frames, moved.log_diagonal, moved.triangles, segment, a)
            longest = 2 * n if n == interval else max(2 * n, interval)
            interval = max(1, min(longest, int(SAFETY * n / used) if used > 0 else longest))
            frame, a, start = moved.frames, a + n, start + n


def _used(moved: Carried) -> float:
    """The largest ln condition number; growth counts too, in proportion to how much is allowed of it."""
    growth = math.log(CONDITION[True]) / GROWTH * float(np.abs(moved.log_diagonal).max())
    return max(growth, float(moved.log_condition.max()))
