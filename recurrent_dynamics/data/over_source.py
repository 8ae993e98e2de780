"""Sources whose batches are those of another source, changed at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import integer
from ..nn.batch import Batch, as_batch
from ..training import BatchSource
from ..training.source import as_source


class OverSource:
    """What `Augmented` and `WithNoise` have in common: the changes of batch n are drawn from (seed, n)."""

    def __init__(self, source: BatchSource | Sequence[Any], seed: int) -> None:
        self.source, self.seed = as_source(source), integer("seed", seed, at_least=0)

    @property
    def batches_per_epoch(self) -> int | None:
        """As the source."""
        return self.source.batches_per_epoch

    @property
    def carry_steps(self) -> int | None:
        """As the source."""
        return self.source.carry_steps

    def given(self, number: int) -> tuple[Batch, np.random.Generator]:
        """The batch of the source for update `number`, and what its changes are drawn from."""
        number = integer("number", number, at_least=0)
        return as_batch(self.source.batch(number)), np.random.default_rng((self.seed, number))
