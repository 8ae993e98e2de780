"""Zeros of F(x) - x from many starts at once: Newton's method, and Levenberg-Marquardt where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from ..trajectories.step_map import Array, StepMap

RUNNING, CONVERGED, SLOW, DIVERGED = range(4)
HALVINGS = 10  # of Newton's step before Levenberg-Marquardt takes over
TRIALS = 30  # of its damping before a point counts as stationary
ARMIJO = 1e-4  # share of the predicted decrease that a step must give
STATIONARY = 1e-7  # |J^T r| over |r|, J the Jacobian of the residual r: a local minimum of q


@dataclass
class Search:
    """Where each start ended: rows (n, S), q = |F(x) - x|^2 / 2, status, and how many iterations it took."""

    z: Array
    q: Array
    status: Array
    iterations: Array


def search(f: StepMap, starts: Array, tolerance: float, iterations: int, within: float) -> Search:
    """Follow every start until q is at rounding error, at a local minimum, or it is further than `within` away."""
    n = len(starts)
    found = Search(starts.copy(), np.full(n, np.inf), np.zeros(n, np.int64), np.zeros(n, np.int64))
    for part in f.chunks(n):
        _search(f, found, part, tolerance, iterations, starts[part], within)
    return found


def _search(
    f: StepMap, found: Search, part: slice, tolerance: float, iterations: int, starts: Array, within: float
) -> None:
    z, q, status, count = (a[part] for a in (found.z, found.q, found.status, found.iterations))
    q[:] = speed(f, z)
    status[~np.isfinite(q)] = DIVERGED
    damping = np.zeros(len(z))  # of Levenberg-Marquardt; 0 for Newton's method
    for _ in range(iterations):
        active = np.flatnonzero(status == RUNNING)
        if not active.size:
            return
        count[active] += 1
        after, J = f.linearized(z[active])
        A, r = np.eye(f.size) - J, after - z[active]
        ended = _stationary(A, r) & (q[active] > tolerance)
        status[active[ended]] = SLOW
        finite = np.isfinite(A).all(axis=(1, 2))
        status[active[~finite]] = DIVERGED
        for method, chosen in ((_newton, damping[active] == 0), (_damped, damping[active] > 0)):
            chosen = chosen & ~ended & finite
            if chosen.any():
                k = active[chosen]
                z[k], new, damping[k], stuck = method(
                    f, z[k], q[k], A[chosen], r[chosen], damping[k], tolerance
                )
                # Below the tolerance steps go on as long as they help: the last ones are nearly free.
                status[k[(q[k] <= tolerance) & (new >= q[k] / 4)]] = CONVERGED
                status[k[stuck & (q[k] > tolerance)]] = SLOW
                q[k] = new
        with np.errstate(over="ignore", invalid="ignore"):
            far = ~(np.linalg.norm(z[active] - starts[active], axis=1) <= within)
        status[active[far]] = DIVERGED
    status[(status == RUNNING) & (q <= tolerance)] = CONVERGED


def speed(f: StepMap, z: Array) -> Array:
    """q = |F(z) - z|^2 / 2 of every row; inf where it is no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        q = 0.5 * np.sum((f(z) - z) ** 2, axis=1)
    return np.where(np.isfinite(q), q, np.inf)


def solve(A: Array, r: Array) -> Array:
    """A d = r for every matrix of a stack; no number where A is singular.

    One matrix at a time through SciPy: NumPy's stacked solve raises for all if one is singular, and was measured to be
    up to 30 times slower from 128 rows on, where its BLAS goes parallel within each small matrix.
    """
    d = np.full(r.shape, np.nan)
    for i, (a, b) in enumerate(zip(A, r)):
        _, _, x, info = lapack.dgesv(a, b)
        if info == 0:
            d[i] = x
    return d


def _stationary(A: Array, r: Array) -> Array:
    gradient = np.einsum("bij,bi->bj", A, r)
    return np.linalg.norm(gradient, axis=1) <= STATIONARY * np.linalg.norm(r, axis=1)


def _scale(A: Array) -> Array:
    """The mean squared singular value, never 0."""
    return np.maximum(np.einsum("bij,bij->b", A, A) / A.shape[1], np.finfo(float).tiny)


def _newton(
    f: StepMap, z: Array, q: Array, A: Array, r: Array, damping: Array, tolerance: float
) -> tuple[Array, Array, Array, Array]:
    """Newton's step, halved until q falls as its direction promises (it promises -2q)."""
    d = solve(A, r)
    z, new, t = z.copy(), q.copy(), np.ones(len(z))
    pending = np.isfinite(d).all(axis=1)
    failed = ~pending
    for _ in range(HALVINGS):
        k = np.flatnonzero(pending)
        if not k.size:
            break
        trial = z[k] + t[k, None] * d[k]
        value = speed(f, trial)
        good = value <= (1 - 2 * ARMIJO * t[k]) * q[k]
        z[k[good]], new[k[good]] = trial[good], value[good]
        pending[k[good | (q[k] <= tolerance)]] = False
        t[k] /= 2
    failed |= pending
    damping = np.zeros(len(z))
    damping[failed] = 1e-3 * _scale(A[failed])
    return z, new, damping, np.zeros(len(z), bool)


def _damped(
    f: StepMap, z: Array, q: Array, A: Array, r: Array, damping: Array, tolerance: float
) -> tuple[Array, Array, Array, Array]:
    """A step of Levenberg-Marquardt, (A^T A + damping) d = A^T r, damped more until q falls.

    Back to Newton's method once the damping is small.
    """
    normal, gradient = np.swapaxes(A, 1, 2) @ A, np.einsum("bij,bi->bj", A, r)
    scale, eye = _scale(A), np.eye(A.shape[1])
    z, new, damping = z.copy(), q.copy(), damping.copy()
    pending, first = np.ones(len(z), bool), np.ones(len(z), bool)
    for _ in range(TRIALS):
        k = np.flatnonzero(pending)
        if not k.size:
            break
        d = solve(normal[k] + damping[k, None, None] * eye, gradient[k])
        trial = z[k] + np.where(np.isfinite(d), d, 0.0)
        value = speed(f, trial)
        promised = 0.5 * np.sum(d * (damping[k, None] * d + gradient[k]), axis=1)
        good = value <= q[k] - ARMIJO * promised
        good &= value < q[k]
        z[k[good]], new[k[good]], pending[k[good]] = trial[good], value[good], False
        damping[k[good & first[k]]] /= 5
        damping[k[~good]] *= 4
        first[k[~good]] = False
    damping[damping < 1e-8 * scale] = 0.0
    return z, new, damping, pending
