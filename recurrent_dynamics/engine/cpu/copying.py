"""Copies of arrays that come from outside, by all threads, with the sum of what was copied.

A sum that is finite has finite terms: whether an array holds a NaN is known without reading it again. One thread of
NumPy took for the copies, zeros and checks around an Elman network of 128 units a third of the time of its kernels.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numba import njit, prange

from ..check import is_finite
from .arguments import plain
from .memory import PARALLEL, get, put, zeros
from .pool import POOL, launch, threads_for
from .product import total
from .rows import BUILT

FEW = 1 << 14  # entries that NumPy copies and looks at in less time than a kernel takes to start


def place(a: np.ndarray, out: np.ndarray, offset: int, fresh: bool) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    Returns whether the array is surely finite.
    """
    width, row = a.shape[-1], out.shape[-1]
    if a.size < FEW:
        columns = out[..., offset : offset + width]
        if fresh:
            if width < row:
                out[...] = 0
            columns[...] = a.reshape(columns.shape)
        else:
            columns += a.reshape(columns.shape)
        return is_finite(a)
    with POOL:
        threads = threads_for(a.size // width, 16 * row)
        sums = launch(
            threads, place_rows, BUILT, plain(a).reshape(-1), width, out.reshape(-1), row, offset, fresh, threads
        )  # fmt: skip
    return are_finite(sums)


def are_finite(sums: np.ndarray) -> bool:
    """For the sums of the threads: these are few, and NumPy would take ten times as long."""
    return all(map(isfinite, sums.tolist()))


@njit(**PARALLEL)
def place_rows(build, a, width, out, row, offset, fresh, threads):
    """out[r, offset : offset + width] += a[r]; if `fresh`, = a[r], and zeros in the rest of the row. Sums of a."""
    rows = a.size // width
    sums = zeros(threads, a)
    for i in prange(threads):
        own, seen = np.int64(i), a.dtype.type(0)
        for r in range(rows * own // threads, rows * (own + 1) // threads):
            at, to = r * width, r * row + offset
            if fresh:
                for j in range(r * row, to):
                    put(out, j, out.dtype.type(0))
                for j in range(width):
                    put(out, to + j, get(a, at + j))
                for j in range(to + width, (r + 1) * row):
                    put(out, j, out.dtype.type(0))
            else:
                for j in range(width):
                    put(out, to + j, get(out, to + j) + get(a, at + j))
            seen += total(a, at, width)
        sums[i] = seen
    return sums
