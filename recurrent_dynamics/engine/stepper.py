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
        raw = self._raw_input
        if raw is not None and self._layout.input_rows and n != raw.width:
            raise ValueError(
                f"cell {cell.name!r} reads the input itself, so params['W'] must have {raw.width} columns; "
                f"came {n}"
            )
        self._cpu = cpu
        self._packed = cpu.pack(cell, self._layout, flatten(self._layout, own, self.dtype))

    def zeros(self, batch_size: int = 1) -> dict[str, np.ndarray]:
        """The zero state, slot -> (B, width)."""
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer of at least 1, came {batch_size!r}")
        return {s.name: np.zeros((batch_size, s.width), self.dtype) for s in self._layout.slots}

    def __call__(self, x: np.ndarray | None, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The state after one step; x (B, N) or (N,), None without input; state slot -> (B, width)."""
        layout, raw = self._layout, self._raw_input
        before = self._rows(state)
        batch = len(before)
        inputs = np.zeros((batch, layout.input_size if raw is None else raw.width), self.dtype)
        if x is not None:
            x = np.atleast_2d(check.floating("x", x, self.dtype))
            if x.shape != inputs.shape:
                raise ValueError(f"x must have shape {inputs.shape}, came {x.shape}")
            inputs[...] = x
        elif raw is not None:
            raise ValueError(f"cell {self.cell.name!r} reads the input itself, so x must be given; came None")
        values = np.empty((batch, layout.values_size), self.dtype)
        if raw is not None:
            values[:, raw.offset : raw.offset + raw.width] = inputs
        after = np.empty_like(before)
        self._cpu.one_step(self._packed, inputs, values, before, after)
        return {s.name: after[:, s.offset : s.offset + s.width] for s in layout.slots}

    def _rows(self, state: Mapping[str, np.ndarray]) -> np.ndarray:
        """The state as (B, k)."""
        slots = self._layout.slots
        names = tuple(s.name for s in slots)
        given = check.mapping("state", state, names)
        arrays: list[np.ndarray] = []
        for s in slots:
            if s.name not in given:
                raise ValueError(f"state must have {', '.join(names)}; came {', '.join(given) or 'none'}")
            a = np.atleast_2d(check.floating(f"state[{s.name!r}]", given[s.name], self.dtype))
            wanted = (len(arrays[0]) if arrays else max(len(a), 1), s.width)
            if a.shape != wanted:
                raise ValueError(
                    f"state[{s.name!r}] must have shape {wanted}, came {np.shape(given[s.name])}"
                )
            arrays.append(a)
        return np.concatenate(arrays, axis=1)


def stepper(cell: Cell, params: Mapping[str, np.ndarray]) -> Stepper:
    """A function that makes one step at a time: parameters are checked and packed once.

    What goes into a step is checked; what comes out is not, for speed. A state that became NaN or infinite is
    returned as it is, where `forward` raises a FloatingPointError, and refused with a ValueError by the step that it
    is given to.

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
