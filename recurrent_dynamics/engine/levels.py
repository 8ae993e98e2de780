"""The rows of a graph by level: a level takes the place of a step, and arcs say which rows a state comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError
from ..kernels.lazy import cached_property

Indices = NDArray[np.int64]

# Threads have whole trees if the largest share is at most so many times the mean one.
BALANCED = 1.25


@dataclass(frozen=True, eq=False)
class Levels:
    """Nodes ordered by level, and the arcs between them, ordered by the row that they lead to.

    A row is a node in this order. All predecessors of a row stand on lower levels. Within a level rows are ordered by
    tree.
    """

    order: Indices  # (rows,) the node of each row
    starts: Indices  # (levels + 1,) the first row of each level
    begin: Indices  # (rows + 1,) the first arc into each row
    source: Indices  # (arcs,) the row that an arc leaves
    target: Indices  # (arcs,) the row that it leads to
    position: Indices  # (arcs,) the place of the state before a row that it fills
    tree: Indices  # (rows,) the tree of each row: which initial state stands in places without an arc
    trees: int
    given: Indices  # (arcs,) the number of each arc as it was given

    @cached_property
    def rows(self) -> Indices:
        """The row of each node."""
        found = np.empty_like(self.order)
        found[self.order] = np.arange(len(self.order))
        return found

    @cached_property
    def leaving(self) -> tuple[Indices, Indices]:
        """(where the arcs that leave each row begin in the list, the list of arcs)."""
        arcs = np.argsort(self.source, kind="stable")
        return np.searchsorted(self.source[arcs], np.arange(len(self.order) + 1)), arcs

    @lru_cache(maxsize=8)  # noqa: B019  (a graph is small beside the arrays of its runs)
    def bounds(self, threads: int) -> tuple[NDArray[np.int64], bool]:
        """(the rows of each thread on each level (threads + 1, levels), whether threads share trees).

        Threads have whole trees where those can be shared out evenly.
        """
        first, end = self.starts[:-1], self.starts[1:]
        if threads == 1:
            return np.stack([first, end]), False
        before = np.cumsum(np.bincount(self.tree, minlength=self.trees))
        cuts = np.searchsorted(before, before[-1] * np.arange(1, threads) / threads) + 1
        shares = np.diff(np.concatenate([[0], before[np.minimum(cuts, self.trees) - 1], before[-1:]]))
        if shares.max() * threads <= BALANCED * before[-1]:
            inner = [self._first_of(cut) for cut in cuts]
            return np.stack([first, *inner, end]), False
        inner = [first + (end - first) * i // threads for i in range(1, threads)]
        return np.stack([first, *inner, end]), True

    def _first_of(self, tree: int) -> Indices:
        """On each level the first row that belongs to this tree or a later one."""
        return np.array(
            [a + np.searchsorted(self.tree[a:b], tree) for a, b in zip(self.starts, self.starts[1:])],
            np.int64,
        )

    @lru_cache(maxsize=8)  # noqa: B019
    def groups(self, count: int, lowest: bool = True) -> tuple[Indices, Indices]:
        """(rows group after group, where each group begins and the end): whole trees, about as many rows each.

        Without the `lowest` level those of the levels above it alone.
        """
        before = np.cumsum(np.bincount(self.tree, minlength=self.trees))
        cuts = np.searchsorted(before, before[-1] * np.arange(1, count) / count) + 1
        skipped = 0 if lowest else self.starts[1]
        of_row = np.searchsorted(cuts, self.tree[skipped:], side="right")
        rows = skipped + np.argsort(of_row, kind="stable")
        return rows, np.concatenate([[0], np.cumsum(np.bincount(of_row, minlength=count))])


def ordered(
    name: str, tree: Indices, trees: int, source: Indices, target: Indices, position: Indices
) -> tuple[Levels, Indices]:
    """(the levels of nodes with arcs between them, the level of each node).

    The level of a node is the length of the longest path that leads to it. `name` is the argument that an error names.
    """
    n = len(tree)
    missing = np.bincount(target, minlength=n)
    by_source = np.argsort(source, kind="stable")
    begin = np.searchsorted(source[by_source], np.arange(n + 1))
    level = np.full(n, -1)
    ready, at = np.flatnonzero(missing == 0), 0
    while ready.size:
        level[ready] = at
        arcs = by_source[_ranges(begin[ready], begin[ready + 1])]
        reached = target[arcs]
        np.subtract.at(missing, reached, 1)
        ready, at = np.unique(reached[missing[reached] == 0]), at + 1
    if (level < 0).any():
        raise ArgumentError(name, "have no cycle", f"one through node {_on_cycle(source, target, level)}")
    order = np.lexsort((np.arange(n), tree, level))
    rows = np.empty(n, np.int64)
    rows[order] = np.arange(n)
    arcs = np.lexsort((np.arange(len(source)), position, rows[target]))
    to = rows[target][arcs]
    found = Levels(
        order,
        np.searchsorted(level[order], np.arange(at + 1)),
        np.searchsorted(to, np.arange(n + 1)),
        rows[source][arcs],
        to,
        np.ascontiguousarray(position[arcs]),
        np.ascontiguousarray(tree[order]),
        trees,
        arcs,
    )
    return found, level


def _ranges(first: Indices, end: Indices) -> Indices:
    """The numbers first[0] to end[0], then first[1] to end[1], ..."""
    counts = end - first
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(first - before, counts)


def _on_cycle(source: Indices, target: Indices, level: Indices) -> int:
    """A node on a cycle of nodes that have no level: back along arcs until a node comes again."""
    left = dict(zip(target[level[source] < 0].tolist(), source[level[source] < 0].tolist()))
    node, seen = next(iter(left)), set()
    while node not in seen:
        seen.add(node)
        node = left[node]
    return node
