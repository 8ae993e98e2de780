"""Orthogonal matrices as products of Householder reflections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import integer
from .contract import Array, Parametrization, Pull, orthogonality, real, square


@dataclass(frozen=True)
class Householder(Parametrization):
    """U = H_1 H_2 ... H_m, with H_k = I - 2 v_k v_k^T / v_k^T v_k (Mhammedi et al. 2017).

    `free` (n, m) has the vectors as its columns; their lengths do not matter. With m = n every matrix of determinant
    (-1)^n is of this form, with fewer reflections U keeps a subspace of n - m dimensions in place.

    Parameters
    ----------
    reflections : int, optional
        How many are drawn by `sample`; as many as rows when absent.

    Notes
    -----
    `initials`: "haar" draws the vectors such that with m = n the matrix has the Haar measure on its component (with
    m < n its first m columns have theirs) (Stewart 1980), "uniform" draws directions, "identity" equal ones in pairs.

    The product is taken in its compact form I - Y S^-1 Y^T, with the unit vectors in the columns of Y and
    S = I / 2 + the part of Y^T Y above the diagonal (Joffrain et al. 2006): products of matrices instead of m steps.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.householder(np.array([[1.0], [0.0]]))
    >>> U + 0
    array([[-1.,  0.],
           [ 0.,  1.]])
    """

    reflections: int | None = None
    initials = ("haar", "uniform", "identity")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reflections is not None:
            integer("reflections", self.reflections, at_least=1)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        from scipy.linalg import get_blas_funcs

        free = real("free", free, 2)
        n, m = free.shape
        lengths = np.sqrt((free * free).sum(0))
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            bad = int(np.argmin(np.isfinite(lengths) & (lengths > 0)))
            raise ValueError(
                f"free must have columns with a direction; came one of length {lengths[bad]} at {bad}"
            )
        Y = free / lengths
        # Of S only what lies on and above the diagonal is read. It is symmetric so far, hence in Fortran's order too.
        S = Y.T @ Y
        S.flat[:: m + 1] = 0.5
        S = S.T
        (trsm,) = get_blas_funcs(("trsm",), (Y,))
        Z = trsm(1, S, Y.T)  # (m, n) = S^-1 Y^T
        U = -(Y @ Z)
        U.flat[:: n + 1] += 1

        def pull(d_U: Array) -> Array:
            K = trsm(-1, S, Y.T @ d_U, trans_a=1)  # S^-T dL/dZ
            d_gram = np.triu(-(K @ Z.T), 1)
            d_Y = K.T - d_U @ Z.T + Y @ (d_gram + d_gram.T)
            return (d_Y - Y * (Y * d_Y).sum(0)) / lengths

        return U, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        m = n if self.reflections is None else self.reflections
        v = rng.standard_normal((n, m))
        if initial == "identity":
            if m % 2:
                raise ValueError(f"initial must not be 'identity' for an odd number of reflections; came {m}")
            v[:, 1::2] = v[:, ::2]
        if initial == "haar":
            if m > n:
                raise ValueError(
                    f"initial must not be 'haar' for more reflections than rows; came {m} and {n}"
                )
            # Column k reflects the k-th unit vector into a random direction of the space that is left.
            v[np.triu_indices(n, 1, m)] = 0
            diagonal = np.arange(m)
            v[diagonal, diagonal] -= np.linalg.norm(v, axis=0)
            last = diagonal[np.linalg.norm(v, axis=0) == 0]
            v[last, last] = 1  # in one dimension there is one reflection
        return v

    def _check(self, U: Array) -> float:
        square(*U.shape)
        return orthogonality(U)


householder = Householder()
