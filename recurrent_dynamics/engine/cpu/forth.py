"""The way forth of the CPU engine: with a tape, which keeps all steps, and without, in rows of a few steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...cells.layout import Span
from ...checks import is_finite
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch
from ..run import Kept, Tape, within_lengths
from . import hoisted, walks
from .arguments import Input, drive_input, first_arguments, new_values, packed, sizes, state_arrays
from .groups import active_rows
from .tables import drives_size
from .teams import team

CHUNK = 1 << 20  # numbers of values that are there at a time where threads share the units of a step


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; before[0] (or `initial`, with resets) holds the initial state.

    Returns whether all states are surely finite.
    """
    layout = tape.layout
    with POOL:
        given = drive_input(tape)
        by_units, threads = team(tape)
        if by_units:
            index = active_rows(tape)
            launch(
                threads, hoisted.inputs, given.x, tape.W.reshape(-1), given.bias, given.classes,
                tape.values.reshape(-1), index, given.n, layout.input_rows, drives_size(layout), layout.values_size,
            )  # fmt: skip
        return _walk(tape, given, by_units, threads, tape.values, tape.before, tape.after)


def _walk(
    tape: Tape,
    given: Input,
    by_units: bool,
    threads: int,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    slot: Span | None = None,
    out: np.ndarray | None = None,
) -> bool:
    """`walks.forward` in values and states of all steps, or in those of fewer, with the output of all in `out`."""
    g, parts = tape.layout.input_rows, drives_size(tape.layout)
    factors = packed(tape, tape.matrices, False, given.n, g)
    sums = np.empty(threads, tape.dtype)
    offset, width = (0, 0) if slot is None else (slot.offset, slot.width)
    out = sums[:0] if out is None else out.reshape(-1)
    launch(
        threads, walks.forward,
        *first_arguments(tape, "forward", factors), tape.vectors, tape.constants, values.reshape(-1),
        before.reshape(-1), after.reshape(-1), tape.initial.reshape(-1), tape.lengths, tape.resets,
        by_units, new_counters(), sums, given.x, factors.W, given.bias, given.classes, given.n, g,
        0 if by_units else parts, len(values), offset, width, out,
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
    if by_units:
        return _by_chunks(tape, slot, out)
    with POOL:
        # As many steps as a thread takes the input ahead for: all that is written over stays in its second cache.
        window = min(steps, max(1, walks.TOGETHER // -(-batch // threads)))
        before, after = state_arrays(window, batch, k, tape.dtype, tape.resets.size > 0)
        before[0] = tape.initial
        values = memory.empty((window, batch, e), tape.dtype)
        finite = _walk(tape, drive_input(tape), False, threads, values, before, after, slot, out)
    return Kept(out, after[(steps - 1) % window].copy()), finite


def _by_chunks(tape: Tape, slot: Span, out: np.ndarray) -> tuple[Kept, bool]:
    """`infer` where threads share the units of a step.

    The input's products are taken for many steps at once there, before the walk: here for those of a chunk, which is
    walked as a tape of its own. It is long enough for its launches and its packing not to count.
    """
    steps, batch, k, e = sizes(tape)
    chunk = min(steps, max(1, CHUNK // (batch * e)))
    before, after = state_arrays(chunk, batch, k, tape.dtype, False)
    values = new_values((chunk, batch, e), tape.dtype, held=False)
    before[0] = tape.initial
    finite = tape.has_classes or is_finite(tape.input)
    for t in range(0, steps, chunk):
        some = min(chunk, steps - t)
        if t > 0:
            before[0] = after[-1]
        part = replace(
            tape, steps=some, input=tape.input[t : t + some], values=values[:some], before=before[:some],
            after=after[:some], lengths=np.clip(tape.lengths - t, 0, some),
        )  # fmt: skip
        finite = forward(part) and finite
        _write_output(part, slot, out[t : t + some])
    return Kept(out, after[some - 1].copy()), finite


def kept(tape: Tape, slot: Span) -> Kept:
    """What `infer` keeps, out of a tape that is to go."""
    out = memory.empty((tape.steps, tape.batch, slot.width), tape.dtype)
    _write_output(tape, slot, out)
    return Kept(out, tape.after[-1].copy())


def _write_output(tape: Tape, slot: Span, out: np.ndarray) -> None:
    out[...] = tape.after[..., slot.offset : slot.offset + slot.width]
    if tape.lengths.size:
        out[~within_lengths(tape.steps, tape.lengths)] = 0
