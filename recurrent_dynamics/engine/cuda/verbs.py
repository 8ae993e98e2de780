"""The verbs of the CUDA engine on the arrays of a tape, all of which live on the device; as `engine.cpu.verbs`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells.layout import Layout
from ..cpu.backward_pass import Cotangents
from ..cpu.verbs import Tangents
from ..flatten import Flat, zeros
from ..run import Tape
from . import large_products, launches, memory_budget
from .array_exchange import check_tf32, current_index, mark, stream_of, to_device, to_host
from .blas import library
from .choose import plan_walk
from .device_model import Device, Sizes, Walk
from .driver import active, array_module, limits, ready
from .footprint import kept_size
from .jacobian import dense_jacobian
from .rounded import Rounded, begin, piece, pieces

__all__ = [
    "active", "add_columns", "adjoint", "arrays", "check_tf32", "current_index", "dense_jacobian", "forward", "mark",
    "new_values", "require", "rounded_values", "state_arrays", "stream_of", "tangent", "to_device", "to_host",
]  # fmt: skip


def current_device() -> Device:
    """The device that the walks are planned for."""
    return limits()


def planned(tape: Tape, verb: str) -> Walk:
    """The walk of a verb on this device."""
    layout = tape.layout
    sizes = Sizes(
        tape.steps, tape.batch, layout.input_size, layout.hidden_size, tape.dtype.itemsize, tape.tf32
    )
    return plan_walk(tape.cell, layout, verb, sizes, current_device())


def arrays() -> Any:
    """The module of the arrays, CuPy, once it is sure that kernels and cuBLAS can run here."""
    ready()
    if array_module() is not np:
        library()
    return array_module()


def require(
    verb: str, layout: Layout, steps: int, batch: int, dtype: np.dtype, resets: bool, rounded: bool
) -> None:
    """Raise a MemoryError if a verb needs more memory than the current GPU has left."""
    sizes = Sizes(steps, batch, layout.input_size, layout.hidden_size, dtype.itemsize)
    memory_budget.require(layout, sizes, verb, resets, rounded, current_device().name)


def state_arrays(steps: int, batch: int, k: int, dtype: np.dtype, separate: bool) -> tuple[Any, Any]:
    """(before, after): two views of one array one step apart, or with resets two arrays."""
    xp = array_module()
    if separate:
        return xp.empty((steps, batch, k), dtype), xp.empty((steps, batch, k), dtype)
    both = xp.empty((steps + 1, batch, k), dtype)
    return both[:-1], both[1:]


def new_values(shape: tuple[int, int, int], dtype: np.dtype, held: bool) -> Any:
    """Values of all steps; zeros where steps are held, as those are not computed."""
    xp = array_module()
    return (xp.zeros if held else xp.empty)(shape, dtype)


def add_columns(a: Any, out: Any, offset: int, fresh: bool, ends: Any = None) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    With `ends` (B,) `out` is (T, B, row), and what lies beyond the end of a sequence counts as 0. Returns whether the
    array is surely finite.
    """
    xp = array_module()
    if fresh:
        out[...] = 0
    columns = out[..., offset : offset + a.shape[-1]]
    a = a.reshape(columns.shape)
    if ends is not None and ends.size:
        a = xp.where(xp.arange(len(a))[:, None, None] < ends[:, None], a, a.dtype.type(0))
    columns += a
    return bool(xp.isfinite(a).all())


def rounded_values(layout: Layout, steps: int, batch: int) -> Rounded:
    """Values of all steps as bfloat16."""
    return Rounded.zeros(layout, steps, batch)


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; `before[0]` holds the initial state. Whether all are finite."""
    xp = array_module()
    for first, last in pieces(tape):
        part = tape
        if isinstance(tape.values, Rounded):
            values = xp.zeros((last - first, *tape.values.shape[1:]), tape.dtype)
            values[..., tape.values.bits.shape[-1] :] = tape.values.signals[first:last]
            part = piece(tape, first, last, values)
        begin(tape, first, tape.initial, tape.before, tape.after)
        large_products.inputs(part.values, part, part.x, part.W, part.bias)
        _forward_pass(
            part, "forward", tape.vectors, part.values, tape.initial, part.before, part.after, tape.memory
        )
        if isinstance(tape.values, Rounded):
            tape.values.keep(first, last, part.values)
    return bool(xp.isfinite(tape.after).all())


def drives(tape: Tape) -> Any:
    """The values of a tape, whose drives the kernels leave as they are."""
    return tape.values[:]


def _forward_pass(
    tape: Tape, verb: str, vectors: Any, values: Any, initial: Any, before: Any, after: Any, memory: Any
) -> None:
    lanes = current_device().lanes
    launches.forward_pass(tape, planned(tape, verb), vectors, values, initial, before, after, memory, lanes)
    large_products.clear_ended(tape, values)  # to which products were added


def adjoint(tape: Tape, before: Any, after: Any) -> Cotangents:
    """Walk back; `after` (T, B, k) arrives with the cotangents from outside and leaves with all of them.

    Of `before` nothing is needed: what goes from step to step stays in the threads and in shared memory. Of the
    cotangents of the values, those of the signals are given back.
    """
    xp, layout, dtype, lanes = array_module(), tape.layout, tape.dtype, current_device().lanes
    into, x, kept = zeros(layout, dtype, xp), xp.zeros(tape.x.shape, dtype), kept_size(layout)
    signals = xp.zeros((tape.steps, tape.batch, layout.values_size - kept), dtype)
    start = initial = xp.zeros((tape.batch, layout.state_size), dtype)
    memory = xp.zeros((tape.batch, layout.memory_size), dtype)
    for first, last in reversed(pieces(tape)):
        part = piece(tape, first, last)
        if last < tape.steps:
            after[last - 1] += start
        values = xp.empty((last - first, tape.batch, layout.values_size), dtype)
        vectors = xp.zeros((tape.batch, layout.vectors_size), dtype)
        start, again = launches.backward_pass(
            part, planned(part, "adjoint"), values, after[first:last], vectors, memory, lanes
        )
        initial = initial + again
        large_products.add_gradients(into, x[first:last], part, values)
        into.vectors[...] += vectors.sum(axis=0)
        signals[first:last] = values[..., kept:]
    return Cotangents(into, x, signals, after, initial + start, memory)


def tangent(tape: Tape, move: Flat, x: Any, initial: Any, signals: Any | None, memory: Any) -> Tangents:
    """Walk with tangents of the parameters, the input (T, B, N), the initial state (B, k), the signals (T, B, ...)."""
    xp, layout = array_module(), tape.layout
    before, after = state_arrays(tape.steps, tape.batch, layout.state_size, tape.dtype, tape.resets.size > 0)
    before[0] = initial
    for first, last in pieces(tape):
        part = piece(tape, first, last)
        values = xp.zeros((last - first, tape.batch, layout.values_size), tape.dtype)
        if signals is not None:
            values[..., layout.values_size - signals.shape[-1] :] = signals[first:last]
        large_products.inputs(values, part, part.x, move.W, move.bias)
        large_products.add_input(values, part, x[first:last], tape.W)
        large_products.add_moved(values, part, move.matrices)
        large_products.clear_ended(part, values)
        begin(tape, first, initial, before, after)
        _forward_pass(
            part, "tangent", move.vectors, values, initial, before[first:last], after[first:last], memory
        )
    return Tangents(move, x, values, before, after, memory)
