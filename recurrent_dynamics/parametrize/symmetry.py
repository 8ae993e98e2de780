"""Matrices whose symmetric part is bounded or chosen: what continuous-time networks are stable with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import number
from . import skew
from .contract import Array, Parametrization, Pull, matrix, real, square


@dataclass(frozen=True)
class Antisymmetric(Parametrization):
    """U = A - damping I, with A antisymmetric: eigenvalues with real part -damping (Chang et al. 2019).

    `free` (n (n - 1) / 2,) are the numbers of A above its diagonal.

    Parameters
    ----------
    damping : float
        At least 0. 0 in `antisymmetric`, as cells have their own.

    Notes
    -----
    `initials`: "normal" with variance 1 / n; "henaff", "cayley_torus" and "zero", as `Exponential`.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.Antisymmetric(damping=0.1)(np.array([2.0]))
    >>> U
    array([[-0.1,  2. ],
           [-2. , -0.1]])
    """

    damping: float = 0.0
    initials = ("normal", "henaff", "cayley_torus", "zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        number("damping", self.damping, at_least=0)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        return skew.checked(free, -self.damping), skew.pull

    def invert(self, U: Array) -> Array:
        """The free parameters of the nearest such matrix: of the antisymmetric part."""
        U = matrix("U", U)
        square(*U.shape)
        return skew.vector(U)

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        if initial == "normal":
            return rng.standard_normal(n * (n - 1) // 2) / np.sqrt(n)
        return skew.draw(rng, n, initial)

    def _check(self, U: Array) -> float:
        n = square(*U.shape)
        return float(np.abs((U + U.T) / 2 + self.damping * np.eye(n)).max())


@dataclass(frozen=True)
class SymmetricAntisymmetric(Parametrization):
    """U = (1 - share) (M + M^T) + share (M - M^T) - damping I (Lipschitz RNN, Erichson et al. 2021).

    `free` (n, n) is M.

    Parameters
    ----------
    share : float
        Of the antisymmetric part, in [1/2, 1]: with 1 U is antisymmetric but for the damping, with 1/2 it is
        M - damping I.
    damping : float
        At least 0.

    Notes
    -----
    `initials`: "normal" with standard deviation 0.1 / sqrt(n), "zero".

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> p = rd.parametrize.SymmetricAntisymmetric(share=0.75, damping=0.1)
    >>> p(np.array([[0.0, 1.0], [0.0, 0.0]]))[0]
    array([[-0.1,  1. ],
           [-0.5, -0.1]])
    """

    share: float = 0.65
    damping: float = 0.001
    initials = ("normal", "zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        number("share", self.share, at_least=0.5, at_most=1)
        number("damping", self.damping, at_least=0)

    def _map(self, free: Array) -> tuple[Array, Pull]:
        M = real("free", free, 2)
        square(*M.shape)
        of_transpose = M.dtype.type(1 - 2 * self.share)  # (1 - share) - share, and 1 on M itself
        U = M + of_transpose * M.T
        U.flat[:: len(U) + 1] -= M.dtype.type(self.damping)
        return U, lambda d_U: d_U + of_transpose * d_U.T

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        return rng.standard_normal((n, n)) * (0.1 / np.sqrt(n)) if initial == "normal" else np.zeros((n, n))

    def _check(self, U: Array) -> float:
        """With share < 1 every square matrix is of this form."""
        n = square(*U.shape)
        if self.share < 1:
            return 0.0
        return float(np.abs((U + U.T) / 2 + self.damping * np.eye(n)).max())


antisymmetric = Antisymmetric()
symmetric_antisymmetric = SymmetricAntisymmetric()
