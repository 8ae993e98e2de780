"""Products of matrices and of parts of them: small ones by NumPy, large ones by the kernels, on their threads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..kernels.submatrices import ADD, SET, Block, block
from .contract import Array

NUMPY_ROWS = 128  # rows up to which a BLAS is as fast; beyond them the compiled kernels are called


@lru_cache(maxsize=1)
def _engine() -> Any:
    from ..kernels import matrix_algebra  # only here, as it needs Numba

    return None if matrix_algebra.INTERPRETED else matrix_algebra


def compiled(n: int) -> Any:
    """The engine's functions for matrices of n rows; None where NumPy does as well, or nothing is compiled."""
    return _engine() if n > NUMPY_ROWS else None


def multiply(c: Block, a: Block, b: Block, how: int = SET) -> None:
    """C = A B, C += A B or C -= A B; C has contiguous rows, in memory that is of neither A nor B.

    Examples
    --------
    >>> from recurrent_dynamics.kernels.submatrices import SUBTRACT, block
    >>> c = np.ones((2, 2))
    >>> multiply(block(c), block(np.array([[1.0, 2.0], [3.0, 4.0]])), block(np.eye(2)).T, SUBTRACT)
    >>> c
    array([[ 0., -1.],
           [-2., -3.]])
    """
    multiply_parts([(c, a, b)], how)


def multiply_parts(parts: Sequence[tuple[Block, Block, Block]], how: int = SET) -> None:
    """The same for several (C, A, B) at once: parts of the same three matrices, C's without entries in common."""
    work = [(a.shape[0] * a.shape[1] * b.shape[1]) for _, a, b in parts]
    some = [part for part, size in zip(parts, work, strict=True) if size]
    fast = _engine() if sum(work) > NUMPY_ROWS**3 else None
    if fast is not None:
        fast.multiply(some, how)
        return
    for c, a, b in some:
        if how == SET:
            np.matmul(a.array(), b.array(), out=c.array())
        else:
            (np.add if how == ADD else np.subtract)(c.array(), a.array() @ b.array(), out=c.array())


def product(a: Array, b: Array) -> Array:
    """A B of two matrices in one dtype, of any strides.

    Examples
    --------
    >>> product(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]).T)
    array([[1., 3.],
           [2., 4.]])
    """
    if len(a) <= NUMPY_ROWS or a.dtype.kind != "f":
        return np.asarray(a @ b)
    c = np.empty((a.shape[0], b.shape[1]), a.dtype)
    multiply(block(c), block(a), block(b))
    return c
