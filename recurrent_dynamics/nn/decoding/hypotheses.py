"""What a beam search keeps: the open hypotheses, the best complete ones, and how each came about."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]


class Open(NamedTuple):
    """The open hypotheses of all sources, by source and then by falling log-probability."""

    source: Ints  # (n,)
    log_probability: Floats  # (n,)
    node: Ints  # (n,): the place in the last step of the history


class History:
    """The symbols that were picked at each step, with the places of their parents in the step before."""

    def __init__(self) -> None:
        self.steps: list[tuple[Ints, Ints]] = []

    def add(self, parent: Ints, symbol: Ints) -> None:
        self.steps.append((parent, symbol))

    def sequences(self, step: Ints, node: Ints, fill: int) -> Ints:
        """The symbols (T, n) that lead to n nodes, each the place `node` in the step number `step`."""
        found, at = np.full((len(self.steps), len(node)), fill, np.intp), node.copy()
        for t in range(len(self.steps), 0, -1):
            parent, symbol = self.steps[t - 1]
            mine = np.flatnonzero(step >= t)
            found[t - 1, mine] = symbol[at[mine]]
            at[mine] = parent[at[mine]]
        return found


class Pool:
    """The `size` best hypotheses of each of B sources, by falling score; of equal ones those that came first."""

    def __init__(self, sources: int, size: int) -> None:
        shape = (sources, size)
        self.log_probability, self.score = np.full(shape, -np.inf), np.full(shape, -np.inf)
        self.step, self.node = np.zeros(shape, np.intp), np.zeros(shape, np.intp)

    def add(self, source: Ints, log_probability: Floats, score: Floats, step: int, node: Ints) -> Floats:
        """Take in at most `size` more of each source; the largest score (B,) of what has no place.

        `source` is in ascending order, with repeats.
        """
        size = self.score.shape[1]
        place = np.arange(len(source)) - np.searchsorted(source, source)
        more = Pool(*self.score.shape)
        more.log_probability[source, place], more.score[source, place] = log_probability, score
        more.step[source, place], more.node[source, place] = step, node
        order = np.argsort(-np.concatenate([self.score, more.score], axis=1), axis=1, kind="stable")
        for name in ("log_probability", "score", "step", "node"):
            both = np.concatenate([getattr(self, name), getattr(more, name)], axis=1)
            both = np.take_along_axis(both, order, axis=1)
            setattr(self, name, both[:, :size])
            if name == "score":
                lost = both[:, size]
        return lost
