"""Several sequences one after another in a row, with a reset where each begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, integer
from ..nn.batch import Batch
from .sequences import SequenceBatches


class PackedBatches:
    """Sequences with a target at every step, one after another in rows of about equal length: nearly no padding.

    The state is reset where a sequence begins, so that loss and gradient are those of the sequences one by one. It
    needs a target at every step; a model that pools over time would see a row as one sequence. This is a `BatchSource`;
    every sequence comes once in an epoch.

    Parameters
    ----------
    sequences, targets : sequence of array_like (T_b, ...)
        As of `SequenceBatches` with `per_step`.
    steps : int
        Most steps of a row, at least those of the longest sequence.
    batch_size : int
        Rows of a batch; the last one may have fewer.
    chosen : array_like of int, optional
        Which of the sequences; all when absent.
    seed : int, optional
        Draws anew for every epoch which rows come together. The same batches in every epoch when absent.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    rows : list of ndarray of int
        The sequences of each row, in their order.
    batches_per_epoch : int
    carry_steps : None

    Notes
    -----
    A sequence goes to the row with the least room that is enough for it, the longest sequence first ("best fit
    decreasing").

    Examples
    --------
    >>> sequences = [np.arange(steps) for steps in (3, 9, 4, 10, 2)]
    >>> packed = PackedBatches(sequences, sequences, steps=14, batch_size=2)
    >>> packed
    PackedBatches(5 sequences in 2 rows of at most 14 steps in 1 batches, padding 0%)
    >>> batch = packed.batch(0)
    >>> batch.inputs[:, 1], np.flatnonzero(batch.reset[:, 1])
    (array([0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 0, 1]), array([ 0,  9, 12]))
    """

    carry_steps = None

    def __init__(
        self,
        sequences: Sequence[ArrayLike],
        targets: Sequence[ArrayLike],
        steps: int,
        batch_size: int,
        *,
        chosen: ArrayLike | None = None,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self._single = SequenceBatches(sequences, targets, 1, per_step=True, chosen=chosen, dtype=dtype)
        self.steps = integer("steps", steps, at_least=1)
        if self.steps < (longest := int(self._single.lengths.max())):
            raise ArgumentError("steps", f"be at least {longest}, those of the longest sequence", steps)
        self.seed = None if seed is None else integer("seed", seed, at_least=0)
        self.rows = fitted(self._single.lengths, self.steps)
        self.batches_per_epoch = -(-len(self.rows) // self.batch_size)

    def __repr__(self) -> str:
        return (
            f"PackedBatches({len(self._single)} sequences in {len(self.rows)} rows of at most {self.steps} steps in "
            f"{self.batches_per_epoch} batches, padding {self.padding():.0%})"
        )

    def padding(self, epoch: int = 0) -> float:
        """Share of the steps of an epoch that are padding."""
        filled = np.array([self._single.lengths[row].sum() for row in self.rows])
        batches = [filled[b] for b in self._batches(integer("epoch", epoch, at_least=0))]
        return 1 - float(filled.sum()) / sum(int(b.max()) * len(b) for b in batches)

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, counted over all epochs."""
        epoch, place = divmod(integer("number", number, at_least=0), self.batches_per_epoch)
        rows = [self.rows[i] for i in self._batches(epoch)[place]]
        lengths = self._single.lengths
        filled = np.array([lengths[row].sum() for row in rows])
        reset = np.zeros((filled.max(), len(rows)), bool)
        made: list[NDArray[Any]] = []
        for sequences in self._single.arrays:
            first = sequences[0]
            made.append(np.zeros((filled.max(), len(rows), *first.shape[1:]), first.dtype))
            for b, row in enumerate(rows):
                made[-1][: filled[b], b] = np.concatenate([sequences[i] for i in row])
                reset[np.cumsum(lengths[row]) - lengths[row], b] = True
        inputs, targets = made
        return Batch(inputs, targets, lengths=filled, reset=reset)

    def _batches(self, epoch: int) -> list[NDArray[np.intp]]:
        """The rows of each batch of an epoch."""
        order = np.arange(len(self.rows))
        if self.seed is not None:
            order = np.random.default_rng((self.seed, epoch)).permutation(order)
        return np.split(order, range(self.batch_size, len(order), self.batch_size))


def fitted(lengths: NDArray[np.int64], steps: int) -> list[NDArray[np.intp]]:
    """Which sequences come into each row: best fit, the longest sequence first."""
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(steps + 1)]  # rows by the steps that are left
    for i in np.argsort(-lengths, kind="stable"):
        length = int(lengths[i])
        room = next((r for r in range(length, steps + 1) if with_room[r]), None)
        if room is None:
            rows.append([])
            row, room = len(rows) - 1, steps
        else:
            row = with_room[room].pop()
        rows[row].append(int(i))
        with_room[room - length].append(row)
    return [np.array(row, np.intp) for row in rows]
