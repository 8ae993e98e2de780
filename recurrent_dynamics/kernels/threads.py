"""The threads of a call: their number, when they start, and which Python thread may use them."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
from numba import get_num_threads, set_num_threads, threading_layer

from .tuning import current

# Polls of an idle thread for work before it sleeps: 90 microseconds on Zen 4. A thread that sleeps starts 25
# microseconds late. Between two kernels of a training step Python mostly takes less than 60.
SPINS = "6000"

# Whether this is the child of a fork whose parent had started Numba's threads. They are not here, GNU OpenMP ends a
# process that asks for them, and Numba's portable layer waits for them for ever: one thread then does all the work.
_FORKED_FROM_THREADS = False


@lru_cache(maxsize=1)
def start_threads() -> None:
    """Start Numba's threads so that idle ones soon sleep.

    GNU OpenMP lets idle threads poll for work for milliseconds, which is ruinous beside any other busy process. It
    reads the limit from the environment when the threads start, and only then.
    """
    ours = {} if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ) else {"GOMP_SPINCOUNT": SPINS}
    os.environ.update(ours)
    try:
        get_num_threads()
    finally:
        for name in ours:
            del os.environ[name]


@lru_cache(maxsize=1)
def _functions() -> tuple[Callable[[], int], Callable[[int], None]]:
    """(get, set) the number of threads: the C functions that compiled code calls.

    The Python functions pass two locks and take ten times as long. They are used if Numba has other symbols.
    """
    if _FORKED_FROM_THREADS:
        return lambda: 1, lambda threads: None
    start_threads()
    get, set_ = map(llvm.address_of_symbol, ("get_num_threads", "set_num_threads"))
    if not get or not set_:
        return get_num_threads, set_num_threads
    return ctypes.PYFUNCTYPE(ctypes.c_int)(get), ctypes.PYFUNCTYPE(None, ctypes.c_int)(set_)


def num_threads() -> int:
    """The number of threads."""
    return _functions()[0]()


def available_for(flops: float) -> int:
    """The number of threads for so many operations: one thread, or all."""
    return POOL.available() if flops > current().min_parallel_flops else 1


def threads_for(rows: int, flops: float) -> int:
    """The number of threads to share `rows`, each of about `flops` operations."""
    return max(1, min(available_for(rows * flops), rows))


class Pool:
    """Numba's threads, entered by one Python thread at a time, as Numba's portable threading layer demands.

    Inside, `launch` may run kernels on fewer threads. The number is restored once, at the end. The Python thread that
    is inside may enter again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None
        self._depth = self._available = self._set = 0

    def __enter__(self) -> Pool:
        if self._owner != threading.get_ident():
            self._lock.acquire()
            self._available = self._set = num_threads()
            self._owner = threading.get_ident()
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth:
            return
        try:
            self.use(self._available)
        finally:
            self._owner = None
            self._lock.release()

    def available(self) -> int:
        """The number of threads; inside, the number when the pool was entered."""
        return self._available if self._owner == threading.get_ident() else num_threads()

    def use(self, threads: int) -> None:
        """Set the number of threads for the kernels that follow, at most all."""
        threads = min(threads, self._available)
        if threads != self._set:
            _functions()[1](threads)
            self._set = threads


POOL = Pool()


def _after_fork() -> None:
    """In a new process: the parent's threads are not there, nor is the one that may have been inside the pool."""
    global _FORKED_FROM_THREADS
    POOL.__init__()  # type: ignore[misc]
    try:
        threading_layer()
    except ValueError:  # not started yet: the child starts its own
        return
    _FORKED_FROM_THREADS = True
    _functions.cache_clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def launch(threads: int, kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Run a kernel (threads, ...) on so many threads; the call would wait for idle ones too."""
    POOL.use(threads)
    return kernel(threads, *arguments)
