"""Exposure bias: how the distribution of the next symbol differs under given and under own prefixes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, generator, integer
from ...engine import check
from ...engine.run import within_lengths
from ...results import Tabular
from ..table import class_indices
from .hypotheses import Floats, Ints
from .predictor import Checked, Predictor, checked_prime
from .sampling import draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAMPLES = 200


@dataclass(frozen=True)
class ExposureBias(Tabular):
    """What `exposure_bias` found; T positions, from 0, where nothing of the target was read.

    Attributes
    ----------
    divergence : ndarray (T,)
        Kullback-Leibler divergence, in nats, of the distribution of the next symbol under the own prefix from that
        under the given one: the mean over the model's own prefixes of this length, and over the targets that are as
        long.
    standard_error : ndarray (T,)
        Of the divergence by sampling, for these targets; 0 where all prefixes were enumerated.
    same_prefix : ndarray (T,)
        The probability that the own prefix is the given one, the mean over the targets.
    going_on : ndarray (T,)
        The share of own sequences that have not ended before the position; the divergence is the mean over these.
    by_lag : ndarray (T - 1,)
        The mean divergence k + 1 symbols after the first one that differs, that one counted; NaN where none is.
    lag_weight : ndarray (T - 1,)
        How many prefixes a target that mean is over, their probabilities added.
    growth : float
        The slope of ``log(by_lag)`` over the lags, in nats per symbol, weighted by `lag_weight`: above 0 a difference
        grows in the closed loop, below 0 the model recovers. NaN for fewer than two lags.
    exact : bool
        Whether all prefixes were enumerated.
    predictions : int
        Rows of log-probabilities that the predictor was asked for.
    """

    divergence: Floats
    standard_error: Floats
    same_prefix: Floats
    going_on: Floats
    by_lag: Floats
    lag_weight: Floats
    growth: float
    exact: bool
    predictions: int

    def _columns(self) -> Mapping[str, Any]:
        return {
            "position": np.arange(len(self.divergence)),
            "divergence": self.divergence,
            "standard_error": self.standard_error,
            "same_prefix": self.same_prefix,
            "going_on": self.going_on,
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the divergence over the positions; see `recurrent_dynamics.plot.exposure`."""
        from ...plot import exposure

        return exposure(self, ax=ax, **options)


def exposure_bias(
    predictor: Predictor[Any],
    target: ArrayLike,
    target_lengths: ArrayLike | None = None,
    *,
    prime: ArrayLike | None = None,
    stop: int | None = None,
    samples: int | None = None,
    rng: int | np.random.Generator = 0,
    limit: int = 20_000,
) -> ExposureBias:
    """How far the next symbol's distribution under the model's own prefixes is from that under the given ones.

    A model that is trained by teacher forcing is asked about given prefixes alone. When it writes by itself, it is
    asked about its own. The divergence between both answers, by position, is what training does not see (Bengio et al.
    2015, Ranzato et al. 2016).

    Parameters
    ----------
    predictor : Predictor
        Such as ``model.predictor(params, source, source_lengths)`` or a `ModelPredictor`.
    target : array_like of int (T, B)
        The given sequences, without an end symbol.
    target_lengths : array_like of int (B,), optional
    prime : array_like of int (n,) or (n, B), optional
        What is read first; that of the predictor by default, where it has one.
    stop : int, optional
        The symbol that ends a sequence. An own sequence that has ended has no next symbol.
    samples : int, optional
        How many own sequences are drawn for each target. By default all prefixes are enumerated where they are at most
        `limit` rows in all, and 200 are drawn where they are more.
    rng : int or Generator
    limit : int

    Returns
    -------
    ExposureBias

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Bengio, Vinyals, Jaitly, Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", NIPS
    2015. Ranzato, Chopra, Auli, Zaremba, "Sequence level training with recurrent neural networks", ICLR 2016.

    Examples
    --------
    A Markov chain forgets all but the last symbol:

    >>> import recurrent_dynamics as rd
    >>> logarithms = np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> chain = rd.nn.FunctionPredictor(lambda state, symbols: (logarithms[symbols], state), vocabulary_size=2)
    >>> found = exposure_bias(chain, [[0], [0], [0]], prime=[0])
    >>> found.divergence.round(3), found.exact
    (array([0.   , 0.115, 0.195]), True)
    """
    checked = Checked(predictor)
    first = getattr(predictor, "prime", None) if prime is None else prime
    if first is None:
        raise ArgumentError("prime", "be given for a predictor that has none", "None")
    start, _ = checked_prime(first, checked.vocabulary_size)
    given = check.array("target", target)
    if given.ndim != 2 or given.shape[1] != start.shape[1] or not given.size:
        raise ArgumentError("target", f"have shape (T, {start.shape[1]}), as the prime", given.shape)
    steps, size = given.shape
    ends = np.full(size, steps)
    if target_lengths is not None:
        ends = check.lengths(target_lengths, steps, size, "target_lengths")
    within = within_lengths(steps, ends)
    class_indices(given[within], checked.vocabulary_size, "target")
    if stop is not None:
        stop = integer("stop", stop, at_least=0, at_most=checked.vocabulary_size - 1)
        if (given[within] == stop).any():
            raise ArgumentError("target", "hold no end symbol", f"{stop} within the lengths")
    positions = ends + (stop is not None)
    branches, longest = checked.vocabulary_size - (stop is not None), int(positions.max())
    limit = integer("limit", limit, at_least=1)
    if samples is None:
        samples = 0 if size * sum(branches**t for t in range(longest)) <= limit else SAMPLES
    else:
        samples = integer("samples", samples, at_least=2)
    safe = np.where(within, given, start[-1]).astype(np.intp)
    told = _told(checked, start, safe, longest)
    drawn_from = generator("rng", rng)
    if samples == 0:
        walk = _enumerated(checked, start, safe, longest, stop)
    else:
        walk = _drawn(checked, start, safe, longest, stop, samples, drawn_from)
    total = _Sums(longest, size, positions)
    for t, row in enumerate(walk):
        total.add(t, row, _divergence(told[t][row.source], row.found))
    return total.result(_same(told, safe, positions), samples == 0)


@dataclass(frozen=True)
class _Rows:
    """Own prefixes of one length: their sources, probabilities, symbols since the first that differs, and answers."""

    source: Ints
    weight: Floats
    lag: Ints
    found: Floats  # (n, V)


def _told(predictor: Checked, start: Ints, target: Ints, longest: int) -> list[Floats]:
    """Log-probabilities (B, V) of the next symbol under the given prefixes."""
    found, state = predictor.start(start)
    told = [found]
    for t in range(1, longest):
        found, state = predictor.step(state, target[t - 1])
        told.append(found)
    return told


def _same(told: list[Floats], target: Ints, positions: Ints) -> Floats:
    """The probability of the given prefixes, the mean over the targets that are long enough."""
    size, p, shares = target.shape[1], np.zeros(target.shape[1]), []
    for t in range(len(told)):
        shares.append(np.exp(p)[positions > t].mean())
        if t < len(target):
            p = p + told[t][np.arange(size), target[t]]
    return np.array(shares)


def _next_lag(lag: Ints, same: NDArray[np.bool_]) -> Ints:
    return np.where((lag > 0) | ~same, lag + 1, 0)


def _enumerated(
    predictor: Checked, start: Ints, target: Ints, longest: int, stop: int | None
) -> Iterator[_Rows]:
    """All prefixes that can come, with their probabilities."""
    found, state = predictor.start(start)
    size = start.shape[1]
    rows = _Rows(np.arange(size), np.ones(size), np.zeros(size, np.intp), found)
    for t in range(longest):
        yield rows
        if t + 1 == longest:
            return
        shares = np.exp(rows.found) * rows.weight[:, None]
        if stop is not None:
            shares[:, stop] = 0
        parent, symbol = np.nonzero(shares)
        if not len(parent):
            return
        found, state = predictor.step(predictor.take(state, parent), symbol)
        source = rows.source[parent]
        lag = _next_lag(rows.lag[parent], symbol == target[t, source])
        rows = _Rows(source, shares[parent, symbol], lag, found)


def _drawn(
    predictor: Checked,
    start: Ints,
    target: Ints,
    longest: int,
    stop: int | None,
    samples: int,
    rng: np.random.Generator,
) -> Iterator[_Rows]:
    """As many sequences of each source as samples are wanted."""
    found, state = predictor.start(start)
    source = np.repeat(np.arange(start.shape[1]), samples)
    state, n = predictor.take(state, source), len(source)
    rows = _Rows(source, np.full(n, 1 / samples), np.zeros(n, np.intp), found[source])
    for t in range(longest):
        yield rows
        if t + 1 == longest:
            return
        symbol = draw(rows.found, 1.0, rng, None, None)
        kept = np.arange(len(symbol)) if stop is None else np.flatnonzero(symbol != stop)
        if not len(kept):
            return
        symbol, source = symbol[kept], rows.source[kept]
        found, state = predictor.step(predictor.take(state, kept), symbol)
        lag = _next_lag(rows.lag[kept], symbol == target[t, source])
        rows = _Rows(source, rows.weight[kept], lag, found)


def _divergence(given: Floats, own: Floats) -> Floats:
    """(n,) in nats; infinite where a symbol that can come under the given prefix cannot under the own one."""
    with np.errstate(invalid="ignore"):
        terms = np.exp(given) * (given - own)
    return np.maximum(np.where(given > -np.inf, terms, 0.0).sum(axis=1), 0.0)


class _Sums:
    """Weighted sums over prefixes, by position and by lag."""

    def __init__(self, longest: int, size: int, positions: Ints) -> None:
        self.size, self.positions = size, positions
        self.mean, self.error, self.alive = (np.full(longest, np.nan) for _ in range(3))
        self.lag_weight, self.lag_sum = np.zeros(longest), np.zeros(longest)
        self.predictions = 0

    def add(self, t: int, rows: _Rows, divergence: Floats) -> None:
        self.predictions += len(divergence)
        counted = self.positions[rows.source] > t
        source, weight, d = rows.source[counted], rows.weight[counted], divergence[counted]

        def by_source(values: Any) -> Floats:
            return np.bincount(source, values, minlength=self.size).astype(np.float64)

        mass, number = by_source(weight), by_source(np.ones(len(source)))
        some = mass > 0
        mean = by_source(weight * d)[some] / mass[some]
        self.alive[t] = mass[self.positions > t].mean()
        if not some.any():
            return
        self.mean[t] = mean.mean()
        center = np.zeros(self.size)
        center[some] = mean
        with np.errstate(invalid="ignore"):
            spread = by_source((d - center[source]) ** 2)[some] / np.maximum(number[some] - 1, 1)
        self.error[t] = np.sqrt((spread / number[some]).sum()) / some.sum()
        lags = rows.lag[counted]
        self.lag_weight += np.bincount(lags, weight, minlength=len(self.lag_weight))
        self.lag_sum += np.bincount(lags, weight * d, minlength=len(self.lag_sum))

    def result(self, same: Floats, exact: bool) -> ExposureBias:
        with np.errstate(invalid="ignore", divide="ignore"):
            by_lag = self.lag_sum[1:] / self.lag_weight[1:]
        weight = self.lag_weight[1:] / self.size
        error = np.where(np.isnan(self.mean), np.nan, 0.0) if exact else self.error
        return ExposureBias(
            self.mean, error, same, self.alive, by_lag, weight, _slope(by_lag, weight), exact,
            self.predictions,
        )  # fmt: skip


def _slope(by_lag: Floats, weight: Floats) -> float:
    """Of the logarithms over the lags."""
    with np.errstate(invalid="ignore", divide="ignore"):
        logarithms = np.log(by_lag)
    use = np.isfinite(logarithms) & (weight > 0)
    if use.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.flatnonzero(use), logarithms[use], 1, w=np.sqrt(weight[use]))[0])
