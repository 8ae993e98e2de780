"""What one matrix, a Jacobian say, does beyond its eigenvalues: norms, numerical range, departure from normality.

Everything takes a matrix (n, n) or a batch of them (..., n, n), so that `rd.jacobian(run)` goes straight in, real or
complex, and computes in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer
from ...results import Result
from .matrix_stacks import adjoint, each, rounding, square_matrices, triangle_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANGLES = 32  # at which the search for the numerical radius starts
UNIMODULAR = 1e-6  # of an eigenvalue that may lie on the unit circle; a false one costs a little work only


def spectral_radius(matrices: np.ndarray) -> np.ndarray | float:
    """The largest modulus of an eigenvalue, shape (...): the rate of growth of the powers A^k in the long run.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    Raises
    ------
    TypeError, ValueError
        If they are not square, empty, not finite or not numbers. So does every function of this module.

    Examples
    --------
    >>> float(spectral_radius([[0.5, 100.0], [0.0, -0.75]]))
    0.75
    """
    return np.abs(np.linalg.eigvals(square_matrices(matrices))).max(axis=-1)


def spectral_abscissa(matrices: np.ndarray) -> np.ndarray | float:
    """The largest real part of an eigenvalue, shape (...): the rate of growth of e^{tA} in the long run.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    Examples
    --------
    >>> float(spectral_abscissa([[-1.0, 100.0], [0.0, -2.0]]))
    -1.0
    """
    return np.linalg.eigvals(square_matrices(matrices)).real.max(axis=-1)


def logarithmic_norm(matrices: np.ndarray, order: float = 2) -> np.ndarray | float:
    """The logarithmic norm mu(A) = lim (||I + h A|| - 1) / h as h falls to 0, shape (...) [1]_.

    It is the smallest mu with ||e^{tA}|| <= e^{mu t} for all t >= 0, and may be negative.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    order
        Of the vector norm: 1, 2 or `numpy.inf`.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    References
    ----------
    .. [1] Soederlind, The logarithmic norm. History and modern theory, BIT 46 (2006).

    Examples
    --------
    >>> A = [[-1.0, 1.0], [0.0, -3.0]]
    >>> [round(float(logarithmic_norm(A, p)), 6) for p in (1, 2, np.inf)]
    [-1.0, -0.881966, 0.0]
    """
    given = square_matrices(matrices)
    if isinstance(order, bool) or not np.isscalar(order) or order not in (1, 2, np.inf):
        raise ArgumentError("order", "be 1, 2 or inf", repr(order))
    if order == 2:
        return np.linalg.eigvalsh((given + adjoint(given)) / 2)[..., -1][()]
    diagonal = np.diagonal(given, axis1=-2, axis2=-1)
    sums = np.abs(given).sum(axis=-2 if order == 1 else -1)
    return (diagonal.real - np.abs(diagonal) + sums).max(axis=-1)


def numerical_abscissa(matrices: np.ndarray) -> np.ndarray | float:
    """The largest real part of the numerical range, shape (...): the growth rate of ||e^{tA}|| at t = 0.

    It is the logarithmic norm of order 2, the largest eigenvalue of (A + A^*) / 2.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    Examples
    --------
    >>> float(numerical_abscissa([[-1.0, 4.0], [0.0, -1.0]]))
    1.0
    """
    return logarithmic_norm(matrices, 2)


def numerical_radius(matrices: np.ndarray) -> np.ndarray | float:
    """The largest modulus in the numerical range, shape (...); ||A^k|| <= 2 r^k holds for it.

    The largest over the angles of the largest eigenvalue of the Hermitian part of e^{i theta} A, found by level sets:
    the angles at which that eigenvalue has the best value yet are unimodular eigenvalues of a pencil of size 2 n, and
    no such angles mean that no angle is better [1]_. So it is the global maximum, to rounding.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.

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
    >>> round(float(numerical_radius(np.eye(3, k=1))), 9), round(float(np.cos(np.pi / 4)), 9)
    (0.707106781, 0.707106781)
    """
    return each(_numerical_radius, square_matrices(matrices))


def _numerical_radius(matrix: np.ndarray) -> float:
    from scipy.linalg import eigvals

    size, scale = len(matrix), float(np.linalg.norm(matrix, 2))
    if scale == 0:
        return 0.0
    unit = matrix / scale  # so that the pencil's two sides are of one size
    best = float(_support(unit, np.arange(ANGLES) * (2 * np.pi / ANGLES)).max())
    identity, zero = np.eye(size), np.zeros((size, size))
    for _ in range(50):
        level = best * (1 + 1e-14)
        left = np.block([[2 * level * identity, -adjoint(unit)], [identity, zero]])
        right = np.block([[unit, zero], [zero, identity]])
        alpha, beta = eigvals(left, right, homogeneous_eigvals=True)
        on_circle = np.abs(np.abs(alpha) - np.abs(beta)) <= UNIMODULAR * np.hypot(np.abs(alpha), np.abs(beta))
        angles = np.sort(np.angle(alpha[on_circle] * beta[on_circle].conj()))
        if not angles.size:
            break
        between = (angles + np.append(angles[1:], angles[0] + 2 * np.pi)) / 2
        found = float(_support(unit, np.concatenate([angles, between])).max())
        if found <= best * (1 + 1e-14):
            break
        best = found
    return best * scale


def _support(matrix: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The largest eigenvalue of the Hermitian part of e^{i theta} A at each angle."""
    turned = np.exp(1j * angles)[:, None, None] * matrix
    return np.linalg.eigvalsh((turned + adjoint(turned)) / 2)[:, -1]


@dataclass(frozen=True)
class NumericalRange(Result):
    """The numerical range (field of values) {x^* A x : ||x|| = 1} of a matrix, by its boundary.

    Attributes
    ----------
    angles
        theta, shape (P,).
    boundary
        Points of the boundary, shape (..., P), complex: that of angle theta has the largest real part of
        e^{i theta} z. Their convex hull lies inside the range.
    support
        That largest real part, shape (..., P). The half-planes Re e^{i theta} z <= support enclose the range.
    eigenvalues
        Shape (..., n), complex.
    """

    angles: np.ndarray
    boundary: np.ndarray
    support: np.ndarray
    eigenvalues: np.ndarray

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw it in the complex plane; see `recurrent_dynamics.plot.numerical_range`."""
        from ...plot import numerical_range

        return numerical_range(self, ax=ax, **options)


def numerical_range(matrices: np.ndarray, points: int = 128) -> NumericalRange:
    """The boundary of the numerical range by Johnson's algorithm [1]_.

    For every angle theta the eigenvector x of the largest eigenvalue of the Hermitian part of e^{i theta} A gives the
    boundary point x^* A x.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    points
        Number P of angles, at least 3, equally spaced in [0, 2 pi).

    Returns
    -------
    NumericalRange

    References
    ----------
    .. [1] Johnson, Numerical determination of the field of values of a general complex matrix, SIAM J. Numer. Anal.
       15 (1978).

    Examples
    --------
    The disk of radius 1/2 about the double eigenvalue:

    >>> found = numerical_range([[3.0, 1.0], [0.0, 3.0]], points=8)
    >>> np.round(np.abs(found.boundary - 3), 12).tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    given = square_matrices(matrices)
    angles = np.arange(integer("points", points, at_least=3)) * (2 * np.pi / points)
    boundary = np.empty((len(angles), *given.shape[:-2]), dtype=np.complex128)
    support = np.empty(boundary.shape)
    for k, angle in enumerate(angles):
        turned = np.exp(1j * angle) * given
        values, vectors = np.linalg.eigh((turned + adjoint(turned)) / 2)
        x = vectors[..., -1]
        support[k] = values[..., -1]
        boundary[k] = np.einsum("...i,...ij,...j->...", x.conj(), given, x)
    return NumericalRange(
        angles, np.moveaxis(boundary, 0, -1), np.moveaxis(support, 0, -1), np.linalg.eigvals(given) + 0j
    )


def departure_from_normality(matrices: np.ndarray, *, relative: bool = False) -> np.ndarray | float:
    """Henrici's departure from normality in the Frobenius norm, shape (...) [1]_.

    ``sqrt(||A||_F^2 - sum |lambda|^2)``, taken as the norm of the strictly upper triangle of the Schur form, which
    loses no digits where the difference would.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.
    relative
        Divide by ||A||_F: from 0 for a normal matrix to 1 for a nilpotent one; 0 for a matrix of zeros.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    References
    ----------
    .. [1] Henrici, Bounds for iterates, inverses, spectral variation and fields of values of non-normal matrices,
       Numer. Math. 4 (1962).

    Examples
    --------
    >>> float(departure_from_normality([[1.0, 3.0], [0.0, 2.0]]))
    3.0
    >>> float(departure_from_normality(np.eye(4, k=1), relative=True))
    1.0
    """
    if not isinstance(relative, bool | np.bool_):
        raise ArgumentError("relative", "be True or False", repr(relative))

    def departure(matrix: np.ndarray) -> float:
        above = float(np.linalg.norm(np.triu(triangle_of(matrix), 1)))
        norm = float(np.linalg.norm(matrix))
        return (above / norm if norm > 0 else 0.0) if relative else above

    return each(departure, square_matrices(matrices))


def eigenvector_condition(matrices: np.ndarray) -> np.ndarray | float:
    """The condition number ||V|| ||V^-1|| of the matrix of unit eigenvectors, shape (...).

    1 for a normal matrix; ||A^k|| <= condition * radius^k, and an error of size e moves eigenvalues by at most
    condition * e [1]_. inf for a defective matrix, which rounding shows as a number of 1e8 and more instead: beyond
    1 / (n eps) it is returned as inf.

    Parameters
    ----------
    matrices
        Shape (..., n, n), real or complex.

    Returns
    -------
    float or ndarray (...)
        In float64; a scalar for a single matrix.

    References
    ----------
    .. [1] Bauer and Fike, Norms and exclusion theorems, Numer. Math. 2 (1960).

    Examples
    --------
    >>> round(float(eigenvector_condition([[1.0, 1.0], [0.0, 2.0]])), 6)
    2.414214
    >>> float(eigenvector_condition([[1.0, 1.0], [0.0, 1.0]]))
    inf
    """
    from scipy.linalg import svdvals

    def condition(matrix: np.ndarray) -> float:
        values = svdvals(np.linalg.eig(matrix)[1])
        return float(values[0] / values[-1]) if values[-1] > rounding(np.eye(len(matrix))) else float("inf")

    return each(condition, square_matrices(matrices))
