"""Pseudospectra: where the resolvent (z I - A)^-1 is large, and where perturbed eigenvalues can go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import integer, number, one_of, rectangle
from ...results import Result
from .matrix_stacks import (
    adjoint,
    each,
    rounding,
    single_matrix,
    smallest_singular_values,
    square_matrices,
    triangle_of,
)
from .transients import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ON_LINE = (
    1e-6  # relative distance of an eigenvalue that may lie on a line or circle; a false one costs only work
)
SAME = 1e-13  # relative gain below which the search along lines and circles stops


@dataclass(frozen=True)
class Pseudospectra(Result):
    """The epsilon-pseudospectra of a matrix, {z : sigma_min(z I - A) <= epsilon}, on a grid.

    Attributes
    ----------
    real, imaginary
        The grid, shapes (X,) and (Y,).
    smallest_singular_values
        sigma_min(z I - A) = 1 / ||(z I - A)^-1||, shape (Y, X).
    eigenvalues
        Shape (n,), complex.
    kind
        "map" or "flow": whether the unit circle or the imaginary axis bounds stability.
    """

    real: np.ndarray
    imaginary: np.ndarray
    smallest_singular_values: np.ndarray
    eigenvalues: np.ndarray
    kind: str

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw contours of log10 epsilon, see `recurrent_dynamics.plot.pseudospectra`."""
        from ...plot import pseudospectra

        return pseudospectra(self, ax=ax, **options)


def pseudospectra(
    matrices: np.ndarray,
    points: int = 100,
    *,
    limits: Sequence[float] | None = None,
    kind: str = "map",
) -> Pseudospectra:
    """The smallest singular values of z I - A on a grid in the complex plane [1]_.

    After one Schur decomposition, small matrices go through singular values of many points at once, larger ones through
    inverse Lanczos iteration, two triangular solves a step.

    Parameters
    ----------
    matrices
        One matrix (n, n), real or complex.
    points
        Of the grid along each axis, at least 2.
    limits
        (left, right, bottom, top) of the grid; by default all eigenvalues with a margin, and the unit circle for maps.
    kind
        "map" or "flow", for the boundary of stability in the figure.

    Returns
    -------
    Pseudospectra

    Raises
    ------
    TypeError, ValueError
        If the matrix is not a single square one, or an argument out of range.

    References
    ----------
    .. [1] Trefethen and Embree, Spectra and Pseudospectra, Princeton 2005, section 39.

    Examples
    --------
    >>> found = pseudospectra(np.diag([0.0, 1.0]), points=3, limits=(0, 2, -1, 1))
    >>> found.smallest_singular_values.round(6).tolist()
    [[1.0, 1.0, 1.414214], [0.0, 0.0, 1.0], [1.0, 1.0, 1.414214]]
    """
    given = single_matrix(matrices)
    integer("points", points, at_least=2)
    one_of("kind", kind, KINDS)
    triangle = triangle_of(given)
    eigenvalues = np.diag(triangle).copy()
    left, right, bottom, top = _around(eigenvalues, kind) if limits is None else rectangle("limits", limits)
    real, imaginary = np.linspace(left, right, points), np.linspace(bottom, top, points)
    values = smallest_singular_values(triangle, real + 1j * imaginary[:, None])
    return Pseudospectra(real, imaginary, values, eigenvalues, kind)


def _around(eigenvalues: np.ndarray, kind: str) -> tuple[float, float, float, float]:
    """A square with all eigenvalues, and what bounds stability, well inside."""
    shown = np.append(eigenvalues, [1, -1, 1j, -1j] if kind == "map" else [0])
    low, high = shown.real.min() + 1j * shown.imag.min(), shown.real.max() + 1j * shown.imag.max()
    centre = (low + high) / 2
    half = 0.65 * max((high - low).real, (high - low).imag) or 1.0
    return centre.real - half, centre.real + half, centre.imag - half, centre.imag + half


def pseudospectral_abscissa(matrices: np.ndarray, epsilon: float) -> np.ndarray | float:
    """The largest real part of an eigenvalue of A + E with ||E|| <= epsilon, shape (...).

    By criss-cross search: the eigenvalues of a Hamiltonian matrix of size 2 n on the imaginary axis say where a line
    meets the boundary of the pseudospectrum; vertical and horizontal lines by turns lead to the global maximum [1]_.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    epsilon
        Spectral norm of the perturbation, above 0 (in exact arithmetic; below n eps ||A|| it means nothing).

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    References
    ----------
    .. [1] Burke, Lewis and Overton, Robust stability and a criss-cross algorithm for pseudospectra, IMA J. Numer. Anal.
       23 (2003).

    Examples
    --------
    >>> round(float(pseudospectral_abscissa([[-1.0, 0.0], [0.0, -2.0]], 0.25)), 9)
    -0.75
    """
    epsilon = number("epsilon", epsilon, above=0)
    return each(lambda matrix: _abscissa(matrix, epsilon), square_matrices(matrices))


def pseudospectral_radius(matrices: np.ndarray, epsilon: float) -> np.ndarray | float:
    """The largest modulus of an eigenvalue of A + E with ||E|| <= epsilon, shape (...).

    The criss-cross search in polar coordinates: circles and rays by turns [1]_.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    epsilon
        Spectral norm of the perturbation, above 0 (in exact arithmetic; below n eps ||A|| it means nothing).

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    References
    ----------
    .. [1] Mengi and Overton, Algorithms for the computation of the pseudospectral radius and the numerical radius of
       a matrix, IMA J. Numer. Anal. 25 (2005).

    Examples
    --------
    >>> round(float(pseudospectral_radius([[0.0, 3.0], [0.0, 0.0]], 1.0)), 9)
    2.0
    """
    epsilon = number("epsilon", epsilon, above=0)
    return each(lambda matrix: _radius(matrix, epsilon), square_matrices(matrices))


def _abscissa(matrix: np.ndarray, epsilon: float) -> float:
    eigenvalues = np.linalg.eigvals(matrix) + 0j
    start = eigenvalues[eigenvalues.real.argmax()]

    def along(height: float) -> float:
        return _last_crossing(matrix, epsilon, 1j * height, 1)

    def heights(best: float) -> np.ndarray:
        return _on_line(matrix, epsilon, best, 1j)

    return _criss_cross(along, heights, float(start.imag), period=None)


def _radius(matrix: np.ndarray, epsilon: float) -> float:
    eigenvalues = np.linalg.eigvals(matrix) + 0j
    start = eigenvalues[np.abs(eigenvalues).argmax()]

    def along(angle: float) -> float:
        return _last_crossing(matrix, epsilon, 0, np.exp(1j * angle))

    def angles(best: float) -> np.ndarray:
        return _on_circle(matrix, epsilon, best)

    return _criss_cross(along, angles, float(np.angle(start)), period=2 * np.pi)


def _criss_cross(
    along: Callable[[float], float],
    across: Callable[[float], np.ndarray],
    start: float,
    period: float | None,
) -> float:
    """The largest value of `along`: from the middles of the intervals where `across` finds better ones, again."""
    best = along(start)
    for _ in range(100):
        ends = across(best)
        if not ends.size:
            break
        if period is not None:
            ends = np.append(ends, ends[0] + period)
        found = max((along(float(place)) for place in (ends[1:] + ends[:-1]) / 2), default=best)
        if found <= best + SAME * abs(best):
            # A tangent point may come as one root or two: the last look is at the roots themselves.
            found = max(found, *(along(float(place)) for place in ends))
        if found <= best + SAME * abs(best):
            return max(best, found)
        best = found
    return best


def _last_crossing(matrix: np.ndarray, epsilon: float, origin: complex, direction: complex) -> float:
    """The largest s at which sigma_min((origin + s direction) I - A) is epsilon; -inf if the line misses it all."""
    found = _on_line(matrix, epsilon, origin, direction)[::-1]
    points = origin + found * direction
    triangle_free = points[:, None, None] * np.eye(len(matrix)) - matrix
    values = np.linalg.svd(triangle_free, compute_uv=False)[:, -1]
    # The roots belong to any singular value; the last of them must belong to the smallest.
    size = np.linalg.norm(matrix, 2) + np.abs(points) + epsilon
    inside = np.flatnonzero(values <= epsilon + 1e-9 * size)
    return float(found[inside[0]]) if inside.size else float("-inf")


def _on_line(matrix: np.ndarray, epsilon: float, origin: complex, direction: complex) -> np.ndarray:
    """The s, ascending, at which some singular value of (origin + s direction) I - A is epsilon."""
    identity = np.eye(len(matrix))
    turned = 1j * (matrix - origin * identity) / direction
    hamiltonian = np.block([[turned, epsilon * identity], [-epsilon * identity, -adjoint(turned)]])
    roots = np.linalg.eigvals(hamiltonian)
    near = np.abs(roots.real) <= ON_LINE * (np.abs(roots) + epsilon) + rounding(hamiltonian)
    return np.sort(roots[near].imag)


def _on_circle(matrix: np.ndarray, epsilon: float, radius: float) -> np.ndarray:
    """The angles, ascending, at which some singular value of radius e^{i theta} I - A is epsilon."""
    from scipy.linalg import eigvals

    identity, zero = np.eye(len(matrix)), np.zeros(matrix.shape)
    left = np.block([[matrix, epsilon * identity], [zero, radius * identity]])
    right = np.block([[radius * identity, zero], [epsilon * identity, adjoint(matrix)]])
    alpha, beta = eigvals(left, right, homogeneous_eigvals=True)
    near = np.abs(np.abs(alpha) - np.abs(beta)) <= ON_LINE * np.hypot(np.abs(alpha), np.abs(beta))
    return np.sort(np.angle(alpha[near] * beta[near].conj()))
