"""Where the loop takes its batches from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, integer, listed
from ..nn.batch import Batch, as_batch
from ..nn.encoder_decoder import Pairs


@runtime_checkable
class BatchSource(Protocol):
    """Batches as a function of the update's number, so that a resumed run finds its place.

    Attributes
    ----------
    batches_per_epoch : int or None
        None when every batch is new (generated tasks).
    carry_steps : int or None
        After how many steps of a batch the state is handed on to the next batch of the epoch; None when every batch
        starts from zero.
    """

    @property
    def batches_per_epoch(self) -> int | None:
        """How many batches make an epoch."""

    @property
    def carry_steps(self) -> int | None:
        """After how many steps the state is handed on."""

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, counted from 0 over all epochs."""


class BatchList:
    """A list of batches, each from the zero state.

    Parameters
    ----------
    batches : sequence of Batch
    shuffle : int, optional
        Seed of the order, which is drawn anew for every epoch from (seed, epoch); the order of the list when absent.

    Examples
    --------
    >>> import numpy as np
    >>> batches = [(np.full((1, 1), i), np.zeros((1, 1), int)) for i in range(4)]
    >>> source = BatchList(batches, shuffle=0)
    >>> [int(source.batch(number).inputs[0, 0]) for number in range(8)]
    [2, 0, 1, 3, 3, 0, 2, 1]
    """

    carry_steps = None

    def __init__(self, batches: Sequence[Any], shuffle: int | None = None) -> None:
        self.batches: list[Any] = [
            b if isinstance(b, Pairs | Mapping) else as_batch(b)
            for b in listed("batches", batches, "of batches")
        ]
        if not self.batches:
            raise ArgumentError("data", "hold at least one batch", "an empty list")
        self.batches_per_epoch = len(self.batches)
        self.shuffle = None if shuffle is None else integer("shuffle", shuffle, at_least=0)

    def __repr__(self) -> str:
        order = "" if self.shuffle is None else f", shuffled from seed {self.shuffle}"
        return f"BatchList({len(self.batches)} batches{order})"

    def batch(self, number: int) -> Batch:
        """The batch of update `number`."""
        epoch, place = divmod(number, len(self.batches))
        if self.shuffle is not None:
            place = int(np.random.default_rng((self.shuffle, epoch)).permutation(len(self.batches))[place])
        found: Batch = self.batches[place]  # or what else the objective takes
        return found


def as_source(
    data: BatchSource | Sequence[Any], shuffle: int | None = None, name: str = "data"
) -> BatchSource:
    """Take a list of batches for a source, in the order that a seed gives."""
    if isinstance(data, BatchSource):
        if shuffle is not None:
            raise ArgumentError(
                "shuffle",
                "be None for a source, which has an order of its own",
                f"{shuffle!r} with a {type(data).__name__}",
            )
        return data
    if isinstance(data, list):
        return BatchList(data, shuffle)
    hint = ""
    if isinstance(data, tuple) and len(data) > 1:
        one = hasattr(data[0], "shape")
        hint = (
            ": a list of one batch is [batch]"
            if one
            else ": rd.data.SequenceBatches makes batches of sequences"
        )
    came = f"{type(data).__name__}{hint}"
    raise ArgumentTypeError(name, "be a source of batches or a list of batches", came)
