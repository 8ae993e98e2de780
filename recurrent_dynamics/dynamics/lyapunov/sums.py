"""Sums of rates along a trajectory, window by window, and the same rates found in other ways."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right

import numpy as np

from ..trajectories.sources import Source
from .frames import Stretch
from .spectrum import LyapunovChecks

DISPLACEMENT = 1e-7  # of the trajectory nearby, relative to the size of a state
FARTHEST = (
    5.0  # nats that its distance may change by before it is set back, far from the size of the attractor
)


class Sums:
    """What is added up along the way, by window: (M, B, k) for the exponents, (M, B) for the checks."""

    def __init__(
        self, source: Source, marks: np.ndarray, count: int, check: bool, rng: np.random.Generator
    ) -> None:
        windows = len(marks) - 1
        self.marks, self.source, self.check = marks.tolist(), source, check
        self.logs = np.zeros((windows, source.batch, count))
        self.log_det, self.tangent, self.nearby = np.zeros((3, windows, source.batch))
        self.full, self.stretches, self.exact = count == source.size, 0, True
        self._unresolved = False
        self._vector = rng.standard_normal((source.batch, source.size))
        self._vector /= np.linalg.norm(self._vector, axis=1, keepdims=True)
        self._near, self._together = self._vector.copy(), 1

    def add(self, stretch: Stretch) -> None:
        window = bisect_right(self.marks, stretch.start) - 1
        if not self._unresolved and stretch.log_diagonal.min() == -math.inf:
            self._look_for_lost_exponents(stretch)
        self.logs[window] += stretch.log_diagonal
        self.stretches += 1
        if self.check:
            self._check(stretch, window)

    def _look_for_lost_exponents(self, stretch: Stretch) -> None:
        """Warn where R_ii is 0 to rounding but the Jacobian is not singular: its rows have unlike sizes."""
        a, count = stretch.offset, stretch.log_diagonal.shape[1]
        eye = np.broadcast_to(
            np.eye(self.source.size), (self.source.batch, self.source.size, self.source.size)
        )
        for b, J in enumerate(np.swapaxes(stretch.segment.push(eye, a, a + 1), 1, 2)):
            norms = np.linalg.norm(J, axis=1, keepdims=True)
            rank = np.linalg.matrix_rank(J / np.where(norms > 0, norms, 1))
            lost = int(np.isneginf(stretch.log_diagonal[b]).sum())
            if lost > max(count - rank, 0):
                self._unresolved = True
                warnings.warn(
                    f"the Jacobian of step {stretch.start} has rank {rank} of {self.source.size}, but in double "
                    f"precision {lost} of {count} exponents are lost in rounding beside the largest, and given as -inf "
                    f"(the rows have norms from {norms.min():.1e} to {norms.max():.1e})",
                    stacklevel=3,
                )
                return

    def _check(self, stretch: Stretch, window: int) -> None:
        segment, a, b = stretch.segment, stretch.offset, stretch.offset + stretch.steps
        if self.full:
            self.log_det[window] += segment.log_det(a, b)
        self.exact = self.exact and segment.double
        while a < b:
            steps = min(self._together, b - a) if segment.double else b - a
            vector, growth = _grown(segment.tangents(self._vector[:, None], a, a + steps)[:, 0], self._vector)
            most = float(np.abs(growth).max())
            if segment.double:
                small = DISPLACEMENT * np.maximum(
                    1.0, np.linalg.norm(segment.state(a), axis=1, keepdims=True)
                )
                near, apart = _grown(segment.difference(self._near * small, a, a + steps) / small, self._near)
                most = max(most, float(np.abs(apart).max()))
                if most > FARTHEST and steps > 1:
                    self._together = steps // 2
                    continue
                self._near = near
                self.nearby[window] += apart
            self._vector = vector
            self.tangent[window] += growth
            if 2 * most < FARTHEST:
                self._together = max(self._together, 2 * steps)
            a += steps

    def checks(self, start: int, steps: int) -> LyapunovChecks:
        time = steps * self.source.time_step
        log_det, tangent, nearby = (
            float(v[start:].mean(axis=1).sum() / time) for v in (self.log_det, self.tangent, self.nearby)
        )
        return LyapunovChecks(log_det if self.full else None, tangent, nearby if self.exact else None)


def _grown(moved: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (B, S) at unit length, and ln of what it was; where nothing is left the vector before, and -inf."""
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = np.divide(moved, norm, out=before.copy(), where=norm > 0)
    return unit, np.log(norm[:, 0], out=np.full(len(norm), -np.inf), where=norm[:, 0] > 0)
