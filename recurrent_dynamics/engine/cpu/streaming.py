"""One step at a time, with the parameters packed before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout
from ..flatten import Flat
from . import tables, walks
from .arguments import NO_CLASSES, equations
from .pool import POOL, launch
from .rows import BUILT
from .tables import drives_size


def pack(cell: Cell, layout: Layout, flat: Flat) -> tuple[Any, ...]:
    """Parameters packed once for `one_step`."""
    products = tables.products(cell, layout)
    constants = np.array(list(cell.constants.values()), flat.bias.dtype)
    n, g = layout.input_size, layout.input_rows
    with POOL:
        matrices, starts, W = launch(
            1, walks.pack_factors, BUILT, products, flat.matrices, flat.W.reshape(-1), n, g, False, 1
        )
    sizes = (layout.state_size, layout.values_size, n, g, drives_size(layout))
    return (
        equations(cell), tables.widths(layout), *sizes, cell.schedule.stages, products, W, flat.bias, NO_CLASSES,
        matrices, starts, flat.vectors, constants,
    )  # fmt: skip


def one_step(
    packed: tuple[Any, ...],
    x: np.ndarray,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    batch: int,
) -> float:
    """One step on one thread, all arrays flat: x (B, N), values (B, e), before and after (B, k). Sum of x and after."""
    return walks.one_step(*packed, x, values, before, after, batch)
