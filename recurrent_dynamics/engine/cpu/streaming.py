"""A single step, with the parameters packed once before."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout
from ...kernels.threads import POOL
from ..flatten import Flat
from . import tables, time_loops
from .arguments import NO_CLASSES, pack
from .rows import row_kernel
from .tables import drives_size


def prepare(cell: Cell, layout: Layout, flat: Flat) -> tuple[Any, ...]:
    """The arguments of `one_step` that a cell and its parameters give, packed once."""
    dtype, n, g = flat.bias.dtype, layout.input_size, layout.input_rows
    constants = np.array(list(cell.constants.values()), dtype)
    with POOL:
        factors = pack(cell, layout, flat.matrices, flat.W, False, n, g)
    sizes = (layout.state_size, layout.values_size, n, g, drives_size(layout))
    return (
        row_kernel(cell, "forward", dtype), tables.stages_with_equations(cell), tables.widths(layout), *sizes,
        cell.schedule.stages, tables.products(cell, layout), factors.W, flat.bias, NO_CLASSES, factors.U,
        factors.starts, flat.vectors, constants,
    )  # fmt: skip


def one_step(
    packed: tuple[Any, ...],
    memory: np.ndarray,
    places: np.ndarray,
    x: np.ndarray,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    batch: int,
) -> float:
    """One step on one thread; flat arrays x (B, N), values (B, e), before, after (B, k). The sum of x and after."""
    return time_loops.one_step(*packed, memory, places, x, values, before, after, batch)
