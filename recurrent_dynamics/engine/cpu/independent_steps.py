"""The steps of a run as independent instances, and the products of their Jacobians with vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...kernels.threads import POOL
from ..run import Tape, within_lengths
from .backward_pass import StepArrays, packed_for_adjoint, run_adjoint
from .verbs import run_tangent


def single_steps(tape: Tape) -> Tape:
    """The steps of a tape as independent instances of one step each."""
    rows = tape.steps * tape.batch
    active = within_lengths(tape.steps, tape.lengths) if tape.lengths.size else np.empty(0)
    return replace(
        tape,
        steps=1,
        batch=rows,
        values=tape.values.reshape(1, rows, -1),
        before=tape.before.reshape(1, rows, -1),
        after=tape.after.reshape(1, rows, -1),
        initial=tape.before.reshape(rows, -1),
        lengths=active.astype(np.int64).ravel(),
        resets=np.empty(0, np.bool_),
    )


def apply_jacobian(steps: Tape, v: np.ndarray) -> np.ndarray:
    """J v for every instance of `single_steps`: (rows, k) -> (rows, k)."""
    values = np.zeros(steps.values.shape, steps.dtype)
    after = np.empty(v.shape, steps.dtype)
    with POOL:
        run_tangent(steps, values, v, after, np.zeros_like(steps.vectors), v)
    return after


def apply_transposed(steps: Tape, v: np.ndarray) -> np.ndarray:
    """J^T v for every instance of `single_steps`."""
    before, values = np.zeros(v.shape, steps.dtype), np.empty(steps.values.shape, steps.dtype)
    vectors = np.zeros((steps.batch, steps.layout.vectors_size), steps.dtype)
    nothing = np.empty(0, steps.dtype)
    arrays = StepArrays.of(nothing, steps.values, steps.before, nothing, before, v, values)
    with POOL:
        factors = packed_for_adjoint(steps, input_too=False)
        run_adjoint(steps, factors, arrays, vectors, before, steps.steps, steps.lengths)
    return before
