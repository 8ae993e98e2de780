"""How threads share the work of a pass: each has a slice of the batch, or all share the units of every step.

Threads with slices of the batch never wait for each other. Threads that share the units of a step wait twice a stage.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from ...cells.layout import Layout
from ...kernels.access import INTERPRETED, LIGHT
from ...kernels.barrier import meet, share
from ...kernels.flat_arrays import empty
from ...kernels.microkernel import HALF_TILE
from ...kernels.threads import available_for
from ...kernels.tuning import current
from ..run import Tape


@lru_cache(maxsize=1024)
def step_flops(layout: Layout) -> int:
    """About how many operations a step of one instance takes in one direction."""
    reads = 32 * layout.memory_size  # a nonlinearity at each position and unit
    return 2 * layout.values_size * (layout.input_size + layout.state_size + 16) + reads


def choose_split(tape: Tape, steps: int | None = None) -> tuple[bool, int]:
    """(whether threads share the units of a step rather than the batch, how many threads), for `steps` or all steps.

    They share units where the batch has fewer instances than half a tile for each thread and the matrices do not fit
    the first cache. Each thread then reads its part of the matrices only. Below that size the barriers cost more. Reads
    of a memory need whole instances.
    """
    return split(tape.layout, tape.dtype, steps or tape.steps, tape.batch, tape.resets.size > 0)


def split(layout: Layout, dtype: np.dtype, steps: int, batch: int, resets: bool) -> tuple[bool, int]:
    """`choose_split` for a pass of so many steps and instances."""
    available = available_for(steps * batch * step_flops(layout))
    workers = min(available, layout.matrices_size * dtype.itemsize // current().min_worker_bytes)
    whole = resets or layout.reads or INTERPRETED
    by_units = batch < HALF_TILE * available and workers > 1 and not whole
    return by_units, workers if by_units else max(1, min(available, batch))


@njit(**LIGHT)
def _slice_start(batch, lengths, threads, i):
    """The first instance of slice i of the batch. With lengths, slices have about the same number of steps in total."""
    if lengths.size == 0:
        return share(batch, threads, i)
    total, done = 0, 0
    for b in range(batch):
        total += lengths[b]
    for b in range(batch):
        if done * threads >= total * i:
            return np.int64(b)
        done += lengths[b]
    return np.int64(batch)


@njit(**LIGHT)
def assignment(counters, by_units, batch, lengths, threads, i):
    """The work of thread i, (b0, b1, worker, workers): the instances b0 to b1, of each the units of one worker."""
    i, b0, b1 = np.int64(i), np.int64(0), np.int64(batch)  # the index of a parallel loop is unsigned
    if not by_units:
        b0 = _slice_start(batch, lengths, threads, i)
        if i + 1 < threads:
            b1 = _slice_start(batch, lengths, threads, i + 1)
        return b0, b1, np.int64(0), np.int64(1)
    worker, workers = meet(counters, threads)
    if worker < 0:
        worker, b1 = np.int64(0), np.int64(0)
    return b0, b1, worker, workers


@njit(**LIGHT)
def unit_ranges(widths, worker, workers):
    """For the row kernels: the width of each label, then the first and the end of a worker's units of each label."""
    n = widths.size
    sizes = empty(3 * n, np.int64)
    for i in range(n):
        sizes[i] = widths[i]
        sizes[n + i] = widths[i] * worker // workers
        sizes[2 * n + i] = widths[i] * (worker + 1) // workers
    return sizes
