"""Time series that are correlated: where they become stationary, and how well their mean is known."""

from __future__ import annotations

import numpy as np

from ..kernels.blas import one_thread

RESAMPLES = 400
LEADING = 4
ENOUGH = 4  # trajectories, for their spread to mean something


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


def bootstrap_errors(rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standard errors (k,) of the means over time and trajectories of rates (M, B, k).

    Blocks of time are drawn for all trajectories together, which may share an input. Where there are enough
    trajectories, their spread counts if it is larger: it sees what one of them never would, such as two attractors.
    """
    windows, batch, count = rates.shape
    finite = np.isfinite(rates).all(axis=(0, 1))
    errors = np.zeros(count)
    if not finite.any():
        return errors
    rates = rates[:, :, finite]
    series = rates.mean(axis=1)
    length = _block_length(series)
    circle = np.concatenate([series, series[: length - 1]])
    sums = np.cumsum(np.concatenate([np.zeros_like(series[:1]), circle]), axis=0)
    blocks = (sums[length:] - sums[:-length]) / length  # (M, k), one beginning at every window
    drawn = rng.integers(0, windows, (RESAMPLES, max(1, round(windows / length))))
    weights = np.zeros((RESAMPLES, windows))
    np.add.at(weights, (np.arange(RESAMPLES)[:, None], drawn), 1 / drawn.shape[1])
    with one_thread(weights.size):
        found = (weights @ (blocks - blocks.mean(axis=0))).std(axis=0, ddof=1)
    if batch >= ENOUGH:
        found = np.maximum(found, rates.mean(axis=0).std(axis=0, ddof=1) / np.sqrt(batch))
    errors[finite] = found
    return errors


def _block_length(series: np.ndarray) -> int:
    """Twice the longest correlation time of the columns (Sokal's window), at least M^(1/3), at most M / 4."""
    windows = len(series)
    longest = 0.5
    centred = series - series.mean(axis=0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * windows, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[:windows]
    for own in correlation.T:
        if own[0] > 0:
            times = 0.5 + np.cumsum(own[1:] / own[0])
            enough = np.flatnonzero(np.arange(1, windows) >= 5 * times)
            longest = max(longest, float(times[enough[0]] if enough.size else windows / 8))
    return int(np.clip(np.ceil(max(2 * longest, windows ** (1 / 3))), 1, max(1, windows // 4)))


def drift(rates: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How far the means over the two halves of the time differ, for the leading exponents, and how far by chance.

    What is chance is estimated without a linear trend, which would hide itself in a long correlation time.
    """
    series = rates.mean(axis=1)[:, :LEADING]
    series = series[:, np.isfinite(series).all(axis=0)]
    half, time = len(series) // 2, np.arange(len(series)) - (len(series) - 1) / 2
    change = np.abs(series[:half].mean(axis=0) - series[half:].mean(axis=0))
    residual = series - time[:, None] * (time @ series) / (time @ time)
    return change, 2 * bootstrap_errors(residual[:, None], rng)
