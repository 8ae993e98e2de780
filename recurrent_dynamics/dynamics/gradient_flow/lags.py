"""The gradient of the parameters split by how far it travelled: short-term against long-term terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer
from ...engine import Run, backward, check
from ...results import Tabular
from ..trajectories.steps_side_by_side import side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LagGradients(Tabular):
    """Parts of the gradient of every parameter by the lag between a loss and the step at which the parameter acted.

    Attributes
    ----------
    lags
        k = 0 .. K, shape (K + 1,).
    params
        name -> (K + 1, ...), the parameter's shape behind: the part whose cotangents passed exactly k Jacobians.
    """

    lags: np.ndarray
    params: dict[str, np.ndarray]

    def within(self, lag: int) -> dict[str, np.ndarray]:
        """The gradient from lags of at most `lag`: every loss sees lag + 1 steps, itself included."""
        last = integer("lag", lag, at_least=0, at_most=int(self.lags[-1]))
        return {name: parts[: last + 1].sum(axis=0) for name, parts in self.params.items()}

    def norms(self, name: str = "U") -> np.ndarray:
        """Frobenius norm of the part of every lag of one parameter, shape (K + 1,)."""
        if name not in self.params:
            raise ArgumentError("name", f"be one of {', '.join(self.params)}", repr(name))
        return np.linalg.norm(self.params[name].reshape(len(self.lags), -1).astype(np.float64), axis=1)

    def _columns(self) -> Mapping[str, Any]:
        return {"lag": self.lags} | {name: self.norms(name) for name in self.params}

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norms over the lag; see `recurrent_dynamics.plot.lag_gradients`."""
        from ...plot import lag_gradients

        return lag_gradients(self, ax=ax, **options)


def lag_gradients(run: Run, d_output: np.ndarray, longest: int | None = None) -> LagGradients:
    """Split the gradient of the parameters into the terms of each lag [1]_.

    With e_s = d loss / d output_s the gradient is a sum over all pairs of a loss s and an earlier step t = s - k of
    (d step_t / d params)^T J_{t+1}^T ... J_s^T e_s. Here the terms of each k are summed separately; all together they
    are the gradient of `rd.backward`, and those up to k are what losses teach that see k steps back. All steps of
    the run are taken side by side as one long batch, and every lag is one backward pass through it.

    Parameters
    ----------
    run
        What `rd.forward` returned.
    d_output
        The loss's derivative by the output, shape (T, B, H), in the dtype of the run.
    longest
        The longest lag K, at most T - 1, which is the default. Time and memory grow in proportion to K + 1.

    Returns
    -------
    LagGradients
        Nothing travels through a reset or from beyond the length of a sequence.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    .. [1] Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> run = rd.forward(cell, cell.init(2, 3, rng=0, dtype="float64"), np.ones((5, 4, 2)))
    >>> found = lag_gradients(run, np.ones((5, 4, 3)))
    >>> whole = rd.backward(run, np.ones((5, 4, 3))).params["U"]
    >>> found.params["U"].shape, bool(np.allclose(found.within(4)["U"], whole))
    ((5, 3, 3), True)
    """
    tape = check.run(run).tape
    d_output = check.floating("d_output", d_output, tape.dtype, run.output.shape, run.within)
    last = integer(
        "longest", tape.steps - 1 if longest is None else longest, at_least=0, at_most=tape.steps - 1
    )
    steps = side_by_side(run)
    shape = (tape.steps, tape.batch)
    slots = {slot: np.zeros((*shape, v.shape[-1]), tape.dtype) for slot, v in steps.final.items()}
    slots[run.cell.output or ""] += d_output.reshape(*shape, -1)
    passes = np.ones(shape, bool)  # whether the state before a step is that after the one before it
    if tape.resets.size:
        passes = ~tape.resets.reshape(shape).astype(bool)
    parts = {name: np.zeros((last + 1, *value.shape), value.dtype) for name, value in run.params.items()}
    for k in range(last + 1):
        if not any(values.any() for values in slots.values()):
            break  # lags that nothing reaches stay 0
        grads = backward(steps, d_states={slot: v.reshape(1, -1, v.shape[-1]) for slot, v in slots.items()})
        for name, value in grads.params.items():
            parts[name][k] = value
        for slot, values in slots.items():
            before = grads.initial[slot].reshape(values.shape)
            values[:-1] = np.where(passes[1:, :, None], before[1:], 0)
            values[-1] = 0
    return LagGradients(np.arange(last + 1), parts)
