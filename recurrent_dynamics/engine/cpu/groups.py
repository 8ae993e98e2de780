"""Lists of the rows (step, instance) that kernels compute: all rows or the active ones, group by group."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...kernels.microkernel import TILE_ROWS
from ...kernels.tuning import current
from ..run import Tape, within_lengths
from .tables import drives_size


def active_rows(tape: Tape) -> np.ndarray:
    """The index of the rows within the lengths of the sequences; see `product.new_index`."""
    return grouped_rows(tape.steps, tape.batch, tape.lengths, 1)[0]


def group_count(tape: Tape) -> int:
    """The number of groups into which the instances of a tape are split.

    With two groups each of two threads reads only the cotangents that it has written itself in the backward pass. The
    number does not depend on the number of threads, because the order of the sums depends on it.
    """
    biases = tape.layout.input_size * drives_size(tape.layout) * tape.dtype.itemsize  # of classes
    return enough_groups(tape.matrices.nbytes + (biases if tape.has_classes else tape.W.nbytes), tape.batch)


def enough_groups(size: int, batch: int) -> int:
    """`group_count` for gradients of so many bytes."""
    tuned = current()
    enough = batch >= tuned.gradient_groups * tuned.min_group_instances
    return tuned.gradient_groups if enough and size <= tuned.max_grouped_bytes else 1


def grouped_rows(steps: int, batch: int, lengths: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """(index of the active rows, group after group; where each group begins, and the end).

    The instances are split as `work_split.assignment` splits them among as many threads.
    """
    if not lengths.size:
        return every_row_grouped(steps, batch, groups)
    before = np.cumsum(lengths) - lengths
    cuts = np.searchsorted(before * groups, lengths.sum() * np.arange(1, groups))
    return _grouped(within_lengths(steps, lengths), cuts)


@lru_cache(maxsize=8)
def every_row_grouped(steps: int, batch: int, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """`grouped_rows` of all rows."""
    return _grouped(np.ones((steps, batch), bool), batch * np.arange(1, groups) // groups)


def _grouped(active: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(active.size).reshape(active.shape)
    groups = [r[a] for r, a in zip(np.split(rows, cuts, axis=1), np.split(active, cuts, axis=1))]
    return np.concatenate([np.arange(TILE_ROWS), *groups]), np.cumsum([0] + [len(group) for group in groups])
