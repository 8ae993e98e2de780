"""Fixed points and cycles of a network under constant input, with their stability, and its slow points."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.linalg import lapack

from ... import checks
from ...cells import Cell
from ...checks import ArgumentError
from ...engine import Run, check
from ..trajectories.step_map import Array, StepMap
from .kantorovich import certify
from .modes import kinds, unstable_directions
from .newton import CONVERGED, DIVERGED, RUNNING, SLOW, search, solve
from .points import FixedPoints, SlowPoints, Unfinished

DEFAULT_NUMBER = 1024
SINGULAR = (
    1e-12  # relative size of a singular value of I - J below which the sign of the determinant means nothing
)
LARGEST = 1e-3  # no ends further apart than this, relative to 1 + |x|, are one fixed point
SAME_SLOW = (
    1e-4  # slow points this close, relative to 1 + |x|, are one: no Newton step says how exact they are
)


def fixed_points(
    cell: Cell,
    params: Mapping[str, Array],
    starts: Run | Mapping[str, Array] | Array,
    input: Array | None = None,
    *,
    period: int = 1,
    signals: Mapping[str, Any] | None = None,
    number: int | None = None,
    noise: float = 0.0,
    rng: int | np.random.Generator = 0,
    tolerance: float = 1e-20,
    iterations: int = 500,
    within: float = 1e6,
    centre: float = 1e-6,
) -> FixedPoints:
    """Fixed points, or cycles, of the map x -> F(x, input) of the whole state, of any stability, and its slow points.

    Every start follows Newton's method with the exact Jacobian, halving its step until ``q = |F(x) - x|^2 / 2`` falls
    [1]_. Where that fails, as near a singular I - J, Levenberg-Marquardt steps minimize q; where they end above
    `tolerance` there is a slow point (a ghost), which is kept apart [2]_. Newton's method finds saddles as readily as
    stable points, but no finite number of starts proves that none is missing; `FixedPoints.index_sum` can show that
    one is.

    Parameters
    ----------
    cell, params
        The network. Everything is computed in float64, whatever the dtype of the parameters.
    starts : Run, ndarray (n, S) or (S,), or dict of ndarray (n, width)
        States to start from: those of a run, or rows with the slots in the order of `cell.state`, S in all. Where gates
        hold the state, the nearest point may lie far outside of what a run visits, and searches from the run crawl:
        follow the network under the constant input for some hundred steps, and start from there too.
    input : ndarray (N,), optional
        The constant input; 0 by default.
    period
        Above 1, the fixed points of the `period`-fold map whose minimal period that is: of the points of a cycle one
        stands for it, and points of a shorter period are left out.
    signals : dict of float or ndarray (H,), optional
        Constant values of the signals that the cell declares.
    number
        How many of the states of `starts` to start from, drawn without repetition as far as there are enough. By
        default all rows of an array, and 1024 states of a run.
    noise
        Standard deviation of the normal noise added to every entry of a start.
    rng
        A seed or a NumPy generator; draws starts and noise.
    tolerance
        A point counts as fixed when q is at most this. Steps go on below it as long as they help.
    iterations
        The most for each start.
    within
        A search that goes further than this from where it began counts as diverged. Worth setting where gates
        saturate: far outside of the states that a GRU can reach, its update gates are 1 to rounding and every state
        stands still.
    centre
        An eigenvalue is on the unit circle if its modulus differs from 1 by at most this.

    Returns
    -------
    FixedPoints
        Each point once: two ends are one point if they are no further apart than what the remaining Newton steps
        and rounding leave open.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Warns
    -----
    RuntimeWarning
        If starts diverge or do not converge within `iterations` (all are in `FixedPoints.unfinished`), or if I - J is
        singular at a point, with the numbers.

    References
    ----------
    .. [1] Dennis and Schnabel, Numerical Methods for Unconstrained Optimization and Nonlinear Equations, SIAM 1996,
       chapters 6 and 10.
    .. [2] Sussillo and Barak, Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
       networks, Neural Computation 25 (2013).

    Examples
    --------
    One unit that excites itself, h' = tanh(2 h), remembers a sign:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> params = {"U": np.array([[2.0]]), "b": np.zeros(1)}
    >>> starts = np.linspace(-1, 1, 20)[:, None]
    >>> found = rd.dynamics.fixed_points(cell, params, starts)
    >>> order = np.argsort(found.points[:, 0])
    >>> found.states["h"][order, 0].round(4), found.kind[order].tolist(), found.index_sum
    (array([-0.9575,  0.    ,  0.9575]), ['stable', 'unstable', 'stable'], 1)

    One that inhibits itself alternates:

    >>> params["U"] = -params["U"]
    >>> np.sort(rd.dynamics.fixed_points(cell, params, starts, period=2).orbits[:, :, 0]).round(4)
    array([[-0.9575,  0.9575]])
    """
    f = StepMap(cell, params, input, signals, checks.integer("period", period, at_least=1))
    checks.number("tolerance", tolerance, above=0)
    checks.number("centre", centre, at_least=0)
    checks.integer("iterations", iterations, at_least=1)
    checks.number("within", within, above=0)
    trajectories, begin = _starts(f, starts, number, noise, checks.generator("rng", rng))
    end = search(f, begin, tolerance, iterations, within)
    _warn(end.status, end.q, iterations, within)
    fixed, slow = (np.flatnonzero(end.status == s) for s in (CONVERGED, SLOW))
    kept, hits = _distinct(f, end.z[fixed], end.q[fixed], _precision(f, end.z[fixed]))
    z = end.z[fixed[kept]]
    order = np.lexsort((*z.T[::-1], -hits)) if len(z) else np.arange(0)
    kept, z, hits = kept[order], z[order], hits[order]
    spectra = _spectra(f, z, centre)
    open_ = np.flatnonzero((end.status == RUNNING) | (end.status == DIVERGED))
    return FixedPoints(
        cell=f.cell,
        period=f.period,
        points=z,
        orbits=f.orbit(z) if len(z) else np.empty((0, f.period, f.size)),
        q=end.q[fixed[kept]],
        **spectra,
        hits=hits,
        certificate=certify(f, z) if f.period == 1 else None,
        slow=_slow(f, end.z[slow], end.q[slow]),
        unfinished=Unfinished(
            begin[open_],
            end.z[open_],
            end.q[open_],
            np.where(end.status[open_] == DIVERGED, "diverged", "iterations"),
        ),
        trajectories=trajectories,
        slots=f.layout.slots,
    )


def _starts(
    f: StepMap, starts: Any, number: int | None, noise: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The states that starts are taken from (T, B, S), and the starts (n, S)."""
    checks.number("noise", noise, at_least=0)
    starts = check.of_layer(starts)
    if isinstance(starts, Run):
        trajectories = starts.tape.after.astype(np.float64)
        if trajectories.shape[2] != f.size:
            raise ArgumentError(
                "starts",
                f"be a run of the cell, with a state of {f.size} numbers",
                f"{starts!r} with {trajectories.shape[2]}",
            )
        rows = f.rows("starts", trajectories.reshape(-1, f.size))
        number = min(DEFAULT_NUMBER, len(rows)) if number is None else number
    else:
        rows = f.rows("starts", starts)
        trajectories = rows[None]
    if number is not None:
        n = checks.integer("number", number, at_least=1)
        if n > len(rows) and not noise:
            raise ArgumentError(
                "number", f"be at most {len(rows)}, the states of starts, where no noise sets copies apart", n
            )
        times, rest = divmod(n, len(rows))
        chosen = np.concatenate([np.tile(np.arange(len(rows)), times), rng.permutation(len(rows))[:rest]])
        rows = rows[chosen]
    return trajectories, rows + noise * rng.standard_normal(rows.shape)


def _precision(f: StepMap, z: Array) -> Array:
    """How far the exact fixed point may be from each row: the remaining Newton step, and what rounding leaves open."""
    radius = np.empty(len(z))
    eps = np.finfo(float).eps
    for part in f.chunks(len(z)):
        after, J = f.linearized(z[part])
        for i, a, r in zip(range(part.start, part.stop), np.eye(f.size) - J, after - z[part]):
            size = 1 + np.linalg.norm(z[i])
            lu, pivots, info = lapack.dgetrf(a)
            radius[i] = LARGEST * size
            if info == 0:
                reciprocal, _ = lapack.dgecon(lu, norm := np.abs(a).sum(axis=0).max())
                inverse = np.sqrt(f.size) / max(reciprocal * norm, eps**2)  # at least its 2-norm
                step = np.linalg.norm(lapack.dgetrs(lu, pivots, r)[0])
                radius[i] = min(4 * step + 8 * eps * size * inverse, LARGEST * size)
    return radius


def _distinct(f: StepMap, z: Array, q: Array, radius: Array) -> tuple[Array, Array]:
    """Indices of one row for every point (every cycle) of minimal period, and how many rows ended there."""
    label = np.full(len(z), -1)
    kept, hits = [], []
    for i in np.argsort(q, kind="stable"):
        if label[i] >= 0:
            continue
        orbit = f.orbit(z[i : i + 1])[0]
        shorter = np.linalg.norm(orbit[1:] - orbit[0], axis=1) <= 2 * radius[i]
        free = label < 0
        near = np.zeros(len(z), bool)
        for point in orbit:
            near |= np.linalg.norm(z - point, axis=1) <= radius + radius[i]
        label[free & near] = i
        if not shorter.any():
            kept.append(i)
            hits.append(int(np.sum(free & near)))
    return np.array(kept, np.int64), np.array(hits, np.int64)


def _spectra(f: StepMap, z: Array, centre: float) -> dict[str, Array]:
    """All that the Jacobians at the points say."""
    n, S = z.shape
    eigenvalues, singular, step, sign = (
        np.empty((n, S), complex),
        np.empty((n, S)),
        np.empty(n),
        np.empty(n, np.int64),
    )
    for part in f.chunks(n):
        after, J = f.linearized(z[part])
        A = np.eye(S) - J
        singular[part] = np.linalg.svd(A, compute_uv=False)
        step[part] = np.linalg.norm(solve(A, after - z[part]), axis=1)
        sign[part] = np.linalg.slogdet(A)[0]
        eigenvalues[part] = _eigenvalues(J)
    largest, smallest = singular[:, 0], singular[:, -1]
    condition = np.divide(largest, smallest, out=np.full(n, np.inf), where=smallest > 0)
    degenerate = smallest <= SINGULAR * (1 + largest)
    sign[degenerate] = 0
    if degenerate.any():
        warnings.warn(
            f"I - J is singular to rounding at {degenerate.sum()} of {n} fixed points (least singular value "
            f"{smallest.min():.2g}): they may not be isolated, are known to fewer digits, and do not count "
            "in index_sum",
            RuntimeWarning,
            stacklevel=3,
        )
    return {
        "newton_step": np.where(np.isfinite(step), step, np.inf),
        "condition": condition,
        "sign": sign,
        "eigenvalues": eigenvalues,
        "unstable": unstable_directions(eigenvalues, centre),
        "kind": kinds(eigenvalues, centre),
    }


def _eigenvalues(J: Array) -> Array:
    """Eigenvalues of a stack of matrices, largest modulus first."""
    found = np.linalg.eigvals(J).astype(complex)
    return np.take_along_axis(found, np.argsort(-np.abs(found), axis=-1, kind="stable"), axis=-1)


def _slow(f: StepMap, z: Array, q: Array) -> SlowPoints:
    kept, hits = _distinct_slow(z, q)
    z = z[kept]
    eigenvalues = _eigenvalues(f.linearized(z)[1]) if len(z) else np.empty((0, f.size), complex)
    return SlowPoints(z, q[kept], eigenvalues, hits)


def _distinct_slow(z: Array, q: Array) -> tuple[Array, Array]:
    free = np.ones(len(z), bool)
    kept, hits = [], []
    for i in np.argsort(q, kind="stable"):
        if free[i]:
            near = free & (np.linalg.norm(z - z[i], axis=1) <= SAME_SLOW * (1 + np.linalg.norm(z[i])))
            free &= ~near
            kept.append(i)
            hits.append(int(near.sum()))
    return np.array(kept, np.int64), np.array(hits, np.int64)


def _warn(status: Array, q: Array, iterations: int, within: float) -> None:
    n = len(status)
    diverged, open_ = status == DIVERGED, status == RUNNING
    if diverged.any():
        warnings.warn(
            f"{diverged.sum()} of {n} starts diverged (further than {within:g} from where they began, or no number); "
            "they are in `unfinished`",
            RuntimeWarning,
            stacklevel=3,
        )
    if open_.any():
        warnings.warn(
            f"{open_.sum()} of {n} starts did not converge within {iterations} iterations (q from "
            f"{q[open_].min():.2g} to {q[open_].max():.2g}); they are in `unfinished`",
            RuntimeWarning,
            stacklevel=3,
        )
