"""Memory for arrays: aligned to cache lines, and pooled in large blocks for the next call.

The C library returns a large array to the system as soon as it is freed. The next call gets new pages, which the system
fills with zeros when they are first touched. That took a seventh of the forward and backward pass of a float64 LSTM at
(T, B, N, H) = (50, 64, 512, 512), and up to a third of the time of all Jacobians of a run. So the memory of an array of
at least `min_pooled_bytes` (see `tuning`) is kept when its last view is gone, for the next array of about that size.

Memory in use and memory kept are together never more than what was in use at once before. At most 512 MB are kept, or
as many as the environment variable RECURRENT_DYNAMICS_KEEP_MB says (0: none). `release_memory` frees them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from ctypes import addressof, c_char
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .tuning import current

LINE = 64  # bytes of the cache's lines
PAGE = 1 << 12  # bytes; smaller arrays are not aligned
LOOSE = 1.25  # a kept block is taken for an array that needs at least 1 / LOOSE of it
DEFAULT_LIMIT = "512"  # MB


def _limit() -> int:
    """How many bytes may be kept."""
    given = os.environ.get("RECURRENT_DYNAMICS_KEEP_MB", DEFAULT_LIMIT)
    try:
        megabytes = float(given)
        if not 0 <= megabytes < float("inf"):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"RECURRENT_DYNAMICS_KEEP_MB must be a number of megabytes, at least 0; came {given!r}"
        ) from None
    return int(megabytes * 1e6)


def address(a: np.ndarray) -> int:
    """The address of the first entry. NumPy takes five times as long to give it."""
    if a.flags.carray and a.size:
        return addressof(c_char.from_buffer(a))  # type: ignore[arg-type]
    address_and_access: tuple[int, bool] = a.__array_interface__["data"]
    return address_and_access[0]


def _bytes(new: Callable[..., np.ndarray], size: int) -> np.ndarray:
    """So many bytes, aligned to a cache line: a vector that crosses two lines takes two accesses."""
    memory = new(size + LINE, np.uint8)
    start = -address(memory) % LINE
    return memory[start : start + size]


class Block:
    """Memory that returns to its store when the last array in it is gone."""

    def __init__(self, store: Store, memory: np.ndarray) -> None:
        self._store, self._memory = store, memory
        self.__array_interface__ = memory.__array_interface__  # an array made of this keeps this alive

    def __del__(self) -> None:
        self._store.take_back(self._memory)


class Store:
    """A pool of memory for arrays, for any number of threads: it keeps the latest blocks, at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = self._most_used = 0  # bytes
        self._kept: list[np.ndarray] = []  # the latest last
        self._returned: deque[np.ndarray] = deque()  # returned blocks that are still counted as used
        self._lock = threading.Lock()

    @property
    def kept(self) -> int:
        """How many bytes are kept."""
        return sum(memory.nbytes for memory in self._kept)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """As ``numpy.empty``."""
        return self._array(np.empty, shape, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """As ``numpy.zeros``."""
        return self._array(np.zeros, shape, dtype)

    def _array(self, new: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        dtype = np.dtype(dtype)
        size = prod(shape) * dtype.itemsize
        if size < PAGE:
            return new(shape, dtype)
        if size < current().min_pooled_bytes or not self._limit:
            return _bytes(new, size).view(dtype).reshape(shape)
        memory, is_new = self._take(new, size)
        block: Any = Block(self, memory)
        array = np.asarray(block)[:size].view(dtype).reshape(shape)
        if new is np.zeros and not is_new:
            array[...] = 0
        return array

    def release(self) -> None:
        """Free all memory that is kept."""
        with self._lock:
            self._put_away_inside()
            self._keep_only(0)

    def take_back(self, memory: np.ndarray) -> None:
        """Take back memory that no array uses any more.

        Destructors call this, at any moment of any thread, even of one that is inside the lock: it waits for nobody.
        """
        self._returned.append(memory)
        self._put_away()

    def _take(self, new: Callable[..., np.ndarray], size: int) -> tuple[np.ndarray, bool]:
        """(memory, whether it is new)."""
        with self._lock:
            self._put_away_inside()
            fitting = [memory for memory in self._kept if size <= memory.nbytes <= LOOSE * size]
            if fitting:
                memory = min(fitting, key=lambda m: m.nbytes)
                self._kept = [m for m in self._kept if m is not memory]
            else:
                self._keep_only(max(0, self._most_used - self._used - size))
                memory = _bytes(new, size)
            self._used += memory.nbytes
            self._most_used = max(self._most_used, self._used)
        self._put_away()
        return memory, not fitting

    def _put_away(self) -> None:
        """Keep the returned blocks, unless another thread holds the lock: that thread does it."""
        while self._returned and self._lock.acquire(blocking=False):
            try:
                self._put_away_inside()
            finally:
                self._lock.release()

    def _put_away_inside(self) -> None:
        while self._returned:
            memory = self._returned.popleft()
            self._used -= memory.nbytes
            self._kept.append(memory)
        self._keep_only(self._limit)

    def _keep_only(self, size: int) -> None:
        """Free the oldest blocks, down to so many bytes."""
        kept = self.kept
        while kept > size:
            kept -= self._kept.pop(0).nbytes

    def after_fork(self) -> None:
        """In a forked child: a thread that held the lock is gone, and the pages belong to the parent."""
        self._lock = threading.Lock()
        self._kept = []


STORE = Store(_limit())
empty, zeros = STORE.empty, STORE.zeros
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=STORE.after_fork)


def reuse_freed_memory() -> None:
    """Let the C library reuse freed arrays below 32 MB instead of unmapping them; call it once.

    New pages fault in one by one: 2700 faults, half of the time, for an Elman network at (T, B, N, H) = (100, 32, 128,
    128). Freeing one block of just below 32 MB raises the dynamic threshold of glibc (M_MMAP_THRESHOLD of mallopt(3)).
    """
    np.empty(31 << 20, np.uint8)


def release_memory() -> None:
    """Give the memory that is kept for later calls back to the system.

    The CPU engine keeps blocks of 16 MB and more when the runs, gradients and Jacobians that lay in them are gone, at
    most 512 MB, and never more than what was in use at once before. The environment variable
    ``RECURRENT_DYNAMICS_KEEP_MB``, set before the import, is another limit; 0 keeps nothing.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> rd.engine.release_memory()
    """
    STORE.release()
