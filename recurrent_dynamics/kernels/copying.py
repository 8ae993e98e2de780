"""Copies of a user's arrays, on all threads, with a checksum that shows whether they are finite.

A finite sum has finite terms, so an array with a NaN is found without reading it again. The copies, zeros and checks of
NumPy, on one thread, took a third of the time of the kernels of an Elman network of 128 units.
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
from .tuning import current

OPERATIONS = 16  # an entry counts as so many operations: its time is that of memory


def add_columns(a: np.ndarray, out: np.ndarray, offset: int, fresh: bool) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    Returns True if the array is finite; False says that it has to be looked at.
    """
    width, row = a.shape[-1], out.shape[-1]
    if a.size < current().min_compiled_copy or INTERPRETED:
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
        checksums = np.empty(threads, out.dtype)
        launch(
            threads, add_rows_to_columns,
            a.__array_interface__["data"][0], step, width, batch, out.reshape(-1), row, offset, fresh, checksums,
        )  # fmt: skip
    return are_finite(checksums)


class _Lent:
    """The memory of a read-only array as a writeable one."""

    def __init__(self, a: np.ndarray) -> None:
        self._array, interface = a, a.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def plain(a: np.ndarray) -> np.ndarray:
    """The array as C-contiguous, aligned and writeable. The compiler compiles anew for any other type of array.

    Only read it: it may share the memory of an array that is read-only.
    """
    if a.flags.carray:
        return a
    return np.asarray(_Lent(a)) if a.flags.c_contiguous and a.flags.aligned else np.array(a, order="C")


def row_step(a: np.ndarray) -> int:
    """How many entries the rows of an array (..., width) are apart; 0 unless all distances are equal and positive."""
    size, strides = a.itemsize, a.strides
    if a.flags.c_contiguous:
        return a.shape[-1] if a.flags.aligned else 0
    inside = all(outer == n * inner for outer, inner, n in zip(strides[:-2], strides[1:-1], a.shape[1:-1]))
    whole = a.ndim > 1 and strides[-1] == size and strides[-2] % size == 0 and a.flags.aligned
    return max(0, strides[-2] // size) if whole and inside else 0


def are_finite(checksums: np.ndarray) -> bool:
    """Whether the checksums of all threads are finite. They are few, and NumPy would take ten times as long."""
    return all(map(isfinite, checksums.tolist()))


def sum_in_order(checksums: np.ndarray) -> float:
    """Add the sums of threads or blocks in their order: the same bits with any version of Python or NumPy."""
    return reduce(add, checksums.tolist(), 0.0)


@intrinsic
def _pointer(typingctx, address):
    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@njit(**OPTIONS)
def array_at(address, n, like):
    """The array of n entries at an address."""
    return carray(_pointer(address), (n,), like.dtype)


@by_threads
def add_rows_to_columns(i, threads, start, step, width, batch, out, row, offset, fresh, checksums):
    """out[r, offset : offset + width] += a[r]; if `fresh`, = a[r], and zeros in the rest of the row. Sums of a.

    Row r of a lies r times `step` entries behind the address `start`. Threads have slices of the batch, as in a forward
    pass: a core reads what it has written itself. With fewer instances than threads, all rows count as one batch.
    """
    steps = out.size // (row * batch)
    b0, b1, checksum = share(batch, threads, i), share(batch, threads, i + 1), out.dtype.type(0)
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
            checksum += total(a, np.int64(0), width)
    checksums[i] = checksum
