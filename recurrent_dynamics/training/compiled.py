# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""One pass over many arrays: their squares, or an update rule of an optimizer, entry by entry.

Arrays come as their addresses, however many there are, and are cut into blocks that threads share. Each block has a sum
of its own, so that no result depends on the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import numpy as np
from numba import njit
from numba.extending import overload

from ..kernels.access import OPTIONS, SUM, get, put, stream_access
from ..kernels.barrier import share
from ..kernels.copying import OPERATIONS, sum_in_order
from ..kernels.flat_arrays import array_at, zeros
from ..kernels.memory import address
from ..kernels.parallel import by_threads
from ..kernels.threads import POOL, launch, threads_for
from . import rules

BLOCK = 2048  # entries: the steps of a block stay in the first cache
G, W, A, B, NEW_A, NEW_B, STEP = range(7)
load, store = stream_access(("g", "w", "a", "b", "new_a", "new_b", "step"))


class Compiled:
    """Leaves of one dtype, see `passes.LeafGroup`; new arrays of one kind share their memory."""

    def __init__(self, leaves: list[tuple[np.ndarray, ...]]) -> None:
        # Flat views, or copies, which must live as long as their addresses.
        self.arrays = [a.ravel() for leaf in leaves for a in leaf]
        self.shapes = [leaf[0].shape for leaf in leaves]
        self.dtype, self.columns = leaves[0][0].dtype, len(leaves[0])
        self.sizes = tuple([leaf[0].size for leaf in leaves])
        self.blocks = blocks_of(self.sizes)
        self.addresses = np.array([*map(address, self.arrays)], np.int64).reshape(len(leaves), self.columns)
        self.threads = threads_for(len(self.blocks), OPERATIONS * BLOCK)

    def squares(self) -> float:
        sums, like = np.empty(len(self.blocks)), np.empty(0, self.dtype)
        with POOL:
            launch(self.threads, _squares, self.addresses, like, self.blocks, sums)
        return sum_in_order(sums)

    def advance(self, rule, scale, decays, added):
        averages = self.columns - 2
        new = [np.empty(sum(self.sizes), self.dtype) for _ in range(1 + averages)]
        none = [np.empty(0, self.dtype)] * (2 - averages)
        kind, sums = self.dtype.type, np.empty(len(self.blocks))
        with POOL:
            launch(
                self.threads, _advance, rules.in_dtype(rule, kind), kind(scale), np.array(decays, kind),
                self.addresses, self.blocks, *new, *none, added, sums,
            )  # fmt: skip
        places = [*zip(accumulate(self.sizes, initial=0), accumulate(self.sizes), self.shapes)]
        parted = [[a[start:end].reshape(shape) for start, end, shape in places] for a in new]
        return parted, sum_in_order(sums)


@lru_cache(maxsize=64)
def blocks_of(sizes: tuple[int, ...]) -> np.ndarray:
    """(array, start in it, entries, start among the entries of all) of each block."""
    blocks, end = [], 0
    for i, size in enumerate(sizes):
        blocks += [(i, s, min(BLOCK, size - s), end + s) for s in range(0, size, BLOCK)]
        end += size
    return np.array(blocks, np.int64).reshape(-1, 4)


@njit(**OPTIONS)
def _block(addresses, leaf, column, start, n, like):
    """n entries from `start` on of one of the arrays."""
    return array_at(addresses[leaf, column] + start * like.itemsize, n, like)


@njit(**SUM)
def _sum_of_squares(a, n):
    """In an order that is fixed by n alone; reassociated, so that it vectorizes."""
    s = 0.0
    for j in range(n):
        x = np.float64(get(a, j))
        s += x * x
    return s


@by_threads
def _squares(i, threads, addresses, like, blocks, sums):
    for b in range(share(sums.size, threads, i), share(sums.size, threads, i + 1)):
        leaf, start, n = blocks[b, 0], blocks[b, 1], blocks[b, 2]
        sums[b] = _sum_of_squares(_block(addresses, leaf, 0, start, n, like), n)


def _averages(rule): ...


def _entry(rule, g, first, second): ...


@overload(_averages, jit_options=OPTIONS)
def _averages_of(rule):
    count = len(rules.averages_of(rule.instance_class))
    return lambda rule: count


@overload(_entry, jit_options=OPTIONS)
def _entry_of(rule, g, first, second):
    step = njit(**OPTIONS)(rule.instance_class.step)
    return (
        lambda rule, g, first, second: step(rule, g) + (first, second),
        lambda rule, g, first, second: step(rule, g, first) + (second,),
        lambda rule, g, first, second: step(rule, g, first, second),
    )[len(rules.averages_of(rule.instance_class))]


@njit(**OPTIONS)
def _steps(rule, scale, decay, g, w, a, b, new_a, new_b, to, steps, n):
    """One block; how many averages the rule has is known to the compiler, which leaves out the others."""
    count = _averages(rule)
    for j in range(n):
        first = load(a, j, A) if count > 0 else scale
        second = load(b, j, B) if count > 1 else scale
        step, first, second = _entry(rule, scale * load(g, j, G), first, second)
        store(steps, j, step - decay * load(w, j, W), STEP)
        if count > 0:
            store(new_a, to + j, first, NEW_A)
        if count > 1:
            store(new_b, to + j, second, NEW_B)


# The rules are compiled into it, and stand in a file of their own.
@by_threads(depends=(rules.__file__,))
def _advance(i, threads, rule, scale, decays, addresses, blocks, out, new_a, new_b, added, sums):
    steps, columns = zeros(BLOCK, out.dtype), addresses.shape[1] - 1
    for k in range(share(sums.size, threads, i), share(sums.size, threads, i + 1)):
        leaf, start, n, to = blocks[k, 0], blocks[k, 1], blocks[k, 2], blocks[k, 3]
        g, w = _block(addresses, leaf, 0, start, n, out), _block(addresses, leaf, 1, start, n, out)
        a = _block(addresses, leaf, min(2, columns), start, n, out)
        b = _block(addresses, leaf, min(3, columns), start, n, out)
        _steps(rule, scale, decays[leaf], g, w, a, b, new_a, new_b, to, steps, n)
        sums[k] = _sum_of_squares(steps, n)
        for j in range(n):
            put(out, to + j, get(steps, j) + get(w, j) if added else get(steps, j))
