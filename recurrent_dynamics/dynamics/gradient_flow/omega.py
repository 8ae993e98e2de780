"""The regularizer of Pascanu et al., which asks gradients to keep their norm from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, reals
from ...engine import Run, backward, check
from ...engine.run import Views, within_lengths
from ...results import Result
from ..trajectories.steps_side_by_side import by_slot, jacobian_form, joined, side_by_side

LARGEST = 1e100  # of a number whose square, times another, is finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Omega(Result):
    """The regularizer and its gradient.

    Attributes
    ----------
    value
        Sum over steps, mean over sequences.
    ratios
        ``|J_t^T v_t| / |v_t|``, shape (T, B): what step t does to the norm of the gradient. NaN where there is none.
    params
        Its derivative by the parameters, with the states and the gradients that enter each step held fixed.
    """

    value: float
    ratios: np.ndarray
    params: dict[str, np.ndarray]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the ratios over the steps; see `recurrent_dynamics.plot.steps`."""
        from ...plot import steps

        what = r"$\Vert J_t^\top v_t\Vert\, /\, \Vert v_t\Vert$"
        return steps(self.ratios, what=what, level=1.0, ax=ax, **options)


def omega(run: Run, d_states: Views | dict[str, np.ndarray]) -> Omega:
    """Pascanu's regularizer Omega and its gradient [1]_.

    It is the sum over t of ``(|J_t^T v_t| / |v_t| - 1)^2`` with v_t = d loss / d state_t, and J_t the Jacobian of the
    whole state. As in the paper only the immediate derivative is taken: by the parameters in J_t, with v_t and the
    states as they are. Added to the loss's gradient it counteracts vanishing, in the directions that the loss cares
    about.

    Parameters
    ----------
    run
        What `rd.forward` returned.
    d_states
        v: the gradient of the loss by every slot at every step, `rd.backward(run, ...).states`.

    Returns
    -------
    Omega

    References
    ----------
    .. [1] Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013, section 3.3.

    Examples
    --------
    A linear network whose matrix halves every vector:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = {"U": 0.5 * np.eye(2), "b": np.zeros(2)}
    >>> run = rd.forward(cell, params, steps=4, initial={"h": np.ones((1, 2))})
    >>> found = omega(run, rd.backward(run, d_final={"h": np.array([[1.0, 0.0]])}).states)
    >>> found.value, found.ratios[:, 0].tolist(), found.params["U"].tolist()
    (1.0, [0.5, 0.5, 0.5, 0.5], [[-4.0, 0.0], [0.0, 0.0]])
    """
    run = check.layer_run(run)
    tape = run.tape
    shape = tape.after.shape
    wanted = {s.name: (*shape[:2], s.width) for s in tape.layout.slots}
    slots = tuple(s.name for s in tape.layout.slots)
    given = {
        name: reals(f"d_states[{name!r}]", v)
        for name, v in check.mapping("d_states", d_states, slots).items()
    }
    if set(given) != set(wanted) or any(given[n].size != int(np.prod(w)) for n, w in wanted.items()):
        came = ", ".join(f"{name} {value.shape}" for name, value in given.items())
        raise ArgumentError(
            "d_states", f"hold {', '.join((f'{n} {w}' for n, w in wanted.items()))}", came or "none"
        )
    v = np.concatenate([given[n].reshape(w) for n, w in wanted.items()], axis=-1)
    if not np.isfinite(v).all():
        raise ArgumentError("d_states", "be finite", "others")
    if np.abs(v).max(initial=0.0) > LARGEST:
        raise ArgumentError("d_states", f"be at most {LARGEST:g}, so that their squares are finite", "more")
    steps = side_by_side(run)
    back = backward(steps, d_states={slot: rows[None] for slot, rows in by_slot(steps, v).items()})
    pulled = joined(back.initial, shape).astype(np.float64)
    norm, after = np.linalg.norm(v.astype(np.float64), axis=-1), np.linalg.norm(pulled, axis=-1)
    there = norm > 0
    if tape.resets.size:  # nothing passes a reset: there is no Jacobian from the step before
        there &= ~tape.resets.reshape(there.shape).astype(bool)
    if tape.lengths.size:
        there &= within_lengths(tape.steps, tape.lengths)
    ratios = np.divide(after, norm, out=np.full(norm.shape, np.nan), where=there)
    away = np.where(there, ratios - 1, 0.0)
    scale = np.divide(2 * away, norm * after, out=np.zeros_like(norm), where=there & (after > 0)) / tape.batch
    grads = jacobian_form(steps, v, scale[..., None] * pulled)
    return Omega(float(np.sum(away**2) / tape.batch), ratios, dict(grads.params))
