"""A linear map of all steps at once."""

from __future__ import annotations

import numpy as np

from . import hoisted, outer, tables
from .arguments import NO_CLASSES, plain
from .groups import every_row, one_group
from .pool import POOL, launch, threads_for
from .rows import BUILT


def linear(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W^T + b for x (T, B, n)."""
    g, n = weights.shape
    out, index = np.empty((*x.shape[:2], g), x.dtype), every_row(x.shape[0] * x.shape[1])
    flat = [plain(a).reshape(-1) for a in (x, weights, bias)]
    threads = threads_for(index.size, 2 * g * n)
    with POOL:
        launch(threads, hoisted.inputs, BUILT, *flat, NO_CLASSES, out.reshape(-1), index, n, g, g, g, threads)
    return out


def linear_adjoint(
    d_out: np.ndarray, x: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives by x, the weights and the bias."""
    g, n = weights.shape
    d_x, d_weights, d_bias = (np.empty(shape, x.dtype) for shape in (x.shape, weights.shape, g))
    index, none = every_row(x.shape[0] * x.shape[1]), np.empty(0, x.dtype)
    flat = [plain(a).reshape(-1) for a in (d_out, x, weights)]
    threads = threads_for(index.size, 4 * g * n)
    with POOL:
        launch(
            threads, outer.gradients,
            BUILT, tables.input_product(n, g), *flat, none, none, d_x.reshape(-1), d_weights.reshape(-1), none, d_bias,
            NO_CLASSES, index, one_group(index), n, g, g, 0, g, True, True, threads,
        )  # fmt: skip
    return d_x, d_weights, d_bias
