"""The forward pass of the CPU engine with a tape, which keeps all steps; see `windows` for one without."""

from __future__ import annotations

import numpy as np

from ...cells.layout import Span
from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch
from ..run import Kept, Tape, within_lengths
from . import time_loops
from .arguments import NO_PLACE, drive_input, first_arguments, packed
from .tables import drives_size
from .work_split import choose_split


def forward(tape: Tape) -> bool:
    """Fill `values`, `before` and `after` of a tape; before[0] (or `initial`, with resets) holds the initial state.

    Returns True if all states are finite; False says that they have to be looked at.
    """
    by_units, threads = choose_split(tape)
    g, input_ = tape.layout.input_rows, drive_input(tape.layout, tape.input, tape.W, tape.bias)
    checksums = np.empty(threads, tape.dtype)
    with POOL:
        factors = packed(tape, tape.matrices, False, input_.n, g)
        launch(
            threads, time_loops.forward,
            *first_arguments(tape, "forward", factors), tape.vectors, tape.constants, tape.memory, tape.places,
            tape.values.reshape(-1), tape.before.reshape(-1), tape.after.reshape(-1), tape.initial.reshape(-1),
            tape.lengths, tape.resets,
            by_units, new_counters(), checksums, input_.x, factors.W, input_.bias, input_.classes, input_.n, g,
            drives_size(tape.layout), tape.steps, 0, 0, checksums[:0], checksums[:0], NO_PLACE,
        )  # fmt: skip
    return are_finite(checksums)


def kept(tape: Tape, slot: Span) -> Kept:
    """The result of `infer`, copied out of a tape that is dropped afterwards."""
    out = memory.empty((tape.steps, tape.batch, slot.width), tape.dtype)
    _write_output(tape, slot, out)
    return Kept(out, tape.after[-1].copy())


def _write_output(tape: Tape, slot: Span, out: np.ndarray) -> None:
    out[...] = tape.after[..., slot.offset : slot.offset + slot.width]
    if tape.lengths.size:
        out[~within_lengths(tape.steps, tape.lengths)] = 0
