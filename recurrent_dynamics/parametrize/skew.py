"""Antisymmetric matrices, A^T = -A, as vectors of the n (n - 1) / 2 numbers above their diagonal, row by row."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..checks import ArgumentError
from .contract import Array, real
from .matrix_products import compiled


def size(v: Array) -> int:
    """n for a vector of n (n - 1) / 2 numbers."""
    n = (1 + round(np.sqrt(1 + 8 * v.size))) // 2
    if n * (n - 1) // 2 != v.size:
        raise ArgumentError(
            "free",
            "hold n (n - 1) / 2 numbers, those above the diagonal of an antisymmetric matrix (n, n), "
            f"such as {n * (n - 1) // 2} for n = {n}",
            v.size,
        )
    return n


@lru_cache(maxsize=8)
def above(n: int) -> Array:
    """Where an (n, n) matrix lies above its diagonal."""
    mask = np.triu(np.ones((n, n), bool), 1)
    mask.flags.writeable = False
    return mask


def matrix(v: Array, diagonal: float = 0.0) -> Array:
    """The antisymmetric matrix of a vector, with a number on its diagonal.

    Examples
    --------
    >>> matrix(np.array([1.0, 2.0, 3.0]))
    array([[ 0.,  1.,  2.],
           [-1.,  0.,  3.],
           [-2., -3.,  0.]])
    """
    n = size(v)
    fast = compiled(n)
    if fast is not None:
        return np.asarray(fast.antisymmetric(np.ascontiguousarray(v), n, diagonal))
    a = np.zeros((n, n), v.dtype)
    a[above(n)] = v
    a -= a.T.copy()
    a.flat[:: n + 1] = diagonal
    return a


def checked(free: Array, diagonal: float = 0.0) -> Array:
    """The antisymmetric matrix of free parameters as they came, with a number on its diagonal."""
    return matrix(real("free", free, 1), diagonal)


def pull(d_a: Array) -> Array:
    """The derivative by the vector from that by the matrix: entry (i, j) stands for a number and its negative."""
    fast = compiled(len(d_a))
    if fast is not None:
        return np.asarray(fast.above(np.ascontiguousarray(d_a), 1.0))
    return (d_a - d_a.T)[above(len(d_a))]


def vector(a: Array) -> Array:
    """The vector of an antisymmetric matrix, of its antisymmetric part for any other."""
    return pull(a) / 2


def planes(n: int, angles: Array) -> Array:
    """The vector of the matrix with blocks [[0, s], [-s, 0]] along its diagonal, one for each of n // 2 angles s."""
    a = np.zeros((n, n))
    first = np.arange(n // 2) * 2
    a[first, first + 1] = angles
    return a[above(n)]


def henaff_angles(rng: np.random.Generator, planes: int) -> Array:
    """Uniform in (-pi, pi) (Henaff et al. 2016)."""
    return rng.uniform(-np.pi, np.pi, planes)


def cayley_torus_angles(rng: np.random.Generator, planes: int) -> Array:
    """tan(t / 2) for t uniform in (0, pi / 2): the Cayley transform then turns by t (Helfrich et al. 2018)."""
    t = rng.uniform(0, np.pi / 2, planes)
    return np.sqrt((1 - np.cos(t)) / (1 + np.cos(t)))


ANGLES = {"henaff": henaff_angles, "cayley_torus": cayley_torus_angles}


def draw(rng: np.random.Generator, n: int, initial: str) -> Array:
    """A vector by the name of an initialization of A: "henaff", "cayley_torus", or "zero"."""
    return planes(n, ANGLES[initial](rng, n // 2) if initial != "zero" else np.zeros(n // 2))
