"""The steps of a run side by side, and derivatives of its Jacobians: what regularizers of gradients are made of."""

from __future__ import annotations

import numpy as np

from ...engine import Run, forward, hvp
from ...engine.derivatives import Gradients
from ...engine.memories import memory_again
from ...engine.run import Views


def side_by_side(run: Run) -> Run:
    """The steps of a run as the T * B sequences, of one step each, of another run."""
    tape = run.tape
    rows = tape.steps * tape.batch

    def flat(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values).reshape(1, rows, values.shape[-1])

    signals = {name: flat(v) for name, v in Views(tape.values, tape.layout.signals).items() if name != "x"}
    before = {slot: flat(v)[0] for slot, v in Views(tape.before, tape.layout.slots).items()}
    return forward(
        run.cell,
        dict(run.params),
        None if run.x is None else flat(tape.x),
        steps=1 if run.x is None else None,
        initial=before,
        signals=signals or None,
        **memory_again(tape, tape.steps),
    )


def by_slot(run: Run, vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Vectors (..., S) of the whole state by slot, (rows, width), in the dtype of the run."""
    rows = vectors.reshape(-1, vectors.shape[-1])
    return {
        s.name: np.ascontiguousarray(rows[:, s.offset : s.offset + s.width], dtype=run.dtype)
        for s in run.tape.layout.slots
    }


def joined(slots: Views, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `by_slot`."""
    return np.concatenate(list(slots.values()), axis=-1).reshape(shape)


def jacobian_form(steps: Run, left: np.ndarray, right: np.ndarray) -> Gradients:
    """The gradient of the sum over rows of left^T J right, J the Jacobian of a step, with left and right constant.

    By the symmetry of second derivatives it is the tangent, in the direction right of the state, of the pull-back of
    left: what `hvp` computes.

    Parameters
    ----------
    steps
        What `side_by_side` returned.
    left, right
        Shape (rows, S).

    Returns
    -------
    Gradients
        `params` and `signals` summed over rows; `initial`, by the state before each step.
    """
    d_states = {slot: v[None] for slot, v in by_slot(steps, left).items()}
    return hvp(steps, d_states=d_states, d_initial=by_slot(steps, right))
