"""Shares of work, and a barrier for the threads that share it.

Threads wait at a barrier by polling a counter in memory (0.2 microseconds). That needs all of them to run at the same
time, which no threading layer promises. So they first meet. If not all have come in time, one of them does all the
work.
"""

from __future__ import annotations

import os

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from .access import INTERPRETED, OPTIONS, element_pointer

LINE = 16  # integers between two counters: they share neither a cache line nor neighbouring lines
COUNT, DECISION, ARRIVALS = 0, LINE, 2 * LINE
CLOSED = 1 << 32
MEETING = 5_000  # polls of the counter before a meeting is given up: some 200 microseconds
PATIENCE = 500  # polls before a waiting thread yields its core
ONE_WORKER, ALL_WORKERS = 1, 2

_X86 = llvm.get_default_triple().partition("-")[0] in ("x86_64", "i686")
_YIELD = "sched_yield" if hasattr(os, "sched_yield") else None

if INTERPRETED:

    def fetch_add(counters: np.ndarray, at: int, n: int) -> int:
        old = int(counters[at])
        counters[at] += n
        return old

    def look(counters: np.ndarray, at: int) -> int:
        return int(counters[at])

    def relax(yielding: bool) -> None:
        return None

else:

    @intrinsic
    def fetch_add(typingctx, counters, at, n):
        """counters[at] += n in one atomic instruction; returns the old value."""

        def codegen(context, builder, signature, arguments):
            counters, at, n = arguments
            pointer = element_pointer(context, builder, signature.args[0], counters, at)
            return builder.atomic_rmw("add", pointer, n, "seq_cst")

        return types.int64(counters, types.intp, types.int64), codegen

    @intrinsic
    def look(typingctx, counters, at):
        """Load counters[at], with everything that other threads wrote before they stored it."""

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], *arguments)
            return builder.load_atomic(pointer, "acquire", 8)

        return types.int64(counters, types.intp), codegen

    @intrinsic
    def relax(typingctx, yielding):
        """Pause for the other hardware thread of this core; if yielding, let other processes run too."""

        def codegen(context, builder, signature, arguments):
            if _X86:
                pause = ir.FunctionType(ir.VoidType(), [])
                builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
            if _YIELD:
                with builder.if_then(arguments[0]):
                    kind = ir.FunctionType(ir.IntType(32), [])
                    builder.call(cgutils.get_or_insert_function(builder.module, kind, _YIELD), [])
            return context.get_dummy_value()

        return types.void(types.boolean), codegen


@njit(**OPTIONS)
def _wait(counters, at, wanted):
    """Poll until counters[at] is at least `wanted`."""
    n = 0
    while look(counters, at) < wanted:
        n += 1
        relax(n > PATIENCE)


@njit(**OPTIONS)
def meet(counters, threads):
    """(worker, workers) of this thread. If not all came in time, worker 0 does everything and the others get -1."""
    worker = fetch_add(counters, COUNT, 1)
    if worker >= CLOSED:
        return np.int64(-1), np.int64(1)
    if worker == 0:
        n = 0
        while look(counters, COUNT) < threads and n < MEETING:
            n += 1
            relax(False)
        all_run = fetch_add(counters, COUNT, CLOSED) == threads
        fetch_add(counters, DECISION, ALL_WORKERS if all_run else ONE_WORKER)
    else:
        _wait(counters, DECISION, ONE_WORKER)
    if look(counters, DECISION) == ALL_WORKERS:
        return worker, np.int64(threads)
    return (worker, np.int64(1)) if worker == 0 else (np.int64(-1), np.int64(1))


@njit(**OPTIONS)
def barrier(counters, workers, epoch):
    """Wait until all workers have come. Returns the next epoch, the number of barriers passed."""
    if workers > 1:
        fetch_add(counters, ARRIVALS, 1)
        _wait(counters, ARRIVALS, (epoch + 1) * workers)
    return epoch + 1


def new_counters() -> np.ndarray:
    """Counters of `meet` and `barrier` for one call of a kernel."""
    return np.zeros(3 * LINE, np.int64)


@njit(**OPTIONS)
def share(n, workers, i):
    """The first of n items that worker i of `workers` has; its last one stands before the first of worker i + 1."""
    return n * np.int64(i) // workers  # the index of a parallel loop is unsigned
