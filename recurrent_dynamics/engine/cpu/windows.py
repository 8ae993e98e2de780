"""The forward pass without a tape: a window of a few steps, whose memory and arguments are made once.

The memory of a small window, and all arguments of the loop that a cell, its sizes and the threads decide, are kept for
the next call. Making them took longer than the kernels of one sequence of 32 units.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.threads import launch
from ...kernels.tuning import current
from ..flatten import Flat
from ..memories import Memory
from ..run import Kept
from . import time_loops
from .arguments import Factors, drive_input, loop_arguments, pack, state_arrays
from .tables import drives_size
from .work_split import split

_NO_COUNTERS = np.empty(0, np.int64)  # only threads that share the units of a step count


class Window(NamedTuple):
    """The arguments of the loop in their order, and the memory of the window."""

    row_kernel_to_products: tuple[Any, ...]
    constants: np.ndarray
    values: np.ndarray
    before: np.ndarray
    after: np.ndarray
    first_state: np.ndarray  # (B, k), of `before`
    last_state: np.ndarray  # (B, k), of `after`
    sizes: tuple[int, ...]


def _new_window(
    cell: Cell, layout: Layout, letter: str, steps: int, batch: int, window: int, resets: bool
) -> Window:
    dtype, k, e = np.dtype(letter), layout.state_size, layout.values_size
    before, after = state_arrays(window, batch, k, dtype, resets)
    values = memory.empty((window, batch, e), dtype)
    slot = next(s for s in layout.slots if s.name == cell.output)
    return Window(
        loop_arguments(cell, layout, "forward", letter, steps, batch),
        np.array(list(cell.constants.values()), dtype),
        values.reshape(-1), before.reshape(-1), after.reshape(-1), before[0], after[(steps - 1) % window],
        (layout.input_rows, drives_size(layout), window, slot.offset, slot.width),
    )  # fmt: skip


_kept_window = lru_cache(maxsize=32)(_new_window)


def pack_forward(cell: Cell, layout: Layout, flat: Flat) -> Factors:
    """Pack all matrices of the forward pass; to be called inside of `POOL`."""
    return pack(cell, layout, flat.matrices, flat.W, False, layout.input_size, layout.input_rows)


def infer(
    cell: Cell,
    layout: Layout,
    flat: Flat,
    factors: Factors | None,
    x: np.ndarray,
    start: np.ndarray,
    ends: np.ndarray,
    resets: np.ndarray,
    read: Memory,
) -> tuple[Kept, bool]:
    """(the output, which is one slot of the state, and the final state; True if all states and the input are finite).

    The input x, (T, B, N) or class indices (T, B), need not have been checked before. `factors` are the packed
    matrices; None packs them; `read` is the memory. To be called inside of `POOL`.
    """
    dtype = flat.bias.dtype
    steps, batch = x.shape[:2]
    by_units, threads = split(layout, dtype, steps, batch, resets.size > 0)
    # About the steps for which a thread multiplies the input at once.
    length = current().window_rows // (batch if by_units else -(-batch // threads))
    length = min(steps, max(time_loops.SHORTEST_WINDOW, length))
    size = length * batch * (layout.values_size + layout.state_size) * dtype.itemsize
    make = _kept_window if size <= current().max_kept_window else _new_window
    window = make(cell, layout, dtype.char, steps, batch, length, resets.size > 0)
    g, drives, _, offset, width = window.sizes
    input_ = drive_input(layout, x, flat.W, flat.bias)
    if factors is None:
        factors = pack(cell, layout, flat.matrices, flat.W, False, input_.n, g)
    out, checksums = memory.empty((steps, batch, width), dtype), np.empty(threads, dtype)
    window.first_state[...] = start
    launch(
        threads, time_loops.forward,
        *window.row_kernel_to_products, factors.U, factors.starts, flat.vectors, window.constants, read.flat,
        read.places, window.values, window.before, window.after, start.reshape(-1), ends, resets, by_units,
        new_counters() if by_units else _NO_COUNTERS, checksums, input_.x, factors.W, input_.bias, input_.classes,
        input_.n, g, drives, length, offset, width, out.reshape(-1),
    )  # fmt: skip
    return Kept(out, window.last_state.copy()), are_finite(checksums)
