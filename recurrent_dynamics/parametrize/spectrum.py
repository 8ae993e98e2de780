"""Bounds on the singular values or on the eigenvalues of U, and how it may depart from normality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import number
from . import skew
from .cayley_transform import cayley
from .contract import Array, Parametrization, Pull, finite, named, of_shape, real, square
from .exponential_map import exponential


@dataclass(frozen=True)
class AlmostOrthogonal(Parametrization):
    """U = P diag(s) Q^T with s in [1 - radius, 1 + radius], P and Q orthogonal (Vorontsov et al. 2017).

    s = 1 + radius (2 sigmoid(p) - 1); P and Q are Cayley transforms. `free` is {"left", "right": (n (n - 1) / 2,),
    "singular": (n,)}: P, Q, and p.

    Parameters
    ----------
    radius : float
        In (0, 1).

    Notes
    -----
    `initials` of P and Q, p being 0: "cayley_torus", "henaff", "haar", "zero", as `Cayley`.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> p = rd.parametrize.AlmostOrthogonal(radius=0.1)
    >>> free = p.sample(4, dtype="float64")
    >>> free["singular"][:] = [-9, 0, 0, 9]
    >>> np.linalg.svd(p(free)[0], compute_uv=False).round(3)
    array([1.1, 1. , 1. , 0.9])
    """

    radius: float = 0.1
    initials = cayley.initials

    def __post_init__(self) -> None:
        super().__post_init__()
        number("radius", self.radius, above=0, below=1)

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        left, right, p = named(free, left=1, right=1, singular=1)
        of_shape("free['right']", right, left.shape)
        of_shape("free['singular']", p, (skew.size(left),))
        P, pull_P = cayley(left)
        Q, pull_Q = cayley(right)
        share = np.tanh(p * p.dtype.type(0.5))  # 2 sigmoid(p) - 1
        s = 1 + p.dtype.type(self.radius) * share

        def pull(d_U: Array) -> dict[str, Array]:
            of_Q = d_U.T @ P
            d_s = (of_Q * Q).sum(0)
            return {
                "left": pull_P((d_U @ Q) * s),
                "right": pull_Q(of_Q * s),
                "singular": d_s * p.dtype.type(0.5 * self.radius) * (1 - share * share),
            }

        return (P * s) @ Q.T, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = square(rows, columns)
        left, right = (cayley.sample(n, rng, "float64", initial) for _ in range(2))
        return {"left": left, "right": right, "singular": np.zeros(n)}

    def _check(self, U: Array) -> float:
        square(*U.shape)
        s = np.linalg.svd(U, compute_uv=False)
        return max(0.0, float(np.abs(s - 1).max()) - self.radius)


@dataclass(frozen=True)
class SpectralNorm(Parametrization):
    """U = X min(1, bound / s), s the largest singular value of X: the spectral norm of U is at most `bound`.

    Spectral normalization (Miyato et al. 2018) with the exact norm, and only where the bound is crossed. `free`
    (rows, columns) is X.

    Parameters
    ----------
    bound : float
        Above 0.

    Notes
    -----
    `initials`: "uniform" in (-1, 1) / sqrt(columns), "haar" with orthonormal rows or columns, times `bound`.

    The derivative is that of a largest singular value that stands alone; where two are equal, and where s = bound, it
    is that of one side.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.SpectralNorm(bound=0.5)(np.diag([2.0, 1.0]))
    >>> U
    array([[0.5 , 0.  ],
           [0.  , 0.25]])
    """

    bound: float = 1.0
    initials = ("uniform", "haar")

    def __post_init__(self) -> None:
        super().__post_init__()
        number("bound", self.bound, above=0)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        from scipy.linalg import eigh

        X = real("free", free, 2)
        gram = X.T @ X if X.shape[0] >= X.shape[1] else X @ X.T
        last = len(gram) - 1
        (square_of_s,), v = eigh(finite("free^T free", gram), subset_by_index=(last, last))
        s = np.sqrt(square_of_s)
        if s <= self.bound:
            return X.copy(), lambda d_U: d_U.copy()
        # The unit vectors u and w with X w = s u.
        w = v[:, 0] if X.shape[0] >= X.shape[1] else X.T @ v[:, 0] / s
        u = X @ w / s
        scale = X.dtype.type(self.bound / s)

        def pull(d_U: Array) -> Array:
            return scale * (d_U - np.outer(u, w) * ((d_U * X).sum() / s))

        return X * scale, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        from .initialize import orthogonal, uniform

        if initial == "haar":
            return self.bound * orthogonal(rng, rows, columns)
        return uniform(1 / np.sqrt(columns))(rng, rows, columns)

    def _check(self, U: Array) -> float:
        return max(0.0, float(np.linalg.norm(U, 2)) - self.bound)


@dataclass(frozen=True)
class Schur(Parametrization):
    """U = P (R + T) P^T: eigenvalues near the circle, and any departure from normality (nnRNN, Kerg et al. 2019).

    R has blocks r [[cos a, -sin a], [sin a, cos a]] along its diagonal, T lies below them, and P is the exponential of
    an antisymmetric matrix. The eigenvalues are r e^(+-i a) whatever T is. With an odd n the last block is r alone.
    `free` is {"basis": (n (n - 1) / 2,), "angles": (n // 2,), "radii": ((n + 1) // 2,), "triangle": (n, n)}: P, a, p
    with r = 1 + spread (2 sigmoid(p) - 1), and T, of whose array only the entries below the blocks are read.

    Parameters
    ----------
    spread : float
        In (0, 1): r lies in [1 - spread, 1 + spread]. (Kerg et al. keep r near 1 by a penalty.)

    Notes
    -----
    `initials` of P: "haar", "henaff", "cayley_torus", "zero", as `Exponential`; a is uniform in (-pi, pi) ("henaff"),
    with "cayley_torus" in (0, pi / 2); r = 1, T = 0.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.schur.sample(4, dtype="float64")
    >>> free["triangle"][:] = 1
    >>> U, pull = rd.parametrize.schur(free)
    >>> abs(np.linalg.eigvals(U)).round(6), np.linalg.norm(U, 2).round(1).item()
    (array([1., 1., 1., 1.]), 2.4)
    """

    spread: float = 0.1
    initials = ("haar", "henaff", "cayley_torus", "zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        number("spread", self.spread, above=0, below=1)

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        basis, angles, radii, T = named(free, basis=1, angles=1, radii=1, triangle=2)
        n = skew.size(basis)
        of_shape("free['angles']", angles, (n // 2,))
        of_shape("free['radii']", radii, ((n + 1) // 2,))
        of_shape("free['triangle']", T, (n, n))
        P, pull_P = exponential(basis)
        below = _below(n)
        share = np.tanh(radii * radii.dtype.type(0.5))
        r = 1 + radii.dtype.type(self.spread) * share
        cosine, sine = np.cos(angles), np.sin(angles)
        K, (i, j) = np.where(below, T, 0), (np.arange(n // 2) * 2, np.arange(n // 2) * 2 + 1)
        pairs = r[: n // 2]
        K[i, i] = K[j, j] = pairs * cosine
        K[j, i] = pairs * sine
        K[i, j] = -K[j, i]
        if n % 2:
            K[-1, -1] = r[-1]
        of_K = P @ K

        def pull(d_U: Array) -> dict[str, Array]:
            by_P = d_U @ P
            d_K = P.T @ by_P
            d_cosine, d_sine = d_K[i, i] + d_K[j, j], d_K[j, i] - d_K[i, j]
            d_r = np.empty_like(radii)
            d_r[: n // 2] = d_cosine * cosine + d_sine * sine
            if n % 2:
                d_r[-1] = d_K[-1, -1]
            return {
                "basis": pull_P(by_P @ K.T + d_U.T @ of_K),
                "angles": pairs * (d_sine * cosine - d_cosine * sine),
                "radii": d_r * radii.dtype.type(0.5 * self.spread) * (1 - share * share),
                "triangle": np.where(below, d_K, 0),
            }

        return of_K @ P.T, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = square(rows, columns)
        low, high = (0, np.pi / 2) if initial == "cayley_torus" else (-np.pi, np.pi)
        return {
            "basis": exponential.sample(n, rng, "float64", initial),
            "angles": rng.uniform(low, high, n // 2),
            "radii": np.zeros((n + 1) // 2),
            "triangle": np.zeros((n, n)),
        }

    def _check(self, U: Array) -> float:
        square(*U.shape)
        moduli = np.abs(np.linalg.eigvals(U))
        return max(0.0, float(np.abs(moduli - 1).max()) - self.spread)


def _below(n: int) -> Array:
    """Where an (n, n) matrix lies below its blocks of two."""
    block = np.arange(n) // 2
    return block[:, None] > block


almost_orthogonal, spectral_norm, schur = AlmostOrthogonal(), SpectralNorm(), Schur()
