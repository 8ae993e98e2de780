"""Linear algebra on one thread.

The idle threads of a BLAS look for work for some milliseconds after each call, on the cores where the engine's threads
want to run: measured beside a training step on two cores, both took twice as long. One thread also gives the same
numbers on every machine of a kind, however many cores it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    import scipy.linalg  # noqa: F401  SciPy may bring a library of its own, which must be there to be found
    from threadpoolctl import ThreadpoolController

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


MIN_PARALLEL_SIZE = 64 * 64  # numbers: below, no BLAS starts threads


@contextmanager
def _limited() -> Iterator[None]:
    # Like threadpoolctl's `limit`, which needs 30 microseconds more for its reports.
    before = [(library, library.get_num_threads()) for library in _libraries()]
    try:
        for library, _ in before:
            library.set_num_threads(1)
        yield
    finally:
        for library, threads in before:
            library.set_num_threads(threads)


def one_thread(size: int) -> AbstractContextManager[Any]:
    """Within it, calls of BLAS and LAPACK on so many numbers run on one thread; after it, on as many as before.

    Examples
    --------
    >>> import numpy as np
    >>> with one_thread(size=100 * 100):
    ...     product = np.eye(100) @ np.eye(100)
    """
    return nullcontext() if size <= MIN_PARALLEL_SIZE else _limited()
