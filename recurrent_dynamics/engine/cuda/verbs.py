"""The verbs of the CUDA engine on the arrays of a tape, all of which live on the device; as `engine.cpu.verbs`.

The large products before and after a walk are cuBLAS's, called by CuPy: in IEEE arithmetic and in a fixed order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..cpu.verbs import Cotangents, Tangents
from ..flatten import Flat, parts_size
from ..run import Tape
from . import blocks, columns, grid, tables
from .choose import plan_walk
from .driver import array_module, launch, launch_phases, limits, ready
from .jacobian import dense_jacobian
from .walks import Device, Sizes, Walk

__all__ = [
    "adjoint", "arrays", "dense_jacobian", "forward", "new_values", "place", "state_arrays", "tangent", "to_host",
]  # fmt: skip


@lru_cache(maxsize=1)
def current_device() -> Device:
    """The device that the walks are planned for."""
    ready()
    return limits()


def planned(tape: Tape, verb: str) -> Walk:
    """The walk of a verb on this device."""
    sizes = Sizes(
        tape.steps, tape.batch, tape.layout.input_size, tape.layout.hidden_size, tape.dtype.itemsize
    )
    return plan_walk(tape.cell, tape.layout, verb, sizes, current_device())


def arrays() -> Any:
    """The module of the arrays, CuPy, once it is sure that kernels can run here."""
    ready()
    return array_module()


def to_host(a: Any) -> np.ndarray:
    """A NumPy array of what lies on the device."""
    return a if isinstance(a, np.ndarray) else a.get()


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


def place(a: Any, out: Any, offset: int, fresh: bool) -> bool:
    """Add (rows, width) to columns of (rows, row); `fresh`: write it, and zeros in the other columns.

    Returns whether the array is surely finite.
    """
    if fresh:
        out[...] = 0
    columns = out[..., offset : offset + a.shape[-1]]
    columns += a.reshape(columns.shape)
    return bool(array_module().isfinite(a).all())


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; `before[0]` holds the initial state. Whether all are finite."""
    _inputs(tape.values, tape, tape.x, tape.W, tape.bias)
    _forth(tape, "forward", tape.vectors, tape.values, tape.initial, tape.before, tape.after)
    return bool(array_module().isfinite(tape.after).all())


def _inputs(values: Any, tape: Tape, x: Any, W: Any, bias: Any) -> None:
    """values[..., parts] = bias + x W^T, and 0 in steps beyond the length of a sequence."""
    layout, xp = tape.layout, array_module()
    g, n = layout.input_rows, layout.input_size
    values[..., : parts_size(layout)] = bias
    if g and n:
        product = xp.matmul(x.reshape(-1, n), W.T)
        values[..., :g] += product.reshape(tape.steps, tape.batch, g)
    _clear_ended(tape, values)


def _clear_ended(tape: Tape, values: Any) -> None:
    if tape.lengths.size:
        values[_ended(tape)] = 0


def _ended(tape: Tape) -> Any:
    xp = array_module()
    return xp.arange(tape.steps)[:, None] >= tape.lengths


def _flat(a: Any) -> Any:
    """The array as one row; one number in place of an empty array, which has no address on a device."""
    return a.reshape(-1) if a.size else array_module().zeros(1, a.dtype)


def _schedule(tape: Tape) -> tuple[tuple[int, ...], int]:
    """(widths, the widest)."""
    return tuple(int(w) for w in tape.layout.widths), max(tape.layout.widths)


def _ends(tape: Tape) -> tuple[Any, Any, bool]:
    """(a length for every instance, resets, whether there are any)."""
    xp = array_module()
    lengths = tape.lengths if tape.lengths.size else xp.full(tape.batch, tape.steps, np.int64)
    return lengths, _flat(tape.resets), bool(tape.resets.size)


def _products(tape: Tape, walk: Walk) -> tuple[Any, int, Any]:
    """(table of products, their number, packed matrices)."""
    xp, found = array_module(), tables.merged(tape.layout)
    # A block reads rows of the result side by side, a grid the terms of a sum.
    natural = (walk.verb == "adjoint") == (walk.kind == "block")
    table = tables.table(found, walk.slices or (1,) * len(found))
    return xp.asarray(table), len(found), tables.pack(found, tape.matrices, natural, xp)


def _forth(tape: Tape, verb: str, vectors: Any, values: Any, initial: Any, before: Any, after: Any) -> None:
    walk, layout, dtype = planned(tape, verb), tape.layout, tape.dtype.name
    sizes = (tape.steps, tape.batch, layout.state_size, layout.values_size, *_schedule(tape))
    P, tP, C, E, S = map(_flat, (tape.vectors, vectors, tape.constants, tape.values, tape.before))
    moving = (_flat(values), *map(_flat, (initial, before, after)))
    if walk.kind == "columns":
        kernel = columns.walk(tape.cell, verb, dtype)
        along = (P, C) if verb == "forward" else (P, tP, C, E, S)
        launch(kernel, walk.blocks, walk.threads, 0, *sizes, *along, *moving, *_ends(tape))
    else:
        how = (walk.blocks, walk.threads, walk.shared_bytes)
        arguments = (*sizes, *_products(tape, walk), P, tP, C, E, S, *moving, *_ends(tape))
        if walk.kind == "block":
            launch(blocks.walk(tape.cell, verb, dtype, walk.tile, walk.resident), *how, *arguments)
        else:
            kernel = grid.walk(tape.cell, verb, dtype, walk.resident, current_device().lanes)
            launch_phases(kernel, tape.steps * (tape.cell.schedule.stages + 1), *how, walk.groups, *arguments)
        _clear_ended(tape, values)  # to which products were added


def adjoint(tape: Tape, before: Any, after: Any) -> Cotangents:
    """Walk back; `after` (T, B, k) arrives with the cotangents from outside and leaves with all of them.

    Of `before` nothing is needed: what goes from step to step stays in the threads and in shared memory.
    """
    xp, layout, dtype = array_module(), tape.layout, tape.dtype
    e, k, v = layout.values_size, layout.state_size, layout.vectors_size
    values = xp.empty((tape.steps, tape.batch, e), dtype)
    vectors, initial = xp.zeros((tape.batch, v), dtype), xp.zeros((tape.batch, k), dtype)
    walk = planned(tape, "adjoint")
    sizes = (tape.steps, tape.batch, k, e, v, *_schedule(tape))
    point = tuple(map(_flat, (tape.vectors, tape.constants, tape.values, tape.before)))
    cotangents = tuple(map(_flat, (values, after, vectors, initial)))
    if walk.kind == "columns":
        kernel = columns.walk(tape.cell, "adjoint", dtype.name)
        launch(kernel, walk.blocks, walk.threads, 0, *sizes, *point, *cotangents, *_ends(tape))
    elif walk.kind == "block":
        kernel = blocks.walk(tape.cell, "adjoint", dtype.name, walk.tile, walk.resident)
        launch(
            kernel, walk.blocks, walk.threads, walk.shared_bytes, *sizes, *_products(tape, walk), *point,
            *cotangents, *_ends(tape),
        )  # fmt: skip
    else:
        kernel = grid.walk(tape.cell, "adjoint", dtype.name, walk.resident, current_device().lanes)
        launch_phases(
            kernel, tape.steps * (tape.cell.schedule.stages + 1), walk.blocks, walk.threads, walk.shared_bytes,
            walk.groups, *sizes, *_products(tape, walk), *point, *cotangents, xp.zeros(tape.batch * k, dtype),
            *_ends(tape),
        )  # fmt: skip
    return _gradients(tape, values, after, vectors.sum(axis=0), initial)


def _gradients(tape: Tape, values: Any, after: Any, vectors: Any, initial: Any) -> Cotangents:
    """The large products after a walk back."""
    xp, layout = array_module(), tape.layout
    g, n, rows = layout.input_rows, layout.input_size, tape.steps * tape.batch
    d = values.reshape(rows, -1)
    x = xp.zeros(tape.x.shape, tape.dtype)
    W = xp.zeros((g, n), tape.dtype)
    if g and n:
        x = xp.matmul(d[:, :g], tape.W).reshape(tape.x.shape)
        W = xp.matmul(d[:, :g].T, tape.x.reshape(rows, n))
    matrices = xp.zeros(layout.matrices_size, tape.dtype)
    for p in tables.merged(layout):
        if p.size:
            target = d[:, p.target : p.target + p.heads * p.height].reshape(rows, p.heads, p.height)
            operand = _operand(tape, p, tape.before, tape.values)
            block = xp.matmul(target.transpose(1, 2, 0), operand.transpose(1, 0, 2))
            matrices[p.at : p.at + p.size] = block.reshape(-1)
    return Cotangents(
        Flat(W, d[:, : parts_size(layout)].sum(axis=0), matrices, vectors), x, values, after, initial
    )


def _operand(tape: Tape, p: tables.Merged, before: Any, values: Any) -> Any:
    """The operand of a product in all rows, (rows, heads, columns)."""
    row = (before if p.from_state else values)[..., p.source : p.source + p.heads * p.columns]
    return row.reshape(tape.steps * tape.batch, p.heads, p.columns)


def tangent(tape: Tape, move: Flat, x: Any, initial: Any, signals: Any | None) -> Tangents:
    """Walk with tangents of the parameters, the input (T, B, N), the initial state (B, k), the signals (T, B, ...)."""
    xp, layout = array_module(), tape.layout
    g, n = layout.input_rows, layout.input_size
    values = xp.zeros((tape.steps, tape.batch, layout.values_size), tape.dtype)
    if signals is not None:
        values[..., layout.values_size - signals.shape[-1] :] = signals
    _inputs(values, tape, tape.x, move.W, move.bias)
    if g and n:
        values[..., :g] += xp.matmul(x.reshape(-1, n), tape.W.T).reshape(tape.steps, tape.batch, g)
    for p in tables.merged(layout):
        if p.size:
            block = move.matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
            operand = _operand(tape, p, tape.before, tape.values).transpose(1, 2, 0)
            moved = xp.matmul(block, operand).transpose(2, 0, 1).reshape(tape.steps, tape.batch, -1)
            values[..., p.target : p.target + p.heads * p.height] += moved
    _clear_ended(tape, values)
    before, after = state_arrays(tape.steps, tape.batch, layout.state_size, tape.dtype, tape.resets.size > 0)
    before[0] = initial
    _forth(tape, "tangent", move.vectors, values, initial, before, after)
    return Tangents(move, x, values, before, after)
