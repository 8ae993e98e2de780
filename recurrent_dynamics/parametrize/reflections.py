"""Orthogonal matrices as products of Householder reflections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..checks import ArgumentError, integer
from ..kernels.submatrices import ADD, SUBTRACT, block
from .contract import Array, Parametrization, Pull, orthogonality, real, square
from .matrix_products import NUMPY_ROWS, multiply, multiply_parts

FINE = 64  # columns of parts that do not wait for each other: more of what is zero is left out


@dataclass(frozen=True)
class Householder(Parametrization):
    """U = H_1 H_2 ... H_m, with H_k = I - 2 v_k v_k^T / v_k^T v_k (Mhammedi et al. 2017).

    `free` (n, m), m at most n, has the vectors as its columns; their lengths do not matter. H_k leaves the first k - 1
    coordinates alone: of column k only the entries on and below the diagonal are read, and the derivative by the others
    is 0. That takes nothing away: with m = n every matrix of determinant (-1)^n is of this form (with m = n - 1 those
    of the other one); with fewer reflections U keeps a subspace of n - m dimensions in place.

    Parameters
    ----------
    reflections : int, optional
        How many are drawn by `sample`; as many as rows when absent.

    Notes
    -----
    `initials`: "haar" draws the vectors such that with m = n the matrix has the Haar measure on its component (with
    m < n its first m columns have theirs) (Stewart 1980), "uniform" draws directions, "identity" equal ones in pairs.

    The product is taken in its compact form I - Y S^-1 Y^T, with the unit vectors in the columns of Y and
    S = I / 2 + the part of Y^T Y above the diagonal (Joffrain et al. 2006). As Y S^-T is zero above its diagonal too,
    both ways together take some 7 n^3 operations, all of them in products of blocks.

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
        free = real("free", free, 2)
        n, m = free.shape
        if m > n:
            raise ArgumentError("free", "have at most as many columns as rows", f"shape {free.shape}")
        _clear_above(free)
        lengths = np.sqrt(np.einsum("ij,ij->j", free, free))
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            bad = int(np.argmin(np.isfinite(lengths) & (lengths > 0)))
            raise ArgumentError(
                "free",
                "have columns with a direction on and below the diagonal",
                f"one of length {lengths[bad]} at {bad}",
            )
        Y = np.divide(free, lengths, out=free)
        S, inverses = _gram(Y)
        V = _factor(Y, S, inverses)
        U = np.zeros((n, n), Y.dtype)
        U.flat[:: n + 1] = 1
        u, y, v, everything = block(U), block(Y), block(V), slice(0, n)
        parts = []
        for columns in _blocks(n, FINE):
            upto = slice(0, min(columns.stop, m))  # V is zero to the right of its diagonal
            parts.append((u.part(everything, columns), y.part(everything, upto), v.part(columns, upto).T))
        multiply_parts(parts, SUBTRACT)

        def pull(d_U: Array) -> Array:
            d_Y = _adjoint(d_U, Y, S, inverses, V)
            _clear_above(d_Y)
            d_Y -= Y * np.einsum("ij,ij->j", Y, d_Y)
            d_Y /= lengths
            return d_Y

        return U, pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        n = square(rows, columns)
        m = n if self.reflections is None else self.reflections
        if m > n:
            raise ArgumentError("reflections", f"be at most the number of rows, {n}", m)
        v = rng.standard_normal((n, m))
        if initial == "identity":
            if m % 2:
                raise ArgumentError("initial", "not be 'identity' for an odd number of reflections", m)
            v[:, 1::2] = np.tril(v)[:, 1::2]
            v[:, ::2] = v[:, 1::2]
        _clear_above(v)
        if initial == "haar":
            # Column k reflects the k-th unit vector into a random direction of the space that is left.
            diagonal = np.arange(m)
            v[diagonal, diagonal] -= np.linalg.norm(v, axis=0)
            last = diagonal[np.linalg.norm(v, axis=0) == 0]
            v[last, last] = 1  # in one dimension there is one reflection
        return v

    def _check(self, U: Array) -> float:
        square(*U.shape)
        return orthogonality(U)


def _blocks(n: int, size: int = NUMPY_ROWS) -> list[slice]:
    """Columns in groups."""
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


@lru_cache(maxsize=8)
def _triangle(n: int, dtype: np.dtype) -> Array:
    """1 on and below the diagonal."""
    mask = np.tri(n, dtype=dtype)
    mask.flags.writeable = False
    return mask


def _clear_above(a: Array) -> None:
    """Zeros above the diagonal."""
    for columns in _blocks(a.shape[1]):
        a[: columns.start, columns] = 0
        a[columns, columns] *= _triangle(columns.stop - columns.start, a.dtype)


def _gram(Y: Array) -> tuple[Array, list[Array]]:
    """S (m, m), of which nothing below its diagonal is meant; the inverses of the blocks on its diagonal."""
    n, m = Y.shape
    S, y, parts = np.empty((m, m), Y.dtype), block(Y), []
    for columns in _blocks(m, FINE):
        rows, upto = slice(columns.start, n), slice(0, columns.stop)
        parts.append((block(S).part(upto, columns), y.part(rows, upto).T, y.part(rows, columns)))
    multiply_parts(parts)
    return S, [_triangular_inverse(S[columns, columns]) for columns in _blocks(m)]


def _triangular_inverse(S: Array) -> Array:
    """The inverse of an upper triangle with 1 / 2 on its diagonal, which it writes there; what is below is not read."""
    from scipy.linalg import get_lapack_funcs

    np.fill_diagonal(S, 0.5)
    (solve,) = get_lapack_funcs(("trtrs",), (S,))  # measured: in half the time of trtri
    eye = np.eye(len(S), dtype=S.dtype, order="F")
    return np.asarray(
        solve(S.T, eye, lower=True, overwrite_b=True)[0].T
    )  # in Fortran's order it is the transpose


def _factor(Y: Array, S: Array, inverses: list[Array]) -> Array:
    """V = Y S^-T, zero above its diagonal as Y is; its columns from right to left."""
    (n, m), V = Y.shape, np.zeros_like(Y)
    s, v = block(S), block(V)
    for columns, inverse in reversed(list(zip(_blocks(m), inverses, strict=True))):
        rows, right, below = slice(columns.start, n), slice(columns.stop, m), slice(columns.stop, n)
        rest = Y[rows, columns].copy()
        size = columns.stop - columns.start
        multiply(
            block(rest).part(slice(size, len(rest)), slice(0, size)), v.part(below, right),
            s.part(columns, right).T, SUBTRACT,
        )  # fmt: skip
        multiply(v.part(rows, columns), block(rest), block(inverse).T)
    return V


def _adjoint(d_U: Array, Y: Array, S: Array, inverses: list[Array], V: Array) -> Array:
    """The derivative by Y, right on and below the diagonal: U = I - Y V^T, V S^T = Y, and S is of Y^T Y."""
    (n, m), d, y, s, v = Y.shape, block(d_U), block(Y), block(S), block(V)
    d_Y, G, d_V = np.zeros_like(Y), np.empty_like(S), np.zeros_like(Y)
    out, g, minus_d_v = block(d_Y), block(G), block(d_V)
    from_diagonal = [(slice(columns.start, n), columns) for columns in _blocks(m, FINE)]
    multiply_parts([(minus_d_v.part(r, c), d.part(r, r).T, y.part(r, c)) for r, c in from_diagonal])
    for columns, inverse in zip(_blocks(m), inverses, strict=True):  # dL/dV S^-1
        rows, left = slice(columns.start, n), slice(0, columns.start)
        rest = minus_d_v.part(rows, columns)
        multiply(rest, out.part(rows, left), s.part(left, columns), ADD)
        multiply(out.part(rows, columns), rest, block(-inverse))
    # Minus dL/dS above the diagonal, and the same mirrored.
    multiply_parts(
        [
            (g.part(slice(0, c.stop), c), out.part(r, slice(0, c.stop)).T, v.part(r, c))
            for r, c in from_diagonal
        ]
    )
    for columns in _blocks(m):
        left = slice(0, columns.start)
        square = np.triu(G[columns, columns], 1)
        G[columns, columns] = square + square.T
        G[columns, left] = G[left, columns].T
    multiply_parts([(out.part(r, c), d.part(r, r), v.part(r, c)) for r, c in from_diagonal], SUBTRACT)
    parts = []
    for rows in _blocks(n):
        upto = slice(0, min(rows.stop, m))
        parts.append((out.part(rows, upto), y.part(rows, upto), g.part(upto, upto)))
    multiply_parts(parts, SUBTRACT)
    return d_Y


householder = Householder()
