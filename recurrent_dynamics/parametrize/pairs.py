"""Complex matrices as real ones that act on real parts followed by imaginary parts.

The derivative of a real loss by a complex number is that by its real part plus i times that by its imaginary part, so
that dL = Re(conj(d) dz).
"""

from __future__ import annotations

import numpy as np

from .contract import Array, even, square


def as_pairs(W: Array) -> Array:
    """[[Re W, -Im W], [Im W, Re W]]: (2 n, 2 n) for a complex (n, n).

    Examples
    --------
    >>> as_pairs(np.array([[1j]])) + 0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    return np.block([[W.real, -W.imag], [W.imag, W.real]])


def from_pairs(d_U: Array) -> Array:
    """The derivative by the complex matrix from that by the real one: the adjoint of `as_pairs`."""
    n = len(d_U) // 2
    return (d_U[:n, :n] + d_U[n:, n:]) + 1j * (d_U[n:, :n] - d_U[:n, n:])


def unitarity(U: Array) -> float:
    """How far a real matrix is from one of a unitary matrix: structure, and ``|W^H W - I|``."""
    n = even(square(*U.shape)) // 2
    W = U[:n, :n] + 1j * U[n:, :n]
    return max(float(np.abs(U - as_pairs(W)).max()), float(np.abs(W.conj().T @ W - np.eye(n)).max()))
