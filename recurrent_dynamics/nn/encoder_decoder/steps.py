"""A decoder one step at a time, on what it has said itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.stepper_state import State
from ..closed_loop import ClosedLoop, rows_taken
from ..layers.base import Layer
from ..layers.context import States
from ..streaming import Memory
from ..table import embed

LEAST = 1e-6  # of what was read of a position, so that one that was not read has a logarithm


@dataclass(frozen=True)
class Rows:
    """What a decoder keeps of n hypotheses side by side.

    The states by layer, the vector that it reads every step, and how much it has read of each position (n, S). With
    `parents` (m,), the hypotheses are m that go on from these.
    """

    states: list[State]
    vector: NDArray[Any] | None
    covered: NDArray[Any] | None
    parents: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.states[0].rows) if self.parents is None else len(self.parents)

    def take(self, index: NDArray[np.intp]) -> Rows:
        """Rows (m,) of this one, in the order of their indices, without a copy."""
        return replace(self, parents=rows_taken(self.parents, len(self.states[0].rows), index))

    def of(self, a: NDArray[Any] | None) -> NDArray[Any] | None:
        """The rows of an array that belong to the hypotheses."""
        return a if a is None or self.parents is None else a[self.parents]


class DecoderSteps:
    """The output (n, V) and the rows after, of symbols (n,) or numbers (n, K) and the rows before.

    The parameters are packed once. A row has the same bits, whatever the other rows are.
    """

    def __init__(
        self,
        layer: Layer,
        params: Mapping[str, Any],
        table: NDArray[Any] | None,
        memory: Memory | None = None,
    ) -> None:
        self.loop, self.memory = ClosedLoop(layer, params, memory), memory
        self.table = None if table is None else np.array(table)

    def begin(self, states: States, vector: NDArray[Any] | None, size: int) -> Rows:
        """The rows of `size` sources whose decoder begins in states by path; 0 where there are none."""
        if not states:
            return Rows([step.zeros(size) for step in self.loop.steps], vector, None)
        return Rows(self.loop.begin(list(states.values())), vector, None)

    def __call__(self, rows: Rows, x: NDArray[Any]) -> tuple[NDArray[Any], Rows]:
        read, vector = x if self.table is None else embed(self.table, x), rows.of(rows.vector)
        if vector is not None:
            read = np.concatenate([read, vector], axis=1)
        output, states = self.loop(read, rows.states, rows.parents)
        covered = rows.of(rows.covered)
        for state in states:
            if state.attention is not None:
                covered = state.attention if covered is None else covered + state.attention
        return output, Rows(states, vector, covered)

    def coverage(self, rows: Rows) -> NDArray[np.float64]:
        """(n,) the sum over the positions of a source of log(min(what was read of it, 1))."""
        memory = self.memory
        of = rows.of(next((s.memory_of for s in rows.states if s.memory_of is not None), None))
        covered = rows.of(rows.covered)
        if memory is None or of is None or covered is None:
            return np.zeros(len(rows))
        logarithms = np.log(np.clip(covered.astype(np.float64), LEAST, 1.0))
        if memory.lengths is not None:
            positions = np.arange(logarithms.shape[1])
            logarithms = np.where(positions < memory.lengths[of][:, None], logarithms, 0.0)
        return np.asarray(logarithms.sum(axis=1))
