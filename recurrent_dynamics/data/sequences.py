"""Sequences of different lengths as padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, boolean, listed
from ..engine import check
from ..nn.batch import Batch
from .buckets import Buckets
from .padding import pad, ragged, single_or_double, with_columns


class SequenceBatches:
    """Sequences of different lengths in padded batches, those of similar length together.

    This is a `BatchSource`, for training and for validation; every sequence comes once in an epoch. `Buckets` says
    which sequences come together.

    Parameters
    ----------
    sequences : sequence of array_like (T_b, ...)
        Class indices (T_b,) or real numbers (T_b, N), of one dtype, with at least one step.
    targets : sequence
        One for each sequence, a class or K numbers, for a model that pools over time. With `per_step` an array
        (T_b, ...) for each, as long as the sequence.
    batch_size : int, optional
        The last batch may have fewer.
    per_step : bool
    chosen : array_like of int, optional
        Which of the sequences, such as a part that `partition` made; all when absent.
    max_cells : int, optional
        Most steps times sequences of a batch, so that all batches cost about the same; with or without a batch size.
    width : int
        With `max_cells`, how many steps lengths may differ to be mixed, see `Buckets`.
    seed : int, optional
        Draws the batches anew for every epoch: sequences in a random order, sorted by length within each 20 batches,
        the batches again in a random order. The same batches in every epoch, from short to long, when absent.
    dtype : {"float32", "float64"}
        Of the batches' real numbers; the parameters must have it too.

    Attributes
    ----------
    lengths : ndarray of int (n,)
    buckets : Buckets
    batches_per_epoch : int
    carry_steps : None

    See Also
    --------
    NamedBatches : For several sequences an item, such as a source and a target of another length.

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
        batch_size: int | None = None,
        *,
        per_step: bool = False,
        chosen: ArrayLike | None = None,
        max_cells: int | None = None,
        width: int = 1,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        self.per_step = boolean("per_step", per_step)
        sequences = listed("sequences", sequences, "of arrays")
        targets = listed("targets", targets, "with one for each sequence")
        if len(targets) != len(sequences):
            raise ArgumentError("targets", f"be {len(sequences)}, one for each sequence", len(targets))
        places = range(len(sequences)) if chosen is None else places_of(chosen, len(sequences))
        self._sequences = [
            check.finite(f"sequences[{i}]", with_columns(f"sequences[{i}]", single_or_double(a, dtype)))
            for i, a in zip(places, ragged("sequences", [sequences[i] for i in places]), strict=True)
        ]
        self.lengths = np.array([len(a) for a in self._sequences])
        if not self.lengths.all():
            empty = places[int(np.argmin(self.lengths))]
            raise ArgumentError(
                f"sequences[{empty}]", "have at least one step, or it has no loss", "an empty one"
            )
        picked = [targets[i] for i in places]
        found = ragged("targets", picked) if per_step else _one_each(picked)
        self._targets = [single_or_double(a, dtype) for a in found]
        if per_step:
            for i, (a, b) in enumerate(zip(self._sequences, self._targets, strict=True)):
                if len(a) != len(b):
                    raise ArgumentError(f"targets of sequence {i}", f"be {len(a)}, one for each step", len(b))
        self.buckets = Buckets(self.lengths, batch_size, max_cells=max_cells, width=width, seed=seed)
        self.batches_per_epoch = self.buckets.batches_per_epoch

    def __len__(self) -> int:
        return len(self._sequences)

    def __repr__(self) -> str:
        return f"SequenceBatches({len(self)} sequences of {self.buckets.described()})"

    def padding(self, epoch: int = 0) -> float:
        """Share of the steps of an epoch that are padding."""
        return self.buckets.padding(epoch)

    @property
    def arrays(self) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """The sequences and the targets, as they are batched."""
        return self._sequences, self._targets

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, counted over all epochs."""
        chosen = self.buckets.chosen(number)
        inputs, lengths = pad([self._sequences[i] for i in chosen])
        picked = [self._targets[i] for i in chosen]
        return Batch(inputs, pad(picked)[0] if self.per_step else np.stack(picked), lengths=lengths)


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
            "dtype bool: targets.astype(int) are classes 0 and 1"
            if found.dtype.kind == "b"
            else f"dtype {found.dtype}: number the classes, np.unique(targets, return_inverse=True)[1]"
            if found.dtype.kind in "SUO"
            else "others: give per_step=True for targets at every step",
        )
    return list(found)


def places_of(chosen: ArrayLike, count: int) -> NDArray[np.intp]:
    """Indices of some of `count` items."""
    places = check.array("chosen", chosen)
    if places.ndim != 1 or places.dtype.kind not in "iu" or not places.size:
        raise ArgumentError("chosen", "be indices of shape (n,)", f"{places.dtype} {places.shape}")
    if places.min() < 0 or places.max() >= count:
        raise ArgumentError("chosen", f"lie in 0..{count - 1}", f"{places.min()} to {places.max()}")
    return places.astype(np.intp)
