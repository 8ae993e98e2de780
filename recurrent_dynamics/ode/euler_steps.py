"""Any network as forward Euler: whether its steps are within the region of stability, and how far they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dynamics.trajectories.step_map import in_memory
from ..engine import Run, check, jacobian
from ..results import Tabular, grid_columns
from .linear_stability import reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGINAL = 1e-9  # of a modulus that counts as 1; eigenvalues in float32 are no better than 1e-6
MARGINAL_SINGLE = 1e-5


@dataclass(frozen=True, eq=False)
class StepStability(Tabular):
    """The steps of a run as steps of forward Euler: J_t = I + dt lambda, seen through the disc ``|1 + z| <= 1``.

    Attributes
    ----------
    steps
        Which steps of the run, shape (K,).
    multipliers
        Eigenvalues of the Jacobian of a step, shape (K, B, S), complex; for a leaky network with h' = alpha h +
        (1 - alpha) f(a) those of alpha I + (1 - alpha) D U, D the diagonal of f'(a).
    factor
        The largest number by which the step may be multiplied so that no mode grows, shape (K, B): 0 where a mode
        grows whatever the step, inf where none is limited.
    marginal
        How far a modulus may be above 1 and count as 1.
    """

    steps: np.ndarray
    multipliers: np.ndarray
    factor: np.ndarray
    marginal: float

    @property
    def z(self) -> np.ndarray:
        """Dt lambda = the multipliers less 1, shape (K, B, S)."""
        return self.multipliers - 1

    @property
    def radius(self) -> np.ndarray:
        """The largest modulus of a multiplier, shape (K, B)."""
        return np.abs(self.multipliers).max(axis=-1)

    @property
    def outside(self) -> np.ndarray:
        """Where a mode grows, shape (K, B)."""
        return self.radius > 1 + self.marginal

    @property
    def stable(self) -> bool:
        """Whether no mode grows in any step."""
        return not self.outside.any()

    @property
    def largest_step(self) -> float:
        """The largest share of the present step, 1, with which no mode grows anywhere along the run.

        A leaky network with alpha has the step 1 - alpha: it would need alpha of at least 1 - (1 - alpha) times this. A
        network without a leak would need a leak of 1 minus this.
        """
        return float(self.factor.min())

    def _columns(self) -> Mapping[str, Any]:
        places = {"step": self.steps, "sequence": np.arange(self.factor.shape[1])}
        return grid_columns(places, radius=self.radius, factor=self.factor, outside=self.outside)

    def __str__(self) -> str:
        outside, radius = self.outside, self.radius
        if self.stable:
            return (
                f"All {outside.size} steps are within the region of forward Euler: the largest modulus of a multiplier "
                f"is {radius.max():.4g}, and the step could be {self.largest_step:.3g} times as large."
            )
        k, b = np.unravel_index(np.argmax(radius), radius.shape)
        worst = self.multipliers[k, b, np.argmax(np.abs(self.multipliers[k, b]))]
        text = (
            f"{int(outside.sum())} of {outside.size} steps are outside the region of forward Euler; worst is step "
            f"{self.steps[k]} of sequence {b} with the multiplier {worst:.4g}, modulus {abs(worst):.4g}. "
        )
        growing = self.factor <= 0
        if growing.any():
            return text + (
                f"In {int(growing.sum())} of them a mode grows whatever the step: its rate has a positive real part, "
                "which no leak damps; smaller recurrent weights would."
            )
        return text + f"A step {self.largest_step:.3g} times as large would be inside everywhere."

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the multipliers less 1 over the region of forward Euler; see `recurrent_dynamics.plot`."""
        from ..plot import stability_region

        return stability_region("euler", self.z, ax=ax, **options)


def step_stability(run: Run, steps: Any = None) -> StepStability:
    """Report whether the steps of a network are within the region of stability of forward Euler.

    Any step h -> F(h) is forward Euler with step 1 for dh/dt = F(h) - h, and its modes are damped where the eigenvalues
    of F' - I lie in the disc about -1. For a leaky network [1]_ or a rectified one these are the eigenvalues of
    alpha I + (1 - alpha) D U with the slopes D of the activation along the run; from the state 0 in one step without
    input they are those that the echo state literature bounds, with D = I for tanh.

    Parameters
    ----------
    run
        A forward pass of any cell.
    steps
        Which steps, as in `recurrent_dynamics.jacobian`; all by default.

    Returns
    -------
    StepStability
        Printed, it says what was found and which step would be stable.

    References
    ----------
    .. [1] Jaeger, Lukosevicius, Popovici and Siewert, Optimization and applications of echo state networks with
       leaky-integrator neurons, Neural Networks 20 (2007).

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> params = cell.init(0, 2, dtype="float64") | {"U": -4 * np.eye(2)}
    >>> report = rd.ode.step_stability(rd.forward(cell, params, steps=1))
    >>> float(report.radius[0, 0]), report.largest_step, report.stable
    (4.0, 0.4, False)
    """
    run = check.layer_run(run)
    chosen = np.atleast_1d(check.steps(steps, run.steps))
    size = run.tape.layout.state_size
    multipliers: np.ndarray = np.empty((len(chosen), run.batch_size, size), np.complex128)
    for part in in_memory(len(chosen), run.batch_size * size**2):
        J = jacobian(run, chosen[part])
        multipliers[part] = np.linalg.eigvals((J[:, None] if run.single else J).astype(np.float64))
    marginal = MARGINAL_SINGLE if run.dtype == np.float32 else MARGINAL
    factor = np.asarray(reach("euler", multipliers - 1)).min(axis=-1)
    return StepStability(chosen, multipliers, factor, marginal)
