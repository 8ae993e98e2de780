"""What a walk launches: the kernel of its kind, with the arrays of a tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..run import Tape
from ..stacked_products import StackedProduct, stacked_products
from . import block_kernels, column_kernels, grid_kernels, step_kernels, tables
from .blas import product
from .capture import repeat
from .device_model import Walk
from .driver import array_module, launch, launch_phases


def flat(a: Any) -> Any:
    """The array as one row; one number in place of an empty array, which has no address on a device."""
    return a.reshape(-1) if a.size else array_module().zeros(1, a.dtype)


def _widths(tape: Tape) -> tuple[Any, int]:
    """(widths, the widest); an array of them for cells that read a memory, see `step_kernels`."""
    widths = tuple(int(w) for w in tape.layout.widths)
    return array_module().asarray(widths, np.int64) if tape.layout.reads else widths, max(widths)


def _ends(tape: Tape) -> tuple[Any, Any, bool]:
    """(a length for every instance, resets, whether there are any)."""
    xp = array_module()
    lengths = tape.lengths if tape.lengths.size else xp.full(tape.batch, tape.steps, np.int64)
    return lengths, flat(tape.resets), bool(tape.resets.size)


def _reads(tape: Tape, moving: Any) -> tuple[Any, ...]:
    """(memory, its tangents or cotangents, places): of a cell that reads none, places that are not read."""
    xp = array_module()
    places = xp.asarray(tape.places) if tape.places.size else xp.zeros(3 * tape.batch, np.int64)
    return flat(tape.memory), flat(moving), places


def _table(tape: Tape, walk: Walk) -> tuple[Any, int]:
    """(table of products, their number)."""
    found = stacked_products(tape.layout)
    return array_module().asarray(tables.table(found, walk.slices or (1,) * len(found))), len(found)


def _packed(tape: Tape, walk: Walk) -> Any:
    """The matrices: a block reads rows of the result side by side, a grid the terms of a sum."""
    natural = (walk.verb == "adjoint") == (walk.kind == "block")
    return tables.pack(stacked_products(tape.layout), tape.matrices, natural, array_module())


def forward_pass(
    tape: Tape,
    walk: Walk,
    vectors: Any,
    values: Any,
    initial: Any,
    before: Any,
    after: Any,
    memory: Any,
    lanes: int,
) -> None:
    """The forward pass or its tangent: fill `values`, `before`, `after`; `initial` is the state after a reset.

    `before[0]` holds the state that the walk starts from. A tangent goes in the direction of `vectors` and `memory`.
    """
    layout, dtype, how = tape.layout, tape.dtype.name, (walk.blocks, walk.threads, walk.shared_bytes)
    sizes = (tape.steps, tape.batch, layout.state_size, layout.values_size, *_widths(tape))
    P, tP, C, E, S = map(flat, (tape.vectors, vectors, tape.constants, tape.values, tape.before))
    xp, ends = array_module(), _ends(tape)
    start = xp.concatenate([before[0], initial]) if ends[2] else before[0].copy()
    moving = (flat(values), *map(flat, (start, before, after)))
    if walk.kind == "columns":
        along = (P, C) if walk.verb == "forward" else (P, tP, C, E, S)
        launch(column_kernels.walk(tape.cell, walk.verb, dtype), *how, *sizes, *along, *moving, *ends)
        return
    if walk.kind == "steps":
        size, k, e = tape.batch, layout.state_size, layout.values_size
        work = [xp.zeros((size, n), tape.dtype) for n in (e, k, k)]
        arguments = (*sizes, *_table(tape, walk), P, tP, C, E, S, *moving, *ends, *_reads(tape, memory))
        arguments += tuple(map(flat, work))
        _step_by_step(tape, walk, work[0], work[1], arguments)
        return
    arguments = (*sizes, *_table(tape, walk), _packed(tape, walk), P, tP, C, E, S, *moving, *ends)
    if walk.kind == "block":
        launch(block_kernels.walk(tape.cell, walk.verb, dtype, walk.tile, walk.resident), *how, *arguments)
    else:
        kernel = grid_kernels.walk(tape.cell, walk.verb, dtype, walk.resident, lanes)
        launch_phases(kernel, tape.steps * (tape.cell.schedule.stages + 1), *how, walk.groups, *arguments)


def backward_pass(
    tape: Tape, walk: Walk, values: Any, after: Any, vectors: Any, memory: Any, lanes: int
) -> tuple[Any, Any]:
    """The backward pass: fill `values`, add to `after`, `vectors` and `memory`.

    Returns the cotangents of the first state, and of the states after resets.
    """
    xp, layout, dtype = array_module(), tape.layout, tape.dtype
    how = (walk.blocks, walk.threads, walk.shared_bytes)
    e, k = layout.values_size, layout.state_size
    ends = _ends(tape)
    initial = xp.zeros((1 + ends[2], tape.batch, k), dtype)
    sizes = (tape.steps, tape.batch, k, e, layout.vectors_size, *_widths(tape))
    point = tuple(map(flat, (tape.vectors, tape.constants, tape.values, tape.before)))
    cotangents = tuple(map(flat, (values, after, vectors, initial)))
    if walk.kind == "columns":
        launch(
            column_kernels.walk(tape.cell, "adjoint", dtype.name), *how, *sizes, *point, *cotangents, *ends
        )
    elif walk.kind == "steps":
        work = [xp.zeros((tape.batch, n), dtype) for n in (e, k)]
        arguments = (*sizes, *_table(tape, walk), *point, *cotangents, *ends, *_reads(tape, memory))
        arguments += tuple(map(flat, work))
        _step_by_step(tape, walk, work[0], work[1], arguments)
    elif walk.kind == "block":
        kernel = block_kernels.walk(tape.cell, "adjoint", dtype.name, walk.tile, walk.resident)
        launch(kernel, *how, *sizes, *_table(tape, walk), _packed(tape, walk), *point, *cotangents, *ends)
    else:
        kernel = grid_kernels.walk(tape.cell, "adjoint", dtype.name, walk.resident, lanes)
        carry = xp.zeros(tape.batch * k, dtype)
        launch_phases(
            kernel, tape.steps * (tape.cell.schedule.stages + 1), *how, walk.groups, *sizes, *_table(tape, walk),
            _packed(tape, walk), *point, *cotangents, carry, *ends,
        )  # fmt: skip
    return initial[0], initial[1] if ends[2] else xp.zeros((tape.batch, k), dtype)


def _step_by_step(tape: Tape, walk: Walk, values: Any, state: Any, arguments: tuple[Any, ...]) -> None:
    """All steps of walk 3: the kernel that begins the first one, and then products and kernels in turn."""
    xp, backward = array_module(), walk.verb == "adjoint"
    found = stacked_products(tape.layout)
    last = tape.cell.schedule.stages
    # Without a product, as of a cell of reads alone, a launch begins before the last stage.
    stages = sorted({p.stage for p in found if p.size} or {last - 1}, reverse=backward)
    clock = xp.full(tape.batch, tape.steps if backward else -1, np.int64)
    kernel = step_kernels.walk(tape.cell, walk.verb, tape.dtype.name)

    def segment(a: int, b: int, turn: bool) -> None:
        how = (walk.blocks, walk.threads, walk.shared_bytes)
        launch(kernel, *how, a, b, turn, clock, *arguments)

    products: dict[int, list[Callable[[], None]]] = {
        stage: [_product(tape, p, values, state, backward) for p in found if p.size and p.stage == stage]
        for stage in stages
    }

    def step() -> None:
        for stage, following in zip(stages, [*stages[1:], None], strict=True):
            for multiply in products[stage]:
                multiply()
            to = stages[0] if following is None else following
            segment(*((stage, to + 1) if backward else (stage + 1, to)), following is None)

    segment(0 if backward else last, stages[0] + 1 if backward else stages[0], True)
    repeat(step, tape.steps, walk.captured)


def _product(tape: Tape, p: StackedProduct, values: Any, state: Any, backward: bool) -> Callable[[], None]:
    """The product of a step, by heads: target += M operand, or in the backward pass, operand += M^T target."""
    M = tape.matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
    row = state if p.from_state else values
    operand = row[:, p.source : p.source + p.heads * p.columns].reshape(-1, p.heads, p.columns)
    target = values[:, p.target : p.target + p.heads * p.height].reshape(-1, p.heads, p.height)
    A, M, out = (target, M, operand) if backward else (operand, M.transpose(0, 2, 1), target)
    A, out = A.transpose(1, 0, 2), out.transpose(1, 0, 2)
    if p.heads == 1:
        A, M, out = A[0], M[0], out[0]
    return lambda: product(A, M, out, add=True, tf32=tape.tf32)
