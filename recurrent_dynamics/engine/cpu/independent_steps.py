"""The steps of a run as independent instances, and the products of their Jacobians with vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...kernels.threads import POOL
from ..run import Tape, within_lengths
from .backward_pass import StepArrays, memory_gradient, packed_for_adjoint, run_adjoint
from .verbs import run_tangent

AT_ONCE = 1 << 25  # bytes of copies, or of gradients by the memory, that are there at a time


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
        places=np.tile(tape.places, tape.steps),
        memory_of=np.empty(0, np.int64),
    )


def chosen_rows(steps: Tape, rows: np.ndarray) -> Tape:
    """Some instances of `single_steps`, each as often as it is named; with the places of their own gradients."""
    places = steps.places.reshape(len(steps.initial) if steps.places.size else 0, -1)
    if places.size:
        places = places[rows]
        places[:, 2] = np.arange(len(rows)) * steps.layout.memory_size
    return replace(
        steps,
        batch=len(rows),
        values=steps.values[:, rows],
        before=steps.before[:, rows],
        after=steps.after[:, rows],
        initial=steps.initial[rows],
        lengths=steps.lengths[rows] if steps.lengths.size else steps.lengths,
        places=places.reshape(-1),
    )


def apply_jacobian(steps: Tape, v: np.ndarray) -> np.ndarray:
    """J v for every instance of `single_steps`: (rows, k) -> (rows, k)."""
    values = np.zeros(steps.values.shape, steps.dtype)
    after = np.empty(v.shape, steps.dtype)
    with POOL:
        run_tangent(steps, values, v, after, np.zeros_like(steps.vectors), v, np.zeros_like(steps.memory))
    return after


def dense_by_tangents(tape: Tape, chosen: np.ndarray) -> np.ndarray:
    """(chosen, B, k, k): the Jacobians of some steps, column by column; for cells that read a memory.

    A read is no diagonal and no matrix that instances share. One column is one instance of a tangent step, so matrices
    multiply all columns at once.
    """
    single, batch, k = single_steps(tape), tape.batch, tape.layout.state_size
    rows = (chosen[:, None] * batch + np.arange(batch)).reshape(-1)
    J = np.empty((len(rows), k, k), tape.dtype)
    together = max(1, AT_ONCE // (k * (2 * tape.layout.values_size + 4 * k) * tape.dtype.itemsize))
    for i in range(0, len(rows), together):
        some = rows[i : i + together]
        part = chosen_rows(single, np.repeat(some, k))
        columns = apply_jacobian(part, np.tile(np.eye(k, dtype=tape.dtype), (len(some), 1)))
        J[i : i + together] = columns.reshape(len(some), k, k).swapaxes(1, 2)
    return J.reshape(len(chosen), batch, k, k)


def apply_transposed(steps: Tape, v: np.ndarray) -> np.ndarray:
    """J^T v for every instance of `single_steps`; some of them at a time where each has a gradient by its memory."""
    if not steps.layout.memory_size:
        return _transposed(steps, v)
    together = max(1, AT_ONCE // (steps.layout.memory_size * steps.dtype.itemsize))
    rows = np.arange(steps.batch)
    parts = [rows[i : i + together] for i in range(0, steps.batch, together)]
    return np.concatenate([_transposed(chosen_rows(steps, part), v[part]) for part in parts])


def _transposed(steps: Tape, v: np.ndarray) -> np.ndarray:
    before, values = np.zeros(v.shape, steps.dtype), np.empty(steps.values.shape, steps.dtype)
    vectors = np.zeros((steps.batch, steps.layout.vectors_size), steps.dtype)
    nothing = np.empty(0, steps.dtype)
    arrays = StepArrays.of(nothing, steps.values, steps.before, nothing, before, v, values)
    with POOL:
        factors = packed_for_adjoint(steps, input_too=False)
        run_adjoint(
            steps, factors, arrays, vectors, memory_gradient(steps), before, steps.steps, steps.lengths
        )
    return before
