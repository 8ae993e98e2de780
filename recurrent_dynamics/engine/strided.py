# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""Compiled access to arrays by their addresses, and by it copies of strided rows by all threads."""

from __future__ import annotations

import numpy as np
from numba import carray, njit, prange, types
from numba.extending import intrinsic

from .cpu.memory import INTERPRETED, OPTIONS, PARALLEL, get, put
from .cpu.pool import POOL, launch, threads_for
from .cpu.rows import BUILT
from .cpu.team import share

OPERATIONS = 16  # that an entry counts as; what takes the time is its memory


def contiguous_rows(x: np.ndarray) -> np.ndarray:
    """A contiguous copy of an array (T, B, width) whose rows are equally far apart."""
    if INTERPRETED:
        return np.ascontiguousarray(x)
    out, width = np.empty(x.shape, x.dtype), x.shape[2]
    threads = threads_for(x.shape[0] * x.shape[1], OPERATIONS * width)
    with POOL:
        launch(
            threads, _rows, BUILT, x.__array_interface__["data"][0], x.strides[1], width, out.reshape(-1), threads
        )  # fmt: skip
    return out


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
