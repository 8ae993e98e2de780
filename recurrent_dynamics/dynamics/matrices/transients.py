"""Transient growth of powers A^k and exponentials e^{tA}, and the Kreiss constants that bound it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer, number, one_of
from ...kernels.blas import one_thread
from ...results import Result, Tabular, grid_columns
from .matrix_stacks import (
    EPS,
    each,
    rounding,
    smallest_singular_values,
    square_matrices,
    triangle_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("map", "flow")
RINGS, RAYS = 24, 48  # of the grid on which the search for a Kreiss constant starts
STARTS = 5  # its best local maxima go through the optimization


@dataclass(frozen=True)
class KreissConstant(Result):
    """Kreiss constants of matrices.

    Attributes
    ----------
    value
        Shape (...): the largest value found; inf where the matrix is unstable.
    lower_bound
        Shape (...): a bound that rounding does not break: the value at `point` with the smallest singular value raised
        by its backward error, n eps ||z I - A||_F. At least 1, the limit for large z.
    point
        Shape (...), complex: where it is reached; inf if only in the limit of large z, where it tends to 1.
    kind
        "map" or "flow".
    """

    value: np.ndarray | float
    lower_bound: np.ndarray | float
    point: np.ndarray | complex
    kind: str

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw where in the plane it is reached; see `recurrent_dynamics.plot.kreiss_constant`."""
        from ...plot import kreiss_constant

        return kreiss_constant(self, ax=ax, **options)


def kreiss_constant(matrices: np.ndarray, kind: str = "map") -> KreissConstant:
    """The Kreiss constant of a map, over the outside of the unit circle, or of a flow, over the right half-plane.

    K is the sup of ``(|z| - 1) ||(z I - A)^-1||`` over ``|z| > 1``, for a flow of ``Re z ||(z I - A)^-1||`` over
    Re z > 0. The transient growth of powers, and of e^{tA} likewise, lies between K and e n K:
    ``K <= sup_k ||A^k|| <= e n K`` [1]_. A grid around the eigenvalues, logarithmic in the distance from the circle
    or axis, gives starting points for a quasi-Newton search (L-BFGS-B with the exact gradient of the smallest
    singular value, as in the local phase of [2]_). The search is local, so that `value` is the true constant only if
    a start lies in its basin; `lower_bound` holds in any case, and `transient_growth` bounds it from above.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    kind
        "map" or "flow".

    Returns
    -------
    KreissConstant
        A matrix with eigenvalues outside the unit disk (the left half plane), beyond rounding, has the constant inf.
        At least 1 always.

    References
    ----------
    .. [1] Trefethen and Embree, Spectra and Pseudospectra, Princeton 2005, sections 14 and 18.
    .. [2] Mitchell, Computing the Kreiss constant of a matrix, SIAM J. Matrix Anal. Appl. 41 (2020).

    Examples
    --------
    >>> found = kreiss_constant([[-1.0, 100.0], [0.0, -1.0]], kind="flow")
    >>> round(float(found.value), 3), round(float(found.point.real), 2)
    (25.01, 1.0)
    >>> float(kreiss_constant(np.diag([0.9, -0.5])).value)
    1.0
    """
    given = square_matrices(matrices)
    one_of("kind", kind, KINDS)
    found = each(lambda matrix: _kreiss(matrix, kind), given)
    value, lower_bound = found[..., 0].real[()], found[..., 1].real[()]
    return KreissConstant(value, lower_bound, found[..., 2][()], kind)


def _kreiss(matrix: np.ndarray, kind: str) -> tuple[complex, complex, complex]:
    from scipy.linalg import svd
    from scipy.optimize import minimize

    eigenvalues, scale = np.linalg.eigvals(matrix) + 0j, float(np.linalg.norm(matrix, 2))
    outside = np.abs(eigenvalues) - 1 if kind == "map" else eigenvalues.real
    if outside.max() > rounding(matrix):
        return np.inf, np.inf, eigenvalues[outside.argmax()]
    if scale == 0:
        return 1.0, 1.0, np.inf
    unit = max(scale, 1.0) if kind == "map" else scale
    nearest = max(-float(outside.max()), 1e-6 * unit)
    floor = rounding(matrix) + len(matrix) * EPS * unit
    lowest, highest = np.log(1e-2 * nearest), np.log(1e3 * unit)
    # A second coordinate of the size of one: the angle, or the imaginary part over the norm.
    if kind == "map":
        across = np.concatenate([np.linspace(-np.pi, np.pi, RAYS, endpoint=False), np.angle(eigenvalues)])
    else:
        across = np.concatenate([np.linspace(-1.5, 1.5, RAYS), eigenvalues.imag / unit])
    across = np.unique(across)

    def place(log_gap: Any, second: Any) -> tuple[Any, Any, Any]:
        """z, and its derivatives by both coordinates."""
        gap = np.exp(log_gap)
        if kind == "map":
            turn = np.exp(1j * second)
            return (1 + gap) * turn, gap * turn, 1j * (1 + gap) * turn
        return gap + 1j * unit * second, gap + 0j, 1j * unit

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        z, dz_gap, dz_second = place(*x)
        left, values, right = svd(z * np.eye(len(matrix)) - matrix)
        sigma, slope = values[-1], np.vdot(left[:, -1], right[-1].conj())
        # Raised by its rounding error: a search for the bound that holds is not led astray close to the boundary.
        sigma += floor
        by_gap = 1 - (slope * dz_gap).real / sigma
        return -(x[0] - np.log(sigma)), -np.array([by_gap, -(slope * dz_second).real / sigma])

    log_gaps = np.linspace(lowest, highest, RINGS)
    z = place(log_gaps[:, None], across[None, :])[0]
    heights = log_gaps[:, None] - np.log(smallest_singular_values(triangle_of(matrix), z) + floor)
    bounds = [(lowest, highest), (None, None)]
    best = (0.0, np.array([np.inf, 0.0]))  # the logarithm of 1, at infinity
    for i, j in _local_maxima(heights, periodic=kind == "map")[:STARTS]:
        found = minimize(
            objective, [log_gaps[i], across[j]], jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-14
        )
        if -found.fun > best[0] + 1e-14:
            best = (-float(found.fun), found.x)
    if not np.isfinite(best[1][0]):
        return 1.0, 1.0, np.inf
    z, gap = place(*best[1])[0], np.exp(best[1][0])
    shifted = z * np.eye(len(matrix)) - matrix
    sigma = np.linalg.svd(shifted, compute_uv=False)[-1]
    return gap / sigma, max(1.0, (gap - 4 * EPS * abs(z)) / (sigma + rounding(shifted))), z


def _local_maxima(heights: np.ndarray, periodic: bool) -> list[tuple[int, int]]:
    """Places of a table not below their four neighbours, the highest first."""
    beside = np.pad(heights, ((0, 0), (1, 1)), mode="wrap" if periodic else "edge")
    above = np.pad(heights, ((1, 1), (0, 0)), mode="edge")
    top = (heights >= np.maximum(beside[:, :-2], beside[:, 2:])) & (
        heights >= np.maximum(above[:-2], above[2:])
    )
    places = [(int(i), int(j)) for i, j in np.argwhere(top)]
    return sorted(places, key=lambda p: -heights[p])


@dataclass(frozen=True)
class TransientGrowth(Tabular):
    """Norms of powers A^k or exponentials e^{tA} in the course of time.

    Attributes
    ----------
    times
        k = 0, 1, ... steps, or t in units of time, shape (K + 1,).
    norms
        Spectral norms, shape (..., K + 1).
    peak
        The largest norm, shape (...); for a flow refined between the times.
    at
        The time of the peak, shape (...).
    global_peak
        Whether no later time can have a larger norm, shape (...): some norm at a positive time is at most 1, and then
        later ones repeat what was seen.
    kreiss
        The Kreiss constants K, or None if not asked for.
    upper_bound
        e n K, shape (...); None without `kreiss`.
    kind
        "map" or "flow".
    """

    times: np.ndarray
    norms: np.ndarray
    peak: np.ndarray | float
    at: np.ndarray | float
    global_peak: np.ndarray | bool
    kreiss: KreissConstant | None
    upper_bound: np.ndarray | float | None
    kind: str

    def _columns(self) -> Mapping[str, Any]:
        if self.norms.ndim == 1:
            return {"time": self.times, "norm": self.norms}
        norms = self.norms.reshape(-1, len(self.times))
        return grid_columns({"matrix": np.arange(len(norms)), "time": self.times}, norm=norms)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norms over time, with the Kreiss constant; see `recurrent_dynamics.plot.transient_growth`."""
        from ...plot import transient_growth

        return transient_growth(self, ax=ax, **options)


def transient_growth(
    matrices: np.ndarray,
    steps: int = 100,
    *,
    kind: str = "map",
    time_step: float | None = None,
    bounds: bool = True,
) -> TransientGrowth:
    """The largest ||A^k|| or ||e^{tA}|| and when it comes, with the bounds K <= sup <= e n K of Kreiss' theorem [1]_.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    steps
        The last power k, or the number of time steps, at least 1.
    kind
        "map" for A^k, "flow" for e^{tA}.
    time_step
        Of a flow, above 0; 0.1 / ||A|| by default (of the largest norm in a batch). A map takes none.
    bounds
        Compute the Kreiss constants too; they take most of the time.

    Returns
    -------
    TransientGrowth

    References
    ----------
    .. [1] Trefethen and Embree, Spectra and Pseudospectra, Princeton 2005, sections 14-18.

    Examples
    --------
    >>> found = transient_growth([[0.5, 10.0], [0.0, 0.5]], steps=20)
    >>> round(float(found.peak), 3), int(found.at), bool(found.global_peak)
    (10.025, 1, True)
    >>> bool(found.kreiss.value <= found.peak <= found.upper_bound)
    True
    """
    given = square_matrices(matrices)
    one_of("kind", kind, KINDS)
    steps = integer("steps", steps, at_least=1)
    if not isinstance(bounds, bool | np.bool_):
        raise ArgumentError("bounds", "be True or False", repr(bounds))
    if kind == "map":
        if time_step is not None:
            raise ArgumentError("time_step", "be None for a map", repr(time_step))
        dt, factors = 1.0, given
    else:
        from scipy.linalg import expm

        norm = float(np.linalg.norm(given, 2, axis=(-2, -1)).max())
        dt = (
            (0.1 / norm if norm > 0 else 1.0)
            if time_step is None
            else number("time_step", time_step, above=0)
        )
        factors = expm(dt * given)
    with one_thread(given.shape[-1] ** 2):
        norms = _norms_of_powers(factors, steps)
    times = np.arange(steps + 1) * (1 if kind == "map" else dt)
    peak, first = norms.max(axis=-1), norms.argmax(axis=-1)
    at = times[first]
    if kind == "flow":
        with one_thread(given.shape[-1] ** 2):
            peak, at = _refined(given, times, peak, first)
    tolerance = 1 + given.shape[-1] * steps * EPS
    kreiss = kreiss_constant(given, kind) if bounds else None
    return TransientGrowth(
        times=times,
        norms=norms,
        peak=peak,
        at=at,
        global_peak=(norms[..., 1:] <= tolerance).any(axis=-1),
        kreiss=kreiss,
        upper_bound=None if kreiss is None else np.e * given.shape[-1] * kreiss.value,
        kind=kind,
    )


def _norms_of_powers(factors: np.ndarray, steps: int) -> np.ndarray:
    """||F^k|| for k = 0 .. steps, shape (..., steps + 1); the powers are scaled, so that only their norms overflow."""
    logs = np.zeros((*factors.shape[:-2], steps + 1))
    power, log_scale = np.broadcast_to(np.eye(factors.shape[-1]), factors.shape), np.zeros(factors.shape[:-2])
    with np.errstate(divide="ignore", over="ignore"):
        for k in range(1, steps + 1):
            power = factors @ power
            norm = np.linalg.norm(power, 2, axis=(-2, -1))
            logs[..., k] = log_scale + np.log(norm)
            power = power / np.where(norm > 0, norm, 1)[..., None, None]
            log_scale = logs[..., k]
        return np.asarray(np.exp(logs))


def _refined(
    matrices: np.ndarray, times: np.ndarray, peak: Any, first: Any
) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Peak and time of e^{tA} between the neighbours of the best time seen."""
    from scipy.linalg import expm
    from scipy.optimize import minimize_scalar

    flat = matrices.reshape(-1, *matrices.shape[-2:])
    peaks, places = np.array(peak).reshape(-1), np.array(times[first]).reshape(-1)
    for b, (matrix, k) in enumerate(zip(flat, np.reshape(first, -1), strict=True)):
        if k == 0 or not np.isfinite(peaks[b]):  # decay from the start, or beyond what numbers hold
            continue
        ends = (times[k - 1], times[min(k + 1, len(times) - 1)])
        found = minimize_scalar(
            lambda t, m: -np.linalg.norm(expm(t * m), 2),
            bounds=ends,
            args=(matrix,),
            method="bounded",
            options={"xatol": 1e-10 * ends[1]},
        )
        if -found.fun > peaks[b]:
            peaks[b], places[b] = -found.fun, found.x
    shape = matrices.shape[:-2]
    return peaks.reshape(shape)[()], places.reshape(shape)[()]
