"""Time series that are correlated: where they become stationary, and how well their mean is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

LEADING = 4
SPANS = 16  # of time over which variances are found
ENOUGH = 4  # trajectories, for their spread to mean something
FREEDOM = (
    6  # degrees of freedom of a variance that one series over time tells, found with series of known ones
)
CHANCE = 0.01  # two estimates of a variance that differ more than this often by chance are not of the same


def stationary_from(series: np.ndarray) -> int:
    """From which index on a mean over the series (M, k) is best known, for all k: by the MSER rule, at most M / 2.

    Examples
    --------
    >>> stationary_from(np.r_[np.full(7, 5.0), np.tile([0.9, 1.1], 50)][:, None])
    7
    """
    found = 0
    for values in series.T:
        if not np.isfinite(values).all():
            continue
        values = values - values[len(values) // 2 :].mean()
        left = np.arange(len(values), 0, -1)
        mean = np.cumsum(values[::-1])[::-1] / left
        square = np.cumsum(values[::-1] ** 2)[::-1] / left
        score = ((square - mean**2) / left)[: len(values) // 2 + 1]
        found = max(found, int(np.argmin(score)))
    return found


@dataclass(frozen=True)
class MeanErrors:
    """How well means over time and trajectories are known.

    Attributes
    ----------
    standard_errors
        Shape (k,); 0 for what is not finite.
    lasting
        The part of the variance that falls as 1 / steps, between 0 and 1, shape (k,); the rest falls as 1 / steps^2.
    """

    standard_errors: np.ndarray
    lasting: np.ndarray

    def longer(self, tolerance: float) -> float:
        """How many times as many steps bring all errors down to the tolerance.

        Examples
        --------
        >>> MeanErrors(np.array([0.2]), np.array([1.0])).longer(0.1)  # doctest: +ELLIPSIS
        4.0...
        >>> MeanErrors(np.array([0.2]), np.array([0.0])).longer(0.1)
        2.0
        """
        ratio = np.maximum(self.standard_errors / tolerance, 1.0)
        both = self.lasting * ratio
        return float(np.max(ratio * (both + np.sqrt(both**2 + 4 * (1 - self.lasting))) / 2))


def mean_errors(rates: np.ndarray, lengths: np.ndarray) -> MeanErrors:
    """The errors of the means over time and trajectories of rates (M, B, k) in windows of these lengths (M,).

    Each trajectory tells the variance of its mean by its fluctuations over time. How much the trajectories have in
    common, of an input for instance, is told by the fluctuations of their mean. Where there are enough trajectories,
    their spread is a second estimate. The two are averaged, each by its degrees of freedom. Where they differ by more
    than chance the larger counts: a trajectory does not see what it would never reach, such as another attractor.
    """
    batch, count = rates.shape[1:]
    finite = np.isfinite(rates).all(axis=(0, 1))
    errors, lasting = np.zeros((2, count))
    if finite.any():
        rates = rates[:, :, finite]
        single = sum_variance(rates, lengths)
        total = np.maximum(single.slope + single.offset, 0.0)
        variance = single.shared * total / lengths.sum() ** 2
        if batch >= ENOUGH:
            means = np.tensordot(lengths / lengths.sum(), rates, 1)
            variance = _together(variance, FREEDOM * batch, means.var(axis=0, ddof=1), batch - 1)
        errors[finite] = np.sqrt(variance / batch)
        lasting[finite] = np.divide(single.slope, total, out=np.ones_like(total), where=total > 0).clip(0, 1)
    return MeanErrors(errors, lasting)


def _together(a: np.ndarray, of_a: int, b: np.ndarray, of_b: int) -> np.ndarray:
    """One variance from two estimates with their degrees of freedom."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unlike = (fdtrc(of_a, of_b, a / b) < CHANCE) | (fdtrc(of_b, of_a, b / a) < CHANCE)
    return np.where(unlike, np.maximum(a, b), (of_a * a + of_b * b) / (of_a + of_b))


@dataclass(frozen=True)
class SumVariance:
    """The variance of the sum over all time of one trajectory: slope + offset; each attribute has the shape (k,).

    Attributes
    ----------
    slope
        The part that grows with the time.
    offset
        The part that does not: positive where a part of the sum only fluctuates (with the orientation of a flow's
        frame), negative where neighbours are alike.
    shared
        The variance of the sum over B trajectories, divided by B times that of one; at least 1.
    """

    slope: np.ndarray
    offset: np.ndarray
    shared: np.ndarray


def sum_variance(rates: np.ndarray, lengths: np.ndarray) -> SumVariance:
    """What the fluctuations of rates (M, B, k) in windows of these lengths (M,) tell of their sums over all time.

    The variance of the sum over n windows is a line in n as soon as n is longer than the correlations. The line is laid
    through the variances over overlapping windows [1]_, up to a quarter of the time. Its value at all of the time
    leaves out the bias that each of them has [2]_.

    References
    ----------
    .. [1] Meketon and Schmeiser, Overlapping batch means: something for nothing?, Winter Simulation Conference (1984).
    .. [2] Vats and Flegal, Lugsail lag windows for estimating time-average covariance matrices, Biometrika 109 (2022).
    """
    windows, batch = rates.shape[:2]
    spans = np.unique(np.round(np.geomspace(1, max(2, windows // 4), SPANS)).astype(int))
    centred = (rates - np.tensordot(lengths / lengths.sum(), rates, 1)) * lengths[:, None, None]
    common = centred.mean(axis=1)
    single = _variances_of_sums(centred, spans).mean(axis=1)
    # What is left of a line when the mean was taken away, which is itself the sum over all time divided by it.
    part = (spans / windows)[:, None]
    rising, level = part * (1 - part), 1 + part**2
    times = _correlation_times(common)
    weight = (spans[:, None] >= np.minimum(3 * times, spans[-1] / 2.5)) / spans[:, None]
    rr, rl, ll = (
        np.sum(weight * a * b, axis=0) for a, b in ((rising, rising), (rising, level), (level, level))
    )
    r, l = np.sum(weight * rising * single, axis=0), np.sum(weight * level * single, axis=0)
    slope, offset = (r * ll - l * rl) / (rr * ll - rl**2), (l * rr - r * rl) / (rr * ll - rl**2)
    weight = (spans[:, None] >= np.minimum(times, spans[-1] / 8)) / spans[
        :, None
    ] ** 2  # a ratio, known sooner
    of_one, of_common = (np.sum(weight * a, axis=0) for a in (single, _variances_of_sums(common, spans)))
    shared = np.divide(batch * of_common, of_one, out=np.ones_like(of_one), where=of_one > 0)
    return SumVariance(np.maximum(slope, 0.0), np.where(slope > 0, offset, l / ll), np.maximum(shared, 1.0))


def _variances_of_sums(centred: np.ndarray, spans: Iterable[int]) -> np.ndarray:
    """The mean squares of the sums over so many neighbours of series (M, ...): (number of spans, ...)."""
    sums = np.concatenate([np.zeros_like(centred[:1]), np.cumsum(centred, axis=0)])
    return np.array([np.mean((sums[n:] - sums[:-n]) ** 2, axis=0) for n in spans])


def _correlation_times(series: np.ndarray) -> np.ndarray:
    """1/2 + the sum of the absolute autocorrelations of series (M, k) of mean 0, in Sokal's window: (k,)."""
    windows = len(series)
    power = np.abs(np.fft.rfft(series, 2 * windows, axis=0)) ** 2
    own = np.fft.irfft(power, axis=0)[:windows]
    with np.errstate(divide="ignore", invalid="ignore"):
        times = 0.5 + np.cumsum(np.abs(own[1:]) / own[0], axis=0)
    enough = np.arange(1, windows)[:, None] >= 5 * times
    return np.where(enough.any(axis=0), times[enough.argmax(axis=0), np.arange(series.shape[1])], windows)


def drift(rates: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the means over the two halves of the time differ, for the leading exponents, and how far by chance.

    What is chance is estimated without a linear trend, which would hide itself in a long correlation time.
    """
    series = rates.mean(axis=1)[:, :LEADING]
    series = series[:, np.isfinite(series).all(axis=0)]
    half, time = len(series) // 2, np.arange(len(series)) - (len(series) - 1) / 2
    change = np.abs(series[:half].mean(axis=0) - series[half:].mean(axis=0))
    residual = series - series.mean(axis=0) - time[:, None] * (time @ series) / (time @ time)
    single = sum_variance(residual[:, None], lengths)
    quarters = 4 * _variances_of_sums(residual * lengths[:, None], [max(1, half // 2)])[0]
    return change, 2 * np.sqrt(np.maximum(single.slope + 3 * single.offset, quarters)) / lengths.sum()
