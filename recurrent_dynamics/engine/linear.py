"""A linear map of all steps at once, on the engine's own threads.

NumPy's product would run on the threads of its BLAS, which fight with the engine's for the cores: measured in training
with two layers of 128 units, a readout through the BLAS cost as much as the recurrence itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
PRODUCT_COLUMNS = 8  # of the engine's table of a cell's products, which is empty here


def linear(x: Array, weights: Array, bias: Array) -> Array:
    """x W^T + b for x (T, B, H), W (V, H), b (V,): (T, B, V).

    Examples
    --------
    >>> linear(np.ones((1, 1, 2)), np.array([[1.0, 2.0]]), np.array([0.5]))
    array([[[3.5]]])
    """
    from .cpu import hoisted
    from .cpu.rows import BUILT
    from .cpu.verbs import POOL, threads_for

    x, weights, bias = _matching(x, weights, bias)
    rows, n, g = x.shape[0] * x.shape[1], x.shape[2], len(weights)
    out = np.empty((*x.shape[:2], g), x.dtype)
    with POOL:
        hoisted.inputs(
            BUILT, x.reshape(-1), weights.reshape(-1), bias, out.reshape(-1), rows, n, g, g, g, threads_for(rows)
        )
    return out


def linear_adjoint(d_out: Array, x: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Derivatives by x (T, B, H), by the weights (V, H) and by the bias (V,), from d_out (T, B, V).

    Examples
    --------
    >>> d_x, d_weights, d_bias = linear_adjoint(np.ones((1, 1, 1)), np.full((1, 1, 2), 3.0), np.array([[1.0, 2.0]]))
    >>> d_x, d_weights, d_bias
    (array([[[1., 2.]]]), array([[3., 3.]]), array([1.]))
    """
    from .cpu import hoisted
    from .cpu.rows import BUILT
    from .cpu.verbs import POOL, threads_for

    d_out, x, weights = _matching(d_out, x, weights)
    rows, n, g = x.shape[0] * x.shape[1], x.shape[2], len(weights)
    d_x, d_weights, d_bias = np.zeros_like(x), np.zeros_like(weights), np.zeros(g, x.dtype)
    products, none = np.empty((0, PRODUCT_COLUMNS), np.int64), np.empty(0, x.dtype)
    with POOL:
        hoisted.gradients(
            BUILT, products, d_out.reshape(-1), x.reshape(-1), weights.reshape(-1), none, none, d_x.reshape(-1),
            d_weights.reshape(-1), none, d_bias, rows, n, g, g, 0, g, threads_for(rows),
        )  # fmt: skip
    return d_x, d_weights, d_bias


def _matching(*arrays: Array) -> list[Array]:
    dtypes = {a.dtype for a in arrays}
    if len(dtypes) > 1:
        raise TypeError(f"expected arrays of one dtype, got {', '.join(str(a.dtype) for a in arrays)}")
    # A read-only array would be another type to the compiler, and a second compilation.
    return [a if a.flags.c_contiguous and a.flags.writeable else np.array(a, order="C") for a in arrays]
