"""The threads of a call: how many, when they start, how they share a walk."""

from __future__ import annotations

import os
import threading
from functools import lru_cache

from numba import get_num_threads

from ..run import Tape
from .memory import INTERPRETED
from .product import HALF

# Numba's portable threading layer must not be entered by two Python threads at once.
POOL = threading.Lock()
SPINS = "1000"  # looks of an idle thread for work, some 100 microseconds

# Of matrices, for each thread that shares the units of a step: less is not worth their waiting for each other.
BYTES_A_PART = 1 << 16


@lru_cache(maxsize=1)
def _start_threads() -> None:
    """Let Numba start its threads so that idle ones soon sleep.

    GNU OpenMP would let them look for work for milliseconds, which is ruinous beside any other busy process: it reads
    how long from the environment, and only now.
    """
    ours = {} if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ) else {"GOMP_SPINCOUNT": SPINS}
    os.environ.update(ours)
    try:
        get_num_threads()
    finally:
        for name in ours:
            del os.environ[name]


def num_threads() -> int:
    """How many threads there are."""
    _start_threads()
    return int(get_num_threads())


def threads_for(rows: int) -> int:
    """How many threads share so many rows."""
    return max(1, min(num_threads(), rows))


def team(tape: Tape) -> tuple[bool, int]:
    """(whether threads share the units of a step rather than the batch, their number).

    They do where there are too few instances for half a tile each and the matrices do not fit the first cache: then
    each thread reads its part of the matrices alone. Below that size waiting for each other costs more.
    """
    threads = num_threads()
    parts = min(threads, tape.matrices.nbytes // BYTES_A_PART)
    by_units = tape.batch < HALF * threads and parts > 1 and not tape.resets.size and not INTERPRETED
    return by_units, parts if by_units else threads_for(tape.batch)
