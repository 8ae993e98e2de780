"""Where the loop takes its batches from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ..checks import ArgumentError, ArgumentTypeError
from ..nn.batch import Batch, as_batch


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
    """A list of batches, taken in turn, each from the zero state."""

    carry_steps = None

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = [as_batch(b) for b in batches]
        if not self.batches:
            raise ArgumentError("data", "hold at least one batch", "an empty list")
        self.batches_per_epoch = len(self.batches)

    def batch(self, number: int) -> Batch:
        """The batch of update `number`."""
        return self.batches[number % len(self.batches)]


def as_source(data: BatchSource | Sequence[Any]) -> BatchSource:
    """Take a list of batches for a source."""
    if isinstance(data, BatchSource):
        return data
    if isinstance(data, list):
        return BatchList(data)
    raise ArgumentTypeError("data", "be a source of batches or a list of batches", type(data).__name__)
