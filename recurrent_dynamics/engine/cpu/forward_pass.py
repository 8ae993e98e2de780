"""The forward pass of the CPU engine: with a tape, which keeps all steps, or in a window of a few steps."""

from __future__ import annotations

import numpy as np

from ...cells.layout import Span
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch
from ..run import Kept, Tape, within_lengths
from . import time_loops
from .arguments import drive_input, first_arguments, packed, sizes, state_arrays
from .tables import drives_size
from .work_split import choose_split


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; before[0] (or `initial`, with resets) holds the initial state.

    Returns True if all states are finite; False says that they have to be looked at.
    """
    by_units, threads = choose_split(tape)
    with POOL:
        return _run(tape, by_units, threads, tape.values, tape.before, tape.after)


def _run(
    tape: Tape,
    by_units: bool,
    threads: int,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    slot: Span | None = None,
    out: np.ndarray | None = None,
) -> bool:
    """Run `time_loops.forward` with the values and states of all steps, or of a window, with the output in `out`."""
    g, input_ = tape.layout.input_rows, drive_input(tape)
    factors = packed(tape, tape.matrices, False, input_.n, g)
    checksums = np.empty(threads, tape.dtype)
    offset, width = (0, 0) if slot is None else (slot.offset, slot.width)
    out = checksums[:0] if out is None else out.reshape(-1)
    launch(
        threads, time_loops.forward,
        *first_arguments(tape, "forward", factors), tape.vectors, tape.constants, values.reshape(-1),
        before.reshape(-1), after.reshape(-1), tape.initial.reshape(-1), tape.lengths, tape.resets,
        by_units, new_counters(), checksums, input_.x, factors.W, input_.bias, input_.classes, input_.n, g,
        drives_size(tape.layout), len(values), offset, width, out,
    )  # fmt: skip
    return are_finite(checksums)


def infer(tape: Tape, slot: Span) -> tuple[Kept, bool]:
    """(the output, which is one slot of the state, and the final state; True if all states and the input are finite).

    `values`, `before` and `after` of the tape are not touched. The input need not have been checked before.
    """
    steps, batch, k, e = sizes(tape)
    out = memory.empty((steps, batch, slot.width), tape.dtype)
    by_units, threads = choose_split(tape)
    # As many steps as a thread multiplies the input for at once: the window stays in its second cache.
    window = time_loops.INPUT_ROWS // (batch if by_units else -(-batch // threads))
    window = min(steps, max(time_loops.SHORTEST_WINDOW, window))
    before, after = state_arrays(window, batch, k, tape.dtype, tape.resets.size > 0)
    before[0] = tape.initial
    values = memory.empty((window, batch, e), tape.dtype)
    with POOL:
        finite = _run(tape, by_units, threads, values, before, after, slot, out)
    return Kept(out, after[(steps - 1) % window].copy()), finite


def kept(tape: Tape, slot: Span) -> Kept:
    """The result of `infer`, copied out of a tape that is dropped afterwards."""
    out = memory.empty((tape.steps, tape.batch, slot.width), tape.dtype)
    _write_output(tape, slot, out)
    return Kept(out, tape.after[-1].copy())


def _write_output(tape: Tape, slot: Span, out: np.ndarray) -> None:
    out[...] = tape.after[..., slot.offset : slot.offset + slot.width]
    if tape.lengths.size:
        out[~within_lengths(tape.steps, tape.lengths)] = 0
