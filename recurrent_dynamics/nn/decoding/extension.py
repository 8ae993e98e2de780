# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The choice among all extensions of open hypotheses, compiled: the most probable ones of each source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ...kernels.access import OPTIONS, get, put
from ...kernels.barrier import share
from ...kernels.parallel import by_threads
from ...kernels.threads import POOL, launch, threads_for

OPERATIONS = 8  # of a candidate, about


class Extensions(NamedTuple):
    """Of each source, by falling log-probability: those that are kept, and the largest of those that are not."""

    counts: np.ndarray  # (A,) how many are kept
    log_probability: np.ndarray  # (n,) of all sources, one after the other
    row: np.ndarray  # (n,) of the hypotheses before
    symbol: np.ndarray  # (n,)
    largest_end: np.ndarray  # (A,) log-probability of what would end and is not kept, or -inf
    largest_open: np.ndarray  # (A,) of the others that are not kept


def extended(
    log_probability: np.ndarray, found: np.ndarray, first: np.ndarray, width: int, stop: int, blocked: bool
) -> Extensions:
    """Extend hypotheses of log-probability (n,) by symbols (n, V); those of source a begin at ``first[a]``, (A + 1,).

    Kept are of each source the ends, by the symbol `stop`, among the `width` most probable candidates, and the `width`
    most probable others. Of equally probable ones the first are taken. Without an end symbol `stop` is -1; while the
    end is `blocked` nothing ends.

    Examples
    --------
    >>> found = extended(np.log([0.6, 0.4]), np.log([[0.9, 0.1], [0.5, 0.5]]), np.array([0, 2]), 2, 1, False)
    >>> np.exp(found.log_probability).round(2), found.row, found.symbol
    (array([0.54, 0.2 ]), array([0, 1]), array([0, 0]))
    >>> np.exp(found.largest_end), np.exp(found.largest_open)
    (array([0.2]), array([0.]))
    """
    sources, classes = len(first) - 1, found.shape[1]
    most = int(np.diff(first).max(initial=0)) * classes
    places = min(width if stop < 0 else 2 * width, most)  # at most `width` ends, and as many others
    value, place = np.empty((sources, places)), np.empty((sources, places), np.int64)
    counts = np.empty(sources, np.int64)
    largest_end, largest_open = np.empty(sources), np.empty(sources)
    with POOL:
        launch(
            threads_for(sources, OPERATIONS * found.size // max(sources, 1)), _extend, log_probability,
            found.reshape(-1), first, classes, width, stop, blocked, places, value.reshape(-1), place.reshape(-1),
            counts, largest_end, largest_open,
        )  # fmt: skip
    kept = np.arange(places) < counts[:, None]
    slot, symbol = np.divmod(place[kept], classes)
    return Extensions(counts, value[kept], slot, symbol, largest_end, largest_open)


@njit(**OPTIONS)
def _sift(value, place, at, size, j):
    """Let entry j of a heap of `size` entries at `at` sink: its root has the least value, of equal ones the last."""
    v, p = get(value, at + j), get(place, at + j)
    while 2 * j + 1 < size:
        child = 2 * j + 1
        if child + 1 < size and _is_worse(
            value, place, at + child + 1, get(value, at + child), get(place, at + child)
        ):
            child += 1
        if not _is_worse(value, place, at + child, v, p):
            break
        put(value, at + j, get(value, at + child))
        put(place, at + j, get(place, at + child))
        j = child
    put(value, at + j, v)
    put(place, at + j, p)


@njit(**OPTIONS)
def _is_worse(value, place, i, v, p):
    """Whether entry i comes behind a value and its place."""
    return get(value, i) < v or (get(value, i) == v and get(place, i) > p)


@njit(**OPTIONS)
def _heapify(value, place, at, size):
    for j in range(size // 2 - 1, -1, -1):
        _sift(value, place, at, size, j)


@by_threads
def _extend(
    i, threads, log_probability, found, first, classes, width, stop, blocked, places, value, place, counts,
    largest_end, largest_open,
):  # fmt: skip
    for a in range(share(counts.size, threads, i), share(counts.size, threads, i + 1)):
        at, size, end, other = a * places, 0, -np.inf, -np.inf
        least = -np.inf  # what a candidate has to be above
        for row in range(get(first, a), get(first, a + 1)):
            base = get(log_probability, row)
            for symbol in range(classes):
                where, is_end = row * classes + symbol, symbol == stop
                candidate = base + get(found, where)
                if is_end and blocked:
                    candidate = -np.inf
                lost, lost_end = candidate, is_end
                if candidate > least and size < places:
                    put(value, at + size, candidate)
                    put(place, at + size, where)
                    size += 1
                    lost = -np.inf
                    if size == places:
                        _heapify(value, place, at, size)
                        least = get(value, at)
                elif candidate > least:
                    lost, lost_end = get(value, at), get(place, at) % classes == stop
                    put(value, at, candidate)
                    put(place, at, where)
                    _sift(value, place, at, size, 0)
                    least = get(value, at)
                if lost_end:
                    end = max(end, lost)
                else:
                    other = max(other, lost)
        if size < places:
            _heapify(value, place, at, size)
        for last in range(size - 1, 0, -1):  # the worst to the end
            v, p = get(value, at), get(place, at)
            put(value, at, get(value, at + last))
            put(place, at, get(place, at + last))
            put(value, at + last, v)
            put(place, at + last, p)
            _sift(value, place, at, last, 0)
        kept, still_open = 0, 0
        for rank in range(size):
            candidate, where = get(value, at + rank), get(place, at + rank)
            if where % classes == stop:
                taken = rank < width
                end = end if taken else max(end, candidate)
            else:
                taken = still_open < width
                still_open += 1
                other = other if taken else max(other, candidate)
            if taken:
                put(value, at + kept, candidate)
                put(place, at + kept, where)
                kept += 1
        counts[a], largest_end[a], largest_open[a] = kept, end, other
