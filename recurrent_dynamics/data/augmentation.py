"""Sequences changed at random for training: a part of each, another speed, symbols left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer, number
from ..engine.run import within_lengths
from ..nn.batch import Batch
from ..training import BatchSource
from .over_source import OverSource


class Change(Protocol):
    """A change of a batch, drawn from a generator.

    Attributes
    ----------
    keeps_steps : bool
        Whether every step stays in its place, as a source that hands on states needs it.
    """

    @property
    def keeps_steps(self) -> bool:
        """Whether every step stays in its place."""

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The changed batch; the given one stays as it is."""


class Augmented(OverSource):
    """A source whose batches are changed at random, each time anew.

    Parameters
    ----------
    source : BatchSource or list of Batch
    *changes : Change
        Such as `crop`, `time_warp` and `drop_tokens`, in the order in which they are done. Noise is `WithNoise`.
    seed : int
        The changes of batch n are drawn from (seed, n), so that a resumed run sees the same.

    Raises
    ------
    ValueError, TypeError
        When the source hands on states from batch to batch and a change moves steps, or a change does not fit a batch.

    Examples
    --------
    >>> words = np.arange(1, 11)[:, None]
    >>> source = Augmented([(words, words)], crop(0.5), drop_tokens(0.2), seed=1)
    >>> batch = source.batch(0)
    >>> batch.inputs[: batch.lengths[0], 0]
    array([3, 5, 6, 7, 8, 9])
    """

    def __init__(self, source: BatchSource | Sequence[Any], *changes: Change, seed: int = 0) -> None:
        super().__init__(source, seed)
        for change in changes:
            if not callable(change) or not hasattr(change, "keeps_steps"):
                raise ArgumentTypeError("changes", "be made by crop and its like", type(change).__name__)
            if self.source.carry_steps is not None and not change.keeps_steps:
                raise ArgumentError(
                    "source", "start every batch from the zero state, since steps are moved", f"{source!r}"
                )
        self.changes = changes

    def __repr__(self) -> str:
        return f"Augmented({', '.join(map(repr, (self.source, *self.changes)))}, seed={self.seed})"

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, with the changes of that update."""
        batch, rng = self.given(number)
        for change in self.changes:
            batch = change(batch, rng)
        return batch


def crop(shortest: float = 0.5) -> Change:
    """A part of each sequence, from anywhere in it.

    Parameters
    ----------
    shortest : float
        In (0, 1]: the length of the part is uniform between this share of the sequence and all of it, and at least 1.

    Returns
    -------
    Change
        Targets of each step, masks, resets and signals are cut alike; a target of the whole sequence stays.

    Examples
    --------
    >>> batch = crop(0.5)(Batch(np.arange(8)[:, None], np.array([1])), np.random.default_rng(1))
    >>> batch.inputs[:, 0], batch.lengths
    (array([1, 2, 3, 4, 5, 6]), array([6]))
    """
    return Crop(number("shortest", shortest, above=0, at_most=1))


def time_warp(strength: float = 0.2, stretch: float = 0.0, knots: int = 4) -> Change:
    """Another speed in each sequence, which changes smoothly along it (Um et al. 2017).

    Real inputs are interpolated at new times, from the first step to the last one; so are real targets and signals of
    each step. Class indices and masks of the nearest step are taken.

    Parameters
    ----------
    strength : float
        Standard deviation of the logarithm of the speed, which is drawn at the knots and linear between them.
    stretch : float
        Standard deviation of the logarithm of the length in relation to what it was; 0 leaves the lengths.
    knots : int
        At least 2.

    Returns
    -------
    Change

    References
    ----------
    Um et al., "Data augmentation of wearable sensor data for Parkinson's disease monitoring using convolutional neural
    networks", ICMI 2017.

    Examples
    --------
    >>> x = np.linspace(0, 1, 6)[:, None, None]
    >>> batch = time_warp(0.5)(Batch(x, np.array([0])), np.random.default_rng(0))
    >>> batch.inputs[:, 0, 0].round(2)
    array([0.  , 0.19, 0.37, 0.58, 0.81, 1.  ])
    """
    return TimeWarp(
        number("strength", strength, at_least=0),
        number("stretch", stretch, at_least=0),
        integer("knots", knots, at_least=2),
    )


def drop_tokens(rate: float, replacement: int | None = None) -> Change:
    """Steps left out at random, or their symbols replaced (word dropout).

    Parameters
    ----------
    rate : float
        In [0, 1): the probability of each step. Of a sequence one step stays at least.
    replacement : int, optional
        The class index that stands in place of a symbol, such as that of unknown words: lengths and targets stay.
        Without it the steps are left out, with their targets, and the sequences become shorter.

    Returns
    -------
    Change

    Examples
    --------
    >>> words = np.arange(1, 9)[:, None]
    >>> drop_tokens(0.4, replacement=0)(Batch(words, words), np.random.default_rng(0)).inputs[:, 0]
    array([1, 0, 0, 0, 5, 6, 7, 8])
    """
    share = number("rate", rate, at_least=0, below=1)
    return DropTokens(share, None if replacement is None else integer("replacement", replacement, at_least=0))


@dataclass(frozen=True)
class Crop:
    """What `crop` returns."""

    shortest: float
    keeps_steps = False

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        ends = _lengths(batch)
        least = np.maximum(np.minimum(1, ends), np.ceil(self.shortest * ends).astype(np.int64))
        kept = rng.integers(least, ends, endpoint=True)
        begin = rng.integers(0, ends - kept, endpoint=True)
        steps = begin + np.arange(max(1, int(kept.max(initial=0))))[:, None]
        return _gathered(batch, np.minimum(steps, len(batch.inputs) - 1), kept)


@dataclass(frozen=True)
class DropTokens:
    """What `drop_tokens` returns."""

    rate: float
    replacement: int | None

    @property
    def keeps_steps(self) -> bool:
        return self.replacement is not None

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        x, ends = np.asarray(batch.inputs), _lengths(batch)
        T, B = x.shape[:2]
        kept = rng.random((T, B)) >= self.rate
        if self.replacement is not None:
            if x.dtype.kind not in "iu":
                raise ArgumentTypeError("inputs", "be class indices where they are replaced", x.dtype)
            if self.replacement > np.iinfo(x.dtype).max:
                raise ArgumentError(
                    "replacement", f"be a number of {x.dtype}, as the inputs", self.replacement
                )
            return batch._replace(inputs=np.where(kept, x, x.dtype.type(self.replacement)))
        kept &= within_lengths(T, ends)
        # One that stays in each sequence in any case.
        chosen = rng.integers(0, np.maximum(ends, 1))
        alone = ~kept.any(axis=0) & (ends > 0)
        kept[chosen[alone], np.flatnonzero(alone)] = True
        steps = np.argsort(~kept, axis=0, kind="stable")  # those that stay come first, in their order
        new = kept.sum(axis=0)
        return _gathered(batch, steps[: max(1, int(new.max(initial=0)))], new)


@dataclass(frozen=True)
class TimeWarp:
    """What `time_warp` returns."""

    strength: float
    stretch: float
    knots: int
    keeps_steps = False

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        x, ends = np.asarray(batch.inputs), _lengths(batch)
        if x.dtype.kind != "f":
            raise ArgumentTypeError("inputs", "be real numbers where time is warped", x.dtype)
        if batch.reset is not None or "dt" in (batch.signals or {}):
            raise ArgumentError(
                "batch", "have no resets and no signal 'dt' where time is warped", "one that has"
            )
        B = x.shape[1]
        speeds = np.exp(self.strength * rng.standard_normal((B, self.knots)))
        new = np.round(ends * np.exp(self.stretch * rng.standard_normal(B))).astype(np.int64)
        new = np.where(ends > 0, np.maximum(new, 1), 0)
        places = np.zeros((max(1, int(new.max(initial=0))), B))
        for b in range(B):
            if new[b] > 1:
                along = np.interp(np.linspace(0, 1, new[b] - 1), np.linspace(0, 1, self.knots), speeds[b])
                passed = np.concatenate([[0.0], np.cumsum(along)])
                places[: new[b], b] = passed / passed[-1] * (ends[b] - 1)
        nearest = np.rint(places).astype(np.int64)
        return _gathered(batch, nearest, new, lambda a: _interpolated(a, places))


def _interpolated(a: NDArray[Any], places: NDArray[Any]) -> NDArray[Any]:
    """Real numbers (T, B, ...) at fractional steps (T', B)."""
    low = np.minimum(places.astype(np.int64), max(0, len(a) - 2))
    high, columns = np.minimum(low + 1, len(a) - 1), np.arange(a.shape[1])
    share = (places - low).reshape(*places.shape, *(1,) * (a.ndim - 2)).astype(a.dtype)
    # In this form the ends of the interval are exact.
    return (1 - share) * a[low, columns] + share * a[high, columns]


def _gathered(
    batch: Batch,
    steps: NDArray[np.int64],
    lengths: NDArray[np.int64],
    of_real: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
) -> Batch:
    """Steps (T', B) of all that has one entry a step; real numbers by a function of their own, masks never."""
    columns = np.arange(steps.shape[1])

    def taken(a: Any, values: bool = True) -> NDArray[Any]:
        a = np.asarray(a)
        return of_real(a) if of_real is not None and values and a.dtype.kind == "f" else a[steps, columns]

    targets = np.asarray(batch.targets)
    each_step = targets.ndim == (3 if targets.dtype.kind == "f" else 2)
    changed: dict[str, Any] = {"inputs": taken(batch.inputs), "lengths": lengths}
    if each_step:
        changed["targets"] = taken(targets)
        if batch.mask is not None:
            changed["mask"] = taken(batch.mask, values=False)
    if batch.reset is not None:
        changed["reset"] = taken(batch.reset)
    if batch.signals is not None:
        changed["signals"] = {name: taken(a) for name, a in batch.signals.items()}
    return batch._replace(**changed)


def _lengths(batch: Batch) -> NDArray[np.int64]:
    T, B = np.shape(batch.inputs)[:2]
    if batch.lengths is None:
        return np.full(B, T)
    return np.asarray(batch.lengths).astype(np.int64)
