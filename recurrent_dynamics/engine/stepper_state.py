"""The state of a stepper: slots as views of the rows that its compiled step reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError

if TYPE_CHECKING:
    from .stepping import Stepper


class State(dict[str, np.ndarray]):
    """The state of a stepper: slot -> (B, width), views of the rows (B, k) that its compiled step reads and writes.

    Of a cell that reads a memory, `memory_of` (B,) is the number of the memory that each row reads, and `attention`
    (B, S) the weights of the step that made the state; None before the first step, and for a cell that has none, or
    several.
    """

    def __init__(
        self,
        owner: Stepper,
        rows: np.ndarray,
        memory_of: np.ndarray | None = None,
        attention: np.ndarray | None = None,
    ) -> None:
        super().__init__((name, rows[:, start:end]) for name, start, end in owner.spans)
        self.owner, self.rows, self.flat = owner, rows, rows.reshape(-1)
        self.memory_of, self.attention = memory_of, attention
        self._places: np.ndarray | None = None

    @property
    def places(self) -> np.ndarray:
        """Where the memory of each row is."""
        if self._places is None:
            self._places = self.owner.places_of(self.memory_of)
        return self._places

    def __repr__(self) -> str:
        slots = ", ".join(f"{name} {a.shape}" for name, a in self.items())
        return f"State({slots}, {self.rows.dtype})"

    def take(self, index: np.ndarray) -> State:
        """A new state of the rows with the given indices (m,). A row may be taken several times.

        Raises
        ------
        ArgumentError
            For an index that is no row.
        """
        try:
            return self._rows_of(index)
        except IndexError as error:
            raise ArgumentError("index", f"hold some of the rows 0..{len(self.rows) - 1}", error) from None

    def part(self, rows: slice) -> State:
        """The state of a slice of the rows, without a copy."""
        return self._rows_of(rows)

    def _rows_of(self, chosen: Any) -> State:
        of, a = self.memory_of, self.attention
        return State(
            self.owner,
            self.rows[chosen],
            None if of is None else of[chosen],
            None if a is None else a[chosen],
        )

    def like(self) -> State:
        """A state of as many rows with undefined numbers, to write to."""
        return State(self.owner, np.empty_like(self.rows), self.memory_of)
