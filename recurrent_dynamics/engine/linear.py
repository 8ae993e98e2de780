"""A linear map of all steps at once, on the engine's own threads.

NumPy's product would run on the threads of its BLAS, which fight with the engine's for the cores: measured in training
with two layers of 128 units, a readout through the BLAS cost as much as the recurrence itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import check

Array = NDArray[Any]


def linear(x: Array, weights: Array, bias: Array) -> Array:
    """x W^T + b for x (T, B, H), W (V, H), b (V,): (T, B, V).

    Examples
    --------
    >>> linear(np.ones((1, 1, 2)), np.array([[1.0, 2.0]]), np.array([0.5]))
    array([[[3.5]]])
    """
    from .cpu import hoisted
    from .cpu.rows import BUILT
    from .cpu.verbs import POOL, every_row, threads_for

    g, n = weights.shape
    x, weights, bias = _checked(x=(x, (*x.shape[:2], n)), weights=(weights, (g, n)), bias=(bias, (g,)))
    rows = x.shape[0] * x.shape[1]
    out = np.empty((*x.shape[:2], g), x.dtype)
    with POOL:
        hoisted.inputs(
            BUILT, x.reshape(-1), weights.reshape(-1), bias, out.reshape(-1), every_row(rows), n, g, g, g, threads_for(rows),
        )  # fmt: skip
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
    from .cpu.tables import input_product
    from .cpu.verbs import POOL, every_row, threads_for

    g, n = weights.shape
    d_out, x, weights = _checked(
        d_out=(d_out, (*x.shape[:2], g)), x=(x, (*x.shape[:2], n)), weights=(weights, (g, n))
    )
    rows = x.shape[0] * x.shape[1]
    d_x, d_weights, d_bias = np.empty_like(x), np.zeros_like(weights), np.zeros(g, x.dtype)
    none = np.empty(0, x.dtype)
    with POOL:
        hoisted.gradients(
            BUILT, input_product(n, g), d_out.reshape(-1), x.reshape(-1), weights.reshape(-1), none, none, d_x.reshape(-1),
            d_weights.reshape(-1), none, d_bias, every_row(rows), n, g, g, 0, g, True, threads_for(rows),
        )  # fmt: skip
    return d_x, d_weights, d_bias


def _checked(**arrays: tuple[Array, tuple[int, ...]]) -> list[Array]:
    """Arrays of one dtype and of the shapes beside them: compiled code reads memory unchecked."""
    dtype = check.real(*next((name, a) for name, (a, _) in arrays.items())).dtype
    for name, (a, shape) in arrays.items():
        if a.dtype != dtype:
            raise TypeError(f"{name} must have dtype {dtype}, as the others have; came {a.dtype}")
        if a.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, came {a.shape}")
    # A read-only array would be another type to the compiler, and a second compilation.
    return [
        a if a.flags.c_contiguous and a.flags.writeable else np.array(a, order="C")
        for a, _ in arrays.values()
    ]
