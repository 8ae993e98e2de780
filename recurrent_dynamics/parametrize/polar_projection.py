"""The nearest matrix with orthonormal columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import ArgumentError
from .contract import Array, Parametrization, Pull, orthogonality, real
from .initialize import orthogonal


@dataclass(frozen=True)
class Polar(Parametrization):
    """The orthogonal factor of the polar decomposition, X = U P with P positive definite (Higham 1986).

    U is the matrix with orthonormal columns that is nearest to X. `free` (rows, columns) is X itself, of full column
    rank, with at least as many rows as columns.

    Notes
    -----
    `initials`: "haar" draws X itself from the Haar measure.

    With the singular value decomposition X = L diag(s) R^T it is U = L R^T, and the derivative divides by the sums
    s_i + s_j: it grows where X comes near to a matrix of lower rank.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.polar(np.array([[3.0, 0.0], [0.0, 0.5]]))
    >>> U
    array([[1., 0.],
           [0., 1.]])
    """

    initials = ("haar",)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        X = real("free", free, 2)
        if X.shape[0] < X.shape[1]:
            raise ArgumentError("free", "have at least as many rows as columns", f"shape {X.shape}")
        left, s, right = np.linalg.svd(X, full_matrices=False)
        if s[-1] <= s[0] * max(X.shape) * np.finfo(X.dtype).eps:
            raise ArgumentError(
                "free", "be of full column rank", f"singular values {s[0]:.3g} to {s[-1]:.3g}"
            )

        def pull(d_U: Array) -> Array:
            inner = left.T @ d_U @ right.T
            d = (inner - inner.T) / (s[:, None] + s)
            outside = d_U - left @ (left.T @ d_U)  # what leaves the space of the columns of X
            return left @ d @ right + outside @ ((right.T / s) @ right)

        return left @ right, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        if rows < columns:
            raise ArgumentError("U", "have at least as many rows as columns", f"shape {(rows, columns)}")
        return orthogonal(rng, rows, columns)

    def _check(self, U: Array) -> float:
        if U.shape[0] < U.shape[1]:
            raise ArgumentError("U", "have at least as many rows as columns", f"shape {U.shape}")
        return orthogonality(U)


polar = Polar()
