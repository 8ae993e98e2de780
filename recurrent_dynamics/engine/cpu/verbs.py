"""The verbs of the CPU engine: from the arrays of a tape to new arrays, by the compiled loops over time."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...equations.nonlinearities import NONLINEARITIES
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import add_columns
from ...kernels.threads import POOL, launch, threads_for
from ..flatten import Flat, zeros
from ..run import Tape
from . import input_products, jacobian, stage_products, tables, tangent_loops, weight_gradients
from .arguments import (
    NO_CLASSES,
    drive_input,
    new_values,
    own_arguments,
    packed,
    sizes,
    state_arrays,
)
from .backward_pass import (
    ADD,
    WRITE,
    Cotangents,
    StepArrays,
    add_gradients,
    adjoint,
    memory_gradient,
    new_input,
)
from .forward_pass import forward, kept
from .groups import active_rows, grouped_rows
from .rows import row_kernel
from .tables import drives_size
from .windows import infer, pack_forward, prepare
from .work_split import choose_split, step_flops

# `Backend.verbs` needs `new_values` and `state_arrays` too.
__all__ = [
    "add_columns", "adjoint", "dense_jacobian", "drives", "forward", "from_drives", "infer", "kept", "new_values",
    "pack_forward", "prepare", "run_tangent", "second", "state_arrays", "tangent",
]  # fmt: skip


class Tangents(NamedTuple):
    """The direction of a tangent pass and its results."""

    flat: Flat
    x: np.ndarray
    values: np.ndarray
    before: np.ndarray
    after: np.ndarray
    memory: np.ndarray  # flat, as that of the tape


def drives(tape: Tape) -> np.ndarray:
    """The values (T, B, e) of a tape with the drives themselves, where the tape has their nonlinearities instead.

    Drives are computed again from the input and the states, for all steps at once. Means are written for every unit.
    """
    overwritten, means = tables.compacted(tape.cell)
    if not overwritten and not means:
        return tape.values
    again = _drives_again(tape) if overwritten else tape.values.copy()
    for v in tape.layout.values:
        columns = slice(v.offset, v.offset + v.width)
        if v.name in means:
            again[..., columns] = tape.values[..., v.offset, None]
        elif v.name not in overwritten:
            again[..., columns] = tape.values[..., columns]
    return again


def _drives_again(tape: Tape) -> np.ndarray:
    """Values in which only the drives are computed; the others are zeros."""
    layout, index = tape.layout, active_rows(tape)
    g, k, e = layout.input_rows, layout.state_size, layout.values_size
    x, n, bias, indices = drive_input(layout, tape.input, tape.W, tape.bias)
    again = np.zeros(tape.values.shape, tape.dtype)
    flat, threads = again.reshape(-1), threads_for(index.size, step_flops(tape.layout))
    with POOL:
        launch(
            threads, input_products.multiply_input,
            x, tape.W.reshape(-1), bias, indices, flat, index, n, g, drives_size(layout), e,
        )  # fmt: skip
        launch(
            threads, stage_products.add_matrix_products,
            tables.products(tape.cell, layout), *packed(tape, tape.matrices, False)[:2], tape.before.reshape(-1),
            tape.values.reshape(-1), flat, index, k, e,
        )  # fmt: skip
    return again


def from_drives(tape: Tape) -> Tape:
    """Convert a tape whose values have the drives themselves into a tape of this engine."""
    overwritten = tables.compacted(tape.cell)[0]
    values = tape.values.copy()
    for drive in tape.layout.preactivations:
        if drive.name in overwritten:
            kind, _ = overwritten[drive.name]
            stored = values[..., drive.offset : drive.offset + drive.width]
            stored[...] = NONLINEARITIES[kind](stored)
    return replace(tape, values=values)


def tangent(
    tape: Tape,
    move: Flat,
    x: np.ndarray,
    initial: np.ndarray,
    signals: np.ndarray | None,
    memory: np.ndarray,
) -> Tangents:
    """The tangent pass, with tangents of parameters, input (T, B, N), initial state (B, k), signals and memory."""
    steps, batch, k, _ = sizes(tape)
    before, after = state_arrays(steps, batch, k, tape.dtype, tape.resets.size > 0)
    before[0] = initial
    with POOL:
        values = values_of_moved_parameters(tape, move, x, signals)
        run_tangent(tape, values, before, after, move.vectors, initial, memory)
    return Tangents(move, x, values, before, after, memory)


def values_of_moved_parameters(
    tape: Tape, move: Flat, x: np.ndarray, signals: np.ndarray | None
) -> np.ndarray:
    """The tangents of the values as far as they come from those of parameters, input and signals, for all steps."""
    steps, batch, k, e = sizes(tape)
    n, g, index = tape.layout.input_size, tape.layout.input_rows, active_rows(tape)
    threads = threads_for(index.size, step_flops(tape.layout))
    values = new_values((steps, batch, e), tape.dtype, held=tape.lengths.size > 0)
    if signals is not None:
        values[..., e - signals.shape[-1] :] = signals
    elif tape.layout.signals:
        values[..., tape.layout.signals[0].offset :] = 0
    flat = values.reshape(-1)
    launch(
        threads, input_products.multiply_input,
        tape.x.reshape(-1), move.W.reshape(-1), move.bias, NO_CLASSES, flat, index, n, g,
        drives_size(tape.layout), e,
    )  # fmt: skip
    if n and g:
        launch(
            threads, input_products.multiply_input,
            x.reshape(-1), tape.W.reshape(-1), tape.bias[:0], NO_CLASSES, flat, index, n, g, 0, e
        )  # fmt: skip
    if tape.matrices.size:
        launch(
            threads, stage_products.add_matrix_products,
            tables.products(tape.cell, tape.layout), *packed(tape, move.matrices, False)[:2],
            tape.before.reshape(-1), tape.values.reshape(-1), flat, index, k, e,
        )  # fmt: skip
    return values


def run_tangent(
    tape: Tape,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    vectors: np.ndarray,
    initial: np.ndarray,
    memory: np.ndarray,
) -> None:
    by_units, threads = choose_split(tape)
    launch(
        threads, tangent_loops.tangent,
        *own_arguments(tape, "tangent", False), tape.vectors, tape.constants, tape.memory, tape.places,
        tape.values.reshape(-1), tape.before.reshape(-1), values.reshape(-1), before.reshape(-1), after.reshape(-1),
        vectors, memory, initial.reshape(-1), tape.lengths, tape.resets, by_units, new_counters(),
    )  # fmt: skip


def second(
    tape: Tape, moved: Tangents, cotangents: Cotangents, before: np.ndarray, after: np.ndarray
) -> Cotangents:
    """The tangent of `adjoint` in the direction of `moved`; `after` arrives with the tangents of the cotangents."""
    steps, batch, k, e = sizes(tape)
    initial = np.zeros((batch, k), tape.dtype)
    values = memory.empty((steps, batch, e), tape.dtype)
    vectors = np.zeros((batch, tape.layout.vectors_size), tape.dtype)
    d_memory = memory_gradient(tape)
    by_units, threads = choose_split(tape)
    with POOL:
        launch(
            threads, tangent_loops.second,
            *own_arguments(tape, "second", True), packed(tape, moved.flat.matrices, True)[0], tape.vectors,
            tape.constants, tape.memory, tape.places, tape.values.reshape(-1), tape.before.reshape(-1),
            moved.values.reshape(-1), moved.before.reshape(-1), moved.flat.vectors, moved.memory,
            cotangents.values.reshape(-1), cotangents.after.reshape(-1),
            values.reshape(-1), before.reshape(-1), after.reshape(-1), vectors.reshape(-1), d_memory.reshape(-1),
            initial.reshape(-1), tape.lengths, tape.resets, by_units, new_counters(),
        )  # fmt: skip
        flat = zeros(tape.layout, tape.dtype)._replace(vectors=vectors.sum(axis=0))
        x, grouped = new_input(tape), grouped_rows(steps, batch, tape.lengths, 1)
        W, U, bias = flat.W, flat.matrices, flat.bias
        arrays = StepArrays.of(tape.x, tape.values, tape.before, x, before, after, values)
        add_gradients(tape, weight_gradients.group_sums(1, (W, U, bias)), arrays, tape.W, grouped, WRITE)
        # The tangent of the bias adds nothing: its gradient is summed already.
        arrays = StepArrays.of(moved.x, moved.values, moved.before, x, before, after, cotangents.values)
        add_gradients(
            tape, weight_gradients.group_sums(1, (W, U, bias[:0])), arrays, moved.flat.W, grouped, ADD
        )
    return Cotangents(flat, x, values, after, initial if tape.resets.size else before[0], d_memory)


def dense_jacobian(tape: Tape, chosen: np.ndarray) -> np.ndarray:
    """d state after / d state before of the chosen steps: (chosen, B, k, k)."""
    if tape.layout.reads:
        from .independent_steps import dense_by_tangents

        return dense_by_tangents(tape, chosen)
    _, batch, k, e = sizes(tape)
    entries, _, local = tables.diagonals(tape.cell, tape.layout)
    values, before = tape.values[chosen], tape.before[chosen]
    J = memory.empty((len(chosen) * batch, k, k), tape.dtype)
    threads = threads_for(len(J), 2 * e * k + 4 * k * k)
    with POOL:
        launch(
            threads, jacobian.jacobian,
            row_kernel(tape.cell, "jacobian", tape.dtype), tables.stages_with_equations(tape.cell),
            tables.widths(tape.layout), len(J), k, e, tape.cell.schedule.stages,
            tables.products(tape.cell, tape.layout), entries, max(local, 1), tape.matrices, tape.vectors,
            tape.constants, values.reshape(-1), before.reshape(-1), J.reshape(-1), tape.lengths,
            np.repeat(chosen, batch), batch,
        )  # fmt: skip
    return J.reshape(len(chosen), batch, k, k)
