"""Copies of a user's arrays, on all threads, with a checksum that shows whether they are finite.

A finite sum has finite terms, so an array with a NaN is found without reading it again. The copies, zeros and checks of
NumPy, on one thread, took a third of the time of the kernels of an Elman network of 128 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import isfinite
from operator import add

import numpy as np

from ..checks import is_finite
from . import memory
from .access import INTERPRETED, get, put
from .barrier import share
from .flat_arrays import array_at
from .parallel import by_threads
from .product import ZERO, clear, total
from .threads import POOL, launch, threads_for
from .tuning import current

OPERATIONS = 16  # an entry counts as so many operations: its time is that of memory
REALS = (np.dtype(np.float32), np.dtype(np.float64))
MOST_AXES = 3  # of which any may lie anyhow; further ones might not merge
NONE = np.empty(0, np.int64)  # no ends of sequences, or no index


def add_columns(
    a: np.ndarray,
    out: np.ndarray,
    offset: int,
    fresh: bool,
    ends: np.ndarray = NONE,
    index: np.ndarray = NONE,
) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    With `ends` (B,) `out` is (T, B, row), and what lies beyond the end of a sequence counts as 0, whatever it is. With
    an `index`, an order of the rows of two axes, it is a[index] that is added.
    Returns True if the array is finite; False says that it has to be looked at.
    """
    width, row = a.shape[-1], out.shape[-1]
    columns = out[..., offset : offset + width]
    a = a.reshape(columns.shape)
    if not _is_large(a):
        if ends.size:
            a = np.where(np.arange(len(a))[:, None, None] < ends[:, None], a, a.dtype.type(0))
        if index.size:
            a = np.take(a, index, axis=0)
        if fresh:
            if width < row:
                out[...] = 0
            columns[...] = a
        else:
            columns += a
        return is_finite(a)
    before, behind = (offset, row - offset - width) if fresh else (0, 0)
    return _move(a, columns, ends, index, before, behind, adds=not fresh)


def copy_vectors(a: np.ndarray, out: np.ndarray) -> bool:
    """out[...] = a, whose axes but the last may lie anyhow. Returns as `add_columns` does."""
    if not _is_large(a) or (a.dtype, a.shape) != (out.dtype, out.shape) or a.ndim > MOST_AXES:
        out[...] = a
        return is_finite(a)
    return _move(a, out)


def gathered(a: np.ndarray, index: np.ndarray) -> np.ndarray:
    """a[index] of (rows, width) or (rows,); all of the index lies within the rows."""
    if a.ndim != 2 or not _is_large(a) or not index.size:
        return np.take(a, index, axis=0)
    out = memory.empty((len(index), a.shape[1]), a.dtype)
    _move(a, out, index=index)
    return out


def turned(a: np.ndarray, ends: np.ndarray = NONE) -> np.ndarray:
    """A copy of a (T, B, ...) in which each sequence is read from its own end; beyond it everything stays in place."""
    fit = not ends.size or (ends.dtype.kind in "iu" and ends.shape == a.shape[1:2] and ends.max() <= len(a))
    if a.ndim == 3 and _is_large(a) and fit:
        out = memory.empty(a.shape, a.dtype)
        _move(a, out, plain(ends.astype(np.int64, copy=False)), from_end=True)
        return out
    if not ends.size:
        return np.array(a[::-1], order="C")
    steps = np.arange(len(a))[:, None]
    return a[np.where(steps < ends, ends - 1 - steps, steps), np.arange(a.shape[1])]


def concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The arrays behind each other on the last axis."""
    first = arrays[0]
    if not all((a.dtype, a.shape[:-1]) == (first.dtype, first.shape[:-1]) and _is_large(a) for a in arrays):
        return np.concatenate(arrays, axis=-1)
    out, at = memory.empty((*first.shape[:-1], sum(a.shape[-1] for a in arrays)), first.dtype), 0
    for a in arrays:
        copy_vectors(a, out[..., at : at + a.shape[-1]])
        at += a.shape[-1]
    return out


def _is_large(a: np.ndarray) -> bool:
    """Whether a kernel copies an array, of float32 or float64, sooner than NumPy."""
    return a.size >= current().min_compiled_copy and a.dtype in REALS and not INTERPRETED


def _three_axes(a: np.ndarray) -> np.ndarray:
    return a.reshape((-1, *a.shape[-2:])) if a.ndim > 3 else a.reshape((1,) * (3 - a.ndim) + a.shape)


def _move(
    a: np.ndarray,
    out: np.ndarray,
    ends: np.ndarray = NONE,
    index: np.ndarray = NONE,
    before: int = 0,
    behind: int = 0,
    adds: bool = False,
    from_end: bool = False,
) -> bool:
    """Run `move_vectors`; `out` is a view of other memory, whose last axis is contiguous."""
    if a.strides[-1] != a.itemsize or not a.flags.aligned:
        a = np.array(a, order="C")
    a, out = _three_axes(a), _three_axes(out)
    steps, batch, width = out.shape
    with POOL:
        threads = threads_for(steps * batch, OPERATIONS * (before + width + behind))
        checksums = np.empty(threads, out.dtype)
        launch(
            threads, move_vectors,
            *_place(a), *_place(out), steps, batch, width, before, behind, adds, from_end, ends, index, checksums,
        )  # fmt: skip
    return are_finite(checksums)


def _place(a: np.ndarray) -> tuple[int, int, int]:
    """(address, how many entries the steps and the rows of an array (T, B, width) are apart)."""
    strides, size = a.strides, a.itemsize
    return memory.address(a), strides[0] // size, strides[1] // size


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


def are_finite(checksums: np.ndarray) -> bool:
    """Whether the checksums of all threads are finite. They are few, and NumPy would take ten times as long."""
    return all(map(isfinite, checksums.tolist()))


def sum_in_order(checksums: np.ndarray) -> float:
    """Add the sums of threads or blocks in their order: the same bits with any version of Python or NumPy."""
    return reduce(add, checksums.tolist(), 0.0)


@by_threads
def move_vectors(
    i, threads, start, step, row, to, to_step, to_row, steps, batch, width, before, behind, adds, from_end, ends,
    index, checksums,
):  # fmt: skip
    """out[t, b] = a[t, b], or += where it `adds`, for vectors of `width` entries at addresses. Sums of what is read.

    Entry (t, b) of a lies t step + b row entries behind the address `start`, that of out likewise. Zeros go to the
    entries `before` and `behind` it. With `ends` (b,) what lies beyond counts as 0. With `from_end` each sequence is
    read from its own end, and what lies beyond stays in place. An `index` (b,) names the row of a in place of b.

    Threads have slices of the batch, as in a forward pass: a core reads what it has written itself. With fewer
    instances than threads they have slices of time.
    """
    t0, t1, b0, b1 = ZERO(), np.int64(steps), share(batch, threads, i), share(batch, threads, i + 1)
    if batch < threads:
        t0, t1, b0, b1 = share(steps, threads, i), share(steps, threads, i + 1), ZERO(), np.int64(batch)
    size, checksum = checksums.itemsize, checksums.dtype.type(0)
    for t in range(t0, t1):
        for b in range(b0, b1):
            source, is_read = t, ends.size == 0 or t < ends[b]
            if from_end:
                if is_read:
                    source = (steps if ends.size == 0 else ends[b]) - 1 - t
                is_read = True
            from_row = b if index.size == 0 else index[b]
            a = array_at(start + (source * step + from_row * row) * size, width, checksums)
            out = array_at(
                to + (t * to_step + b * to_row - before) * size, before + width + behind, checksums
            )
            clear(out, ZERO(), before)
            if not is_read:
                if not adds:
                    clear(out, before, width)
            else:
                for j in range(width):
                    put(out, before + j, get(a, j) + get(out, before + j) if adds else get(a, j))
                checksum += total(a, ZERO(), width)
            clear(out, before + width, behind)
    checksums[i] = checksum
