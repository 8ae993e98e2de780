"""Orthogonal matrices by the Cayley transform."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import ArgumentError, integer
from . import skew
from .contract import Array, Parametrization, Pull, finite, matrix, orthogonality, square
from .initialize import orthogonal
from .matrix_products import product
from .resolvent import inverse


@dataclass(frozen=True)
class Cayley(Parametrization):
    """U = (I + A)^-1 (I - A) D, with A antisymmetric and D a diagonal of 1 and -1 (Helfrich et al. 2018).

    Every orthogonal matrix is of this form for some D; for a given one those are missing for which U D has the
    eigenvalue -1. I + A is never singular. `free` (n (n - 1) / 2,) are the numbers of A above its diagonal.

    Parameters
    ----------
    negative : int
        How many entries of D are -1: the last ones. With an odd number U has determinant -1.

    Notes
    -----
    `initials`: "henaff" draws A as blocks [[0, s], [-s, 0]] with s uniform in (-pi, pi), "cayley_torus" such that with
    D = I the transform turns planes by angles uniform in (0, pi / 2), "haar" draws U D from the Haar measure on
    rotations, "zero" is U = D.

    With M = (I + A)^-1 the value is (2 M - I) D and dL/dA = -2 M^T (dL/dU) D M^T: one inverse forward, two products
    back.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.cayley.sample(4, rng=0, dtype="float64")
    >>> U, pull = rd.parametrize.cayley(free)
    >>> bool(np.allclose(U.T @ U, np.eye(4))), pull(np.ones((4, 4))).shape
    (True, (6,))
    """

    negative: int = 0
    initials = ("cayley_torus", "henaff", "haar", "zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("negative", self.negative, at_least=0)

    def _signs(self, n: int) -> Array:
        if self.negative > n:
            raise ArgumentError("negative", f"be at most the size of U, {n}", self.negative)
        return np.repeat([1.0, -1.0], [n - self.negative, self.negative])

    def _map(self, free: Array) -> tuple[Array, Pull]:
        M = inverse(skew.checked(free, 1.0))
        n = len(M)
        signs = self._signs(n).astype(M.dtype)
        U = M * (2 * signs)
        U.flat[:: n + 1] -= signs

        def pull(d_U: Array) -> Array:
            # The transpose of dL/dA, so that the second product is of two matrices by rows.
            return skew.pull(product(M, product((d_U * (2 * signs)).T, M)))

        return U, pull

    def invert(self, U: Array) -> Array:
        """The free parameters of an orthogonal matrix.

        Raises
        ------
        ValueError
            When I + U D is singular, that is when U D has the eigenvalue -1, or U is not orthogonal.
        """
        U = finite("U", matrix("U", U))
        n = square(*U.shape)
        if orthogonality(U) > 1e-3:
            raise ArgumentError("U", "be orthogonal", f"one with |U^T U - I| up to {orthogonality(U):.1e}")
        turned = U * self._signs(n).astype(U.dtype)
        # The last pivot of an exactly singular matrix is a rounding error: ask for more than half of the digits.
        smallest = np.linalg.svd(np.eye(n) + turned, compute_uv=False)[-1]
        if smallest < np.sqrt(np.finfo(U.dtype).eps):
            raise ArgumentError(
                "I + U D",
                "be invertible, that is U D without the eigenvalue -1",
                f"one whose smallest singular value is {smallest:.1e}: choose another number of negative "
                f"entries of D than {self.negative}",
            )
        A = np.linalg.solve((np.eye(n) + turned).T, (np.eye(n) - turned).T).T
        return skew.vector(A).astype(U.dtype)

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        self._signs(n)
        if initial != "haar":
            return skew.draw(rng, n, initial)
        return self.invert(rotation(rng, n) * self._signs(n))

    def _check(self, U: Array) -> float:
        square(*U.shape)
        return orthogonality(U)


def rotation(rng: np.random.Generator, n: int) -> Array:
    """From the Haar measure on the orthogonal matrices of determinant 1."""
    q = orthogonal(rng, n, n)
    q[0] *= np.sign(np.linalg.det(q))
    return q


cayley = Cayley()
