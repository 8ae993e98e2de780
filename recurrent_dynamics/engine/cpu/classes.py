"""Class indices as input: a bias for each class in place of the product with W, and the way back.

NumPy takes such transposed sums entry by entry along the longer step: five times as long.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .memory import SERIAL, get, put, zeros
from .product import ONE, ZERO, transpose
from .rows import BUILT


def biases(W: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(classes, parts), flat: the bias (parts,) and the column of W (g, classes) that a class selects."""
    g, classes = W.shape
    return _biases(BUILT, W.reshape(-1), bias, g, classes)


def gradients(d_biases: np.ndarray, g: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The adjoint of `biases`: by W (g, classes) and by the bias (parts,)."""
    dW, d_bias = _gradients(BUILT, d_biases, g, classes)
    return dW.reshape(g, classes), d_bias


@njit(**SERIAL)
def _biases(build, W, bias, g, classes):
    parts = bias.size
    out = np.empty(classes * parts, W.dtype)
    transpose(W, ZERO(), ONE(), classes, classes, g, out, ZERO(), parts)
    for c in range(classes):
        for j in range(g):
            put(out, c * parts + j, get(out, c * parts + j) + get(bias, j))
        for j in range(g, parts):
            put(out, c * parts + j, get(bias, j))
    return out


@njit(**SERIAL)
def _gradients(build, d_biases, g, classes):
    parts = d_biases.size // classes
    dW, d_bias = np.empty(g * classes, d_biases.dtype), zeros(parts, d_biases)
    transpose(d_biases, ZERO(), ONE(), np.int64(parts), g, classes, dW, ZERO(), classes)
    for c in range(classes):
        for j in range(parts):
            put(d_bias, j, get(d_bias, j) + get(d_biases, c * parts + j))
    return dW, d_bias
