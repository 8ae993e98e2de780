"""The derivative of every step of a run by the state before it, the input and the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer, one_of
from ...engine import Run, backward, check, jvp
from ...results import Result
from .sources import cut, unbroken
from .steps_side_by_side import by_slot, joined, side_by_side

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Pulled(Result):
    """Cotangents of steps, pulled back.

    Attributes
    ----------
    state : by the state before each step, (T, B, S)
    x : by the input of each step, (T, B, N); None for an autonomous run
    params : by the parameters, summed over steps and sequences
    """

    state: np.ndarray
    x: np.ndarray | None
    params: dict[str, np.ndarray]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm by the state before each step; see `recurrent_dynamics.plot.norms`."""
        from ...plot import norms

        return norms({"state": self.state}, what=r"$\Vert\,J_t^\top v_t\,\Vert$", ax=ax, **options)


class StepDerivatives:
    """d state_{t+1} / d (state_t, x_t, parameters) of every step, applied without being formed.

    Every step is taken for itself: nothing passes from one to the next. All have a batch axis, also for a run of one
    sequence; S is the sum of the widths of the slots, in the order of `cell.state`.

    Parameters
    ----------
    run
        What `rd.forward` returned, of whole sequences without resets.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = cell.init(2, 3, dtype="float64")
    >>> steps = StepDerivatives(rd.forward(cell, params, np.ones((4, 1, 2))))
    >>> bool(np.allclose(steps.by_input()[0, 0], params["W"]))
    True
    >>> bool(np.allclose(steps.matvec(d_x=np.ones((4, 1, 2)))[0, 0], params["W"].sum(axis=1)))
    True
    """

    def __init__(self, run: Run) -> None:
        run = check.layer_run(run)
        unbroken(run)
        self._run, self._steps = run, side_by_side(run)
        self.shape = run.tape.after.shape

    def __repr__(self) -> str:
        steps, batch, size = self.shape
        return f"StepDerivatives({steps} steps, batch {batch}, {size} numbers of state, {self._run.dtype})"

    def matvec(
        self,
        d_state: np.ndarray | None = None,
        d_x: np.ndarray | None = None,
        d_params: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """How the states after the steps move (T, B, S) with those before (T, B, S), the input (T, B, N), parameters.

        What is not given stays.
        """
        start = None
        if d_state is not None:
            start = by_slot(self._run, check.floating("d_state", d_state, self._run.dtype, self.shape))
        if d_x is not None:
            d_x = check.floating("d_x", d_x, self._run.dtype, self._run.tape.x.shape)
            d_x = d_x.reshape(1, -1, d_x.shape[-1])
        moved = jvp(
            self._steps, d_params=None if d_params is None else dict(d_params), d_x=d_x, d_initial=start
        )
        return joined(moved.final, self.shape)

    def rmatvec(self, v: np.ndarray) -> Pulled:
        """The adjoint: what cotangents (T, B, S) of the states after the steps give by all that went into them."""
        v = check.floating("v", v, self._run.dtype, self.shape)
        back = backward(self._steps, d_final=by_slot(self._run, v))
        x = None if back.x is None else back.x.reshape(self._run.tape.x.shape)
        return Pulled(joined(back.initial, self.shape), x, dict(back.params))

    def by_input(self) -> np.ndarray:
        """d state after / d input of every step, formed: (T, B, S, N)."""
        if self._run.x is None:
            raise ArgumentError("run", "have an input", "one of a cell that runs by itself")
        size = self._run.tape.x.shape[-1]
        columns = []
        for j in range(size):
            direction = np.zeros(self._run.tape.x.shape, self._run.dtype)
            direction[..., j] = 1
            columns.append(self.matvec(d_x=direction))
        return np.stack(columns, axis=-1)

    def by_parameter(self, name: str, step: int, sequence: int = 0) -> np.ndarray:
        """d state after one step of one sequence / d a parameter, formed: (S, ...), the rest shaped as that."""
        one_of("name", name, tuple(self._run.params))
        step = integer("step", step, at_least=0, at_most=self._run.steps - 1)
        sequence = integer("sequence", sequence, at_least=0, at_most=self._run.batch_size - 1)
        one = side_by_side(cut(self._run, step, step + 1))
        found = []
        for i in range(self.shape[-1]):
            v = np.zeros((self._run.batch_size, self.shape[-1]), self._run.dtype)
            v[sequence, i] = 1
            found.append(backward(one, d_final=by_slot(self._run, v)).params[name])
        return np.stack(found)
