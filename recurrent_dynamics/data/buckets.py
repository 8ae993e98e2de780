"""Which items of a data set come together in a batch, by their lengths."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer
from ..engine import check

POOL = 20  # batches whose items are sorted by length together, in a shuffled epoch


class Buckets:
    """Batches of items of similar length, epoch after epoch; every item comes once in an epoch.

    A batch is padded to its longest item. Its cells are the steps of the longest item times the number of items, and
    the padding is the share of the cells that no item fills. Both are known from the lengths alone.

    Parameters
    ----------
    lengths : array_like of int (n,), or dict of them
        Steps of each item; by name where an item has several sequences, such as "source" and "target". Items are
        sorted by the first of them, and by the next where the first are equal. The cells of all of them count.
    batch_size : int, optional
        Items of a batch; the last batch may have fewer.
    max_cells : int, optional
        Most cells of a batch. Short items then come in large batches and long ones in small batches. The batches are
        as few as possible, and have about the same number of cells. At least one of the two is
        needed; with both of them each is a bound.
    width : int
        With `max_cells` lengths are rounded up to multiples of it before items are sorted; items of one rounded length
        are in a random order. A larger one mixes items of more lengths in a batch, and leaves more padding.
    seed : int, optional
        Draws the batches anew for every epoch, from (seed, epoch). With `batch_size` alone, the items are put in a
        random order and sorted within each 20 batches. The batches come in a random order. The same batches in
        every epoch, from short to long, when absent.

    Attributes
    ----------
    batches_per_epoch : int
        The same for every epoch.

    Raises
    ------
    ValueError, TypeError
        Naming the argument: lengths below 0, none of the two bounds, an item of more than `max_cells`.

    Examples
    --------
    >>> buckets = Buckets([3, 9, 4, 10, 2, 3], max_cells=20)
    >>> buckets
    Buckets(6 items of 2 to 10 steps in 2 batches of 2 to 4, padding 14%, unsorted 33%)
    >>> buckets.batches()
    [array([4, 0, 5, 2]), array([1, 3])]
    >>> buckets.cells()
    array([16, 20])
    """

    def __init__(
        self,
        lengths: ArrayLike | Mapping[str, ArrayLike],
        batch_size: int | None = None,
        *,
        max_cells: int | None = None,
        width: int = 1,
        seed: int | None = None,
    ) -> None:
        named = lengths if isinstance(lengths, Mapping) else {"lengths": lengths}
        self.lengths = np.stack(
            [_lengths(name, a) for name, a in _same_size(named).items()]
        )  # (sequences, n)
        self.lengths.flags.writeable = False
        self.batch_size = None if batch_size is None else integer("batch_size", batch_size, at_least=1)
        self.max_cells = None if max_cells is None else integer("max_cells", max_cells, at_least=1)
        self.width = integer("width", width, at_least=1)
        self.seed = None if seed is None else integer("seed", seed, at_least=0)
        if self.max_cells is None:
            if self.batch_size is None:
                raise ArgumentError("batch_size or max_cells", "be given", "none")
            if self.width > 1:
                raise ArgumentError("width", "be 1 without max_cells, since lengths are not rounded", width)
            self._ends = np.arange(self.batch_size, len(self), self.batch_size)
        else:
            self._ends = self._cuts(self.max_cells, self.batch_size or len(self))
        self.batches_per_epoch = len(self._ends) + 1
        self._of_epoch: dict[int, list[NDArray[np.intp]]] = {}  # the latest two

    def __len__(self) -> int:
        return self.lengths.shape[1]

    def __repr__(self) -> str:
        return f"Buckets({len(self)} items of {self.described()})"

    def described(self) -> str:
        """The lengths, the batches, and the padding with and without the sorting, in words."""
        total, sizes = self.lengths.sum(0), [len(b) for b in self.batches()]
        sized = "" if self.max_cells is None else f" of {min(sizes)} to {max(sizes)}"
        return (
            f"{total.min()} to {total.max()} steps in {self.batches_per_epoch} batches{sized}, "
            f"padding {self.padding():.0%}, unsorted {self.unsorted_padding():.0%}"
        )

    def batches(self, epoch: int = 0) -> list[NDArray[np.intp]]:
        """The items of each batch of an epoch, by their indices: read-only arrays, which later epochs share."""
        epoch = integer("epoch", epoch, at_least=0) if self.seed is not None else 0
        found = self._of_epoch.get(epoch)
        if found is None:
            # A new dict: another thread may read the old one.
            latest = list(self._of_epoch.items())[-1:]
            found = self._drawn(epoch)
            for batch in found:
                batch.flags.writeable = False
            self._of_epoch = dict([*latest, (epoch, found)])
        return found

    def chosen(self, number: int) -> NDArray[np.intp]:
        """The items of batch `number`, counted over all epochs: a read-only array."""
        epoch, place = divmod(integer("number", number, at_least=0), self.batches_per_epoch)
        return self.batches(epoch)[place]

    def cells(self, epoch: int = 0) -> NDArray[np.int64]:
        """The cells of each batch of an epoch: the items times the steps of the longest."""
        return self._cells(self.batches(epoch))

    def padding(self, epoch: int = 0) -> float:
        """Share of the cells of an epoch that are padding."""
        return self._padding(self.batches(epoch))

    def unsorted_padding(self) -> float:
        """Share of padding in batches of as many items in their given order."""
        return self._padding(np.split(np.arange(len(self)), self._ends))

    def _drawn(self, epoch: int) -> list[NDArray[np.intp]]:
        if self.seed is None:
            return np.split(self._sorted(np.arange(len(self))), self._ends)
        rng = np.random.default_rng((self.seed, epoch))
        order = rng.permutation(len(self))
        pool = len(order) if self.batch_size is None or self.max_cells else POOL * self.batch_size
        parts = [self._sorted(order[i : i + pool]) for i in range(0, len(order), pool)]
        batches = np.split(np.concatenate(parts), self._ends)
        return [batches[i] for i in rng.permutation(len(batches))]

    def _sorted(self, order: NDArray[np.intp]) -> NDArray[np.intp]:
        """Items from short to long, those of equal (rounded) lengths as they were."""
        return order[np.lexsort(self._rounded()[::-1, order])]

    def _rounded(self) -> NDArray[np.int64]:
        """Lengths as multiples of the width, rounded up."""
        return -(-self.lengths // self.width)

    def _cuts(self, most: int, size: int) -> NDArray[np.intp]:
        """Where batches end in sorted order. Rounded lengths alone tell it, so they are the same in every epoch."""
        total = self.lengths.sum(0)
        if (total > most).any():
            i = int(np.argmax(total > most))
            raise ArgumentError(
                "max_cells", "be at least the steps of each item", f"{most}, and item {i} has {total[i]}"
            )
        steps = self._rounded()[:, self._sorted(np.arange(len(self)))] * self.width
        ends = _filled(steps, most, size)
        low, high = int(total.max()), most  # the least bound with as many batches makes them most alike
        while low < high:
            middle = (low + high) // 2
            found = _filled(steps, middle, size)
            if len(found) > len(ends):
                low = middle + 1
            else:
                ends, high = found, middle
        return ends

    def _cells(self, batches: list[NDArray[np.intp]]) -> NDArray[np.int64]:
        return np.array([self.lengths[:, b].max(1).sum() * len(b) for b in batches])

    def _padding(self, batches: list[NDArray[np.intp]]) -> float:
        cells = int(self._cells(batches).sum())
        return 1 - float(self.lengths.sum()) / cells if cells else 0.0


def _filled(steps: NDArray[np.int64], most: int, size: int) -> NDArray[np.intp]:
    """Where batches end that take items (sequences, n) in order for as long as they have at most so many cells."""
    ends, first = [0], 0
    while first < steps.shape[1]:
        window = min(size, most // max(int(steps[:, first].sum()), 1) + 1)
        longest = np.maximum.accumulate(steps[:, first : first + window], axis=1).sum(0)
        fits = longest * np.arange(1, longest.size + 1) <= most  # true, then false
        first += max(int(fits.sum()), 1)
        ends.append(first)
    return np.array(ends[1:-1], np.intp)


def _lengths(name: str, lengths: ArrayLike) -> NDArray[np.int64]:
    found = check.array(name, lengths)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "be integers of shape (n,)", f"{found.dtype} {found.shape}")
    if (found < 0).any():
        i = int(np.argmax(found < 0))
        raise ArgumentError(name, "be at least 0", f"{found[i]} at index {i}")
    return found.astype(np.int64)


def _same_size(named: Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
    """At least one item, and as many under each name."""
    if not named:
        raise ArgumentError("lengths", "hold at least one name", "none")
    first, sizes = next(iter(named)), {name: check.array(name, a).size for name, a in named.items()}
    for name, size in sizes.items():
        if not size:
            raise ArgumentError(name, "hold at least one", "none")
        if size != sizes[first]:
            raise ArgumentError(name, f"hold {sizes[first]}, as {first}", size)
    return named
