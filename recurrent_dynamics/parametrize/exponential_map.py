"""Orthogonal matrices by the matrix exponential, from the identity or from a base that moves along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import ArgumentError
from ..kernels.blas import one_thread
from . import skew
from .cayley_transform import rotation
from .contract import Array, Parametrization, Pull, finite, matrix, named, of_shape, orthogonality, square
from .expm import expm
from .initialize import orthogonal


@dataclass(frozen=True)
class Exponential(Parametrization):
    """U = exp(A), with A antisymmetric: every matrix of determinant 1 (Lezcano-Casado and Martinez-Rubio 2019).

    `free` (n (n - 1) / 2,) are the numbers of A above its diagonal.

    Notes
    -----
    `initials`: "henaff" draws A as blocks [[0, s], [-s, 0]] with s uniform in (-pi, pi), "cayley_torus" with
    s = tan(t / 2) for t uniform in (0, pi / 2), "haar" draws U from the Haar measure on rotations, "zero" is U = I.

    The exponential is a Pade approximant with scaling and squaring (Higham 2005) whose adjoint goes back through the
    same products; all of them are symmetric or antisymmetric, which halves the work. At n = 512 in float32 both ways
    together are some 16 products of that size; one call of SciPy's exponential and one of its Frechet derivative, both
    in float64, are several times as many.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.exponential(np.array([np.pi / 2]))
    >>> U.round(12)
    array([[ 0.,  1.],
           [-1.,  0.]])
    >>> pull(np.array([[0.0, 1.0], [0.0, 0.0]])).round(12) + 0    # of U_01 = sin(a)
    array([0.])
    """

    initials = ("henaff", "cayley_torus", "haar", "zero")

    def _map(self, free: Array) -> tuple[Array, Pull]:
        U, pull = expm(skew.checked(free))
        return U, lambda d_U: skew.pull(pull(d_U))

    def invert(self, U: Array) -> Array:
        """The free parameters of an orthogonal matrix of determinant 1: the principal logarithm.

        Raises
        ------
        ValueError
            For any other matrix, and for one with the eigenvalue -1, which has several logarithms.
        """
        from scipy.linalg import schur

        U = finite("U", matrix("U", U))
        square(*U.shape)
        if orthogonality(U) > 1e-3 or np.linalg.det(U) < 0:
            raise ArgumentError(
                "U",
                "be orthogonal with determinant 1",
                f"one with |U^T U - I| up to {orthogonality(U):.1e} and determinant {np.linalg.det(U):.3g}",
            )
        # Orthogonal matrices are normal: their complex Schur form is diagonal, with e^(i angle) as its entries.
        T, Z = schur(U.astype(np.float64), output="complex")
        angles = np.angle(np.diag(T))
        if np.abs(angles).max() > np.pi - 1e-6:
            raise ArgumentError(
                "U", "have no eigenvalue -1, where the logarithm is not unique", "one that has"
            )
        return skew.vector(((Z * (1j * angles)) @ Z.conj().T).real).astype(U.dtype)

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        return self.invert(rotation(rng, n)) if initial == "haar" else skew.draw(rng, n, initial)

    def _check(self, U: Array) -> float:
        """Rotations only: a reflection is at least 2 away from all of them."""
        square(*U.shape)
        return max(orthogonality(U), 2.0 if np.linalg.det(U) < 0 else 0.0)


@dataclass(frozen=True)
class Trivialization(Parametrization):
    """U = B exp(A): the exponential from a base B that follows U (dynamic trivialization, Lezcano-Casado 2019).

    `free` is {"A": (n (n - 1) / 2,), "base": (n, n)}. The base is no parameter: its derivative is 0 by definition.
    `rebase` moves it to U and A to 0, where the exponential does not distort gradients;
    `recurrent_dynamics.training.rebased` does so every so many updates, and lets nothing else move the base, such as
    weight decay.

    Notes
    -----
    `initials` of the base, A being 0: "haar", "henaff" and "cayley_torus" (as `Exponential`), "identity".

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.trivialization.sample(4, dtype="float64")
    >>> U, pull = rd.parametrize.trivialization(free)
    >>> grads = pull(np.ones((4, 4)))
    >>> {name: array.shape for name, array in grads.items()}, grads["base"].any().item()
    ({'A': (6,), 'base': (4, 4)}, False)
    """

    initials = ("haar", "henaff", "cayley_torus", "identity")

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        v, base = named(free, A=1, base=2)
        A = skew.matrix(v)
        of_shape("free['base']", base, A.shape)
        E, pull_A = expm(A)

        def pull(d_U: Array) -> dict[str, Array]:
            return {"A": skew.pull(pull_A(base.T @ d_U)), "base": np.zeros_like(base)}

        return base @ E, pull

    def rebase(self, free: dict[str, Array]) -> dict[str, Array]:
        """Free parameters of the same U with A = 0; the rounding errors that U has gathered are removed."""
        U, _ = self(free)
        with one_thread(U.size):
            # A step of Newton and Schulz towards the nearest orthogonal matrix: it squares the error.
            U = U @ (1.5 * np.eye(len(U), dtype=U.dtype) - 0.5 * (U.T @ U))
        return {"A": np.zeros_like(free["A"]), "base": U}

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = square(rows, columns)
        zero = np.zeros(n * (n - 1) // 2)
        if initial == "haar":
            base = orthogonal(rng, n, n)
        else:
            base = expm(skew.matrix(skew.draw(rng, n, initial.replace("identity", "zero"))))[0]
        return {"A": zero, "base": base}

    def _check(self, U: Array) -> float:
        square(*U.shape)
        return orthogonality(U)


exponential, trivialization = Exponential(), Trivialization()
