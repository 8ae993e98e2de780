"""Shares of work, and a barrier at which the threads that share it wait for each other.

Threads wait at a counter in memory that they watch (0.2 microseconds). They can do so only if all of them run at once,
which no threading layer promises: so they first meet, and if they do not, one of them does all the work.
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

LINE = 16  # integers, so that two counters do not share a line of the cache or its neighbour
COUNT, DECISION, TURN = 0, LINE, 2 * LINE
CLOSED = 1 << 32
MEETING = 5_000  # looks at the counter before a meeting is given up: some 200 microseconds
PATIENCE = 500  # looks before others may have the core
ALONE, TOGETHER = 1, 2

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
        """counters[at] += n in one instruction; what it was before."""

        def codegen(context, builder, signature, arguments):
            counters, at, n = arguments
            pointer = element_pointer(context, builder, signature.args[0], counters, at)
            return builder.atomic_rmw("add", pointer, n, "seq_cst")

        return types.int64(counters, types.intp, types.int64), codegen

    @intrinsic
    def look(typingctx, counters, at):
        """counters[at] as the other threads left it, with all that they wrote before."""

        def codegen(context, builder, signature, arguments):
            pointer = element_pointer(context, builder, signature.args[0], *arguments)
            return builder.load_atomic(pointer, "acquire", 8)

        return types.int64(counters, types.intp), codegen

    @intrinsic
    def relax(typingctx, yielding):
        """A moment for the other threads of this core; if yielding, for other processes too."""

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
    """Until counters[at] is at least as large."""
    n = 0
    while look(counters, at) < wanted:
        n += 1
        relax(n > PATIENCE)


@njit(**OPTIONS)
def meet(counters, threads):
    """The number of this thread among all; -1 if they do not run at once and another does the work."""
    own = fetch_add(counters, COUNT, 1)
    if own >= CLOSED:
        return np.int64(-1), np.int64(1)
    if own == 0:
        n = 0
        while look(counters, COUNT) < threads and n < MEETING:
            n += 1
            relax(False)
        together = fetch_add(counters, COUNT, CLOSED) == threads
        fetch_add(counters, DECISION, TOGETHER if together else ALONE)
    else:
        _wait(counters, DECISION, ALONE)
    if look(counters, DECISION) == TOGETHER:
        return own, np.int64(threads)
    return (own, np.int64(1)) if own == 0 else (np.int64(-1), np.int64(1))


@njit(**OPTIONS)
def barrier(counters, parts, turn):
    """Wait for all parts; the number of the next turn."""
    if parts > 1:
        fetch_add(counters, TURN, 1)
        _wait(counters, TURN, (turn + 1) * parts)
    return turn + 1


def new_counters() -> np.ndarray:
    """For `meet` and `barrier`: used once."""
    return np.zeros(3 * LINE, np.int64)


@njit(**OPTIONS)
def share(n, parts, i):
    """Where part i of n rows begins."""
    return n * np.int64(i) // parts  # the index of a parallel loop is unsigned
