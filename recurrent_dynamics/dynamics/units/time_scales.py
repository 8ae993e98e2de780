"""How long units keep what they hold: as their gates imply, as their states show, and over many steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, numbers
from ...engine import check
from ...results import Tabular, grid_columns
from ..jacobians.jacobian_products import product_lengths

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class TimeScales(Tabular):
    """Time scales of the units of a slot of the state.

    Attributes
    ----------
    steps
        tau in steps for every unit, shape (H,); inf for a unit that forgets nothing, or longer than could be measured;
        nan for one whose measured state never changes.
    slot
        Name of the slot.
    measured
        Whether they come from the autocorrelation of states, not from gates.
    """

    steps: np.ndarray
    slot: str
    measured: bool = False

    def _columns(self) -> Mapping[str, Any]:
        return {"unit": np.arange(len(self.steps)), "steps": self.steps}

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw their distribution; see `recurrent_dynamics.plot.time_scales`."""
        from ...plot import time_scales

        return time_scales(self, ax=ax, **options)


def time_scales(factors: np.ndarray, *, slot: str = "") -> TimeScales:
    """The time scale tau = -1 / ln f of every unit, f the geometric mean over time of its forget gate.

    Along the direct path a unit's state shrinks by the factor f a step on average, so to 1/e within tau
    steps.

    Parameters
    ----------
    factors
        The direct factor of a slot at every step (a forget gate, an update gate, an alpha), shape (T, B, H),
        in [0, 1]; see `direct_factors`.
    slot
        Name of the slot, kept for labels.

    Returns
    -------
    TimeScales

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.exp(-1 / np.array([2.0, 50.0])) * np.ones((10, 1, 2))
    >>> np.round(time_scales(factors).steps, 6).tolist()
    [2.0, 50.0]
    """
    factors = _factors(factors)
    if not ((factors >= 0) & (factors <= 1)).all():
        raise ArgumentError(
            "factors", "lie in [0, 1] for a time scale", f"{factors.min():.3g} to {factors.max():.3g}"
        )
    with np.errstate(divide="ignore"):
        decay = np.abs(np.log(factors).mean(axis=(0, 1)))  # of factors that are all 1 it is +0, not -0
        return TimeScales(1 / decay, slot)


def _factors(factors: np.ndarray) -> np.ndarray:
    check.not_a_run("factors", factors, "those of one slot, rd.dynamics.direct_factors(run)[{slot!r}]")
    values = numbers("factors", factors)
    if values.ndim != 3 or not values.size:
        raise ArgumentError("factors", "have shape (T, B, H)", values.shape)
    return values


def measured_time_scales(states: np.ndarray, *, slot: str = "") -> TimeScales:
    """The time in which the autocorrelation of every unit's state falls to 1/e.

    What gates imply (`time_scales`) is the direct path alone. Measured are all paths, through the recurrent matrix too,
    and the input's own memory: a unit of slow gates that is overwritten by the others is fast, one that follows a slow
    input is slow. Between two lags the logarithm of the autocorrelation is taken to be straight, so that an exponential
    decay has its exact time. Autocorrelations are averaged over sequences, with one mean for all of them.

    Parameters
    ----------
    states
        A slot at every step, shape (T, B, H), such as ``run.states["c"]``; some ten times as long as the time scales
        that matter.
    slot
        Name of the slot, kept for labels.

    Returns
    -------
    TimeScales
        inf where it has not fallen so far within T / 2 steps, nan for a unit that never changes.

    Raises
    ------
    ValueError
        When `states` has another shape, fewer than four steps, or an entry that is not finite.

    References
    ----------
    Murray et al., A hierarchy of intrinsic timescales across primate cortex, Nature Neuroscience 17 (2014); Mahto, Vo,
    Turek and Huth, Multi-timescale representation learning in LSTM language models, ICLR 2021.

    Examples
    --------
    >>> import numpy as np
    >>> h, noise = np.zeros((1000, 50, 2)), np.random.default_rng(0).standard_normal((1000, 50, 2))
    >>> for t in range(1, 1000):
    ...     h[t] = np.exp(-1 / np.array([3.0, 12.0])) * h[t - 1] + noise[t]
    >>> np.round(measured_time_scales(h).steps).tolist()
    [3.0, 12.0]
    """
    check.not_a_run("states", states, "the states of one slot, run.states[{slot!r}]")
    values = numbers("states", states)
    if values.ndim != 3 or len(values) < 4 or not values.size:
        raise ArgumentError("states", "have shape (T, B, H) with T of at least 4", values.shape)
    check.finite("states", values)
    T = len(values)
    changing = np.ptp(values, axis=(0, 1)) > 0
    values = values - values.mean(axis=(0, 1))
    spectrum = np.fft.rfft(values, 2 * T, axis=0)  # as many zeros as steps, so that the ends do not meet
    covariance = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), axis=0)[: T // 2 + 1]
    covariance /= (T - np.arange(T // 2 + 1))[:, None]
    found = np.full(values.shape[2], np.nan)
    for j in np.flatnonzero(changing):
        found[j] = _first_below(covariance[:, j] / covariance[0, j], 1 / np.e)
    return TimeScales(found, slot, measured=True)


def _first_below(values: np.ndarray, level: float) -> float:
    """Where a curve from 1 on first falls to a level; between two points by their logarithms, while these exist."""
    below = np.flatnonzero(values <= level)
    if not len(below):
        return np.inf
    k = int(below[0])
    before, after = values[k - 1], values[k]
    share = (before - level) / (before - after)
    if after > 0:
        share = np.log(before / level) / np.log(before / after)
    return float(k - 1 + share)


@dataclass(frozen=True)
class DirectProducts(Tabular):
    """How the direct factors of units of different speed multiply.

    Attributes
    ----------
    steps
        The lengths k of the products, shape (K,).
    units
        The product of k factors in a row of every unit, the mean over where it begins and over sequences; shape (K, H).
    slot
        Name of the slot.
    """

    steps: np.ndarray
    units: np.ndarray
    slot: str

    @property
    def mean(self) -> np.ndarray:
        """The mean over the units, shape (K,): what is left of a cotangent that is spread over all of them."""
        return self.units.mean(axis=1)

    def _columns(self) -> Mapping[str, Any]:
        return grid_columns({"steps": self.steps, "unit": np.arange(self.units.shape[1])}, product=self.units)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a slow, a median and a fast unit, and the mean; see `recurrent_dynamics.plot.direct_products`."""
        from ...plot import direct_products

        return direct_products(self, ax=ax, **options)


def direct_products(
    factors: np.ndarray, *, slot: str = "", steps: Sequence[int] | None = None
) -> DirectProducts:
    """The product of k direct factors in a row, unit by unit, for increasing k.

    One unit forgets exponentially, or more slowly where its gate is mostly open and closed at times. The mean over
    units of different speed does not: the fast ones are gone first, and what is left decays at the pace of ever slower
    ones. With time scales spread evenly over orders of magnitude it loses the same amount with every doubling of k,
    with those of an inverse Gamma distribution it is a power law (Mahto et al., Multi-timescale representation learning
    in LSTM language models, ICLR 2021).

    Parameters
    ----------
    factors
        The direct factor of a slot at every step (a forget gate, an update gate, an alpha), shape (T, B, H); see
        `direct_factors`.
    slot
        Name of the slot, kept for labels.
    steps
        The lengths k, increasing, at most T; 1, 2, 4, ... by default.

    Returns
    -------
    DirectProducts

    Examples
    --------
    >>> import numpy as np
    >>> found = direct_products(np.array([0.5, 0.9]) * np.ones((8, 1, 2)))
    >>> found.steps.tolist(), np.round(found.units[2], 4).tolist(), round(float(found.mean[2]), 4)
    ([1, 2, 4, 8], [0.0625, 0.6561], 0.3593)
    """
    values = check.finite("factors", _factors(factors))
    chosen = product_lengths(steps, len(values))
    units = np.array([_products(values, int(k)).mean(axis=(0, 1)) for k in chosen])
    return DirectProducts(chosen, units, slot)


def _products(values: np.ndarray, k: int) -> np.ndarray:
    """Of k entries in a row, for each place where they can begin: by doubling, as sums of logarithms lose zeros."""
    found, done, power, width = None, 0, values, 1
    while width <= k:
        if k & width:  # `power` has the products of `width` in a row
            n = len(values) - done - width + 1
            found = power[done : done + n] if found is None else found[:n] * power[done : done + n]
            done += width
        if 2 * width <= k:
            power = power[:-width] * power[width:]
        width *= 2
    assert found is not None
    return found
