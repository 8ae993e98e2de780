"""Several sequences an item, by name, as padded arrays and lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, instance, reals
from ..engine import check
from .buckets import Buckets
from .padding import pad, ragged, single_or_double
from .sequences import places_of

LENGTHS = "_lengths"


def collate(
    sequences: Mapping[str, Sequence[ArrayLike]],
    values: Mapping[str, ArrayLike] | None = None,
    *,
    dtype: str = "float32",
) -> dict[str, NDArray[Any]]:
    """Items side by side: each sequence of them padded, with its lengths, by name.

    Parameters
    ----------
    sequences : dict of (sequence of array_like (T_b, ...))
        For each name a sequence of each item: class indices (T_b,) or real numbers (T_b, N). Those of different names
        may have different lengths. Empty ones are allowed.
    values : dict of array_like (B, ...), optional
        What each item has once, such as a class or a vector of features.
    dtype : {"float32", "float64"}
        Of real numbers; class indices stay integers.

    Returns
    -------
    dict of ndarray
        For each name of `sequences` the padded array (T, B, ...), time first, with T at least 1, and the lengths (B,)
        under the name with ``_lengths``; each of `values` as an array.

    Raises
    ------
    ValueError, TypeError
        When names have different numbers of items, one comes twice, arrays do not go together, or are not finite.

    Examples
    --------
    >>> batch = collate({"source": [[1, 2, 3], [4]], "target": [[7], [8, 9]]}, {"speaker": [0, 1]})
    >>> list(batch)
    ['source', 'source_lengths', 'target', 'target_lengths', 'speaker']
    >>> batch["source"].T, batch["target_lengths"]
    (array([[1, 2, 3],
           [4, 0, 0]]), array([1, 2]))
    """
    return _stacked(*_looked_at(sequences, values, dtype))


class NamedBatches:
    """Items of several sequences in padded batches, by name; those of similar length together.

    A batch is a dict as `collate` makes it, which `recurrent_dynamics.training.fit` hands to the objective. This is a
    `BatchSource`; every item comes once in an epoch.

    Parameters
    ----------
    sequences : dict of (sequence of array_like (T_b, ...))
        As for `collate`. Items are sorted by the length of the first name, and by the next where the first are equal.
    values : dict of array_like (n, ...), optional
        As for `collate`.
    batch_size : int, optional
        The last batch may have fewer.
    chosen : array_like of int, optional
        Which of the items, such as a part that `partition` made; all when absent.
    max_cells : int, optional
        Most steps times items of a batch, summed over the names, see `Buckets`. At least one of the two is needed.
    width : int
    seed : int, optional
        Draws the batches anew for every epoch; the same batches from short to long when absent.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    lengths : dict of ndarray of int (n,)
    buckets : Buckets
    batches_per_epoch : int
    carry_steps : None

    Examples
    --------
    >>> spelling, spoken = [[1, 2], [3], [1, 3, 2, 2]], [[5], [6, 6], [5, 6, 5]]
    >>> batches = NamedBatches({"source": spelling, "target": spoken}, batch_size=2)
    >>> batches
    NamedBatches(3 items of source, target, 3 to 7 steps in 2 batches, padding 13%, unsorted 13%)
    >>> batches.batch(0)["source"].T
    array([[3, 0],
           [1, 2]])
    """

    carry_steps = None

    def __init__(
        self,
        sequences: Mapping[str, Sequence[ArrayLike]],
        values: Mapping[str, ArrayLike] | None = None,
        batch_size: int | None = None,
        *,
        chosen: ArrayLike | None = None,
        max_cells: int | None = None,
        width: int = 1,
        seed: int | None = None,
        dtype: str = "float32",
    ) -> None:
        self._sequences, self._values = _looked_at(sequences, values, dtype, chosen)
        self.lengths = {name: np.array([len(a) for a in arrays]) for name, arrays in self._sequences.items()}
        self.buckets = Buckets(self.lengths, batch_size, max_cells=max_cells, width=width, seed=seed)
        self.batches_per_epoch = self.buckets.batches_per_epoch

    def __len__(self) -> int:
        return len(self.buckets)

    def __repr__(self) -> str:
        names = ", ".join([*self._sequences, *self._values])
        return f"NamedBatches({len(self)} items of {names}, {self.buckets.described()})"

    def padding(self, epoch: int = 0) -> float:
        """Share of the steps of an epoch that are padding."""
        return self.buckets.padding(epoch)

    def batch(self, number: int) -> dict[str, NDArray[Any]]:
        """The batch of update `number`, counted over all epochs."""
        chosen = self.buckets.chosen(number)
        picked = {name: [arrays[i] for i in chosen] for name, arrays in self._sequences.items()}
        return _stacked(picked, {name: a[chosen] for name, a in self._values.items()})


def _stacked(
    sequences: Mapping[str, list[NDArray[Any]]], values: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for name, arrays in sequences.items():
        found[name], found[name + LENGTHS] = pad(arrays, steps=1)
    return found | dict(values)


def _looked_at(
    sequences: Mapping[str, Sequence[ArrayLike]],
    values: Mapping[str, ArrayLike] | None,
    dtype: str,
    chosen: ArrayLike | None = None,
) -> tuple[dict[str, list[NDArray[Any]]], dict[str, NDArray[Any]]]:
    """Checked arrays of the chosen items: as many of each name, in one dtype, finite."""
    instance("sequences", sequences, Mapping)
    given = {} if values is None else values
    instance("values", given, Mapping)
    if not sequences:
        raise ArgumentError("sequences", "have at least one name", "none")
    for argument, named in (("sequences", sequences), ("values", given)):
        for name in named:
            if not isinstance(name, str):
                raise ArgumentTypeError(argument, "have texts as names", repr(name))
    names = [*sequences, *(f"{name}{LENGTHS}" for name in sequences), *given]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ArgumentError("values", "have names of their own, also besides the lengths", repr(twice))
    spelled = {name: f"sequences[{name!r}]" for name in sequences} | {
        name: f"values[{name!r}]" for name in given
    }
    sizes = {name: _size(spelled[name], items) for name, items in [*sequences.items(), *given.items()]}
    count = next(iter(sizes.values()))
    if set(sizes.values()) != {count}:
        came = ", ".join(f"{size} of {name!r}" for name, size in sizes.items())
        raise ArgumentError("sequences and values", "be of as many items each", came)
    places = range(count) if chosen is None else places_of(chosen, count)
    found = {}
    for name, items in sequences.items():
        arrays = ragged(spelled[name], [_array(items[i]) for i in places])
        found[name] = [
            check.finite(f"{spelled[name]}[{i}]", single_or_double(a, dtype))
            for i, a in zip(places, arrays, strict=True)
        ]
    once = {
        name: check.finite(
            spelled[name], single_or_double(reals(spelled[name], a)[np.asarray(places)], dtype)
        )
        for name, a in given.items()
    }
    return found, once


def _size(name: str, items: Any) -> int:
    """How many items there are."""
    single = not items.ndim if isinstance(items, np.ndarray) else not hasattr(items, "__len__")
    if single or isinstance(items, str | bytes | Mapping):
        raise ArgumentTypeError(name, "hold one for each item", type(items).__name__)
    return len(items)


def _array(sequence: ArrayLike) -> ArrayLike:
    """An empty list as no class indices, which NumPy takes for real numbers."""
    return np.zeros(0, np.int64) if isinstance(sequence, list | tuple) and not sequence else sequence
