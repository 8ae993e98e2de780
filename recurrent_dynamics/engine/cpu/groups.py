"""Which rows (step, instance) the kernels take: indices for `product`, of all rows, of active ones, group by group."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...kernels.microkernel import HALF, ROWS
from ..run import Tape, within_lengths
from .tables import drives_size

# Groups of instances whose gradients are summed apart, and the bytes of gradients of a group up to which that is done:
# it paid up to the 2 MB of an LSTM of 256 units; with the 8 MB of 512 units it did not, and took 16 MB more.
GROUPS = 2
SMALL_GRADIENTS = 1 << 22


def active_rows(tape: Tape) -> np.ndarray:
    """The index of the rows within the lengths of the sequences; see `product.new_index`."""
    return grouped_rows(tape.steps, tape.batch, tape.lengths, 1)[0]


def group_count(tape: Tape) -> int:
    """How many groups the instances of a tape are parted into.

    With two, each of two threads reads only the cotangents that it has written itself in the walk back. The number of
    threads does not decide it, as then the order of the sums would depend on it.
    """
    biases = tape.layout.input_size * drives_size(tape.layout) * tape.dtype.itemsize  # of classes
    return enough_groups(tape.matrices.nbytes + (biases if tape.has_classes else tape.W.nbytes), tape.batch)


def enough_groups(size: int, batch: int) -> int:
    """`group_count` for gradients of so many bytes."""
    return GROUPS if size <= SMALL_GRADIENTS and batch >= GROUPS * HALF else 1


def grouped_rows(steps: int, batch: int, lengths: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """(index of the active rows, group after group; where each group begins, and the end).

    The instances are parted as so many threads part them in a walk, see `team`.
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
    parts = [r[a] for r, a in zip(np.split(rows, cuts, axis=1), np.split(active, cuts, axis=1))]
    return np.concatenate([np.arange(ROWS), *parts]), np.cumsum([0] + [len(part) for part in parts])
