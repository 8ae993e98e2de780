"""Sequences of different lengths as padded batches, and the parts of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, boolean, integer, number, numbers, one_of, reals
from ..engine import check
from ..nn.batch import Batch

POOL = 20  # batches whose sequences are sorted by length together, in a shuffled epoch


def pad(sequences: Sequence[ArrayLike], value: float = 0) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Sequences side by side, time first, with a value beyond the end of each.

    Parameters
    ----------
    sequences : sequence of array_like (T_b, ...)
        Of one dtype and of one shape but for the length; class indices (T_b,) or real numbers (T_b, N).
    value : float
        What stands beyond the lengths. A model does not read it.

    Returns
    -------
    padded : ndarray (T, B, ...)
        T is the largest length.
    lengths : ndarray of int (B,)

    Raises
    ------
    TypeError, ValueError
        When there are none, or their shapes or dtypes do not go together: which one.

    Examples
    --------
    >>> padded, lengths = pad([[1, 2, 3], [4]])
    >>> padded.T
    array([[1, 2, 3],
           [4, 0, 0]])
    >>> lengths
    array([3, 1])
    """
    arrays = _arrays("sequences", sequences)
    lengths = np.array([len(a) for a in arrays])
    padded = np.full(
        (lengths.max(), len(arrays), *arrays[0].shape[1:]), number("value", value), arrays[0].dtype
    )
    for b, a in enumerate(arrays):
        padded[: len(a), b] = a
    return padded, lengths


class SequenceBatches:
    """Sequences of different lengths in padded batches, those of similar length together.

    This is a `BatchSource`, for training and for validation; every sequence comes once in an epoch. The padding is
    computed like everything else, so sequences are sorted by length before they are cut into batches.

    Parameters
    ----------
    sequences : sequence of array_like (T_b, ...)
        Class indices (T_b,) or real numbers (T_b, N), of one dtype.
    targets : sequence
        One for each sequence, a class or K numbers, for a model that pools over time. With `per_step` an array
        (T_b, ...) for each, as long as the sequence.
    batch_size : int
        The last batch may have fewer.
    per_step : bool
    chosen : array_like of int, optional
        Which of the sequences, such as a part that `partition` made; all when absent.
    seed : int, optional
        Draws the batches anew for every epoch: sequences in a random order, sorted by length within each 20 batches,
        the batches again in a random order. The same batches in every epoch, from short to long, when absent.
    dtype : {"float32", "float64"}
        Of the batches' real numbers; the parameters must have it too.

    Attributes
    ----------
    lengths : ndarray of int (n,)
    batches_per_epoch : int
    carry_steps : None

    Examples
    --------
    >>> sequences = [np.ones((steps, 2)) for steps in (3, 9, 4, 10)]
    >>> batches = SequenceBatches(sequences, [0, 1, 0, 1], batch_size=2)
    >>> batches
    SequenceBatches(4 sequences of 3 to 10 steps in 2 batches, padding 7%, unsorted 32%)
    >>> batches.batch(1).targets, batches.batch(1).lengths
    (array([1, 1]), array([ 9, 10]))
    """

    carry_steps = None

    def __init__(
        self,
        sequences: Sequence[ArrayLike],
        targets: Sequence[Any] | NDArray[Any],
        batch_size: int,
        *,
        per_step: bool = False,
        chosen: ArrayLike | None = None,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        self.per_step = boolean("per_step", per_step)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self.seed = None if seed is None else integer("seed", seed, at_least=0)
        if len(targets) != len(sequences):
            raise ArgumentError("targets", f"be {len(sequences)}, one for each sequence", len(targets))
        places = range(len(sequences)) if chosen is None else _places(chosen, len(sequences))
        self._sequences = [
            check.finite(f"sequences[{i}]", with_columns(f"sequences[{i}]", single_or_double(a, dtype)))
            for i, a in zip(places, _arrays("sequences", [sequences[i] for i in places]), strict=True)
        ]
        self.lengths = np.array([len(a) for a in self._sequences])
        picked = [targets[i] for i in places]
        found = _arrays("targets", picked) if per_step else _one_each(picked)
        self._targets = [single_or_double(a, dtype) for a in found]
        if per_step:
            for i, (a, b) in enumerate(zip(self._sequences, self._targets, strict=True)):
                if len(a) != len(b):
                    raise ArgumentError(f"targets of sequence {i}", f"be {len(a)}, one for each step", len(b))
        self.batches_per_epoch = -(-len(self._sequences) // self.batch_size)
        self._of_epoch = lru_cache(maxsize=2)(self._batches)

    def __len__(self) -> int:
        return len(self._sequences)

    def __repr__(self) -> str:
        return (
            f"SequenceBatches({len(self)} sequences of {self.lengths.min()} to {self.lengths.max()} steps in "
            f"{self.batches_per_epoch} batches, padding {self.padding():.0%}, "
            f"unsorted {self._padding(self._cut(np.arange(len(self)))):.0%})"
        )

    def padding(self, epoch: int = 0) -> float:
        """Share of the steps of an epoch that are padding."""
        return self._padding(self._of_epoch(0 if self.seed is None else integer("epoch", epoch, at_least=0)))

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, counted over all epochs."""
        epoch, place = divmod(number, self.batches_per_epoch)
        chosen = self._of_epoch(0 if self.seed is None else epoch)[place]
        inputs, lengths = pad([self._sequences[i] for i in chosen])
        picked = [self._targets[i] for i in chosen]
        return Batch(inputs, pad(picked)[0] if self.per_step else np.stack(picked), lengths=lengths)

    def _batches(self, epoch: int) -> list[NDArray[np.intp]]:
        """Which sequences are in each batch of an epoch."""
        if self.seed is None:
            return self._cut(np.argsort(self.lengths, kind="stable"))
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self))
        pool = POOL * self.batch_size
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            order[start : start + pool] = part[np.argsort(self.lengths[part], kind="stable")]
        batches = self._cut(order)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(self, order: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _padding(self, batches: list[NDArray[np.intp]]) -> float:
        computed = sum(int(self.lengths[b].max()) * len(b) for b in batches)
        return 1 - float(self.lengths.sum()) / computed if computed else 0.0


def partition(
    count: int, fractions: Sequence[float], seed: int = 0, labels: ArrayLike | None = None
) -> tuple[NDArray[np.intp], ...]:
    """Random parts of a data set, such as those for training, validation and test.

    Parameters
    ----------
    count : int
        How many sequences there are.
    fractions : sequence of float
        Of each part, above 0; they sum to 1.
    seed : int
    labels : array_like (count,), optional
        Classes, each of which is divided by itself, so that all parts have the classes in like shares.

    Returns
    -------
    tuple of ndarray of int
        For each part its indices in 0..count-1, in ascending order; every index is in one part.

    Raises
    ------
    ValueError, TypeError
        When an argument is out of range or a part stays empty.

    Examples
    --------
    >>> training, validation, test = partition(10, (0.6, 0.2, 0.2), seed=0)
    >>> len(training), len(validation), len(test)
    (6, 2, 2)
    """
    count = integer("count", count, at_least=1)
    shares = numbers("fractions", fractions)
    if shares.ndim != 1 or not shares.size or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-9:
        raise ArgumentError("fractions", "be numbers above 0 that sum to 1", repr(fractions))
    rng = np.random.default_rng(integer("seed", seed, at_least=0))
    groups = [np.arange(count)]
    if labels is not None:
        names = _listed("labels", labels)
        if names.shape != (count,):
            raise ArgumentError("labels", f"have shape {(count,)}", names.shape)
        groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    ends = np.cumsum(shares)[:-1]
    cut = [np.split(rng.permutation(g), np.rint(ends * len(g)).astype(int)) for g in groups]
    parts = tuple(np.sort(np.concatenate(pieces)) for pieces in zip(*cut, strict=True))
    for share, part in zip(shares, parts, strict=True):
        if not part.size:
            raise ArgumentError("count", f"be enough for a part of {share:g}", count)
    return parts


def single_or_double(a: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Real numbers in one of the two dtypes of models; class indices as they are."""
    one_of("dtype", dtype, ("float32", "float64"))
    return a.astype(dtype, copy=False) if a.dtype.kind == "f" else a


def with_columns(name: str, a: NDArray[Any]) -> NDArray[Any]:
    """Refuse real numbers (n,), for which no model has inputs: classes alone are without the last axis."""
    if a.ndim == 1 and a.dtype.kind == "f":
        raise ArgumentError(
            name, "have shape (n, N), or (n,) of class indices", f"{a.dtype} {a.shape}: a[:, None] has N = 1"
        )
    return a


def _arrays(name: str, sequences: Sequence[ArrayLike]) -> list[NDArray[Any]]:
    """Arrays (T_b, ...) of one dtype and one shape but for the length."""
    if (
        isinstance(sequences, str | bytes)
        or not hasattr(sequences, "__getitem__")
        or not hasattr(sequences, "__len__")
    ):
        raise ArgumentTypeError(name, "be a sequence of arrays", type(sequences).__name__)
    if isinstance(sequences, np.ndarray) and not sequences.ndim:
        raise ArgumentError(name, "be a sequence of arrays", "one number")
    arrays = [reals(f"{name}[{i}]", s) for i, s in enumerate(sequences)]
    if not arrays:
        raise ArgumentError(name, "hold at least one", "none")
    first = arrays[0]
    for i, a in enumerate(arrays):
        if a.ndim < 1 or a.dtype.kind not in "biuf":
            raise ArgumentTypeError(f"{name}[{i}]", "be numbers of shape (T, ...)", f"{a.dtype} {a.shape}")
        if a.shape[1:] != first.shape[1:] or a.dtype != first.dtype:
            raise ArgumentError(
                f"{name}[{i}]",
                f"have shape (T, {', '.join(map(str, first.shape[1:]))}) and dtype {first.dtype}, as the first",
                f"{a.dtype} {a.shape}",
            )
    return arrays


def _listed(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of different lengths
        raise ArgumentError(name, "hold one number or name for each sequence", error) from None


def _one_each(targets: Sequence[Any]) -> list[NDArray[Any]]:
    """Classes or vectors of K numbers, all of one kind."""
    try:
        found = np.array(targets)
    except ValueError:
        found = np.empty((0, 0, 0))
    if found.ndim not in (1, 2) or found.dtype.kind not in "iuf":
        raise ArgumentError(
            "targets",
            "be a class or K numbers for each sequence",
            f"dtype {found.dtype}: number the classes, np.unique(targets, return_inverse=True)[1]"
            if found.dtype.kind in "SUOb"
            else "others: give per_step=True for targets at every step",
        )
    return list(found)


def _places(chosen: ArrayLike, count: int) -> NDArray[np.intp]:
    places = np.asarray(chosen)
    if places.ndim != 1 or places.dtype.kind not in "iu" or not places.size:
        raise ArgumentError("chosen", "be indices of shape (n,)", f"{places.dtype} {places.shape}")
    if places.min() < 0 or places.max() >= count:
        raise ArgumentError("chosen", f"lie in 0..{count - 1}", f"{places.min()} to {places.max()}")
    return places.astype(np.intp)
