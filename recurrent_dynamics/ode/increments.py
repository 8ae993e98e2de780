"""The increments of a field along a run, for walks that solve an equation in every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..cells import Cell
from ..checks import ArgumentError
from ..dynamics.trajectories.step_map import in_memory
from ..engine import Run, check, forward, jacobian
from ..engine.arguments import input_of, own_classes, state_row
from ..engine.run import Views, one_hot, read_only, within_lengths

Array = np.ndarray
Arrays = Mapping[str, Array]


class Increments:
    """The increments g = dt times the rate of a field, with everything that enters them, in float64.

    x (T, B, N), signals (T, B[, H]); `within` (T, B) says which steps are made and not held, `resets` (T, B) before
    which of them the state returns to `start` (B, S).
    """

    def __init__(
        self,
        cell: Cell,
        c: float,
        params: Arrays,
        x: Any,
        steps: int | None,
        initial: Any,
        lengths: Any,
        reset: Any,
        signals: Any,
    ) -> None:
        own, dtype, inputs, hidden = check.parameters(cell, params)
        self.cell, self.c = cell, c
        self.params = {name: value.astype(np.float64) for name, value in own.items()}
        self.layout = cell.layout(inputs, hidden)
        filled, self.single, autonomous, batch = input_of(x, steps, initial, dtype, inputs, self.layout)
        self.steps, self.batch, self.classes = len(filled), batch, filled.ndim == 2
        ends = check.lengths(lengths, self.steps, batch)
        if ends.size and not ends.any():
            raise ArgumentError("lengths", "have one above 0", "0 for every sequence")
        self.within: Array = np.ones((self.steps, batch), bool)
        if ends.size:
            self.within = within_lengths(self.steps, ends)
        if self.single and np.ndim(reset) == 1:
            reset = np.asarray(reset)[:, None]
        resets = check.resets(reset, self.steps, batch, ends)
        self.resets: Array = np.zeros((self.steps, batch), bool)
        if resets.size:
            self.resets = resets.reshape(self.steps, batch)
        self.x = None
        if not autonomous:
            if self.classes:
                indices = own_classes(filled, ends, self.single, inputs)
                filled = one_hot(indices, inputs, np.dtype(np.float64))
            x = np.where(self.within[..., None], filled, 0)
            check.finite("x", x[:, 0] if self.single else x)
            self.x = x.astype(np.float64)
        self.start = state_row("initial", initial, self.layout, batch, dtype).astype(np.float64)
        known = tuple(s for s in cell.signals if s != "x")
        self.signals = {
            name: self._signal(f"signals[{name!r}]", value, dtype, hidden)
            for name, value in check.mapping("signals", signals, known).items()
        }

    def _signal(self, name: str, value: Any, dtype: np.dtype, hidden: int) -> Array:
        rows = (self.steps,) if self.single else (self.steps, self.batch)
        a = check.real(name, value, dtype)
        if a.shape not in (rows, (*rows, hidden)):
            raise ArgumentError(name, f"have shape {rows} or {(*rows, hidden)}", a.shape)
        there = self.within.reshape(rows + (1,) * (a.ndim - len(rows)))
        a = check.floating(name, a, within=there).astype(np.float64)
        return a[:, None] if self.single else a

    def run(self, z: Array, x: Array | None, signals: Arrays) -> Run:
        """One evaluation of g at the rows z (n, S)."""
        return forward(
            self.cell, self.params, None if x is None else x[None], steps=1 if x is None else None,
            initial=Views(z, self.layout.slots), signals={k: v[None] for k, v in signals.items()}, check_finite=False,
        )  # fmt: skip

    def step(self, t: int, z: Array) -> Run:
        """One evaluation of g in step t, at the rows z of the sequences that make it."""
        at = self.within[t]
        x = None if self.x is None else self.x[t][at]
        return self.run(z, x, {k: v[t][at] for k, v in self.signals.items()})

    def all_at_once(self, stages: Array) -> Run:
        """The evaluations of all steps that are made, as one batch."""
        return self._some(np.arange(self.steps), stages)

    def _some(self, chosen: Array, stages: Array) -> Run:
        at = self.within[chosen]
        x = None if self.x is None else self.x[chosen][at]
        return self.run(stages[chosen][at], x, {k: v[chosen][at] for k, v in self.signals.items()})

    def slopes(self, chosen: Array, stages: Array) -> Array:
        """G = dg / dY of some steps, (n, B, S, S); 0 where a step is held."""
        G: Array = np.zeros((len(chosen), *stages.shape[1:], stages.shape[-1]))
        at = self.within[chosen]
        if at.any():
            G[at] = jacobian(self._some(chosen, stages), 0)
        return G

    def made(self, a: Array) -> Array:
        """(1, n, ...): the entries (T, B, ...) of the steps that are made, as `all_at_once` takes them."""
        return a[self.within][None]

    def moved(self, name: str, value: Any, like: Array) -> Array:
        """`made` of a direction that is shaped as the user sees `like` (T, B, ...)."""
        rows = (self.steps,) if self.single else (self.steps, self.batch)
        there = self.within.reshape(rows + (1,) * (like.ndim - 2))
        a = check.floating(name, np.asarray(value, np.float64), None, rows + like.shape[2:], there)
        return self.made(a.reshape(like.shape))

    def spread(self, a: Array) -> Array:
        """The inverse of `made`, with zeros where steps are held."""
        out: Array = np.zeros(self.within.shape + a.shape[2:])
        out[self.within] = a[0]
        return out

    def chunks(self, n: int) -> Iterator[slice]:
        """Slices of n steps whose Jacobians fit into memory at once."""
        return in_memory(n, self.batch * self.layout.state_size**2)

    def shaped(self, a: Array) -> Array:
        """Without the batch axis for one sequence."""
        a = read_only(a)
        return a if not self.single else a[0] if a.ndim == 2 else a[:, 0]

    def by_slot(self, a: Array) -> dict[str, Array]:
        """(T, B, S) as the cotangents of the states of `all_at_once`."""
        rows = self.made(a)
        return {
            s.name: np.ascontiguousarray(rows[..., s.offset : s.offset + s.width]) for s in self.layout.slots
        }

    def add(
        self, name: str, to: Array, slot: str, value: Any, like: tuple[int, ...], within: Any = None
    ) -> None:
        """Add a cotangent, shaped as the user sees it (`like`), to its columns."""
        s = next(span for span in self.layout.slots if span.name == slot)
        a = check.floating(name, np.asarray(value, np.float64), None, like, within)
        to[..., s.offset : s.offset + s.width] += a.reshape(*to.shape[:-1], s.width)
