"""How the threads of a walk share its work: the batch in slices, or, where that is too small, the units of every step.

Threads with slices of the batch never wait for each other. Threads that share the units of one step wait twice a stage.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from ...cells.layout import Layout
from ...kernels.access import INTERPRETED, OPTIONS
from ...kernels.barrier import meet, share
from ...kernels.microkernel import HALF
from ...kernels.threads import available_for
from ..run import Tape

# Of matrices, for each thread that shares the units of a step: less is not worth their waiting for each other.
BYTES_A_PART = 1 << 16


@lru_cache(maxsize=1024)
def step_flops(layout: Layout) -> int:
    """About how many operations a step of one instance takes in one direction."""
    return 2 * layout.values_size * (layout.input_size + layout.state_size + 16)


def team(tape: Tape, steps: int | None = None) -> tuple[bool, int]:
    """(whether threads share the units of a step rather than the batch, their number) for so many steps, or for all.

    They do where there are too few instances for half a tile each and the matrices do not fit the first cache: then
    each thread reads its part of the matrices alone. Below that size waiting for each other costs more.
    """
    available = available_for((steps or tape.steps) * tape.batch * step_flops(tape.layout))
    parts = min(available, tape.matrices.nbytes // BYTES_A_PART)
    by_units = tape.batch < HALF * available and parts > 1 and not tape.resets.size and not INTERPRETED
    return by_units, parts if by_units else max(1, min(available, tape.batch))


@njit(**OPTIONS)
def _slice(batch, lengths, threads, i):
    """Where slice i of the batch begins; with lengths, so that all have about the same number of steps to do."""
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


@njit(**OPTIONS)
def assignment(counters, by_units, batch, lengths, threads, i):
    """What thread i does: instances b0 to b1, of each the units of part `own` of `parts`."""
    i, b0, b1 = np.int64(i), np.int64(0), np.int64(batch)  # the index of a parallel loop is unsigned
    if not by_units:
        b0 = _slice(batch, lengths, threads, i)
        if i + 1 < threads:
            b1 = _slice(batch, lengths, threads, i + 1)
        return b0, b1, np.int64(0), np.int64(1)
    own, parts = meet(counters, threads)
    if own < 0:
        own, b1 = np.int64(0), np.int64(0)
    return b0, b1, own, parts


@njit(**OPTIONS)
def units(widths, own, parts):
    """For the row functions: the width of each label, then the first and the end of the units of a part."""
    n = widths.size
    sizes = np.empty(3 * n, np.int64)
    for i in range(n):
        sizes[i] = widths[i]
        sizes[n + i], sizes[2 * n + i] = widths[i] * own // parts, widths[i] * (own + 1) // parts
    return sizes
