# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Compiled access to arrays by their addresses, and by it copies of strided rows by all threads."""

from __future__ import annotations

import numpy as np
from numba import carray, njit, prange, types
from numba.extending import intrinsic

from .cpu.memory import OPTIONS, PARALLEL, get, put
from .cpu.pool import POOL, launch, threads_for
from .cpu.rows import BUILT
from .cpu.team import share

OPERATIONS = 16  # that an entry counts as; what takes the time is its memory


def rows_of(x: np.ndarray) -> np.ndarray:
    """A copy (rows, width) of an array (T, B, width) whose rows are equally far apart."""
    width = x.shape[2]
    out = np.empty((x.shape[0] * x.shape[1], width), x.dtype)
    threads = threads_for(len(out), OPERATIONS * width)
    with POOL:
        launch(threads, _rows, BUILT, address(x), x.strides[1], width, out.reshape(-1), threads)
    return out


def address(a: np.ndarray) -> int:
    """Where an array lies; whoever uses it keeps the array."""
    return int(a.__array_interface__["data"][0])


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@njit(**OPTIONS)
def array_at(address, n, like):
    """n entries that lie at an address."""
    return carray(_pointer(address), (n,), like.dtype)


@njit(**PARALLEL)
def _rows(build, start, step, width, out, threads):
    rows = out.size // width
    for i in prange(threads):
        for r in range(share(rows, threads, np.int64(i)), share(rows, threads, np.int64(i) + 1)):
            row = array_at(start + r * step, width, out)
            for j in range(width):
                put(out, r * width + j, get(row, j))
