"""The way forth of the CPU engine: with a tape, which keeps all steps, and without, in rows of a few steps."""

from __future__ import annotations

import numpy as np

from ...cells.layout import Span
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch
from ..run import Kept, Tape, within_lengths
from . import walks
from .arguments import drive_input, first_arguments, packed, sizes, state_arrays
from .tables import drives_size
from .teams import team


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; before[0] (or `initial`, with resets) holds the initial state.

    Returns whether all states are surely finite.
    """
    by_units, threads = team(tape)
    with POOL:
        return _walk(tape, by_units, threads, tape.values, tape.before, tape.after)


def _walk(
    tape: Tape,
    by_units: bool,
    threads: int,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    slot: Span | None = None,
    out: np.ndarray | None = None,
) -> bool:
    """`walks.forward` in values and states of all steps, or in those of fewer, with the output of all in `out`."""
    g, given = tape.layout.input_rows, drive_input(tape)
    factors = packed(tape, tape.matrices, False, given.n, g)
    sums = np.empty(threads, tape.dtype)
    offset, width = (0, 0) if slot is None else (slot.offset, slot.width)
    out = sums[:0] if out is None else out.reshape(-1)
    launch(
        threads, walks.forward,
        *first_arguments(tape, "forward", factors), tape.vectors, tape.constants, values.reshape(-1),
        before.reshape(-1), after.reshape(-1), tape.initial.reshape(-1), tape.lengths, tape.resets,
        by_units, new_counters(), sums, given.x, factors.W, given.bias, given.classes, given.n, g,
        drives_size(tape.layout), len(values), offset, width, out,
    )  # fmt: skip
    return are_finite(sums)


def infer(tape: Tape, slot: Span) -> tuple[Kept, bool]:
    """(the output, which is that slot of the state, and the final state; whether all states are surely finite).

    `values`, `before` and `after` of the tape are not touched. The input need not have been looked at: where it is not
    finite, the states are not surely so.
    """
    steps, batch, k, e = sizes(tape)
    out = memory.empty((steps, batch, slot.width), tape.dtype)
    by_units, threads = team(tape)
    # As many steps as a thread takes the input ahead for: all that is written over stays in its second cache.
    window = walks.TOGETHER // (batch if by_units else -(-batch // threads))
    window = min(steps, max(walks.WINDOW, window))
    before, after = state_arrays(window, batch, k, tape.dtype, tape.resets.size > 0)
    before[0] = tape.initial
    values = memory.empty((window, batch, e), tape.dtype)
    with POOL:
        finite = _walk(tape, by_units, threads, values, before, after, slot, out)
    return Kept(out, after[(steps - 1) % window].copy()), finite


def kept(tape: Tape, slot: Span) -> Kept:
    """What `infer` keeps, out of a tape that is to go."""
    out = memory.empty((tape.steps, tape.batch, slot.width), tape.dtype)
    _write_output(tape, slot, out)
    return Kept(out, tape.after[-1].copy())


def _write_output(tape: Tape, slot: Span, out: np.ndarray) -> None:
    out[...] = tape.after[..., slot.offset : slot.offset + slot.width]
    if tape.lengths.size:
        out[~within_lengths(tape.steps, tape.lengths)] = 0
