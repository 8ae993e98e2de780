"""Trajectories in stretches that carry tangent vectors.

A network runs on the engine, and a stored run is read as it is; maps and flows of one's own bring their Jacobians.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ... import engine
from ...cells.cell import Cell
from ...cells.mistaken import what_came
from ...checks import ArgumentError, ArgumentTypeError, numbers
from ...engine import check
from ...engine.memories import memory_again, repeated
from ...engine.run import Run
from ...engine.sparsity import structure
from ...kernels.qr import Carried, Frames, carry, carry_each
from ...kernels.tuning import current
from .systems import Flow, Map

CACHED_BYTES = 4 << 20  # of a network's, formed for some steps at a time, to be found in cache
CHUNK_STEPS = 256
UNFORMED = 12  # up to one vector for so many numbers of the state, tangents are quicker than formed Jacobians


class Segment(Protocol):
    """Consecutive steps of a trajectory; `a` and `b` count from its first one. Vectors are rows: (B, k, S)."""

    steps: int
    exact: bool  # whether vectors are carried in double precision
    double: bool  # whether the trajectory itself is in double precision

    def carry(self, frames: Frames, a: int, b: int, triangles: bool) -> Carried:
        """Frames, tangent before step a, carried to before step b and orthonormalized; R too if wanted."""

    @property
    def together(self) -> int:
        """For how many steps at once `carry_each` is advisable; 0 if it is not there."""

    def carry_each(self, frames: Frames, a: int, b: int) -> Carried:
        """The same, orthonormalized after every step."""

    def push(self, rows: np.ndarray, a: int, b: int) -> np.ndarray:
        """The vectors, tangent before step a, carried to before step b."""

    def tangents(self, rows: np.ndarray, a: int, b: int) -> np.ndarray:
        """The same as `push`, for networks always by the engine's tangent walk."""

    def state(self, a: int) -> np.ndarray:
        """The states (B, S) before step a."""

    def log_det(self, a: int, b: int) -> np.ndarray:
        """ln |det| of the Jacobians of steps a to b - 1, summed: (B,)."""

    def difference(self, displacement: np.ndarray, a: int, b: int) -> np.ndarray:
        """How far a displaced trajectory is from this one after the steps: (B, S) to (B, S)."""


class Source(Protocol):
    """A system with a beginning: `segments` walks along its trajectories."""

    size: int
    batch: int
    unit: str
    time_step: float

    def segments(self, steps: int, count: int) -> Iterator[Segment]:
        """The stretches of so many steps in order, prepared for `count` vectors."""


class MapSegment:
    """Steps of a map or a flow, with their formed Jacobians."""

    exact = double = True

    def __init__(
        self, system: Map | Flow, states: list[np.ndarray], jacobians: list[np.ndarray], first: int
    ) -> None:
        self.steps, self._system, self._states = len(jacobians), system, states
        self._jacobians = np.stack(jacobians)
        for t, J in enumerate(jacobians):
            if not (np.isfinite(states[t + 1]).all() and np.isfinite(J).all()):
                raise FloatingPointError(
                    f"the trajectory diverged: its state or Jacobian at step {first + t} is not finite"
                )

    def carry(self, frames: Frames, a: int, b: int, triangles: bool) -> Carried:
        return carry(frames, self._jacobians[a:b], triangles=triangles)

    @property
    def together(self) -> int:
        return self.steps

    def carry_each(self, frames: Frames, a: int, b: int) -> Carried:
        return carry_each(frames, self._jacobians[a:b])

    def push(self, rows: np.ndarray, a: int, b: int) -> np.ndarray:
        for J in self._jacobians[a:b]:
            rows = rows @ np.swapaxes(J, 1, 2)
        return rows

    tangents = push

    def state(self, a: int) -> np.ndarray:
        return self._states[a]

    def log_det(self, a: int, b: int) -> np.ndarray:
        return np.linalg.slogdet(self._jacobians[a:b])[1].sum(axis=0)

    def difference(self, displacement: np.ndarray, a: int, b: int) -> np.ndarray:
        near = self._states[a] + displacement
        for _ in range(a, b):
            near = self._system.advance(near)
        return near - self._states[b]


class MapSource:
    """A map or a flow from given states."""

    def __init__(self, system: Map | Flow, initial: Any) -> None:
        state = numbers("initial", initial)
        state = state[None] if state.ndim == 1 else state
        if state.ndim != 2 or not state.size or not np.isfinite(state).all():
            raise ArgumentError("initial", "be finite, of shape (S,) or (B, S)", f"shape {np.shape(initial)}")
        self._system, self._state = system, state
        self.batch, self.size = state.shape
        self.unit, self.time_step = system.unit, system.time_step

    def segments(self, steps: int, count: int) -> Iterator[MapSegment]:
        state, longest = self._state, _chunk(self.batch, self.size)
        for first in range(0, steps, longest):
            states, jacobians = [state], []
            with np.errstate(over="ignore", invalid="ignore"):  # found by the segment
                for _ in range(min(longest, steps - first)):
                    state, J = self._system.advance_with_tangent(state)
                    states.append(state)
                    jacobians.append(J)
            yield MapSegment(self._system, states, jacobians, first)


def _chunk(batch: int, size: int) -> int:
    return int(min(CHUNK_STEPS, max(1, current().jacobian_bytes // (8 * batch * size * size))))


class NetworkSegment:
    """Steps of a run, their Jacobians formed or applied as tangents, whichever is quicker."""

    def __init__(self, run: Run, formed: bool) -> None:
        self.steps, self._run = run.steps, run
        self._formed = formed
        self.double = bool(run.dtype == np.float64)
        self.exact = formed or self.double
        self._spans = run.tape.layout.slots
        self._structure = structure(run.cell, run.tape.layout)
        size = run.tape.layout.state_size
        self._first, self._kept = 0, np.empty((0, run.batch_size, size, size))

    def _jacobians(self, a: int, b: int) -> np.ndarray:
        """Those of steps a to b - 1 (n, B, S, S), formed with some that follow."""
        if not self._first <= a <= b <= self._first + len(self._kept):
            some = max(b - a, self.together)
            self._first, shape = a, self._kept.shape[1:]
            self._kept = np.empty(
                (0, *shape)
            )  # given back first: the next ones take its place, also in the cache
            self._kept = (
                engine.jacobian(self._run, slice(a, a + some))
                .astype(np.float64, copy=False)
                .reshape(-1, *shape)
            )
        return self._kept[a - self._first : b - self._first]

    def carry(self, frames: Frames, a: int, b: int, triangles: bool) -> Carried:
        if self._formed:
            return carry(frames, self._jacobians(a, b), self._structure, triangles=triangles)
        return carry(Frames.of(self.tangents(frames.rows, a, b)), triangles=triangles)

    @property
    def together(self) -> int:
        if not self._formed:
            return 0
        return max(1, CACHED_BYTES // (8 * self._run.batch_size * self._kept.shape[-1] ** 2))

    def carry_each(self, frames: Frames, a: int, b: int) -> Carried:
        return carry_each(frames, self._jacobians(a, b), self._structure)

    def push(self, rows: np.ndarray, a: int, b: int) -> np.ndarray:
        if not self._formed:
            return self.tangents(rows, a, b)
        for J in self._jacobians(a, b):
            rows = rows @ np.swapaxes(J, 1, 2)
        return rows

    def tangents(self, rows: np.ndarray, a: int, b: int) -> np.ndarray:
        run = cut(self._run, a, b, repeat=rows.shape[1])
        return _joined(engine.jvp(run, d_initial=self._slots(rows.reshape(-1, rows.shape[2]))).final, rows)

    def _slots(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {s.name: rows[:, s.offset : s.offset + s.width].astype(self._run.dtype) for s in self._spans}

    def state(self, a: int) -> np.ndarray:
        return self._run.tape.before[a]

    def log_det(self, a: int, b: int) -> np.ndarray:
        return np.linalg.slogdet(self._jacobians(a, b))[1].sum(axis=0)

    def difference(self, displacement: np.ndarray, a: int, b: int) -> np.ndarray:
        tape = self._run.tape
        signals = {
            s.name: np.ascontiguousarray(tape.values[a:b, :, s.offset : s.offset + s.width])
            for s in tape.layout.signals
            if s.name != "x"
        }
        options: dict[str, Any] = {"initial": self._slots(tape.before[a] + displacement), "signals": signals}
        options |= memory_again(tape)
        if self._run.x is None:
            near = engine.forward(self._run.cell, self._run.params, steps=b - a, **options)
        else:
            near = engine.forward(self._run.cell, self._run.params, tape.x[a:b], **options)
        return (near.tape.after[-1] - tape.after[b - 1]).astype(np.float64)


def _joined(slots: Mapping[str, np.ndarray], like: np.ndarray) -> np.ndarray:
    return np.concatenate(list(slots.values()), axis=-1).astype(np.float64).reshape(like.shape)


def cut(run: Run, a: int, b: int, repeat: int = 1) -> Run:
    """The steps a to b - 1 of a run as a run of their own, every sequence `repeat` times."""
    tape = run.tape
    parts: dict[str, Any] = {
        name: getattr(tape, name)[a:b] for name in ("input", "values", "before", "after")
    }
    if repeat > 1:
        parts = {name: np.repeat(part, repeat, axis=1) for name, part in parts.items()}
        parts |= repeated(tape, repeat)
    tape = replace(tape, steps=b - a, batch=tape.batch * repeat, initial=parts["before"][0].copy(), **parts)
    return Run(tape, dict(run.params), False, run.x is None, run.shared_signals, run.classes)


def unbroken(run: Run) -> None:
    """Refuse a run with resets, or with sequences that end before it."""
    tape = run.tape
    if tape.resets.size and tape.resets.any():
        raise ArgumentError(
            "run", "have no reset, since exponents belong to an unbroken trajectory", "one with resets"
        )
    if tape.lengths.size and (tape.lengths < tape.steps).any():
        raise ArgumentError(
            "run", f"have whole sequences of {tape.steps} steps", f"lengths {tape.lengths.tolist()}"
        )


class RunSource:
    """A run that is there already."""

    unit, time_step = "nats per step", 1.0

    def __init__(self, run: Run) -> None:
        unbroken(run)
        tape = run.tape
        if not np.isfinite(tape.after).all():
            raise FloatingPointError("run is not finite: exponents of a diverged trajectory do not exist")
        empty: dict[str, Any] = {"resets": tape.resets[:0], "lengths": tape.lengths[:0]}
        self._run = Run(
            replace(tape, **empty), dict(run.params), False, run.x is None, run.shared_signals, run.classes
        )
        self.batch, self.size = tape.batch, tape.layout.state_size

    def segments(self, steps: int, count: int) -> Iterator[NetworkSegment]:
        formed = count * UNFORMED > self.size
        longest = _chunk(self.batch, self.size) if formed else CHUNK_STEPS
        for a in range(0, steps, longest):
            yield NetworkSegment(cut(self._run, a, min(a + longest, steps)), formed)


class NetworkSource:
    """A cell that runs by itself, without input or under a constant one."""

    unit, time_step = "nats per step", 1.0

    def __init__(self, cell: Cell, params: Mapping[str, np.ndarray] | None, x: Any, initial: Any) -> None:
        if params is None or initial is None:
            missing = "params" if params is None else "initial"
            along = " (for exponents along an input sequence pass its run: rd.forward(cell, params, x))"
            raise ArgumentError(missing, "be given for a cell that runs by itself", f"None{along}")
        if check.a_cell(cell).memory:
            raise ArgumentError(
                "system", "be a run for a cell that reads a memory", f"cell {cell.name!r}, which reads one"
            )
        if cell.needed or ("x" in cell.signals and x is None):
            raise ArgumentError(
                "system",
                "be a run for a cell that reads signals",
                f"cell {cell.name!r}, which reads {', '.join(cell.needed or ('x',))}",
            )
        self._cell, self._params = cell, params
        self._x = None if x is None else np.asarray(x)
        if self._x is not None and self._x.ndim not in (1, 2):
            raise ArgumentError(
                "x",
                "be a constant input of shape (N,) or (B, N)",
                f"{self._x.shape}; for an input that varies give a run",
            )
        given = {name: np.atleast_2d(value) for name, value in dict(initial).items()}
        batches = {len(value) for value in given.values()}
        if self._x is not None and self._x.ndim == 2:
            batches.add(len(self._x))
        self.batch = max(batches, default=1)
        self._initial = {
            name: np.broadcast_to(value, (self.batch, value.shape[1])).copy() if len(value) == 1 else value
            for name, value in given.items()
        }
        self.size = self._run(1, self._initial).tape.layout.state_size  # the engine checks all that was given

    def _run(self, steps: int, initial: Mapping[str, np.ndarray], first: int = 0) -> Run:
        options: dict[str, Any] = {
            "initial": initial,
            "check_finite": False,
        }  # the steps are counted from `first`
        if self._x is None:
            run = engine.forward(self._cell, self._params, steps=steps, **options)
        else:
            x = np.broadcast_to(self._x, (steps, self.batch, self._x.shape[-1]))
            run = engine.forward(self._cell, self._params, np.ascontiguousarray(x), **options)
        finite = np.isfinite(run.tape.after).all(axis=(1, 2))
        if not finite.all():
            step = first + int(np.argmin(finite))
            raise FloatingPointError(f"the trajectory diverged: its state after step {step} is not finite")
        return run

    def segments(self, steps: int, count: int) -> Iterator[NetworkSegment]:
        formed = count * UNFORMED > self.size
        longest = _chunk(self.batch, self.size) if formed else CHUNK_STEPS
        state: Mapping[str, np.ndarray] = self._initial
        for a in range(0, steps, longest):
            run = self._run(min(longest, steps - a), state, a)
            state = run.final
            yield NetworkSegment(run, formed)


def source_of(system: Any, params: Any, x: Any, initial: Any) -> Source:
    """What `lyapunov` was given, as a source."""
    system, params = check.layer(check.of_layer(system) if params is None else system, params)
    if isinstance(system, Cell):
        return NetworkSource(system, params, x, initial)
    given = [name for name, value in (("params", params), ("x", x)) if value is not None]
    if isinstance(system, Run):
        given += ["initial"] if initial is not None else []
        if not given:
            return RunSource(system)
    elif isinstance(system, Map | Flow):
        if initial is None:
            raise ArgumentError("initial", "be given for a map or a flow", "None")
        if not given:
            return MapSource(system, initial)
    else:
        raise ArgumentTypeError("system", "be a Run, a Cell, a Map or a Flow", what_came(system))
    raise ArgumentError(", ".join(given), f"not be given with a {type(system).__name__}", "both")
