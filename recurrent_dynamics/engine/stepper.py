"""Streaming: one step at a time from Python, with the parameters packed once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..cells.cell import Cell
from . import check
from .flatten import flatten


class Stepper:
    """`state = step(x_t, state)`; see `stepper`."""

    def __init__(self, cell: Cell, params: Mapping[str, np.ndarray]) -> None:
        from .cpu import verbs as cpu

        own, self.dtype, n, h = check.parameters(cell, params)
        signals = [s for s in cell.signals if s != "x"]
        if signals:
            raise ValueError(
                f"cell {cell.name!r} reads the signals {', '.join(signals)}, which a stepper does not pass"
            )
        self.cell, self._layout = cell, cell.layout(n, h)
        self._raw_input = next((s for s in self._layout.signals if s.name == "x"), None)
        self._cpu = cpu
        self._packed = cpu.pack(cell, self._layout, flatten(self._layout, own, self.dtype))
        self._values = np.empty((0, self._layout.values_size), self.dtype)

    def zeros(self, batch_size: int = 1) -> dict[str, np.ndarray]:
        """The zero state, slot -> (B, width)."""
        return {s.name: np.zeros((batch_size, s.width), self.dtype) for s in self._layout.slots}

    def __call__(self, x: np.ndarray | None, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The state after one step; x (B, N) or (N,), None without input; state slot -> (B, width)."""
        slots = self._layout.slots
        before = np.concatenate([np.atleast_2d(state[s.name]) for s in slots], axis=1)
        batch = len(before)
        if before.shape[1] != self._layout.state_size or before.dtype != self.dtype:
            raise ValueError(
                f"state must have {', '.join(f'{s.name}: (B, {s.width})' for s in slots)} of dtype {self.dtype}; came "
                + ", ".join(f"{k}: {np.shape(v)} {np.asarray(v).dtype}" for k, v in state.items())
            )
        wanted = (batch, self._layout.input_size)
        x = np.zeros(wanted, self.dtype) if x is None else np.ascontiguousarray(np.atleast_2d(x))
        if x.shape != wanted or x.dtype != self.dtype:
            raise ValueError(
                f"x must have shape {wanted} and dtype {self.dtype}; came {x.shape} and {x.dtype}"
            )
        if len(self._values) != batch:
            self._values = np.empty((batch, self._layout.values_size), self.dtype)
        if self._raw_input is not None:
            self._values[:, self._raw_input.offset :][:, : self._raw_input.width] = x
        after = np.empty_like(before)
        self._cpu.one_step(self._packed, x, self._values, before, after)
        return {s.name: after[:, s.offset : s.offset + s.width] for s in slots}


def stepper(cell: Cell, params: Mapping[str, np.ndarray]) -> Stepper:
    """A function that makes one step at a time: parameters are checked and packed once.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> params = cell.init(input_size=2, hidden_size=3)
    >>> x = np.ones((5, 1, 2), "float32")
    >>> step = rd.stepper(cell, params)
    >>> state = step.zeros()
    >>> for x_t in x:
    ...     state = step(x_t, state)
    >>> bool(np.allclose(state["h"], rd.forward(cell, params, x).final["h"], atol=1e-6))
    True
    """
    return Stepper(cell, params)
