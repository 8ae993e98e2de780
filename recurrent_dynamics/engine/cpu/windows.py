"""The forward pass without a tape: a window of a few steps, whose memory and arguments are made once.

The memory of a small window, and all arguments of the loop that a cell, its sizes and the threads decide, are kept for
the next call. Making them took longer than the kernels of one sequence of 32 units.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite
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
from ..memories import Memory, no_memory
from ..run import Kept
from . import time_loops
from .arguments import NO_CLASSES, Factors, drive_input, loop_arguments, pack, state_arrays
from .tables import drives_size
from .work_split import split, step_flops

_NO_COUNTERS = np.empty(0, np.int64)  # only threads that share the units of a step count
_NO_LENGTHS, _NO_RESETS = np.empty(0, np.int64), np.empty(0, np.bool_)


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


def window_length(steps: int, instances: int) -> int:
    """About the steps for which a thread multiplies the input at once."""
    return min(steps, max(time_loops.SHORTEST_WINDOW, current().window_rows // instances))


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
    length = window_length(steps, batch if by_units else -(-batch // threads))
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


class PreparedRun:
    """Runs of one thread, of inputs (T, B, N) of one shape from a zero state, with everything else made before.

    A short run takes less time than the Python code of `infer`, most of all after a pause: the caches are then empty.
    """

    def __init__(
        self, cell: Cell, layout: Layout, flat: Flat, factors: Factors, steps: int, batch: int
    ) -> None:
        self._dtype, self._free = flat.bias.dtype, list[tuple[Any, ...]]()
        self._given = cell, layout, flat, factors, steps, batch
        self.start = np.zeros((batch, layout.state_size), self._dtype)
        self._window()

    def _window(self) -> None:
        """Make a window with the arguments before and after the input: as many as there are calls at once."""
        cell, layout, flat, factors, steps, batch = self._given
        length = window_length(steps, batch)
        window = _new_window(cell, layout, self._dtype.char, steps, batch, length, False)
        g, drives, _, offset, width = window.sizes
        self.size, self.shape = steps * batch * width, (steps, batch, width)
        checksum, read = np.empty(1, self._dtype), no_memory(self._dtype)
        before = (
            1, *window.row_kernel_to_products, factors.U, factors.starts, flat.vectors, window.constants, read.flat,
            read.places, window.values, window.before, window.after, self.start.reshape(-1), _NO_LENGTHS, _NO_RESETS,
            False, _NO_COUNTERS, checksum,
        )  # fmt: skip
        after = factors.W, flat.bias, NO_CLASSES, layout.input_size, g, drives, length, offset, width
        self._free.append((before, after, window.first_state, window.last_state, checksum))

    def __call__(self, x: np.ndarray) -> Kept | None:
        """The output and the final state; None if they or the input are not finite."""
        try:
            window = self._free.pop()  # in one step of the interpreter, so no other thread gets it too
        except IndexError:
            self._window()
            return self(x)
        before, after, first_state, last_state, checksum = window
        first_state.fill(0)
        out = np.empty(self.size, self._dtype)
        time_loops.forward(*before, x.reshape(-1), *after, out)
        kept = Kept(out.reshape(self.shape), last_state.copy()) if isfinite(checksum.item()) else None
        self._free.append(window)
        return kept


def prepare(
    cell: Cell, layout: Layout, flat: Flat, factors: Factors, steps: int, batch: int
) -> PreparedRun | None:
    """A `PreparedRun` if one thread does all the work, whatever their number, and the window is small."""
    size = window_length(steps, batch) * batch * (layout.values_size + layout.state_size)
    few = steps * batch * step_flops(layout) <= current().min_parallel_flops
    if few and size * flat.bias.itemsize <= current().max_kept_window:
        return PreparedRun(cell, layout, flat, factors, steps, batch)
    return None
