"""One step of rows that branch from others, compiled once for all cells.

Several rows may come from one row before, their parent, and differ in their input: the hypotheses of a search. What a
step computes before the input enters depends on the parent alone. `of_parents` computes it once for each parent, in the
rows E of the parents. `of_children` adds the input and computes the rest of the step, some rows at a time in memory
that stays in cache. See `time_loops` for the names of the arrays.
"""

from __future__ import annotations

import numpy as np

from ...kernels.access import LIGHT_ENTRY, get, put
from ...kernels.barrier import share
from ...kernels.flat_arrays import empty
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads
from ...kernels.product import ONE, ZERO, new_index, total
from .input_products import write_drives
from .resets_and_lengths import copy
from .rows import PLACES, compute_rows, row_task
from .stage_products import multiply
from .work_split import unit_ranges

PARENTS = 96  # rows at once: they and the matrices share the second cache
CHILDREN = 48


@by_threads(options=LIGHT_ENTRY)
def of_parents(
    i, threads, rows, active, widths, k, e, drives, until, products, bias, packed, starts, P, C, M, places, E, S,
    parents, classes,
):  # fmt: skip
    """The stages of a step before the stage `until`, for the rows that `parents` lists. `classes` is empty."""
    index, sizes = new_index(PARENTS), unit_ranges(widths, ZERO(), ONE())
    # No stage before the last one writes the state after.
    task = row_task(e, k, P.size, (E, S, P, C, S, M, places))
    end = share(parents.size, threads, i + 1)
    for first in range(share(parents.size, threads, i), end, PARENTS):
        count = min(PARENTS, end - first)
        for q in range(count):
            put(index, TILE_ROWS + q, get(parents, first + q))
        write_drives(
            bias, bias, bias, classes, E, ZERO(), ZERO(), count, ZERO(), ZERO(), drives, e, index, TILE_ROWS, ZERO(),
            ONE(),
        )  # fmt: skip
        for stage in range(until):
            if active[stage]:
                compute_rows(rows, stage, task, sizes, index, TILE_ROWS, ZERO(), count)
            multiply(
                products, stage, packed, starts, True, S, E, E, ZERO(), count, k, e, index, TILE_ROWS, ZERO(), ONE()
            )  # fmt: skip


@by_threads(options=LIGHT_ENTRY)
def of_children(
    i, threads, rows, active, widths, k, e, n, g, begin, stages, products, W, bias, classes, packed, starts, P, C, M,
    places, spans, slots, X, E, S, N, parents, weights_at, weights_width, weights, checksums,
):  # fmt: skip
    """The other stages of the step, for all rows: their parents' part, in E and S, and their own input.

    `spans` lists the values of a parent that these stages read, `slots` the slots of its state: offset and width of
    each, one after the other.
    `weights` gets the attention's weights of each row. `checksums` gets the sum of the input and of the new state.
    """
    index, sizes = new_index(CHILDREN), unit_ranges(widths, ZERO(), ONE())
    own, before = empty(CHILDREN * e, E.dtype), empty(CHILDREN * k, E.dtype)
    after, own_places = empty(CHILDREN * k, E.dtype), empty(CHILDREN * PLACES, np.int64)
    task = row_task(e, k, P.size, (own, before, P, C, after, M, own_places))
    end, checksum = share(parents.size, threads, i + 1), E.dtype.type(0)
    for first in range(share(parents.size, threads, i), end, CHILDREN):
        count = min(CHILDREN, end - first)
        write_drives(
            X, W, bias, classes, own, first, ZERO(), count, n, g, g, e, index, TILE_ROWS, ZERO(), ONE()
        )
        for q in range(count):
            parent, row = get(parents, first + q), q * e
            for s in range(0, slots.size, 2):
                copy(S, parent * k + get(slots, s), before, q * k + get(slots, s), get(slots, s + 1))
            for j in range(g):
                put(own, row + j, get(own, row + j) + get(E, parent * e + j))
            for s in range(0, spans.size, 2):
                copy(E, parent * e + get(spans, s), own, row + get(spans, s), get(spans, s + 1))
            if places.size > 0:
                for j in range(PLACES):
                    put(own_places, q * PLACES + j, get(places, parent * PLACES + j))
        for stage in range(begin, stages + 1):
            if active[stage]:
                compute_rows(rows, stage, task, sizes, index, TILE_ROWS, ZERO(), count)
            multiply(
                products, stage, packed, starts, True, before, own, own, ZERO(), count, k, e, index, TILE_ROWS,
                ZERO(), ONE(),
            )  # fmt: skip
        copy(after, ZERO(), N, first * k, count * k)
        for q in range(count):
            copy(own, q * e + weights_at, weights, (first + q) * weights_width, weights_width)
        checksum += total(X, first * n, count * n) + total(after, ZERO(), count * k)
    checksums[i] = checksum
