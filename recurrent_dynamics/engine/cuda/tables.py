"""The products of a cell as kernels read them, and U as they want it in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.axes import SOURCE as POSITIONS
from ..stacked_products import MEAN, StackedProduct
from .device_model import LANES

# Columns of the table of products, one row a product: see `StackedProduct`.
STAGE, FROM_STATE, SOURCE, COLUMNS, TARGET, HEIGHT, HEADS, AT, SLICES = range(9)


def slices(
    products: tuple[StackedProduct, ...], backward: bool, tile: int, rows: int, threads: int, room: int
) -> list[int]:
    """Into how many slices each product cuts its sum, for `room` numbers of scratch memory."""
    counts = []
    for p in products:
        outer, inner = (p.columns, p.height) if backward else (p.height, p.columns)
        items = p.heads * -(-outer // rows)
        fit = room // (tile * p.heads * outer)
        counts.append(max(1, min(threads // items, fit, inner // 8)) if p.at != MEAN else 1)
    return counts


def scratch_of_means(products: tuple[StackedProduct, ...], tile: int, lanes: int) -> int:
    """Numbers of scratch memory that the means of the busiest stage need."""
    stages = [p.stage for p in products if p.at == MEAN]
    return max((stages.count(s) for s in set(stages)), default=0) * tile * lanes


def scratch_of_reads(cell: Cell, threads: int) -> int:
    """Numbers of scratch memory that the reads of a memory need: see `equations.block_source`."""
    nodes = cell.schedule.graph.nodes
    sums = [sum(nodes[i].width == POSITIONS for i in read.operand) for read in cell.schedule.reads]
    return max(1, *sums) * max(1, threads // LANES) * LANES if sums else 0


def table(products: tuple[StackedProduct, ...], cut: Sequence[int]) -> np.ndarray:
    """The table that kernels read; at least one row, as no array on a device is empty."""
    rows: list[tuple[int, ...]] = [
        (p.stage, p.from_state, p.source, p.columns, p.target, p.height, p.heads, start, count)
        for p, start, count in zip(products, starts(products), cut, strict=True)
    ]
    return np.array(rows or [(0,) * 9], np.int64)


def starts(products: tuple[StackedProduct, ...]) -> list[int]:
    """Where each matrix begins among the packed ones; MEAN for a mean."""
    found, end = [], 0
    for p in products:
        found.append(end if p.size else MEAN)
        end += p.size
    return found


def pack(products: tuple[StackedProduct, ...], matrices: Any, transposed: bool, xp: Any) -> Any:
    """All matrices, each [head][inner][outer]; `transposed` for the backward pass."""
    found = [xp.zeros(1, matrices.dtype)] if not any(p.size for p in products) else []
    for p in products:
        if p.size:
            block = matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
            found.append((block if transposed else block.transpose(0, 2, 1)).reshape(-1))
    return xp.concatenate(found)
