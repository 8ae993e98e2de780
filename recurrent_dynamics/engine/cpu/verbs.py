"""The verbs of the CPU engine: from the arrays of a tape to new arrays, through the compiled walks."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...equations.nonlinearities import NONLINEARITIES
from .. import blocks
from ..flatten import Flat, empty, zeros
from ..run import Tape
from . import classes, hoisted, jacobian, outer, tables, walks
from .arguments import (
    NO_CLASSES,
    Factors,
    drive_input,
    equations,
    first_arguments,
    new_values,
    own_arguments,
    packed,
    sizes,
    some_steps,
    state_arrays,
)
from .copying import are_finite, place
from .groups import active_rows, group_count, grouped_rows
from .pool import POOL, launch, step_flops, team, threads_for
from .rows import BUILT
from .tables import drives_size

# `new_values` and `state_arrays` are what `Backend.verbs` asks of a backend, too.
__all__ = [
    "adjoint", "dense_jacobian", "drives", "forward", "from_drives", "new_values", "packed_for_adjoint", "place",
    "second", "state_arrays", "tangent", "walk_adjoint", "walk_tangent",
]  # fmt: skip

# The C library (glibc) gives the arrays of a call back to the system and then faults every page in again: 2700 faults,
# half of the time, for an Elman network at (T, B, N, H) = (100, 32, 128, 128). Having freed one block just below 32 MB,
# it keeps what is freed.
np.empty(31 << 20, np.uint8)


DONE, WRITE, ADD = range(3)  # what `_collect` is to do with the cotangents of the input

# What a walk back leaves before the large products read it: so many bytes of cotangents of the values, and of the work
# of a millisecond, as each time costs 50 microseconds. Where all threads read what each of them wrote (one group), it
# had better left the second cache: two cores take 1 percent less then, and 2 to 5 if they are slow to each other.
BYTES_AT_ONCE = 1 << 20
BYTES_FOR_ALL = 8 << 20
FLOPS_AT_ONCE = 4e8


class Cotangents(NamedTuple):
    """What a walk back leaves: derivatives of the loss by everything on a tape."""

    flat: Flat
    x: np.ndarray  # (T, B, N); (T, B, 0) for class indices
    values: np.ndarray  # (T, B, e), or of fewer steps if they were not to be kept
    after: np.ndarray  # (T, B, k), that of the state after each step
    initial: np.ndarray  # (B, k)


class Tangents(NamedTuple):
    """What a tangent walk leaves."""

    flat: Flat
    x: np.ndarray
    values: np.ndarray
    before: np.ndarray
    after: np.ndarray


def _by_parameters(tape: Tape, flat: Flat) -> Flat:
    """The gradients by W and the bias from those by the bias of each class."""
    W, d_bias = classes.gradients(flat.bias, tape.layout.input_rows, tape.layout.input_size)
    bias = np.zeros_like(tape.bias)
    bias[: d_bias.size] = d_bias
    return flat._replace(W=W, bias=bias)


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; before[0] (or `initial`, with resets) holds the initial state.

    Returns whether all states are surely finite.
    """
    layout = tape.layout
    g, parts = layout.input_rows, drives_size(layout)
    x, n, bias, indices = drive_input(tape)
    with POOL:
        by_units, threads = team(tape)
        if by_units:
            index = active_rows(tape)
            launch(
                threads, hoisted.inputs, BUILT, x, tape.W.reshape(-1), bias, indices,
                tape.values.reshape(-1), index, n, g, parts, layout.values_size, threads,
            )  # fmt: skip
        factors = packed(tape, tape.matrices, False, n, g)
        sums = launch(
            threads, walks.forward,
            *first_arguments(tape, factors), tape.vectors, tape.constants, tape.values.reshape(-1),
            tape.before.reshape(-1), tape.after.reshape(-1), tape.initial.reshape(-1), tape.lengths, tape.resets,
            by_units, threads, x, factors.W, bias, indices, n, g, 0 if by_units else parts,
        )  # fmt: skip
    return are_finite(sums)


def drives(tape: Tape) -> np.ndarray:
    """The values (T, B, e) of a tape with the drives themselves where it has what they were overwritten with.

    They are computed again from the input and the states, once for all steps. Means stand in all of their places.
    """
    overwritten, means = tables.compacted(tape.cell)
    if not overwritten and not means:
        return tape.values
    again = _drives_again(tape) if overwritten else tape.values.copy()
    for v in tape.layout.values:
        own = slice(v.offset, v.offset + v.width)
        if v.name in means:
            again[..., own] = tape.values[..., v.offset, None]
        elif v.name not in overwritten:
            again[..., own] = tape.values[..., own]
    return again


def _drives_again(tape: Tape) -> np.ndarray:
    """Values with the drives, and zeros beside them."""
    layout, index = tape.layout, active_rows(tape)
    g, k, e = layout.input_rows, layout.state_size, layout.values_size
    x, n, bias, indices = drive_input(tape)
    again = np.zeros(tape.values.shape, tape.dtype)
    flat, threads = again.reshape(-1), threads_for(index.size, step_flops(tape))
    with POOL:
        launch(
            threads, hoisted.inputs,
            BUILT, x, tape.W.reshape(-1), bias, indices, flat, index, n, g, drives_size(layout), e, threads,
        )  # fmt: skip
        launch(
            threads, hoisted.add_matrices,
            BUILT, tables.products(tape.cell, layout), *packed(tape, tape.matrices, False)[:2], tape.before.reshape(-1),
            tape.values.reshape(-1), flat, index, k, e, threads,
        )  # fmt: skip
    return again


def from_drives(tape: Tape) -> Tape:
    """A tape whose values have the drives themselves as one of this engine."""
    overwritten = tables.compacted(tape.cell)[0]
    values = tape.values.copy()
    for part in tape.layout.parts:
        if part.name in overwritten:
            kind, _ = overwritten[part.name]
            own = values[..., part.offset : part.offset + part.width]
            own[...] = NONLINEARITIES[kind](own)
    return replace(tape, values=values)


def adjoint(tape: Tape, before: np.ndarray, after: np.ndarray, keep_values: bool = False) -> Cotangents:
    """Walk back in place: the `state_arrays` arrive with the cotangents from outside, zeros where there are none.

    Some steps at a time, each time followed by the large products, which find the cotangents of the values in cache;
    these are then overwritten, unless they are to be kept, as where they are gradients by signals too.
    """
    steps, batch, k, e = sizes(tape)
    initial = np.zeros((batch, k), tape.dtype)
    vectors = np.zeros((batch, tape.layout.vectors_size), tape.dtype)
    whole = keep_values or tape.layout.signals or tape.resets.size
    groups = group_count(tape)
    together = steps if whole else _steps_at_once(tape, groups)
    values = blocks.empty((together, batch, e), tape.dtype)
    flat = empty(tape.layout, tape.dtype)
    if tape.has_classes:
        x = np.empty((steps, batch, 0), tape.dtype)
        flat = flat._replace(
            W=flat.W[:0], bias=np.empty(tape.layout.input_size * drives_size(tape.layout), tape.dtype)
        )
    else:
        x = _new_input(tape)
    wholes = (flat.W, flat.matrices, flat.bias)
    dW, dU, d_bias = outer.for_groups(groups, wholes)
    with POOL:
        factors = packed_for_adjoint(tape)
        for start in range((steps - 1) // together * together, -1, -together):
            some = slice(start, min(start + together, steps))
            part = some_steps(tape, some)
            d_values = values[: part.steps]
            written = walk_adjoint(
                part, factors, d_values, before[some], after[some], vectors, initial, x[some]
            )
            _collect(
                part, dW, dU, d_bias, x[some], d_values, tape.W, part.input, part.before, part.values,
                DONE if written or tape.has_classes else WRITE, groups, first_time=some.stop == steps,
            )  # fmt: skip
        outer.add_groups(groups, (dW, dU, d_bias), wholes)
    if tape.has_classes:
        flat = _by_parameters(tape, flat)
    if vectors.size:
        flat = flat._replace(vectors=vectors.sum(axis=0))
    return Cotangents(flat, x, values, after, initial if tape.resets.size else before[0])


def _steps_at_once(tape: Tape, groups: int) -> int:
    """For `adjoint`: about whole blocks of the large products, and all times about as many."""
    e = max(1, tape.layout.values_size)
    flops = 4 * e * (tape.layout.input_size + tape.layout.state_size)
    size = BYTES_AT_ONCE if groups > 1 else BYTES_FOR_ALL
    rows = max(size / (e * tape.dtype.itemsize), FLOPS_AT_ONCE / flops)
    blocks = max(1, round(rows / outer.BLOCK))
    times = max(1, round(tape.steps * tape.batch / (blocks * outer.BLOCK)))
    return -(-tape.steps // times)


def _new_input(tape: Tape) -> np.ndarray:
    """Memory for d_x, of which the rows within the lengths are written, where the cell has a W."""
    written = tape.layout.input_size and tape.layout.input_rows and not tape.lengths.size
    return (blocks.empty if written else blocks.zeros)(tape.x.shape, tape.dtype)


def _collect(
    tape: Tape,
    dW: np.ndarray,
    dU: np.ndarray,
    d_bias: np.ndarray,
    d_x: np.ndarray,
    d_values: np.ndarray,
    W: np.ndarray,
    x: np.ndarray,
    before: np.ndarray,
    values: np.ndarray,
    input_gradient: int,
    groups: int = 1,
    first_time: bool = False,
) -> None:
    """The large products after a walk back: what the cotangents of the values give by x and the parameters.

    What is given by x is DONE already, to WRITE to `d_x`, or to ADD to it; the last leaves the bias alone too. With
    class indices as x there is a bias for each class, and nothing is given by x. dW, dU and d_bias have the
    sums of each of the groups, one after the other; the `first_time` nothing is in them.
    """
    _, _, k, e = sizes(tape)
    n, g = tape.layout.input_size, 0 if input_gradient == DONE else tape.layout.input_rows
    index, ends = grouped_rows(tape, groups)
    products, indices, numbers = tables.parameter_products(tape.cell, tape.layout), NO_CLASSES, x
    if x.ndim == 2:
        products, indices, numbers = (
            tables.matrix_products(tape.cell, tape.layout),
            x.reshape(-1),
            np.empty(0, tape.dtype),
        )
    threads = threads_for(index.size, 2 * step_flops(tape))
    launch(
        threads, outer.gradients,
        BUILT, products, d_values.reshape(-1), numbers.reshape(-1), W.reshape(-1),
        before.reshape(-1), values.reshape(-1), d_x.reshape(-1), dW, dU,
        d_bias[:0] if input_gradient == ADD else d_bias, indices, index, ends, n, g, drives_size(tape.layout),
        k, e, input_gradient == WRITE, first_time, threads,
    )  # fmt: skip


def tangent(
    tape: Tape, move: Flat, x: np.ndarray, initial: np.ndarray, signals: np.ndarray | None
) -> Tangents:
    """Walk with tangents of the parameters, the input (T, B, N), the initial state (B, k), the signals (T, B, ...)."""
    steps, batch, k, e = sizes(tape)
    n, g, index = tape.layout.input_size, tape.layout.input_rows, active_rows(tape)
    threads = threads_for(index.size, step_flops(tape))
    before, after = state_arrays(steps, batch, k, tape.dtype, tape.resets.size > 0)
    before[0] = initial
    values = new_values((steps, batch, e), tape.dtype, held=tape.lengths.size > 0)
    if signals is not None:
        values[..., e - signals.shape[-1] :] = signals
    elif tape.layout.signals:
        values[..., tape.layout.signals[0].offset :] = 0
    flat = values.reshape(-1)
    with POOL:
        launch(
            threads, hoisted.inputs,
            BUILT, tape.x.reshape(-1), move.W.reshape(-1), move.bias, NO_CLASSES, flat, index, n, g,
            drives_size(tape.layout), e, threads,
        )  # fmt: skip
        if n and g:
            launch(
                threads, hoisted.inputs,
                BUILT, x.reshape(-1), tape.W.reshape(-1), tape.bias[:0], NO_CLASSES, flat, index, n, g, 0, e, threads
            )  # fmt: skip
        if tape.matrices.size:
            launch(
                threads, hoisted.add_matrices,
                BUILT, tables.products(tape.cell, tape.layout), *packed(tape, move.matrices, False)[:2],
                tape.before.reshape(-1), tape.values.reshape(-1), flat, index, k, e, threads,
            )  # fmt: skip
        walk_tangent(tape, values, before, after, move.vectors, initial)
    return Tangents(move, x, values, before, after)


def walk_tangent(
    tape: Tape,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    vectors: np.ndarray,
    initial: np.ndarray,
) -> None:
    by_units, threads = team(tape)
    launch(
        threads, walks.tangent,
        *own_arguments(tape, False), tape.vectors, tape.constants, tape.values.reshape(-1), tape.before.reshape(-1),
        values.reshape(-1), before.reshape(-1), after.reshape(-1), vectors, initial.reshape(-1), tape.lengths,
        tape.resets, by_units, threads,
    )  # fmt: skip


def packed_for_adjoint(tape: Tape, input_too: bool = True) -> Factors:
    """Matrices as a walk back needs them; inside of `POOL`."""
    on_the_way = input_too and not tape.has_classes and not team(tape)[0]
    n, g = (tape.layout.input_size, tape.layout.input_rows) if on_the_way else (0, 0)
    return packed(tape, tape.matrices, True, n, g)


def walk_adjoint(
    tape: Tape,
    factors: Factors,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    vectors: np.ndarray,
    initial: np.ndarray,
    x: np.ndarray | None = None,
) -> bool:
    """Walk back; whether the cotangents of the input were written to x, if given, on the way.

    They are where the factors have W, as a part of the steps may have another team than all of them.
    """
    by_units, threads = team(tape)
    on_the_way = x is not None and factors.W.size > 0 and not by_units
    n, g = (tape.layout.input_size, tape.layout.input_rows) if on_the_way else (0, 0)
    launch(
        threads, walks.adjoint,
        *first_arguments(tape, factors), tape.vectors, tape.constants, tape.values.reshape(-1),
        tape.before.reshape(-1), values.reshape(-1), before.reshape(-1), after.reshape(-1), vectors.reshape(-1),
        initial.reshape(-1), tape.lengths, tape.resets, by_units, threads,
        (np.empty(0, tape.dtype) if x is None else x).reshape(-1), factors.W, n, g,
    )  # fmt: skip
    return g > 0


def second(
    tape: Tape, moved: Tangents, back: Cotangents, before: np.ndarray, after: np.ndarray
) -> Cotangents:
    """The tangent of `adjoint` in the direction of `moved`; `after` arrives with the tangents of its cotangents."""
    steps, batch, k, e = sizes(tape)
    initial = np.zeros((batch, k), tape.dtype)
    values = blocks.empty((steps, batch, e), tape.dtype)
    vectors = np.zeros((batch, tape.layout.vectors_size), tape.dtype)
    by_units, threads = team(tape)
    with POOL:
        launch(
            threads, walks.second,
            *own_arguments(tape, True), packed(tape, moved.flat.matrices, True)[0], tape.vectors, tape.constants,
            tape.values.reshape(-1), tape.before.reshape(-1), moved.values.reshape(-1), moved.before.reshape(-1),
            moved.flat.vectors, back.values.reshape(-1), back.after.reshape(-1), values.reshape(-1), before.reshape(-1),
            after.reshape(-1), vectors.reshape(-1), initial.reshape(-1), tape.lengths, tape.resets,
            by_units, threads,
        )  # fmt: skip
        flat = zeros(tape.layout, tape.dtype)._replace(vectors=vectors.sum(axis=0))
        x = _new_input(tape)
        by = flat.W.reshape(-1), flat.matrices, flat.bias
        _collect(tape, *by, x, values, tape.W, tape.x, tape.before, tape.values, WRITE)
        _collect(tape, *by, x, back.values, moved.flat.W, moved.x, moved.before, moved.values, ADD)
    return Cotangents(flat, x, values, after, initial if tape.resets.size else before[0])


def dense_jacobian(tape: Tape, chosen: np.ndarray) -> np.ndarray:
    """d state after / d state before of the chosen steps: (chosen, B, k, k)."""
    _, batch, k, e = sizes(tape)
    entries, spans, local = tables.diagonals(tape.cell, tape.layout)
    values, before = tape.values[chosen], tape.before[chosen]
    J = blocks.empty((len(chosen) * batch, k, k), tape.dtype)
    threads = threads_for(len(J), 2 * e * k + 4 * k * k)
    with POOL:
        launch(
            threads, jacobian.jacobian,
            equations(tape.cell), tables.widths(tape.layout), len(J), k, e, tape.cell.schedule.stages,
            tables.products(tape.cell, tape.layout), entries, spans, max(local, 1), tape.matrices, tape.vectors,
            tape.constants, values.reshape(-1), before.reshape(-1), J, tape.lengths, np.repeat(chosen, batch), batch,
            threads,
        )  # fmt: skip
    return J.reshape(len(chosen), batch, k, k)
