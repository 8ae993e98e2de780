"""How every step of a run changes volumes of the state space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...engine import Run, check, jacobian
from ...kernels.tuning import current
from ...results import Tabular, grid_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LogDeterminants(Tabular):
    """Determinants of the Jacobians of a run.

    Attributes
    ----------
    log_modulus
        ``ln |det J_t|`` in nats, shape (T, B), or (T,) for a run of one sequence; -inf where a Jacobian is singular.
    sign
        1, -1, or 0 where it is singular, the same shape.
    """

    log_modulus: np.ndarray
    sign: np.ndarray

    def _columns(self) -> Mapping[str, Any]:
        places = dict(zip(("step", "sequence"), map(np.arange, self.log_modulus.shape)))
        return grid_columns(places, log_modulus=self.log_modulus, sign=self.sign)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the logarithm over the steps; see `recurrent_dynamics.plot.steps`."""
        from ...plot import steps

        return steps(self.log_modulus, what=r"$\ln\,\vert\det J_t\vert$ (nats)", level=0.0, ax=ax, **options)


def log_determinants(run: Run) -> LogDeterminants:
    """``ln |det J_t|`` and its sign for every step and sequence.

    The mean over time is the sum of all Lyapunov exponents: the rate at which volumes of the state space shrink. The
    Jacobians are formed for a few steps at a time, so that memory stays bounded.

    Parameters
    ----------
    run
        What `rd.forward` returned.

    Returns
    -------
    LogDeterminants
        In float64.

    Examples
    --------
    A GRU without weights halves its state at every step:

    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> params = {name: 0 * value for name, value in cell.init(1, 2, dtype="float64").items()}
    >>> found = log_determinants(rd.forward(cell, params, np.zeros((3, 1))))
    >>> np.round(found.log_modulus / np.log(2), 12).tolist(), found.sign.tolist()
    ([-2.0, -2.0, -2.0], [1.0, 1.0, 1.0])
    """
    run = check.layer_run(run)
    tape = run.tape
    chunk = max(current().jacobian_bytes // (8 * tape.batch * tape.initial.shape[-1] ** 2), 1)
    parts = [
        np.linalg.slogdet(jacobian(run, slice(t, t + chunk)).astype(np.float64))
        for t in range(0, tape.steps, chunk)
    ]
    return LogDeterminants(
        np.concatenate([part.logabsdet for part in parts]), np.concatenate([part.sign for part in parts])
    )
