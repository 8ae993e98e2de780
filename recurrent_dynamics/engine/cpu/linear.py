"""A linear map of all steps at once, and its adjoint."""

from __future__ import annotations

import numpy as np

from ...kernels import memory
from ...kernels.access import INTERPRETED
from ...kernels.copying import add_columns, plain
from ...kernels.threads import POOL, launch, threads_for
from . import input_products, stage_products, tables, weight_gradients
from .arguments import NO_CLASSES, packed_entries
from .groups import enough_groups, every_row_grouped

NO_STARTS = np.zeros(1, np.int64)


def linear(x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x W^T + b for x (T, B, n)."""
    g, n = weights.shape
    out, (index, _) = np.empty((*x.shape[:2], g), x.dtype), _rows(x, weights)
    flat = [plain(a).reshape(-1) for a in (x, weights, bias)]
    threads = threads_for(index.size, 2 * g * n)
    with POOL:
        launch(threads, input_products.multiply_input, *flat, NO_CLASSES, out.reshape(-1), index, n, g, g, g)
    return out


class PackedLinear:
    """x W^T + b for rows x (m, n), with W (g, n) packed once; a row has the same bits whatever the others are."""

    def __init__(self, weights: np.ndarray, bias: np.ndarray) -> None:
        self._shape, self._bias = weights.shape, np.array(bias)
        self._interpreted = (np.array(weights), self._bias) if INTERPRETED else None
        g, n = weights.shape
        none, no_products = np.empty(0, weights.dtype), np.empty((0, tables.COLUMNS_OF_PRODUCTS), np.int64)
        self._packed = memory.empty((packed_entries(n, g, weights.itemsize, False),), weights.dtype)
        with POOL:
            launch(
                1, stage_products.pack_factors, no_products, none, plain(weights).reshape(-1), n, g, False, none,
                NO_STARTS, self._packed,
            )  # fmt: skip

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self._interpreted is not None:  # no addresses
            return linear(np.ascontiguousarray(x)[None], *self._interpreted)[0]
        g, n = self._shape
        if x.strides[1] != x.itemsize or x.strides[0] % x.itemsize or not x.flags.aligned:
            x = np.array(x, order="C")
        if not x.size or not g:
            return np.tile(self._bias, (len(x), 1))
        out, start, step = np.empty((len(x), g), x.dtype), memory.address(x), x.strides[0] // x.itemsize
        with POOL:
            launch(
                threads_for(len(x), 2 * g * n), input_products.multiply_rows_of, start, step, self._packed,
                self._bias, out.reshape(-1), n, g,
            )  # fmt: skip
        return out


def copied(x: np.ndarray) -> np.ndarray:
    """A copy that is contiguous."""
    copy = np.empty(x.shape, x.dtype)
    add_columns(x, copy, 0, fresh=True)
    return copy


def linear_adjoint(
    d_out: np.ndarray, x: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives by x, the weights and the bias."""
    g, n = weights.shape
    d_x = (np.empty if g else np.zeros)(x.shape, x.dtype)
    d_weights, d_bias = np.empty(weights.shape, x.dtype), np.empty(g, x.dtype)
    (index, ends), none = _rows(x, weights), np.empty(0, x.dtype)
    flat = [plain(a).reshape(-1) for a in (d_out, x, weights)]
    threads = threads_for(index.size, 4 * g * n)
    groups, totals = len(ends) - 1, (d_weights, none, d_bias)
    sums = weight_gradients.group_sums(groups, totals)
    with POOL:
        launch(
            threads, weight_gradients.gradients,
            tables.input_product(n, g), *flat, none, none, d_x.reshape(-1), *sums, NO_CLASSES, index, ends, n, g,
            g, 0, g, True, True, True,
        )  # fmt: skip
    return d_x, d_weights, d_bias


def _rows(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rows, grouped by instances as two threads of a forward pass write them."""
    steps, batch, _ = x.shape
    return every_row_grouped(steps, batch, enough_groups(weights.nbytes, batch))
