"""The schedule of a cell as arrays of integers that compiled engines read."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout, Span
from ...equations.jacobian_sparsity import jacobian_sparsity
from ...equations.storage import overwritable_drives, uniform_over_units
from ...equations.variables import targets
from ..stacked_products import MEAN, stacked_products

# Columns of the table of products, one row a product.
COLUMNS_OF_PRODUCTS = 10
STAGE, OPERAND, SOURCE, COLUMNS, TARGET, ROWS, HEADS, MATRIX, UNIFORM_TARGET, UNIFORM_SOURCE = range(
    COLUMNS_OF_PRODUCTS
)
VALUES, STATE, INPUT = range(
    3
)  # in column OPERAND: the array of the operand; in column MATRIX a mean has MEAN
NO_STAGE = -2  # in column STAGE of a product that is left out
# UNIFORM_TARGET, UNIFORM_SOURCE: 1 if a mean's value, or its operand's cotangent, is stored at unit 0 only, because it
# is the same for all units (see `equations.storage.uniform_over_units`).

# Columns of the table of diagonals of the local Jacobian, one row a diagonal.
D_STAGE, D_NEW, D_OUT, D_WIDTH, D_FROM_STATE, D_IN, D_AT, D_LOW, D_HIGH = range(9)

# Columns of the table of spans: value rows and the columns of the state on which they may depend.
LOW, HIGH = range(2)


@lru_cache(maxsize=1024)
def compacted(cell: Cell) -> tuple[dict[str, tuple[str, int]], frozenset[str]]:
    """(overwritten drives with their nonlinearities and stages, means that are stored at unit 0 only)."""
    return overwritable_drives(cell.schedule, cell), uniform_over_units(cell.schedule, cell)[0]


@lru_cache(maxsize=1024)
def stages_with_equations(cell: Cell) -> np.ndarray:
    """For each stage of a step, whether a row kernel computes anything there; the last one writes the new state."""
    schedule = cell.schedule
    found = [*(t.stage for t in targets(schedule, cell)), *(p.stage for p in schedule.reads), schedule.stages]
    active = np.zeros(schedule.stages + 1, np.bool_)
    active[[schedule.joined[stage] for stage in found]] = True
    return active


@lru_cache(maxsize=1024)
def drives_size(layout: Layout) -> int:
    """How many of the first values of a row are drives, with or without means between them."""
    others = {p.target.offset for p in layout.products if p.parameter is None}
    others |= {r.target.offset for r in layout.reads}
    return max((p.offset + p.width for p in layout.preactivations if p.offset not in others), default=0)


@lru_cache(maxsize=1024)
def widths(layout: Layout) -> np.ndarray:
    """The width of each label."""
    return np.array(layout.widths, np.int64)


@lru_cache(maxsize=1024)
def products(cell: Cell, layout: Layout) -> np.ndarray:
    """(products, 10): stage, operand in the state or in the values, its offset, columns and rows of a head, ..."""
    means, operands = uniform_over_units(cell.schedule, cell)
    value = {s.offset: s.name for s in layout.values}
    target = {p.target.offset: p.target.name for p in layout.products}
    rows = [
        (
            p.stage, STATE if p.from_state else VALUES, p.source, p.columns, p.target, p.height, p.heads, p.at,
            target[p.target] in means, p.at == MEAN and value[p.source] in operands,
        )
        for p in stacked_products(layout)
    ]  # fmt: skip
    return np.array(rows, np.int64).reshape(len(rows), COLUMNS_OF_PRODUCTS)


def input_product(columns: int, rows: int) -> np.ndarray:
    """The table of one product: that of W with the input."""
    return np.array([(0, INPUT, 0, columns, 0, rows, 1, 0, 0, 0)], np.int64)


@lru_cache(maxsize=1024)
def matrix_products(cell: Cell, layout: Layout) -> np.ndarray:
    """The products with blocks of U."""
    found = products(cell, layout)
    return np.ascontiguousarray(found[found[:, MATRIX] != MEAN])


@lru_cache(maxsize=1024)
def parameter_products(cell: Cell, layout: Layout) -> np.ndarray:
    """The products with parameters: that of W, where there is one, and those with blocks of U."""
    found = matrix_products(cell, layout)
    if layout.input_size and layout.input_rows:
        found = np.concatenate([input_product(layout.input_size, layout.input_rows), found])
    return found


@lru_cache(maxsize=1024)
def products_by_operand(cell: Cell, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """(all products but those with the state, those with the state alone): others stand at no stage."""
    found = products(cell, layout)
    of_state = (found[:, OPERAND] == STATE) & (found[:, MATRIX] != MEAN)
    without, alone = found.copy(), found.copy()
    without[of_state, STAGE] = alone[~of_state, STAGE] = NO_STAGE
    return without, alone


@lru_cache(maxsize=1024)
def diagonals(cell: Cell, layout: Layout) -> tuple[np.ndarray, np.ndarray, int]:
    """The table of diagonals (n, 9), the columns of the state each value depends on (values, 2), and their number."""
    schedule = cell.schedule
    place = {
        kind: {s.name: (s.offset, s.width) for s in row}
        for kind, row in (("values", layout.values), ("state", layout.slots))
    }
    spans = np.zeros((max(layout.values_size, 1), 2), np.int64)
    rows = []
    at = 0
    entries = jacobian_sparsity(schedule, cell)

    def span(from_state: bool, offset: int, width: int) -> tuple[int, int]:
        return (offset, offset + width) if from_state else (spans[offset, LOW], spans[offset, HIGH])

    def covered(from_state: bool, source: Span) -> tuple[int, int]:
        """The columns on which any of the values of a stretch depends."""
        if from_state:
            return source.offset, source.offset + source.width
        inner = spans[source.offset : source.offset + source.width]
        used = inner[inner[:, HIGH] > inner[:, LOW]]
        return (int(used[:, LOW].min()), int(used[:, HIGH].max())) if len(used) else (0, 0)

    def cover(offset: int, width: int, low: int, high: int) -> None:
        if high > low:
            old = spans[offset]
            low, high = (min(low, old[LOW]), max(high, old[HIGH])) if old[HIGH] > old[LOW] else (low, high)
            spans[offset : offset + width] = low, high

    for stage in range(schedule.stages + 1):
        for target, v in entries:
            if target.stage != stage:
                continue
            new, from_state = target.variable.row == "new", v.row == "state"
            out, width = place["state" if new else "values"][target.variable.name]
            source = place["state" if from_state else "values"][v.name][0]
            low, high = span(from_state, source, width)
            rows.append((stage, new, out, width, from_state, source, at, low, high))
            if not new:
                cover(out, width, low, high)
            at += width
        for p in layout.products:
            if p.stage == stage:
                cover(p.target.offset, p.target.width, *covered(p.from_state, p.source))
        for r in layout.reads:
            if r.stage == stage:
                for in_state, stretch in r.sources:
                    cover(r.target.offset, r.target.width, *covered(in_state, stretch))
    rows.sort()  # diagonals of one target are neighbours
    return np.array(rows, np.int64).reshape(len(rows), 9), spans, at
