"""Frames of tangent vectors along many trajectories: pushed by formed Jacobians and orthonormalized, compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class Frames:
    """B frames of `count` vectors of S numbers, in the panels (B, P, S, WIDTH) that compiled code works on."""

    panels: np.ndarray
    count: int

    @classmethod
    def of(cls, rows: np.ndarray) -> Frames:
        """From vectors in rows, (B, k, S).

        Examples
        --------
        >>> rows = np.arange(2 * 3 * 5.0).reshape(2, 3, 5)
        >>> bool((Frames.of(rows).rows == rows).all())
        True
        """
        from .rows import WIDTH

        batch, count, size = rows.shape
        panels = np.zeros((batch, -(-count // WIDTH), size, WIDTH))
        for p in range(panels.shape[1]):
            some = rows[:, p * WIDTH : (p + 1) * WIDTH]
            panels[:, p, :, : some.shape[1]] = np.swapaxes(some, 1, 2)
        return cls(panels, count)

    @property
    def rows(self) -> np.ndarray:
        """The vectors in rows, (B, k, S)."""
        batch, _, size, _ = self.panels.shape
        return np.swapaxes(self.panels, 2, 3).reshape(batch, -1, size)[:, : self.count]


class Structure(NamedTuple):
    """The sparsity of Jacobians: dense in the columns low to high, else only diagonals (row, column, width), (n, 3)."""

    low: int
    high: int
    diagonals: np.ndarray


def dense(size: int) -> Structure:
    """The structure of dense Jacobians."""
    return Structure(0, size, np.zeros((0, 3), np.int64))


class Carried(NamedTuple):
    """The QR factors of pushed frames A = Q R.

    `frames` are Q, `triangles` R (B, k, k), or nothing if they were not wanted. `log_diagonal` is ln |R_ii| (B, k),
    -inf where R_ii is 0 to rounding, and `log_condition` about ln of the condition number of each R (B,). Where
    `finite` is false nothing else counts.
    """

    frames: Frames
    triangles: np.ndarray
    log_diagonal: np.ndarray
    log_condition: np.ndarray
    finite: bool


def carry(
    frames: Frames,
    jacobians: np.ndarray | None = None,
    where: Structure | None = None,
    *,
    triangles: bool = True,
) -> Carried:
    """Push frames by Jacobians (n, B, S, S), the first one first, and orthonormalize them.

    With triangles the frames are orthonormal to rounding, in whatever condition they were; without, which is quicker,
    to rounding times their condition number, 1e-7 at worst.

    Examples
    --------
    >>> A = np.array([[[3.0, 4.0], [1.0, 0.0]]])
    >>> carried = carry(Frames.of(A))
    >>> bool(np.allclose(np.swapaxes(carried.frames.rows, 1, 2) @ carried.triangles, np.swapaxes(A, 1, 2)))
    True
    """
    from . import compiled

    batch, _, size, _ = frames.panels.shape
    if jacobians is None:
        jacobians = np.zeros((0, batch, size, size))
    where, count = where or dense(size), frames.count
    moved, R = np.empty_like(frames.panels), np.empty((batch if triangles else 0, count, count))
    log_diagonal, log_condition = np.empty((batch, count)), np.empty(batch)
    compiled.carry(jacobians, where, frames.panels, moved, R, log_diagonal[None], log_condition[None])
    finite = True
    for b in np.flatnonzero(np.isnan(log_condition)):  # too large or too small for squares, or not finite
        A = Frames(frames.panels[b : b + 1], count).rows[0].T
        with np.errstate(all="ignore"):
            for J in jacobians[:, b]:
                A = J @ A
        if finite := finite and bool(np.isfinite(A).all()):
            Q, triangle = np.linalg.qr(A)
            moved[b] = Frames.of(Q.T[None]).panels[0]
            log_diagonal[b], log_condition[b] = _log_diagonal(triangle), math.inf
            if triangles:
                R[b] = triangle
    return Carried(Frames(moved, count), R, log_diagonal, log_condition, finite)


def carry_each(frames: Frames, jacobians: np.ndarray, where: Structure | None = None) -> Carried:
    """The same, orthonormalizing after every step: `log_diagonal` (n, B, k) and `log_condition` (n, B), no triangles.

    One call of compiled code for all steps: threads do not wait for each other in between. The condition is known well
    for the last step; for the others it is what the diagonal of R says, which is too little.
    """
    from . import compiled

    (steps, batch, size, _), count = jacobians.shape, frames.count
    moved, none = np.empty_like(frames.panels), np.empty((0, count, count))
    log_diagonal, log_condition = np.empty((steps, batch, count)), np.empty((steps, batch))
    compiled.carry(jacobians, where or dense(size), frames.panels, moved, none, log_diagonal, log_condition)
    if not np.isnan(log_condition).any():
        return Carried(Frames(moved, count), none, log_diagonal, log_condition, True)
    singles, finite = [], True
    for t in range(steps):
        singles.append(carry(frames, jacobians[t : t + 1], where, triangles=False))
        frames, finite = singles[-1].frames, finite and singles[-1].finite
    logs, conditions = ([getattr(s, name) for s in singles] for name in ("log_diagonal", "log_condition"))
    return Carried(frames, none, np.array(logs), np.array(conditions), finite)


def _log_diagonal(triangle: np.ndarray) -> np.ndarray:
    diagonal = np.abs(triangle.diagonal())
    rounding = len(triangle) * np.finfo(np.float64).eps * np.abs(triangle).max()
    with np.errstate(divide="ignore"):
        return np.where(diagonal > rounding, np.log(diagonal), -np.inf)
