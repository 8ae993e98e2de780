"""The walk back, some steps at a time, each time followed by the large products over what it left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.threads import POOL, launch, threads_for
from ..flatten import Flat, empty
from ..run import Tape
from . import classes, outer, tables, walks
from .arguments import NO_CLASSES, Factors, first_arguments, packed, sizes
from .groups import group_count, grouped_rows
from .tables import drives_size
from .teams import step_flops, team

DONE, WRITE, ADD = range(3)  # what `collect` is to do with the cotangents of the input

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


class Steps(NamedTuple):
    """Flat arrays of the same steps: the input, values and states of a tape, and cotangents of such."""

    x: np.ndarray
    values: np.ndarray
    before: np.ndarray
    d_x: np.ndarray
    d_before: np.ndarray
    d_after: np.ndarray
    d_values: np.ndarray  # may be larger

    @classmethod
    def of(cls, *arrays: np.ndarray) -> Steps:
        """Those of arrays of any shape."""
        return cls(*[a.reshape(-1) for a in arrays])


def adjoint(tape: Tape, before: np.ndarray, after: np.ndarray, keep_values: bool = False) -> Cotangents:
    """Walk back in place: the `state_arrays` arrive with the cotangents from outside, zeros where there are none.

    Some steps at a time, each time followed by the large products, which find the cotangents of the values in cache;
    these are then overwritten, unless they are to be kept, as where they are gradients by signals too.
    """
    steps, batch, k, e = sizes(tape)
    initial = np.zeros((batch if tape.resets.size else 0, k), tape.dtype)  # else it is `before[0]`
    vectors = np.zeros((batch, tape.layout.vectors_size), tape.dtype)
    whole = keep_values or tape.layout.signals or tape.resets.size
    groups = group_count(tape)
    together = steps if whole else _steps_at_once(tape, groups)
    values = memory.empty((together, batch, e), tape.dtype)
    flat = empty(tape.layout, tape.dtype)
    if tape.has_classes:
        x = np.empty((steps, batch, 0), tape.dtype)
        flat = flat._replace(
            W=flat.W[:0], bias=np.empty(tape.layout.input_size * drives_size(tape.layout), tape.dtype)
        )
    else:
        x = new_input(tape)
    sums = outer.sums_for(groups, (flat.W, flat.matrices, flat.bias))
    every = [a.reshape(-1) for a in (tape.input, tape.values, tape.before, x, before, after)]
    widths, d_values = [a.size // steps for a in every], values.reshape(-1)
    with POOL:
        factors = packed_for_adjoint(tape)
        for start in range((steps - 1) // together * together, -1, -together):
            count = min(together, steps - start)
            some = [a[start * w : (start + count) * w] for a, w in zip(every, widths)]
            lengths = np.clip(tape.lengths - start, 0, count) if tape.lengths.size else tape.lengths
            part = Steps(*some, d_values)  # type: ignore[call-arg]  # of lists mypy does not know the lengths
            written = walk_adjoint(tape, factors, part, vectors, initial, count, lengths)
            collect(
                tape, sums, part, tape.W, grouped_rows(count, batch, lengths, groups),
                DONE if written or tape.has_classes else WRITE,
                first_time=start + count == steps, last_time=start == 0,
            )  # fmt: skip
    if tape.has_classes:
        flat = _by_parameters(tape, flat)
    if vectors.size:
        flat = flat._replace(vectors=vectors.sum(axis=0))
    return Cotangents(flat, x, values, after, initial if tape.resets.size else before[0])


def _by_parameters(tape: Tape, flat: Flat) -> Flat:
    """The gradients by W and the bias from those by the bias of each class."""
    W, d_bias = classes.gradients(flat.bias, tape.layout.input_rows, tape.layout.input_size)
    bias = np.zeros(tape.bias.size, tape.dtype)
    bias[: d_bias.size] = d_bias
    return flat._replace(W=W, bias=bias)


def _steps_at_once(tape: Tape, groups: int) -> int:
    """For `adjoint`: about whole blocks of the large products, and all times about as many."""
    e = max(1, tape.layout.values_size)
    flops = 4 * e * (tape.layout.input_size + tape.layout.state_size)
    size = BYTES_AT_ONCE if groups > 1 else BYTES_FOR_ALL
    rows = max(size / (e * tape.dtype.itemsize), FLOPS_AT_ONCE / flops)
    blocks = max(1, round(rows / outer.BLOCK))
    times = max(1, round(tape.steps * tape.batch / (blocks * outer.BLOCK)))
    return -(-tape.steps // times)


def new_input(tape: Tape) -> np.ndarray:
    """Memory for d_x, of which the rows within the lengths are written, where the cell has a W."""
    layout = tape.layout
    shape = (*tape.input.shape, layout.input_size) if tape.has_classes else tape.input.shape
    written = layout.input_size and layout.input_rows and not tape.lengths.size
    return (memory.empty if written else memory.zeros)(shape, tape.dtype)


def packed_for_adjoint(tape: Tape, input_too: bool = True) -> Factors:
    """Matrices as a walk back needs them; inside of `POOL`."""
    on_the_way = input_too and not tape.has_classes and not team(tape)[0]
    n, g = (tape.layout.input_size, tape.layout.input_rows) if on_the_way else (0, 0)
    return packed(tape, tape.matrices, True, n, g)


def walk_adjoint(
    tape: Tape,
    factors: Factors,
    part: Steps,
    vectors: np.ndarray,
    initial: np.ndarray,
    steps: int,
    lengths: np.ndarray,
) -> bool:
    """Walk back through so many steps, of these lengths; whether d_x was written on the way.

    It was, where the factors have W and the threads do not share units: a part of the steps may have another team than
    all of them.
    """
    by_units, threads = team(tape, steps)
    on_the_way = factors.W.size > 0 and not by_units
    n, g = (tape.layout.input_size, tape.layout.input_rows) if on_the_way else (0, 0)
    launch(
        threads, walks.adjoint,
        *first_arguments(tape, "adjoint", factors, steps), tape.vectors, tape.constants, part.values, part.before,
        part.d_values, part.d_before, part.d_after, vectors.reshape(-1), initial.reshape(-1), lengths, tape.resets,
        by_units, new_counters(), np.zeros(n, tape.dtype), part.d_x, factors.W, n, g,
    )  # fmt: skip
    return g > 0


def collect(
    tape: Tape,
    sums: list[np.ndarray],
    part: Steps,
    W: np.ndarray,
    grouped: tuple[np.ndarray, np.ndarray],
    input_gradient: int,
    first_time: bool = False,
    last_time: bool = False,
) -> None:
    """The large products after a walk back: what the cotangents of the values give by x and the parameters.

    What is given by x is DONE already, to WRITE to `d_x`, or to ADD to it. With class indices as x there is a bias for
    each class, and nothing is given by x. `grouped` are the `grouped_rows`. The `sums` are those of `outer.sums_for`:
    the `first_time` nothing is in them, the `last_time` those over the groups are written.
    """
    _, _, k, e = sizes(tape)
    index, ends = grouped
    n, g = tape.layout.input_size, 0 if input_gradient == DONE else tape.layout.input_rows
    products, indices, numbers = tables.parameter_products(tape.cell, tape.layout), NO_CLASSES, part.x
    if part.x.dtype.kind == "i":
        products, indices = tables.matrix_products(tape.cell, tape.layout), part.x
        numbers = np.empty(0, tape.dtype)
    threads = threads_for(index.size, 2 * step_flops(tape.layout))
    launch(
        threads, outer.gradients,
        products, part.d_values, numbers, W.reshape(-1), part.before, part.values, part.d_x, *sums, indices,
        index, ends, n, g, drives_size(tape.layout), k, e, input_gradient == WRITE, first_time, last_time,
    )  # fmt: skip
