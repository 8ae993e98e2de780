"""Orthogonality as a wish instead of a constraint."""

from __future__ import annotations

import numpy as np

from ..checks import number
from ..kernels.blas import one_thread
from .contract import Array, finite, matrix


def orthogonality_penalty(U: Array, strength: float = 1.0) -> tuple[float, Array]:
    """``strength |U^T U - I|^2`` (Frobenius) and its gradient, 4 strength U (U^T U - I) (Vorontsov et al. 2017).

    Parameters
    ----------
    U : ndarray (rows, columns)
        With more columns than rows its rows are wished orthonormal: ``|U U^T - I|^2``.
    strength : float
        At least 0.

    Returns
    -------
    penalty : float
    gradient : ndarray (rows, columns)

    Examples
    --------
    >>> orthogonality_penalty(np.array([[2.0]]))
    (9.0, array([[24.]]))
    """
    U = finite("U", matrix("U", U))
    number("strength", strength, at_least=0)
    tall = U.shape[0] >= U.shape[1]
    with one_thread(U.size):
        excess = U.T @ U if tall else U @ U.T
        excess.flat[:: len(excess) + 1] -= 1
        gradient = U @ excess if tall else excess @ U
    return strength * float((excess.astype(np.float64) ** 2).sum()), gradient * U.dtype.type(4 * strength)
