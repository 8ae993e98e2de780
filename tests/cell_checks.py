"""Checks of one cell: every verb of the engine against the frozen reference, in float64.

First derivatives come from a complex step on the reference, f'(u) = Im f(p + 1e-30 i u) / 1e-30, which takes no
difference and is exact to rounding. A second derivative is one complex step and one central difference of fourth
order. A step of 1e-5 has a truncation of about 1e-21 times a fifth derivative and a rounding of about 1e-11: both
stay far below the 1e-8 that is asked for, and a piecewise function keeps its branch along the step. Layer
normalization of a row that happens to vary little can have a fifth derivative of 1e14; a second, shorter step shows
how much to allow there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.engine import reference

Point = dict[tuple[str, str], np.ndarray]  # ("params", "W"), ("x", ""), ("initial", "h"), ("signals", "dt")

COMPLEX_STEP = 1e-30
DIFFERENCE_STEPS = (1e-5, 2e-6)
FOURTH_ORDER = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}


@dataclass(frozen=True)
class Case:
    """A cell with everything that goes into a run of it."""

    cell: rd.cells.Cell
    point: Point
    lengths: np.ndarray | None = None
    reset: np.ndarray | None = None
    memory_lengths: np.ndarray | None = None

    @property
    def x(self) -> np.ndarray:
        return self.point["x", ""]

    @property
    def steps(self) -> int:
        return len(self.x)

    def reference(self, point: Point) -> dict[str, np.ndarray]:
        """All states at a point, real or complex."""
        return reference.forward(
            self.cell,
            group(point, "params"),
            point["x", ""],
            group(point, "initial"),
            lengths=self.lengths,
            reset=self.reset,
            signals={
                name: value if value.ndim == 3 else value[..., None]
                for name, value in group(point, "signals").items()
            },
            memory=group(point, "memory"),
            memory_lengths=self.memory_lengths,
        )

    def run(self, point: Point | None = None) -> rd.engine.Run:
        """The run of the engine at a point."""
        point = self.point if point is None else point
        return rd.forward(
            self.cell,
            group(point, "params"),
            point["x", ""],
            initial=group(point, "initial"),
            lengths=self.lengths,
            reset=self.reset,
            signals=group(point, "signals"),
            memory=group(point, "memory"),
            memory_lengths=self.memory_lengths,
        )

    def astype(self, dtype: str) -> Case:
        return replace(self, point={key: value.astype(dtype) for key, value in self.point.items()})


def case(
    cell: rd.cells.Cell,
    rng: np.random.Generator,
    steps: int = 4,
    batch: int = 3,
    inputs: int = 3,
    hidden: int = 4,
    lengths: bool = False,
    reset: bool = False,
    source: int = 5,
    memory_lengths: bool = True,
) -> Case:
    """A random case; a cell that reads its input itself gets one as wide as its state.

    `source` is the number of positions of the memory of a cell that reads one, which may be padded.
    """
    if "x" in cell.signals:
        inputs = hidden
    elif not any(part.input for part in cell.schedule.preactivations):
        inputs = 0
    point: Point = {}
    for name, value in cell.init(inputs, hidden, rng, "float64").items():
        point["params", name] = value + 0.3 * rng.standard_normal(value.shape)
    point["x", ""] = rng.standard_normal((steps, batch, inputs))
    layout = cell.layout(inputs, hidden, source if cell.memory else 0)
    for slot in layout.slots:
        point["initial", slot.name] = rng.standard_normal((batch, slot.width))
    for number, signal in enumerate(s for s in cell.signals if s != "x"):
        shape = (steps, batch, hidden) if number % 2 == 0 else (steps, batch)
        # Shares of a state lie in [0, 1]: larger ones would let it grow at every step.
        share = signal in cell.masks and cell.masks[signal].kind == "zoneout"
        point["signals", signal] = rng.uniform(0.1, 0.9, shape) if share else rng.uniform(0.5, 1.5, shape)
    for memory in layout.memory:
        point["memory", memory.name] = rng.standard_normal((source, batch, memory.width))
    ends = rng.integers(0, steps + 1, batch) if lengths else None
    back = rng.random((steps, batch)) < 0.3 if reset else None
    sources = rng.integers(0, source + 1, batch) if cell.memory and memory_lengths else None
    return Case(cell, point, ends, back, sources)


def group(point: Point, name: str) -> dict[str, np.ndarray]:
    return {key: value for (kind, key), value in point.items() if kind == name}


def direction(point: Point, rng: np.random.Generator) -> Point:
    """A random direction at a point."""
    return {key: rng.standard_normal(value.shape) for key, value in point.items()}


def moved(point: Point, by: Point, step: complex) -> Point:
    return {key: value + step * by[key] for key, value in point.items()}


def entries(point: Point) -> Iterator[tuple[tuple[str, str], tuple[int, ...], Point]]:
    """(array, index, unit vector) for every entry of every array of a point."""
    zeros = {key: np.zeros_like(value) for key, value in point.items()}
    for key, value in point.items():
        for index in np.ndindex(value.shape):
            unit = np.zeros_like(value)
            unit[index] = 1.0
            yield key, index, zeros | {key: unit}


def inner(a: dict[Any, np.ndarray], b: dict[Any, np.ndarray]) -> Any:
    return sum(np.sum(a[key] * b[key]) for key in a)


def tangent_of_reference(c: Case, by: Point, at: Point | None = None) -> dict[str, np.ndarray]:
    """The directional derivative of all states, by complex step."""
    states = c.reference(moved(c.point if at is None else at, by, 1j * COMPLEX_STEP))
    return {slot: value.imag / COMPLEX_STEP for slot, value in states.items()}


def difference(function: Callable[[float], Any]) -> tuple[Any, Any]:
    """The derivative of a function at 0 by a central difference of fourth order, and by how much it may be wrong."""
    longer, shorter = (
        sum(w * function(i * step) for i, w in FOURTH_ORDER.items()) / step for step in DIFFERENCE_STEPS
    )
    return longer, abs(longer - shorter)


def on_one_branch(function: Callable[[float], Any]) -> Callable[[float], Any]:
    """The function with every piecewise choice as it is at 0: smooth, and near 0 the same.

    Of the thousands of rectifiers of a run some change sides on the shortest step. Nonlinearities choose by the
    condition of `numpy.where`, and a run asks for them in an order that does not depend on the point.
    """
    where, choices = np.where, []

    def note(condition: Any, *values: Any) -> Any:
        choices.append(condition)
        return where(condition, *values)

    def repeat(q: float) -> Any:
        again = iter(choices)
        with mock.patch.object(np, "where", lambda _, *values: where(next(again), *values)):
            return function(q)

    with mock.patch.object(np, "where", note):
        function(0.0)
    return repeat


def gradients(grads: Any, point: Point) -> Point:
    """The gradients of the engine, keyed as the point."""
    by_group = {
        "params": grads.params,
        "x": {"": grads.x},
        "initial": grads.initial,
        "signals": grads.signals,
        "memory": getattr(grads, "memory", {}),  # a run without a tape has none
    }
    return {(kind, name): by_group[kind][name] for kind, name in point}


def arguments(by: Point) -> dict[str, Any]:
    """A direction as the arguments of `jvp` and `hvp`."""
    return {
        "d_params": group(by, "params"),
        "d_x": by["x", ""],
        "d_initial": group(by, "initial"),
        "d_signals": group(by, "signals") or None,
        "d_memory": group(by, "memory") or None,
    }


def close(name: str, came: Any, wanted: Any, tolerance: float, doubt: float = 0.0) -> None:
    """Largest error over largest entry, beyond the doubt in the reference."""
    came, wanted = np.asarray(came), np.asarray(wanted)
    assert came.shape == wanted.shape, f"{name}: shape {came.shape}, reference {wanted.shape}"
    error = np.abs(came - wanted).max(initial=0)
    scale = max(np.abs(wanted).max(initial=0), 1e-3)
    assert error <= tolerance * scale + doubt, f"{name}: error {error:.1e}, largest entry {scale:.1e}"


def check_forward(c: Case) -> None:
    run, states = c.run(), c.reference(c.point)
    for slot in c.cell.state:
        close(f"states[{slot!r}]", run.states[slot], states[slot], 1e-12)
        close(f"final[{slot!r}]", run.final[slot], states[slot][-1], 1e-12)
    output = states[c.cell.output]
    if c.lengths is not None:
        output = np.where((np.arange(c.steps)[:, None] < c.lengths)[..., None], output, 0)
    close("output", run.output, output, 1e-12)


def check_backward(c: Case, rng: np.random.Generator, every_entry: bool = True) -> None:
    """The gradient by complex step: entry by entry, or along one random direction for each array."""
    run = c.run()
    d = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    grads = gradients(rd.backward(run, d_states=d), c.point)
    if every_entry:
        wanted = {key: np.zeros_like(value) for key, value in c.point.items()}
        for key, index, unit in entries(c.point):
            wanted[key][index] = inner(d, tangent_of_reference(c, unit))
        for key in c.point:
            close(f"gradient by {' '.join(key)}", grads[key], wanted[key], 1e-9)
        return
    zeros = {key: np.zeros_like(value) for key, value in c.point.items()}
    for key, u in direction(c.point, rng).items():
        slope = inner(d, tangent_of_reference(c, zeros | {key: u}))
        close(f"gradient by {' '.join(key)}", np.sum(grads[key] * u), slope, 1e-9)


def check_outputs(c: Case, rng: np.random.Generator) -> None:
    """Cotangents of output and final state add up with those of the states."""
    run = c.run()
    d_output = rng.standard_normal(run.output.shape)
    d_final = {slot: rng.standard_normal(value.shape) for slot, value in run.final.items()}
    d = {slot: np.zeros(value.shape) for slot, value in run.states.items()}
    d[c.cell.output] += d_output if run.mask is None else d_output * run.mask[..., None]
    for slot, value in d_final.items():
        d[slot][-1] += value
    came, wanted = rd.backward(run, d_output, d_final=d_final), rd.backward(run, d_states=d)
    for key, value in gradients(wanted, c.point).items():
        close(f"summed gradient by {' '.join(key)}", gradients(came, c.point)[key], value, 1e-13)


def check_tangent(c: Case, rng: np.random.Generator) -> None:
    """The tangent by complex step, and <v, J u> = <J^T v, u> to rounding."""
    run, by = c.run(), direction(c.point, rng)
    tangent, wanted = rd.jvp(run, **arguments(by)), tangent_of_reference(c, by)
    for slot in c.cell.state:
        close(f"tangent of {slot}", tangent.states[slot], wanted[slot], 1e-9)
        close(f"tangent of final {slot}", tangent.final[slot], wanted[slot][-1], 1e-9)
    v = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    pulled = gradients(rd.backward(run, d_states=v), c.point)
    left, right = inner(v, dict(tangent.states)), inner(pulled, by)
    size = sum(np.sum(np.abs(pulled[key] * by[key])) for key in by)
    assert abs(left - right) <= 1e-13 * size, f"<v, J u> = {left}, <J^T v, u> = {right}"


def check_states(c: Case, rng: np.random.Generator) -> None:
    """`grads.states`: d loss / d state_t is the gradient of the rest of the run by its initial state."""
    if c.reset is not None or c.lengths is not None or c.steps < 2:
        return
    run, cut = c.run(), c.steps // 2
    d = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    grads = rd.backward(run, d_states=d)
    rest = dict(c.point) | {("initial", slot): run.states[slot][cut - 1] for slot in c.cell.state}
    rest |= {key: value[cut:] for key, value in c.point.items() if key[0] in ("x", "signals")}
    later = rd.backward(c.run(rest), d_states={slot: value[cut:] for slot, value in d.items()})
    for slot in c.cell.state:
        close(
            f"d loss / d {slot}_t", grads.states[slot][cut - 1], later.initial[slot] + d[slot][cut - 1], 1e-12
        )


class DoubtfulReference(AssertionError):
    """The numbers to compare with are themselves too uncertain at this point."""


def check_second(c: Case, rng: np.random.Generator, every_entry: bool = False) -> None:
    """Hessian-vector products, with a cotangent that moves too, against the derivative of the gradient."""
    run, by = c.run(), direction(c.point, rng)
    v = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    dv = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    product = rd.hvp(run, d_states=v, d_states_tangent=dv, **arguments(by))
    product = gradients(product, c.point)

    def slope(u: Point) -> tuple[Any, Any]:
        def gradient(q: float) -> Any:
            cotangent = {slot: v[slot] + q * dv[slot] for slot in v}
            return inner(cotangent, tangent_of_reference(c, u, moved(c.point, by, q)))

        return difference(on_one_branch(gradient))

    if every_entry:
        by_entry = {key: np.zeros_like(value) for key, value in c.point.items()}
        for key, index, unit in entries(c.point):
            by_entry[key][index], _ = slope(unit)
        for key in c.point:
            close(f"second order by {' '.join(key)}", product[key], by_entry[key], 1e-8)
        return
    u = direction(c.point, rng)
    for key, value in product.items():  # every array weighs the same in the sum, and none cancels another
        weight = np.sign(np.sum(value * u[key])) or 1.0
        u[key] *= weight / max(np.linalg.norm(value), 1e-3)
    wanted, doubt = slope(u)
    if not doubt < 1e-5 * (1 + abs(wanted)):
        raise DoubtfulReference("the reference knows its second derivative too badly to compare")
    close("second order along one direction", inner(product, u), wanted, 1e-8, 2 * doubt)


def check_jacobian(c: Case, rng: np.random.Generator) -> None:
    """Jacobians of single steps by complex step; the operator applies the same and its transpose."""
    run = c.run()
    J, A = rd.jacobian(run), rd.jacobian_operator(run)
    before = dict(zip(c.cell.state, np.split(run.tape.before, np.cumsum(widths(run))[:-1], axis=-1)))
    signals = group(c.point, "signals")
    for t in range(c.steps):
        inputs = {name: value[t] if value.ndim == 3 else value[t][:, None] for name, value in signals.items()}
        column = 0
        for slot, width in zip(c.cell.state, widths(run)):
            for j in range(width):
                state = {name: value[t].astype(complex) for name, value in before.items()}
                state[slot][:, j] += 1j * COMPLEX_STEP
                after = reference.step(
                    c.cell,
                    group(c.point, "params"),
                    c.x[t],
                    state,
                    inputs,
                    group(c.point, "memory"),
                    c.memory_lengths,
                )
                wanted = np.concatenate([after[s].imag for s in c.cell.state], axis=-1) / COMPLEX_STEP
                if c.lengths is not None:
                    wanted[t >= c.lengths] = np.eye(J.shape[-1])[column]
                close(f"Jacobian of step {t} by {slot}", J[t, ..., column], wanted, 1e-9)
                column += 1
    u = rng.standard_normal(A.shape)
    close("matvec", A.matvec(u), np.einsum("tbij,tbj->tbi", J, u), 1e-12)
    close("rmatvec", A.rmatvec(u), np.einsum("tbji,tbj->tbi", J, u), 1e-12)


def check_stepper(c: Case) -> None:
    """Streaming gives the states of the run."""
    if c.lengths is not None or c.reset is not None:
        return
    run = c.run()
    step = rd.stepper(c.cell, group(c.point, "params"), group(c.point, "memory"), c.memory_lengths)
    state = group(c.point, "initial")
    for t in range(c.steps):
        state = step(c.x[t], state, signals={name: v[t] for name, v in group(c.point, "signals").items()})
        for slot in c.cell.state:
            close(f"streamed {slot}", state[slot], run.states[slot][t], 1e-13)


def check_branches(c: Case) -> None:
    """Rows that branch from others take the step of these rows, each with the bits that it has alone."""
    if c.lengths is not None or c.reset is not None or group(c.point, "signals"):
        return
    step = rd.stepper(c.cell, group(c.point, "params"), group(c.point, "memory"), c.memory_lengths)
    state, last = step.state(group(c.point, "initial")), c.x.shape[1] - 1
    parents, x = np.array([last, 0, last, 0]), c.x[0][[0, last, last, 0]]
    wanted, found = step(x, state.take(parents)), step.branch(x, state, parents)
    for slot in c.cell.state:
        close(f"branched {slot}", found[slot], wanted[slot], 1e-13)
    if wanted.attention is not None:
        close("branched attention", found.attention, wanted.attention, 1e-13)
    for m, parent in enumerate(parents):
        alone = step.branch(x[m : m + 1], state, [parent])
        for slot in c.cell.state:
            assert (alone[slot][0] == found[slot][m]).all(), f"branched {slot} of row {m} alone"


def widths(run: rd.engine.Run) -> list[int]:
    return [run.states[slot].shape[-1] for slot in run.cell.state]


def check(c: Case, rng: np.random.Generator, every_entry: bool = True) -> None:
    """Every verb of one case."""
    check_forward(c)
    check_backward(c, rng, every_entry)
    check_outputs(c, rng)
    check_tangent(c, rng)
    check_states(c, rng)
    check_second(c, rng)
    check_jacobian(c, rng)
    check_stepper(c)
    check_branches(c)
