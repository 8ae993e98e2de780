"""The reference engine: the same equations on NumPy arrays, real or complex, as short and plain as they can be.

Frozen: tests compare every other engine with it, so it is changed only when the contract changes. It runs the cell's
own `update`, not the recorded graph, and knows nothing of layouts, programs or derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..cells import Cell, Drive
from ..equations.axes import SOURCE
from ..equations.memory import within_source
from ..equations.record import arguments_of
from ..equations.schedule import NORMALIZATION_EPSILON

Arrays = Mapping[str, np.ndarray]


def forward(
    cell: Cell,
    params: Arrays,
    x: np.ndarray | None,
    initial: Arrays,
    steps: int | None = None,
    lengths: np.ndarray | None = None,
    reset: np.ndarray | None = None,
    signals: Arrays | None = None,
    memory: Arrays | None = None,
    memory_lengths: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Every slot after every step, (T, B, width); x (T, B, N), initial (B, width), signals (T, B, H).

    memory (S, B, width), memory_lengths (B,).
    """
    start = {s: np.asarray(initial[s]) for s in cell.state}
    state, history = start, []
    for t in range(len(x) if x is not None else steps or 0):
        entering = state
        if reset is not None:
            back = (reset[t] if lengths is None else reset[t] & (t < lengths))[:, None]
            entering = {s: np.where(back, start[s], state[s]) for s in cell.state}
        inputs = {name: value[t] for name, value in (signals or {}).items()}
        state = step(cell, params, None if x is None else x[t], entering, inputs, memory, memory_lengths)
        if lengths is not None:
            active = (t < lengths)[:, None]
            state = {s: np.where(active, state[s], entering[s]) for s in cell.state}
        history.append(state)
    return {s: np.stack([h[s] for h in history]) for s in cell.state}


def step(
    cell: Cell,
    params: Arrays,
    x: np.ndarray | None,
    state: Arrays,
    signals: Arrays | None = None,
    memory: Arrays | None = None,
    memory_lengths: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """One step: x (B, N), state slot -> (B, width), signals name -> (B, H), memory name -> (S, B, width).

    In the equations, a slot with a number for each position is (S, B, 1).
    """
    blocks = _Blocks(cell, params)
    signals = dict(signals or {})
    if "x" in cell.signals and x is not None:
        signals["x"] = x

    def drive_value(d: Drive) -> Any:
        side_x = blocks.bias(d, "b") + (
            x @ blocks.rows("W", d).T if d.input and x is not None and "W" in params else 0
        )
        slots = cell.recurrent if d.operand is None else d.operand
        usage = cell.schedule.usage[d.name]
        mask = 1.0 if d.masked is None else signals[d.masked]
        if usage == "called":
            return lambda *q: blocks.normalize(
                d, d.name, side_x + blocks.multiply(d, np.concatenate([mask * v for v in q], axis=-1))
            )
        if not slots:
            return blocks.normalize(d, d.name, side_x)
        side_h = blocks.multiply(d, np.concatenate([mask * state[s] for s in slots], axis=-1))
        if usage == "apart":
            side_h = side_h + blocks.bias(d, "b_h")
            return SimpleNamespace(
                x=blocks.normalize(d, d.name, side_x), h=blocks.normalize(d, f"{d.name}_h", side_h)
            )
        return blocks.normalize(d, d.name, side_x + side_h)

    values = {
        "drive": SimpleNamespace(**{d.name: drive_value(d) for d in cell.drives}),
        "state": SimpleNamespace(
            **{s.name: state[s.name].T[..., None] if s.width == SOURCE else state[s.name] for s in cell.slots}
        ),
        "param": SimpleNamespace(**{u.name: u.constrain(params[u.name]) for u in cell.units}),
        "signal": SimpleNamespace(**signals),
        "constant": SimpleNamespace(**cell.constants),
        "memory": SimpleNamespace(**(memory or {})),
    }
    mask = None
    if memory_lengths is not None:
        size = len(next(iter((memory or {}).values())))
        mask = (np.arange(size)[:, None] < memory_lengths)[..., None]
    with within_source(mask):
        new = cell.update(**arguments_of(cell, values))
    rows = {
        s.name: np.asarray(new[s.name])[..., 0].T if s.width == SOURCE else new[s.name] for s in cell.slots
    }
    return {name: np.broadcast_to(rows[name], state[name].shape) for name in cell.state}


class _Blocks:
    """The rows of each drive in W, U, b, found by walking through the drives in their order."""

    def __init__(self, cell: Cell, params: Arrays) -> None:
        self.cell, self.params = cell, params
        self.hidden = cell.sizes(params)[1]
        # (drive, parameter) of every block of U: a per-unit parameter may have a name such as "U_n" too.
        drive_of = {part.name: part.drive for part in cell.schedule.preactivations}
        self.blocks = {(drive_of[p.target], p.parameter) for p in cell.schedule.products}
        self.blocks |= {(v.name.removeprefix("U__"), v.parameter) for v in cell.schedule.vectors}

    def width(self, d: Drive) -> int:
        return self.hidden if d.width == "hidden" else int(d.width)

    def rows(self, name: str, drive: Drive, height: int | None = None) -> np.ndarray:
        """The drive's rows of a parameter: its own, or those after the rows of the drives stacked before it."""
        if (drive.name, f"{name}_{drive.name}") in self.blocks:
            return self.params[f"{name}_{drive.name}"]
        before = self.cell.drives[: self.cell.drives.index(drive)]
        start = sum(height or self.width(d) for d in before if self.has_rows(name, d))
        return self.params[name][start : start + (height or self.width(drive))]

    def has_rows(self, name: str, d: Drive) -> bool:
        """Whether drive d is stacked in the parameter."""
        usage = self.cell.schedule.usage[d.name]
        if name == "W":
            return d.input
        if name in ("b", "b_h"):
            return d.bias and d.name not in self.cell.normalized and (name == "b" or usage == "apart")
        has_operand = usage == "called" or bool(self.cell.recurrent if d.operand is None else d.operand)
        low_rank = d.structure.kind == "low_rank"
        apart = (d.name, f"{name}_{d.name}") in self.blocks
        return has_operand and low_rank == (name != "U") and not apart and d.tied is None

    def bias(self, d: Drive, name: str) -> Any:
        return self.rows(name, d) if self.has_rows(name, d) else 0.0

    def multiply(self, d: Drive, v: np.ndarray) -> np.ndarray:
        if d.tied is not None:
            d = next(other for other in self.cell.drives if other.name == d.tied)
        kind, n = d.structure.kind, d.structure.heads
        if kind == "diagonal":
            return self.rows("U", d) * v
        if kind == "low_rank":
            return (v @ self.rows("U_right", d, int(d.structure.width)).T) @ self.rows("U_left", d).T
        blocks = zip(np.split(self.rows("U", d), n), np.split(v, n, axis=-1), strict=True)
        return np.concatenate([part @ block.T for block, part in blocks], axis=-1)

    def normalize(self, d: Drive, part: str, a: np.ndarray) -> np.ndarray:
        if d.name not in self.cell.normalized:
            return a
        centred = a - a.mean(-1, keepdims=True)
        z = centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + NORMALIZATION_EPSILON)
        return self.params[f"gain_{part}"] * z + self.params[f"offset_{part}"]
