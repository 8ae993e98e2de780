"""A cell under constant input as a map of its whole state: x -> F(x), and its p-fold composition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import numpy as np

from ... import checks
from ...cells import Cell
from ...checks import ArgumentError
from ...engine import Run, check, forward, jacobian
from ...engine.run import Views
from ...kernels.tuning import current

Array = np.ndarray


class StepMap:
    """`period` steps of a cell as one map of rows (B, S), in float64, with its exact Jacobian.

    A state is one row, its slots side by side in the order of `cell.state`.
    """

    def __init__(
        self,
        cell: Cell,
        params: Mapping[str, Array],
        input: Array | None,
        signals: Mapping[str, Any] | None,
        period: int = 1,
    ) -> None:
        cell, params = check.layer(cell, params)
        if check.a_cell(cell).memory:
            raise ArgumentError("cell", "read no memory", f"{cell.name!r}, which reads one at every step")
        own, _, input_size, hidden = check.parameters(cell, params)
        self.cell, self.period = cell, period
        # Newton's method is worth its precision only in float64, whatever the network was trained in.
        self.params = {name: value.astype(np.float64) for name, value in own.items()}
        self.layout = cell.layout(input_size, hidden)
        self.size = self.layout.state_size
        self.input = None if input is None else self._input(input)
        known = tuple(s for s in cell.signals if s != "x")
        self.signals = {
            name: check.finite(f"signals[{name!r}]", checks.numbers(f"signals[{name!r}]", value))
            for name, value in check.mapping("signals", signals, known).items()
        }
        for name, value in self.signals.items():
            if value.shape not in ((), (hidden,)):
                raise ArgumentError(
                    f"signals[{name!r}]", f"be a number or have shape {(hidden,)}", value.shape
                )

    def copy(self) -> StepMap:
        """The same map, whose parameters may be replaced."""
        f = copy(self)
        f.params = dict(self.params)
        return f

    def _input(self, input: Any) -> Array:
        raw = next((s.width for s in self.layout.signals if s.name == "x"), 0)
        wanted = self.layout.input_size or raw
        x = checks.numbers("input", input)
        if x.shape != (wanted,):
            raise ArgumentError(
                "input", f"have shape {(wanted,)}, one constant vector that params take", x.shape
            )
        return check.finite("input", x)

    def rows(self, name: str, state: Any) -> Array:
        """(n, S) from an array (n, S) or (S,), or from a mapping of slots (n, width) or (width,)."""
        if isinstance(state, Mapping):
            given = check.mapping(name, state, self.cell.state)
            pieces: list[Array] = []
            for slot in self.layout.slots:
                if slot.name not in given:
                    raise ArgumentError(
                        name, f"have {', '.join(self.cell.state)}", ", ".join(given) or "none"
                    )
                piece = np.atleast_2d(checks.numbers(f"{name}[{slot.name!r}]", given[slot.name]))
                wanted = (len(pieces[0]) if pieces else len(piece), slot.width)
                if piece.shape != wanted:
                    raise ArgumentError(
                        f"{name}[{slot.name!r}]", f"have shape {wanted}", np.shape(given[slot.name])
                    )
                pieces.append(piece)
            rows = np.concatenate(pieces, axis=1)
        else:
            rows = np.atleast_2d(checks.numbers(name, state))
        if rows.ndim != 2 or rows.shape[1] != self.size or not len(rows):
            raise ArgumentError(
                name,
                f"have shape (n, {self.size}), a whole state ({', '.join(self.cell.state)}) a row",
                rows.shape,
            )
        return check.finite(name, rows)

    def views(self, rows: Array) -> Views:
        """Rows (..., S) by slot."""
        return Views(rows, self.layout.slots)

    def run(self, z: Array) -> Run:
        """`period` steps from the rows z (B, S)."""
        T, B = self.period, len(z)
        x = None if self.input is None else np.broadcast_to(self.input, (T, B, self.input.shape[-1]))
        signals = {name: np.broadcast_to(v, (T, B, *v.shape)) for name, v in self.signals.items()}
        return forward(
            self.cell,
            self.params,
            x,
            steps=T if x is None else None,
            initial=self.views(z),
            signals=signals,
            check_finite=False,
        )

    def __call__(self, z: Array) -> Array:
        """F(z), shape (B, S)."""
        return self.run(z).tape.after[-1]

    def orbit(self, z: Array) -> Array:
        """The states z, f(z), ..., before each of the `period` steps, shape (B, period, S)."""
        return np.moveaxis(np.concatenate([z[None], self.run(z).tape.after[:-1]]), 0, 1)

    def linearized(self, z: Array) -> tuple[Array, Array]:
        """F(z) and its Jacobian, shapes (B, S) and (B, S, S)."""
        run = self.run(z)
        product, *later = jacobian(run)
        for J in later:
            product = J @ product
        return run.tape.after[-1], product

    def chunks(self, n: int) -> Iterator[slice]:
        """Slices of n rows whose Jacobians fit into memory at once."""
        return in_memory(n, self.period * self.size**2)


def in_memory(n: int, entries: int) -> Iterator[slice]:
    """Slices of n things whose Jacobians, of so many entries each, fit into memory at once."""
    size = max(1, current().jacobian_bytes // (8 * entries))
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
