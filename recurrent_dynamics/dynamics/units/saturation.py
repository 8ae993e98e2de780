"""Saturated and dead units of gates and states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, number, reals
from ...engine import check
from ...results import Tabular

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEAD_BELOW = 1e-3  # a unit whose deviation is below this share of its range always says the same
STUCK_TIME = 0.9  # a unit that spends this share of its time near an end of its range is stuck


@dataclass(frozen=True)
class Saturation(Tabular):
    """How often every unit is near an end of its range, and which units are dead.

    Attributes
    ----------
    name
        Of the gate or state.
    low, high
        Share of the time that a unit spends below the lower and above the upper threshold, shape (H,).
    mean, deviation
        Of its activation over time, shape (H,).
    thresholds
        The two thresholds; None for values without a range, which do not saturate (`low` and `high` are then
        0).
    dead
        Units that always have practically the same value, shape (H,), boolean.
    """

    name: str
    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    thresholds: tuple[float, float] | None
    dead: np.ndarray

    @property
    def stuck(self) -> np.ndarray:
        """Units that are dead, or near an end of their range for 90 % of the time or more; shape (H,), boolean."""
        return self.dead | (self.low + self.high >= STUCK_TIME)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "unit": np.arange(len(self.low)),
            "low": self.low,
            "high": self.high,
            "mean": self.mean,
            "deviation": self.deviation,
            "dead": self.dead,
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw every unit by its two shares; see `recurrent_dynamics.plot.saturation`."""
        from ...plot import saturation

        return saturation(self, ax=ax, **options)


def saturation(
    values: np.ndarray,
    thresholds: tuple[float, float] | None,
    *,
    name: str = "",
    dead_below: float = DEAD_BELOW,
) -> Saturation:
    """Shares of saturated steps for every unit, as in Karpathy et al. (2015) [1]_.

    Parameters
    ----------
    values
        Activations of a gate or state, shape (T, B, H).
    thresholds
        A unit counts as saturated below the first and above the second: (0.1, 0.9) for a gate in (0, 1),
        (-0.9, 0.9) for a state in (-1, 1). None for values without a range.
    name
        Kept for labels.
    dead_below
        A unit is dead if the standard deviation of its activation is below this share of the distance of the
        thresholds (without thresholds: of the root mean square of all values): it says the same whatever it
        reads.

    Returns
    -------
    Saturation

    References
    ----------
    .. [1] Karpathy, Johnson and Fei-Fei, Visualizing and understanding recurrent networks, arXiv:1506.02078.

    Examples
    --------
    >>> import numpy as np
    >>> gate = np.array([[[0.95, 0.5, 0.02]], [[0.05, 0.5, 0.03]]])
    >>> found = saturation(gate, (0.1, 0.9))
    >>> found.low.tolist(), found.high.tolist(), found.dead.tolist()
    ([0.5, 0.0, 1.0], [0.5, 0.0, 0.0], [False, True, False])
    """
    check.not_a_run("values", values, "run.states[{slot!r}], or the values of one of rd.dynamics.gates(run)")
    values = reals("values", values)
    if values.ndim != 3 or not values.size:
        raise ArgumentError("values", "have shape (T, B, H)", values.shape)
    dead_below = number("dead_below", dead_below, at_least=0)
    if thresholds is not None:
        ends = reals("thresholds", thresholds)
        if ends.shape != (2,) or not ends[0] < ends[1]:
            raise ArgumentError("thresholds", "be (low, high) with low < high", repr(thresholds))
    deviation = values.std(axis=(0, 1), dtype=np.float64)
    if thresholds is None:
        low = high = np.zeros(values.shape[2])
        extent = float(np.sqrt(np.mean(values**2, dtype=np.float64)))
    else:
        low, high = (values < thresholds[0]).mean(axis=(0, 1)), (values > thresholds[1]).mean(axis=(0, 1))
        extent = thresholds[1] - thresholds[0]
    return Saturation(
        name=name,
        low=low,
        high=high,
        mean=values.mean(axis=(0, 1), dtype=np.float64),
        deviation=deviation,
        thresholds=thresholds,
        dead=deviation <= dead_below * extent,
    )
