"""A Lyapunov spectrum with its errors, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError
from ...results import Result, Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LyapunovChecks(Result):
    """The same rates found in other ways, in the unit of the exponents, over the steps that were averaged.

    Attributes
    ----------
    log_det
        Time average of ``ln |det J_t|``, for a full spectrum: the sum of all exponents. None otherwise.
    tangent
        Growth of one random tangent vector, for networks by `rd.jvp`: the first exponent.
    nearby
        Growth of the distance to a trajectory nearby, which knows nothing of Jacobians: the first exponent. None in
        single precision, where the distance is lost in rounding.
    """

    log_det: float | None
    tangent: float
    nearby: float | None


@dataclass(frozen=True)
class LyapunovSpectrum(Tabular):
    """Lyapunov exponents with their errors.

    Attributes
    ----------
    exponents
        Largest first, shape (k,): means over time and trajectories. -inf where Jacobians are singular.
    standard_errors
        Shape (k,); 0 where the exponent is -inf. From the variances of sums over overlapping windows of time, a line
        in their length that is followed to the whole time [1]_ [2]_, and from the spread between trajectories where
        there are four or more.
    per_trajectory
        Shape (B, k).
    finite_time
        Exponents of consecutive windows of time, shape (M, B, k).
    window_steps
        The lengths of the windows, shape (M,).
    transient, steps
        Steps that were dropped at the beginning, and steps that were averaged.
    interval
        Mean number of steps between orthonormalizations.
    size
        S, the dimension of the state.
    unit
        "nats per step" or "nats per unit time".
    time_step
        Units of time in a step.
    checks
        What `check=True` found.

    References
    ----------
    .. [1] Meketon and Schmeiser, Overlapping batch means: something for nothing?, Winter Simulation Conference (1984).
    .. [2] Vats and Flegal, Lugsail lag windows for estimating time-average covariance matrices, Biometrika 109 (2022).
    """

    exponents: np.ndarray
    standard_errors: np.ndarray
    per_trajectory: np.ndarray
    finite_time: np.ndarray
    window_steps: np.ndarray
    transient: int
    steps: int
    interval: float
    size: int
    unit: str
    time_step: float
    checks: LyapunovChecks | None = None

    @property
    def sum(self) -> float:
        """The sum of the exponents that were computed; of all, the rate at which volumes grow."""
        return float(self.exponents.sum())

    @property
    def entropy_rate(self) -> float:
        """The sum of the positive exponents: an upper bound of the entropy rate, equal to it by Pesin's identity.

        Raises ValueError if positive exponents may be missing.
        """
        if len(self.exponents) < self.size and self.exponents[-1] > 0:
            raise ArgumentError(
                "count",
                "be large enough for the entropy rate to have all positive exponents",
                f"{len(self.exponents)}, the last of them {self.exponents[-1]:.4g}",
            )
        return float(self.exponents[self.exponents > 0].sum())

    @property
    def kaplan_yorke_dimension(self) -> float:
        """The Kaplan-Yorke dimension (1979): where the sum of the first exponents, interpolated, passes zero.

        0 if the first exponent is negative, S if the sum of all is not. Raises ValueError if too few are known.
        """
        sums = np.cumsum(self.exponents)
        if sums[-1] >= 0:
            if len(sums) == self.size:
                return float(self.size)
            raise ArgumentError(
                "count",
                "be large enough for the dimension: the sum of the exponents must become negative",
                f"{len(sums)}, with the sum {sums[-1]:.4g}",
            )
        j = int(np.flatnonzero(sums < 0)[0])
        return j + (float(sums[j - 1] / -self.exponents[j]) if j else 0.0)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "index": np.arange(1, len(self.exponents) + 1),
            "exponent": self.exponents,
            "standard_error": self.standard_errors,
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the spectrum with its errors; see `recurrent_dynamics.plot.lyapunov`."""
        from ...plot import lyapunov

        return lyapunov(self, ax=ax, **options)
