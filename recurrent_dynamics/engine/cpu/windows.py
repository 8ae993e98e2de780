"""The forward pass without a tape: a window of a few steps, whose memory and arguments are made once.

The memory of a small window, and all arguments of the loop that a cell, its sizes and the threads decide, are kept for
the next call. Making them took longer than the kernels of one sequence of 32 units.
"""

from __future__ import annotations

from functools import lru_cache
from math import isfinite, prod
from typing import Any, NamedTuple

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.bound_call import BoundCall
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch
from ...kernels.tuning import current
from ..flatten import Flat
from ..memories import Memory, no_memory
from ..run import Kept
from . import time_loops
from .arguments import NO_CLASSES, NO_PLACE, Factors, drive_input, loop_arguments, pack, state_arrays
from .tables import drives_size
from .work_split import split, step_flops

SMALL_OUTPUT = 1 << 14  # entries; aligning a larger one takes less time than it gains
_NO_COUNTERS = np.empty(0, np.int64)  # only threads that share the units of a step count
_NO_LENGTHS, _NO_RESETS = np.empty(0, np.int64), np.empty(0, np.bool_)


class Window(NamedTuple):
    """The arguments of the loop in their order, and the memory of the window."""

    row_kernel_to_products: tuple[Any, ...]
    constants: np.ndarray
    values: np.ndarray
    before: np.ndarray
    after: np.ndarray
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
        values.reshape(-1), before.reshape(-1), after.reshape(-1),
        (layout.input_rows, drives_size(layout), window, slot.offset, slot.width),
    )  # fmt: skip


_kept_window = lru_cache(maxsize=8)(_new_window)


def pack_forward(cell: Cell, layout: Layout, flat: Flat) -> Factors:
    """Pack all matrices of the forward pass; to be called inside of `POOL`."""
    return pack(cell, layout, flat.matrices, flat.W, False, layout.input_size, layout.input_rows)


def window_length(steps: int, batch: int, by_units: bool, threads: int) -> int:
    """About the steps for which a thread multiplies the input at once."""
    instances = batch if by_units else -(-batch // threads)  # of a thread
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
    length = window_length(steps, batch, by_units, threads)
    size = length * batch * (layout.values_size + layout.state_size) * dtype.itemsize
    make = _kept_window if size <= current().max_kept_window else _new_window
    window = make(cell, layout, dtype.char, steps, batch, length, resets.size > 0)
    g, drives, _, offset, width = window.sizes
    input_ = drive_input(layout, x, flat.W, flat.bias)
    if factors is None:
        factors = pack(cell, layout, flat.matrices, flat.W, False, input_.n, g)
    out, checksums = memory.empty((steps, batch, width), dtype), np.empty(threads, dtype)
    final = np.empty(start.shape, dtype)
    launch(
        threads, time_loops.forward,
        *window.row_kernel_to_products, factors.U, factors.starts, flat.vectors, window.constants, read.flat,
        read.places, window.values, window.before, window.after, start.reshape(-1), ends, resets, by_units,
        new_counters() if by_units else _NO_COUNTERS, checksums, input_.x, factors.W, input_.bias, input_.classes,
        input_.n, g, drives, length, offset, width, out.reshape(-1), final.reshape(-1), NO_PLACE,
    )  # fmt: skip
    return Kept(out, final), are_finite(checksums)


class Ready(NamedTuple):
    """The call of the loop with a window of its own, and the counters that have to be zero before it."""

    call: BoundCall  # of the input, the output and the final state
    counters: np.ndarray


class PreparedRun:
    """Runs of inputs (T, B, N) of one shape from a zero state, with everything else made before.

    A short run takes less time than the Python code of `infer`, most of all after a pause: the caches are then empty.
    So a run touches as little memory as it can.
    """

    def __init__(
        self, cell: Cell, layout: Layout, flat: Flat, factors: Factors, steps: int, batch: int
    ) -> None:
        self._dtype, self._given = flat.bias.dtype, (cell, layout, flat, factors, steps, batch)
        self._by_units, self._threads = split(layout, self._dtype, steps, batch, resets=False)
        few = steps * batch * step_flops(layout) <= current().min_parallel_flops
        # The threads that it was prepared for, if it needs them.
        self._available = None if few else POOL.available()
        self.start = np.zeros((batch, layout.state_size), self._dtype)
        self._free = list[Ready]()
        self._make_ready()

    def _make_ready(self) -> None:
        """Make a window and bind its call: as many as there are calls at once."""
        cell, layout, flat, factors, steps, batch = self._given
        length = window_length(steps, batch, self._by_units, self._threads)
        window = _new_window(cell, layout, self._dtype.char, steps, batch, length, False)
        g, drives, _, offset, width = window.sizes
        self._shape = steps, batch, width
        self._empty = memory.empty if steps * batch * width > SMALL_OUTPUT else np.empty
        checksums, read = np.empty(self._threads, self._dtype), no_memory(self._dtype)
        counters = new_counters() if self._by_units else _NO_COUNTERS
        x, out, final = (
            np.empty(n, self._dtype)
            for n in (steps * batch * layout.input_size, prod(self._shape), self.start.size)
        )
        before = (
            *window.row_kernel_to_products, factors.U, factors.starts, flat.vectors, window.constants, read.flat,
            read.places, window.values, window.before, window.after, self.start.reshape(-1), _NO_LENGTHS, _NO_RESETS,
            self._by_units, counters, checksums,
        )  # fmt: skip
        between = factors.W, flat.bias, NO_CLASSES, layout.input_size, g, drives, length, offset, width
        arguments = (*before, x, *between, out, final)
        call = BoundCall(time_loops.forward, self._threads, arguments, checksums)
        self._free.append(Ready(call, counters))

    def __call__(self, x: np.ndarray) -> Kept | None:
        """The output and the final state; None if these or the input are not finite, or threads came or went."""
        if self._available is None:
            return self._run(x)
        with POOL:
            if POOL.available() != self._available:
                return None
            POOL.use(self._threads)
            return self._run(x)

    def _run(self, x: np.ndarray) -> Kept | None:
        try:
            ready = self._free.pop()  # in one step of the interpreter, so no other thread gets it too
        except IndexError:
            self._make_ready()
            return self._run(x)
        if self._by_units:
            ready.counters.fill(0)
        out, final = self._empty(self._shape, self._dtype), np.empty(self.start.shape, self._dtype)
        checksum = ready.call(x if x.ndim == 3 else x[:, None], out, final)
        self._free.append(ready)
        return Kept(out, final) if isfinite(checksum) else None


def prepare(
    cell: Cell, layout: Layout, flat: Flat, factors: Factors, steps: int, batch: int
) -> PreparedRun | None:
    """A `PreparedRun` if its window is small; to be called inside of `POOL`."""
    by_units, threads = split(layout, flat.bias.dtype, steps, batch, resets=False)
    rows = batch * window_length(steps, batch, by_units, threads)
    size = rows * (layout.values_size + layout.state_size) * flat.bias.itemsize
    if size > current().max_kept_window:
        return None
    return PreparedRun(cell, layout, flat, factors, steps, batch)
