"""Copies of arrays that come from outside, by all threads, with the sum of what was copied.

A sum that is finite has finite terms: whether an array holds a NaN is known without reading it again. One thread of
NumPy took for the copies, zeros and checks around an Elman network of 128 units a third of the time of its kernels.
"""

from __future__ import annotations

from functools import reduce
from math import isfinite
from operator import add

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from ..checks import is_finite
from .access import INTERPRETED, OPTIONS, get, put
from .barrier import share
from .parallel import by_threads
from .product import total
from .threads import POOL, launch, threads_for

FEW = 1 << 14  # entries that NumPy copies and looks at in less time than a kernel takes to start
OPERATIONS = 16  # that an entry counts as; what takes the time is its memory


def place(a: np.ndarray, out: np.ndarray, offset: int, fresh: bool) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    Returns whether the array is surely finite.
    """
    width, row = a.shape[-1], out.shape[-1]
    if a.size < FEW or INTERPRETED:
        columns = out[..., offset : offset + width]
        if fresh:
            if width < row:
                out[...] = 0
            columns[...] = a.reshape(columns.shape)
        else:
            columns += a.reshape(columns.shape)
        return is_finite(a)
    step, rows = row_step(a), a.size // width
    if not step:
        a, step = plain(a), width
    with POOL:
        threads, batch = threads_for(rows, OPERATIONS * row), a.shape[-2] if a.ndim > 1 else 1
        batch = batch if batch >= threads else rows
        sums = np.empty(threads, out.dtype)
        launch(
            threads, place_rows,
            a.__array_interface__["data"][0], step, width, batch, out.reshape(-1), row, offset, fresh, sums,
        )  # fmt: skip
    return are_finite(sums)


class _Lent:
    """The memory of an array as if it could be written."""

    def __init__(self, a: np.ndarray) -> None:
        self._array, interface = a, a.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def plain(a: np.ndarray) -> np.ndarray:
    """C-contiguous, aligned, writeable: any other array would be another type to the compiler, compiled for anew.

    To be read only: it may lie in the memory of one that cannot be written.
    """
    if a.flags.carray:
        return a
    return np.asarray(_Lent(a)) if a.flags.c_contiguous and a.flags.aligned else np.array(a, order="C")


def row_step(a: np.ndarray) -> int:
    """How many entries the rows of an array (..., width) are apart; 0 unless all of them equally, forwards."""
    size, strides = a.itemsize, a.strides
    if a.flags.c_contiguous:
        return a.shape[-1] if a.flags.aligned else 0
    inside = all(outer == n * inner for outer, inner, n in zip(strides[:-2], strides[1:-1], a.shape[1:-1]))
    whole = a.ndim > 1 and strides[-1] == size and strides[-2] % size == 0 and a.flags.aligned
    return max(0, strides[-2] // size) if whole and inside else 0


def are_finite(sums: np.ndarray) -> bool:
    """For the sums of the threads: these are few, and NumPy would take ten times as long."""
    return all(map(isfinite, sums.tolist()))


def sum_in_order(sums: np.ndarray) -> float:
    """The sum of those of the threads or the blocks: the same with any version of Python or NumPy."""
    return reduce(add, sums.tolist(), 0.0)


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@njit(**OPTIONS)
def array_at(address, n, like):
    """n entries that lie at an address."""
    return carray(_pointer(address), (n,), like.dtype)


@by_threads
def place_rows(i, threads, start, step, width, batch, out, row, offset, fresh, sums):
    """out[r, offset : offset + width] += a[r]; if `fresh`, = a[r], and zeros in the rest of the row. Sums of a.

    Row r of a lies r times `step` entries behind the address `start`. Threads have slices of the batch, as in a walk:
    what a core has written it reads again. With fewer instances than threads, all rows count as one batch.
    """
    steps = out.size // (row * batch)
    b0, b1, seen = share(batch, threads, i), share(batch, threads, i + 1), out.dtype.type(0)
    for t in range(steps):
        for r in range(t * batch + b0, t * batch + b1):
            a, to = array_at(start + r * step * out.itemsize, width, out), r * row + offset
            if fresh:
                for j in range(r * row, to):
                    put(out, j, out.dtype.type(0))
                for j in range(width):
                    put(out, to + j, get(a, j))
                for j in range(to + width, (r + 1) * row):
                    put(out, j, out.dtype.type(0))
            else:
                for j in range(width):
                    put(out, to + j, get(out, to + j) + get(a, j))
            seen += total(a, np.int64(0), width)
    sums[i] = seen
