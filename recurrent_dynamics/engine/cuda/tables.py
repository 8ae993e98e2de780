"""The products of a cell as kernels read them, and U as they want it in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...cells.layout import Layout

# Columns of the table of products, one row a product: see `StackedProduct`.
STAGE, FROM_STATE, SOURCE, COLUMNS, TARGET, HEIGHT, HEADS, AT, SLICES = range(9)
MEAN = -1  # in column AT


@dataclass(frozen=True)
class StackedProduct:
    """One product target += M operand, M one block (height, columns) for each head; `at` in the flat matrices.

    Blocks that lie side by side in U and multiply the same operand are one product: the four of an LSTM.
    """

    stage: int
    from_state: bool
    source: int
    columns: int
    target: int
    height: int
    heads: int
    at: int

    @property
    def size(self) -> int:
        """Numbers in its matrix."""
        return 0 if self.at == MEAN else self.heads * self.height * self.columns


@lru_cache(maxsize=1024)
def stacked_products(layout: Layout) -> tuple[StackedProduct, ...]:
    """The products of a layout, those that can be stacked as one."""
    found: list[StackedProduct] = []
    for p in layout.products:
        at = MEAN if p.parameter is None else p.offset
        new = StackedProduct(
            p.stage, p.from_state, p.source.offset, p.columns, p.target.offset, p.rows, p.heads, at
        )
        old = found[-1] if found else None
        if (
            old is not None
            and MEAN not in (old.at, new.at)
            and (old.stage, old.from_state, old.source, old.columns, old.heads, 1)
            == (new.stage, new.from_state, new.source, new.columns, 1, new.heads)
            and old.target + old.height == new.target
            and old.at + old.size == new.at
        ):
            found[-1] = StackedProduct(
                old.stage,
                old.from_state,
                old.source,
                old.columns,
                old.target,
                old.height + new.height,
                1,
                old.at,
            )
        else:
            found.append(new)
    return tuple(found)


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
