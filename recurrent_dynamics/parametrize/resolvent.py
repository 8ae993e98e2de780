"""The inverse of I + A for A^H = -A, the resolvent of which Cayley transforms are made."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..checks import ArgumentError
from .contract import Array
from .matrix_products import compiled

# What `_deviation` may be, in rounding errors, for an inverse by elimination without exchanges of rows to be taken: the
# entries of U^T U - I were below 100 rounding errors then, for all kinds of A up to 512 rows. LAPACK leaves 10 of them
# for small A and thousands for large ones.
TRUSTED = 8.0


def inverse(a: Array) -> Array:
    """The inverse of I + A for A^H = -A (real or complex, in C order), which it may overwrite.

    It exists for every A, but its rounding error grows with A.

    Raises
    ------
    ValueError
        When I + A is singular to working precision: hardly a digit of its inverse would be right.
    """
    largest = max(abs(a.max()), abs(a.min())) if a.dtype.kind == "f" else np.abs(a).max()
    if not largest * np.finfo(a.dtype).eps < 1e-2:
        raise ArgumentError(
            "free",
            f"be small enough for the inverse of I + A to be known in {a.dtype}: beside such numbers I "
            "+ A is singular to working precision",
            f"numbers up to {largest:.3g}",
        )
    if len(a) <= 64:  # as fast, and without SciPy's import
        return np.linalg.inv(a)
    fast = compiled(len(a)) if a.dtype.kind == "f" else None
    if fast is not None:
        result = a.copy()
        fast.invert(result)
        if _deviation(result) <= TRUSTED * np.finfo(a.dtype).eps:
            return result
    from scipy.linalg import get_lapack_funcs

    factor, invert = get_lapack_funcs(("getrf", "getri"), (a,))
    lu, pivots, _ = factor(a.T, overwrite_a=True)  # in Fortran's order it is the transpose, as is its inverse
    # The default workspace would have it inverted column by column: measured, five times as long.
    return np.asarray(invert(lu, pivots, lwork=64 * len(a), overwrite_lu=True)[0].T)


@lru_cache(maxsize=8)
def _direction(n: int, dtype: np.dtype) -> Array:
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    x.flags.writeable = False
    return x


def _deviation(M: Array) -> float:
    """How far 2 M - I is from orthogonal along one direction: M + M^T = 2 M M^T for the exact inverse of I + A."""
    x = _direction(len(M), M.dtype)
    with np.errstate(all="ignore"):  # what overflowed is told by the result
        y = x @ M
        return float(np.abs(2 * (M @ y) - M @ x - y).max() / np.sqrt(len(M)))
