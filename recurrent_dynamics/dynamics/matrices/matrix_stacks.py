"""What the analyses of single matrices share: the look at the border, and smallest singular values at many points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...checks import ArgumentError, ArgumentTypeError, unmasked
from ...kernels.blas import one_thread

EPS = float(np.finfo(np.float64).eps)
ALL_AT_ONCE = 40  # rows up to which computing all singular values is as quick as inverse iteration
BLOCK = 2**16  # numbers of a block of right-hand sides: it should stay in the cache
ITERATIONS = 100  # of Lanczos' method; ten or so are usual
RESIDUAL = 1e-6  # at which it stops, relative: there is an eigenvalue as close as that, and mostly far closer


def square_matrices(matrices: Any) -> np.ndarray:
    """The matrices (..., n, n) as float64 or complex128.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> square_matrices([[1, 2], [3, 4]]).dtype
    dtype('float64')
    >>> square_matrices([1.0, 2.0])
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: matrices must have shape (..., n, n) and not be empty; came shape (2,)
    """
    unmasked("matrices", matrices)
    try:
        given = np.asarray(matrices)
    except ValueError as error:  # lists of different lengths
        raise ArgumentError("matrices", "have shape (..., n, n)", error) from None
    if given.dtype.kind not in "iufc":
        raise ArgumentTypeError("matrices", "hold real or complex numbers", f"dtype {given.dtype}")
    if given.ndim < 2 or given.shape[-1] != given.shape[-2] or not given.size:
        raise ArgumentError("matrices", "have shape (..., n, n) and not be empty", f"shape {given.shape}")
    given = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64, copy=False)
    if not np.isfinite(given).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(given))[0])
        raise ArgumentError("matrices", "be finite", f"{given[where]} at index {where}")
    return given


def single_matrix(matrix: Any) -> np.ndarray:
    """One matrix (n, n), for what is drawn in a plane of its own."""
    given = square_matrices(matrix)
    if given.ndim != 2:
        raise ArgumentError("matrices", "be a single one of shape (n, n) here", f"shape {given.shape}")
    return given


def each(function: Callable[[np.ndarray], Any], matrices: np.ndarray) -> np.ndarray:
    """The results of a function of one matrix, stacked in the shape of the batch; a scalar for a single matrix.

    On one thread of the BLAS: two take 14 times as long for the singular values of a hundred rows, and gain nothing
    for its eigenvalues.
    """
    batch, size = matrices.shape[:-2], matrices.shape[-1]
    with one_thread(size * size):
        found = np.array([function(m) for m in matrices.reshape(-1, size, size)])
    return found.reshape((*batch, *found.shape[1:]))[()]


def adjoint(matrices: np.ndarray) -> np.ndarray:
    """The conjugate transposes."""
    return matrices.conj().swapaxes(-1, -2)


def rounding(matrix: np.ndarray) -> float:
    """The size of the errors that an eigenvalue or singular value decomposition makes backwards."""
    return float(len(matrix) * EPS * np.linalg.norm(matrix))


def triangle_of(matrix: np.ndarray) -> np.ndarray:
    """The triangular factor of the complex Schur form, with the same resolvent norms."""
    from scipy.linalg import schur

    return np.asarray(schur(matrix, output="complex")[0])


def smallest_singular_values(triangle: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The smallest singular values of z I - T at many points z, T upper triangular.

    Large matrices go through Lanczos' method for the inverse of (z I - T)(z I - T)^*, a triangular solve each way a
    step, side by side for many points [1]_. Values below rounding error, n eps ||T||, say no more than that.

    References
    ----------
    .. [1] Trefethen, Computation of pseudospectra, Acta Numerica 8 (1999).

    Examples
    --------
    >>> smallest_singular_values(np.diag([1.0, 2.0]).astype(complex), np.array([0.0, 2.5])).tolist()
    [1.0, 0.5]
    """
    points = np.asarray(points, dtype=np.complex128)
    size, flat = len(triangle), points.ravel()
    if size <= ALL_AT_ONCE:
        block, method = max(BLOCK // size**2, 1), _by_all_singular_values
    else:
        block, method = max(BLOCK // size, 1), _by_inverse_lanczos
    with one_thread(triangle.size):
        parts = [method(triangle, flat[i : i + block]) for i in range(0, len(flat), block)]
    return np.concatenate(parts).reshape(points.shape) if parts else np.empty(points.shape)


def _by_all_singular_values(triangle: np.ndarray, points: np.ndarray) -> np.ndarray:
    shifted = points[:, None, None] * np.eye(len(triangle)) - triangle
    return np.linalg.svd(shifted, compute_uv=False)[:, -1]


def _by_inverse_lanczos(triangle: np.ndarray, points: np.ndarray) -> np.ndarray:
    size, count = len(triangle), len(points)
    floor = max(EPS * float(np.abs(triangle).max()), np.finfo(np.float64).tiny)
    pivots = points - np.diag(triangle)[:, None]
    pivots[np.abs(pivots) < floor] = floor  # on an eigenvalue: the result is then of the size of rounding
    start = np.random.default_rng(0).standard_normal((size, 2)) @ [1, 1j]
    now = np.repeat((start / np.linalg.norm(start))[:, None], count, axis=1)
    before, weight = np.zeros_like(now), np.zeros(count)
    found, active = np.zeros(count), np.arange(count)
    diagonal, beside = np.empty((count, 0)), np.empty((count, 0))
    for _ in range(min(ITERATIONS, 2 * size)):
        with np.errstate(all="ignore"):
            image = _solve(triangle, pivots, _solve_adjoint(triangle, pivots, now)) - weight * before
            share = np.einsum("ip,ip->p", now.conj(), image).real
            image -= share * now
            weight = np.sqrt(np.einsum("ip,ip->p", image.conj(), image).real)
            diagonal = np.concatenate([diagonal, share[:, None]], axis=1)
            usable = np.isfinite(weight) & np.isfinite(diagonal).all(axis=1)
            largest, last = np.full(len(active), np.inf), np.zeros(len(active))
            largest[usable], last[usable] = _largest_eigenvalues(diagonal[usable], beside[usable])
            done = ~usable | (weight * last <= RESIDUAL * largest)
            value = 1 / np.sqrt(largest)
            before, now = now, image / weight
        found[active] = value
        keep = ~done
        if not keep.any():
            break
        active, pivots, now, before = active[keep], pivots[:, keep], now[:, keep], before[:, keep]
        weight, diagonal = weight[keep], diagonal[keep]
        beside = np.concatenate([beside[keep], weight[:, None]], axis=1)
    return found


def _largest_eigenvalues(diagonal: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of symmetric tridiagonal matrices, one a row, and the moduli of the last entries of their eigenvectors."""
    order = diagonal.shape[1]
    matrices = np.zeros((len(diagonal), order, order))
    rows = np.arange(order)
    matrices[:, rows, rows] = diagonal
    matrices[:, rows[1:], rows[:-1]] = beside  # eigh reads the lower triangle
    values, vectors = np.linalg.eigh(matrices)
    return values[:, -1], np.abs(vectors[:, -1, -1])


def _solve(triangle: np.ndarray, pivots: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(z I - T)^-1 applied to the columns, each with its own z."""
    x = np.empty_like(right)
    for i in range(len(triangle) - 1, -1, -1):
        x[i] = (right[i] + triangle[i, i + 1 :] @ x[i + 1 :]) / pivots[i]
    return x


def _solve_adjoint(triangle: np.ndarray, pivots: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The same with the conjugate transpose."""
    x, lower, pivots = np.empty_like(right), triangle.conj().T.copy(), pivots.conj()
    for i in range(len(triangle)):
        x[i] = (right[i] + lower[i, :i] @ x[:i]) / pivots[i]
    return x
