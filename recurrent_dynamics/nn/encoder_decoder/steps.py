"""A decoder one step at a time, on what it has said itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.stepper import State
from ..closed_loop import ClosedLoop
from ..layers.base import Layer
from ..layers.context import States
from ..table import embed


@dataclass(frozen=True)
class Rows:
    """What a decoder keeps of n hypotheses side by side: states by layer, and the vector that it reads every step."""

    states: list[State]
    vector: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.states[0].rows)

    def take(self, index: NDArray[np.intp]) -> Rows:
        """Rows (m,) of this one, in the order of their indices."""
        return Rows([s.take(index) for s in self.states], None if self.vector is None else self.vector[index])


class DecoderSteps:
    """The output (n, V) and the rows after, of symbols (n,) or numbers (n, K) and the rows before.

    The parameters are packed once. A row has the same bits, whatever the other rows are.
    """

    def __init__(self, layer: Layer, params: Mapping[str, Any], table: NDArray[Any] | None) -> None:
        self.loop = ClosedLoop(layer, params)
        self.table = None if table is None else np.array(table)

    def begin(self, states: States, vector: NDArray[Any] | None, size: int) -> Rows:
        """The rows of `size` sources whose decoder begins in states by path; 0 where there are none."""
        if not states:
            return Rows([step.zeros(size) for step in self.loop.steps], vector)
        return Rows(self.loop.begin(list(states.values())), vector)

    def __call__(self, rows: Rows, x: NDArray[Any]) -> tuple[NDArray[Any], Rows]:
        read = x if self.table is None else embed(self.table, x)
        if rows.vector is not None:
            read = np.concatenate([read, rows.vector], axis=1)
        output, states = self.loop(read, rows.states)
        return output, Rows(states, rows.vector)
