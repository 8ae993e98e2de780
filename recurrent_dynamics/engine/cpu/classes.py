"""Class indices as input: a bias for each class in place of the product with W, and its adjoint.

These are transposed sums. NumPy computes them entry by entry along the longer stride, which takes five times as long.
"""

from __future__ import annotations

import numpy as np

from ...kernels.access import get, put
from ...kernels.parallel import kernel
from ...kernels.product import ONE, ZERO, transpose


def biases(W: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(classes, drives), flat: the bias (drives,) and the column of W (g, classes) that a class selects."""
    g, classes = W.shape
    out = np.empty(classes * bias.size, W.dtype)
    _biases(W.reshape(-1), bias, g, classes, out)
    return out


def gradients(d_biases: np.ndarray, g: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The adjoint of `biases`: by W (g, classes) and by the bias (drives,)."""
    dW, d_bias = np.empty(g * classes, d_biases.dtype), np.zeros(d_biases.size // classes, d_biases.dtype)
    _gradients(d_biases, g, classes, dW, d_bias)
    return dW.reshape(g, classes), d_bias


@kernel
def _biases(W, bias, g, count, out):
    drives = bias.size
    transpose(W, ZERO(), ONE(), count, count, g, out, ZERO(), drives)
    for c in range(count):
        for j in range(g):
            put(out, c * drives + j, get(out, c * drives + j) + get(bias, j))
        for j in range(g, drives):
            put(out, c * drives + j, get(bias, j))


@kernel
def _gradients(d_biases, g, count, dW, d_bias):
    drives = d_bias.size
    transpose(d_biases, ZERO(), ONE(), drives, g, count, dW, ZERO(), count)
    for c in range(count):
        for j in range(drives):
            put(d_bias, j, get(d_bias, j) + get(d_biases, c * drives + j))
