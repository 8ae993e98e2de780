"""The products of one step of a cell. Those that can be computed as one taller product are one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from ..cells.layout import Layout

MEAN = -1  # instead of the place of a matrix


@dataclass(frozen=True)
class StackedProduct:
    """One product target += M operand, M one block (height, columns) for each head; `at` in the flat matrices.

    `source` and `target` are offsets in a row of values, or of the state if `from_state`. A mean over the units is a
    product whose `at` is MEAN.
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

    def continued_by(self, other: StackedProduct) -> bool:
        """Whether both are one product with a taller matrix: one operand, targets and blocks side by side."""
        operand = (self.stage, self.from_state, self.source, self.columns)
        return (
            MEAN not in (self.at, other.at)
            and self.heads == other.heads == 1
            and operand == (other.stage, other.from_state, other.source, other.columns)
            and self.target + self.height == other.target
            and self.at + self.size == other.at
        )


@lru_cache(maxsize=1024)
def stacked_products(layout: Layout) -> tuple[StackedProduct, ...]:
    """The products of a layout, in its order.

    Most drives of a gated cell are one product: the four of an LSTM. It fills the tiles of a processor better than four
    (LSTM, batch of one, 64 units: 1.5 times as fast), and is one launch on a GPU.
    """
    found: list[StackedProduct] = []
    for p in layout.products:
        new = StackedProduct(
            p.stage, p.from_state, p.source.offset, p.columns, p.target.offset, p.rows, p.heads,
            MEAN if p.parameter is None else p.offset,
        )  # fmt: skip
        if found and found[-1].continued_by(new):
            found[-1] = replace(found[-1], height=found[-1].height + new.height)
        else:
            found.append(new)
    return tuple(found)
