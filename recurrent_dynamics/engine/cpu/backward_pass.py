"""The backward pass, in pieces of some steps: the adjoint loop over time, then the gradients by the parameters.

The gradients are large products over all rows of a piece. They find its cotangents in cache. If each thread reads only
cotangents that it has written itself, one kernel computes all pieces. Otherwise there are two kernels a piece.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.threads import POOL, launch, threads_for
from ...kernels.tuning import current
from ..flatten import Flat, empty
from ..run import Tape
from . import classes, tables, time_loops, weight_gradients
from .arguments import NO_CLASSES, Factors, first_arguments, packed, sizes
from .groups import group_count, grouped_rows
from .tables import drives_size
from .work_split import choose_split, step_flops

DONE, WRITE, ADD = range(3)  # whether `add_gradients` leaves, writes or adds to the cotangents of the input


class Cotangents(NamedTuple):
    """The results of a backward pass: derivatives of the loss by everything on a tape."""

    flat: Flat
    x: np.ndarray  # (T, B, N); (T, B, 0) for class indices
    values: np.ndarray  # (T, B, e), or those of one piece if they are not kept
    after: np.ndarray  # (T, B, k), by the state after each step
    initial: np.ndarray  # (B, k)
    memory: np.ndarray  # (B, memory size)


class StepArrays(NamedTuple):
    """Flat arrays of the same steps: the input, values and states of a tape, and their cotangents."""

    x: np.ndarray
    values: np.ndarray
    before: np.ndarray
    d_x: np.ndarray
    d_before: np.ndarray
    d_after: np.ndarray
    d_values: np.ndarray  # may be larger

    @classmethod
    def of(cls, *arrays: np.ndarray) -> StepArrays:
        """Flat views of arrays of any shape."""
        return cls(*[a.reshape(-1) for a in arrays])


def adjoint(tape: Tape, before: np.ndarray, after: np.ndarray, keep_values: bool = False) -> Cotangents:
    """The backward pass, in place: the `state_arrays` arrive with the cotangents from outside, or zeros.

    Each piece overwrites the cotangents of the values of the piece before. All are kept where they are asked for, or
    where they contain the gradients by signals.
    """
    steps, batch, k, e = sizes(tape)
    initial = np.zeros((batch if tape.resets.size else 0, k), tape.dtype)  # else it is `before[0]`
    vectors = memory.zeros((batch, tape.layout.vectors_size), tape.dtype)
    d_memory = memory_gradient(tape)
    in_one_piece = keep_values or tape.layout.signals or tape.resets.size
    groups = group_count(tape)
    per_piece = steps if in_one_piece else _steps_at_once(tape, groups)
    values = memory.empty((per_piece, batch, e), tape.dtype)
    flat = empty(tape.layout, tape.dtype)
    if tape.has_classes:
        x = np.empty((steps, batch, 0), tape.dtype)
        flat = flat._replace(
            W=flat.W[:0], bias=np.empty(tape.layout.input_size * drives_size(tape.layout), tape.dtype)
        )
    else:
        x = new_input(tape)
    sums = weight_gradients.group_sums(groups, (flat.W, flat.matrices, flat.bias))
    arrays = StepArrays.of(tape.input, tape.values, tape.before, x, before, after, values)
    with POOL:
        factors = packed_for_adjoint(tape)
        by_units, threads = choose_split(tape)
        # With lengths the threads share the batch anew in each piece.
        if by_units or groups % threads or tape.lengths.size:
            _adjoint_by_pieces(tape, factors, arrays, vectors, d_memory, initial, sums, groups, per_piece)
        else:
            gradients = *_operands(tape, arrays.x), *sums, groups, drives_size(tape.layout)
            run_adjoint(
                tape, factors, arrays, vectors, d_memory, initial, steps, tape.lengths, per_piece, gradients
            )  # fmt: skip
    if tape.has_classes:
        flat = from_classes(tape, flat)
    if vectors.size:
        flat = flat._replace(vectors=vectors.sum(axis=0))
    return Cotangents(flat, x, values, after, initial if tape.resets.size else before[0], d_memory)


def _adjoint_by_pieces(
    tape: Tape,
    factors: Factors,
    of_all_steps: StepArrays,
    vectors: np.ndarray,
    d_memory: np.ndarray,
    initial: np.ndarray,
    sums: list[np.ndarray],
    groups: int,
    per_piece: int,
) -> None:
    """The backward pass where threads read cotangents of each other: all finish a piece before its gradients begin."""
    steps, batch, _, _ = sizes(tape)
    *by_steps, d_values = of_all_steps
    widths = [a.size // steps for a in by_steps]
    for start in range((steps - 1) // per_piece * per_piece, -1, -per_piece):
        count = min(per_piece, steps - start)
        of_piece = [a[start * w : (start + count) * w] for a, w in zip(by_steps, widths)]
        lengths = np.clip(tape.lengths - start, 0, count) if tape.lengths.size else tape.lengths
        arrays = StepArrays(*of_piece, d_values)  # type: ignore[call-arg]  # of lists mypy does not know the lengths
        written = run_adjoint(tape, factors, arrays, vectors, d_memory, initial, count, lengths)
        add_gradients(
            tape, sums, arrays, tape.W, grouped_rows(count, batch, lengths, groups),
            DONE if written or tape.has_classes else WRITE,
            first_time=start + count == steps, last_time=start == 0,
        )  # fmt: skip


def memory_gradient(tape: Tape) -> np.ndarray:
    """Zeros for the cotangents of the memory that each instance reads."""
    return memory.zeros((tape.batch, tape.layout.memory_size), tape.dtype)


def from_classes(tape: Tape, flat: Flat) -> Flat:
    """The gradients by W and by the bias, from the gradients by the bias of each class."""
    W, d_bias = classes.gradients(flat.bias, tape.layout.input_rows, tape.layout.input_size)
    bias = np.zeros(tape.bias.size, tape.dtype)
    bias[: d_bias.size] = d_bias
    return flat._replace(W=W, bias=bias)


def _steps_at_once(tape: Tape, groups: int) -> int:
    """Steps of a piece: the rows of some whole blocks of each group, and about the same in all pieces."""
    e = max(1, tape.layout.values_size)
    flops = 4 * e * (tape.layout.input_size + tape.layout.state_size)
    tuned = current()
    size = tuned.min_piece_bytes if groups > 1 else tuned.min_piece_bytes_ungrouped
    # The gradient by the memory is read and written once a piece, which then has as many bytes as it.
    of_memory = tape.batch * tape.layout.memory_size * tape.dtype.itemsize
    size = max(size, min(of_memory, tuned.min_piece_bytes_ungrouped))
    rows = max(size / (e * tape.dtype.itemsize), tuned.min_piece_flops / flops)
    block = groups * weight_gradients.BLOCK
    blocks = max(1, round(rows / block))
    pieces = max(1, round(tape.steps * tape.batch / (blocks * block)))
    return -(-tape.steps // pieces)


def new_input(tape: Tape) -> np.ndarray:
    """Memory for d_x. It is zero where the backward pass writes nothing: beyond the lengths, or without a W."""
    layout = tape.layout
    shape = (*tape.input.shape, layout.input_size) if tape.has_classes else tape.input.shape
    written = layout.input_size and layout.input_rows and not tape.lengths.size
    return (memory.empty if written else memory.zeros)(shape, tape.dtype)


def packed_for_adjoint(tape: Tape, input_too: bool = True) -> Factors:
    """The packed matrices of a backward pass; to be called inside of `POOL`."""
    with_input = input_too and not tape.has_classes and not choose_split(tape)[0]
    n, g = (tape.layout.input_size, tape.layout.input_rows) if with_input else (0, 0)
    return packed(tape, tape.matrices, True, n, g)


def run_adjoint(
    tape: Tape,
    factors: Factors,
    arrays: StepArrays,
    vectors: np.ndarray,
    d_memory: np.ndarray,
    initial: np.ndarray,
    steps: int,
    lengths: np.ndarray,
    per_piece: int | None = None,
    gradients: tuple[Any, ...] | None = None,
) -> bool:
    """The adjoint loop over some steps, by pieces or in one. Returns whether it has written d_x.

    `gradients` are the arguments with which the kernel computes the gradients by the parameters too. It writes d_x if
    the factors have W and the threads do not share units. A short piece may split its work in another way than all
    steps together would.
    """
    by_units, threads = choose_split(tape, steps)
    with_input = factors.W.size > 0 and not by_units
    n, g = (tape.layout.input_size, tape.layout.input_rows) if with_input else (0, 0)
    launch(
        threads, time_loops.adjoint,
        *first_arguments(tape, "adjoint", factors, steps), tape.vectors, tape.constants, tape.memory, tape.places,
        arrays.values, arrays.before, arrays.d_values, arrays.d_before, arrays.d_after, vectors.reshape(-1),
        d_memory.reshape(-1), initial.reshape(-1), lengths, tape.resets, by_units, new_counters(),
        np.zeros(n, tape.dtype), arrays.d_x, factors.W, n, g, per_piece or steps,
        *(gradients or _no_gradients(tape.dtype)),
    )  # fmt: skip
    return g > 0


def _operands(tape: Tape, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(table of the products with parameters, the input as numbers, the input as class indices) for an input x."""
    if x.dtype.kind == "i":
        return tables.matrix_products(tape.cell, tape.layout), np.empty(0, tape.dtype), x
    return tables.parameter_products(tape.cell, tape.layout), x, NO_CLASSES


@lru_cache(maxsize=2)
def _no_gradients(dtype: np.dtype) -> tuple[Any, ...]:
    """The arguments of a backward pass that computes no gradients by the parameters."""
    nothing = np.empty(0, dtype)
    return tables.input_product(0, 0), nothing, NO_CLASSES, *[nothing] * 6, 0, 0


def add_gradients(
    tape: Tape,
    sums: list[np.ndarray],
    arrays: StepArrays,
    W: np.ndarray,
    grouped: tuple[np.ndarray, np.ndarray],
    input_gradient: int,
    first_time: bool = False,
    last_time: bool = False,
) -> None:
    """Add the gradients by W, U and the bias that the cotangents of the values give, and compute the gradient by x.

    `input_gradient`: the gradient by x is DONE already, or to WRITE to `d_x`, or to ADD to it. Class indices as x have
    none, and a bias for each class. `grouped` are the `grouped_rows`, `sums` the arrays of
    `weight_gradients.group_sums`. The `first_time` they begin at zero; the `last_time` the groups are added up.
    """
    _, _, k, e = sizes(tape)
    index, ends = grouped
    n, g = tape.layout.input_size, 0 if input_gradient == DONE else tape.layout.input_rows
    products, numbers, indices = _operands(tape, arrays.x)
    threads = threads_for(index.size, 2 * step_flops(tape.layout))
    launch(
        threads, weight_gradients.gradients,
        products, arrays.d_values, numbers, W.reshape(-1), arrays.before, arrays.values, arrays.d_x, *sums, indices,
        index, ends, n, g, drives_size(tape.layout), k, e, input_gradient == WRITE, first_time, last_time,
    )  # fmt: skip
