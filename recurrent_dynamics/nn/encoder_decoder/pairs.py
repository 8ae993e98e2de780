"""A source and a target for each sequence, and what a decoder reads and is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, ArgumentTypeError
from ...engine import check
from ...engine.run import within_lengths
from ...results import Result
from ..layers import Layer
from ..table import class_indices


@dataclass(frozen=True)
class Pairs(Result):
    """Sources and targets side by side: a batch of `encoder_decoder`.

    Parameters
    ----------
    source : ndarray
        What the encoder reads, time first: class indices (S, B) or real numbers (S, B, N); a vector of features (B, N)
        or a class (B,) for each sequence, which is read as one step.
    target : ndarray
        What is to be predicted: class indices (T, B), without the begin and the end symbol, or real numbers (T, B, K).
    source_lengths, target_lengths : array_like of int (B,), optional
        Valid steps of each; all of them when absent. What stands beyond is not read.
    first : ndarray, optional
        What the decoder reads before its first prediction: class indices (B,) or real numbers (B, K). The begin symbol,
        or zeros, when absent.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> rd.nn.Pairs(np.zeros((5, 2), int), np.ones((3, 2), int), target_lengths=np.array([3, 1]))
    Pairs
      source          (5, 2) int64, 0
      target          (3, 2) int64, 1
      target_lengths  (2,) int64, 1 to 3
    """

    source: NDArray[Any]
    target: NDArray[Any]
    source_lengths: ArrayLike | None = None
    target_lengths: ArrayLike | None = None
    first: NDArray[Any] | None = None

    def _described(self) -> Iterator[tuple[str, Any]]:
        return ((name, value) for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class Source:
    """What an encoder reads, looked at: (S, B) or (S, B, N), and lengths (B,)."""

    x: NDArray[Any]
    lengths: NDArray[np.int64] | None

    @property
    def size(self) -> int:
        """B."""
        return int(self.x.shape[1])


@dataclass(frozen=True)
class Forced:
    """What a decoder reads when it is told the target, and what its outputs are compared with.

    Attributes
    ----------
    fed : ndarray (T, B) or (T, B, K)
        What is read before each prediction.
    targets : ndarray (T, B) or (T, B, K)
    lengths : ndarray (B,) or None
        Predictions of each sequence.
    """

    fed: NDArray[Any]
    targets: NDArray[Any]
    lengths: NDArray[np.int64] | None

    @property
    def weights(self) -> NDArray[np.bool_] | None:
        """(T, B): which predictions count; None for all."""
        if self.lengths is None:
            return None
        valid = within_lengths(len(self.fed), self.lengths)
        if not valid.any():
            raise ArgumentError(
                "target_lengths", "be above 0 for one sequence at least, or there is no loss", self.lengths
            )
        return np.asarray(valid)

    @property
    def weight(self) -> float:
        """How many predictions count."""
        weights = self.weights
        return float(np.prod(self.targets.shape[:2]) if weights is None else np.count_nonzero(weights))


@dataclass(frozen=True)
class Alphabet:
    """The target's alphabet: its size, the symbol that is read first, and the one that ends a target."""

    classes: int
    begin: int | None
    end: int | None


def as_pairs(batch: Any, name: str = "batch") -> Pairs:
    """Take a mapping of the names for `Pairs`; errors name the argument `name`."""
    if isinstance(batch, Pairs):
        return batch
    if isinstance(batch, Mapping):
        names = tuple(Pairs.__dataclass_fields__)
        given = check.mapping(name, batch, names)
        if "source" in given and "target" in given:
            return Pairs(**given)
    came = ", ".join(map(str, batch)) if isinstance(batch, Mapping) else type(batch).__name__
    raise ArgumentTypeError(name, "be Pairs, or a dict with source and target", came or "none")


def read_source(source: Any, lengths: ArrayLike | None, encoder: Layer) -> Source:
    """The source with time first, as the encoder reads it; one step for a vector or a class of each sequence."""
    x = check.array("source", source)
    indices = encoder.classes is not None or (encoder.folds and x.dtype.kind in "iu")
    steps = 2 if indices else 3
    if x.ndim == steps - 1:
        x = x[None]
    width = encoder.classes if encoder.classes is not None else encoder.input_size
    if (
        x.ndim != steps
        or x.dtype.kind not in ("iu" if indices else "f")
        or (not indices and x.shape[2] != width)
    ):
        wanted = (
            "class indices (S, B) or (B,)" if indices else f"real numbers (S, B, {width}) or (B, {width})"
        )
        raise ArgumentError("source", f"be {wanted}", f"{x.dtype} {np.shape(source)}")
    if 0 in x.shape[:2]:
        raise ArgumentError("source", "have at least one step and one sequence", x.shape)
    ends = _ends("source_lengths", lengths, *x.shape[:2])
    if indices:
        counted = x if ends is None else x[within_lengths(len(x), ends)]
        class_indices(counted, width or 0, "source")
    return Source(x, ends)


def forced_classes(pairs: Pairs, alphabet: Alphabet, size: int) -> Forced:
    """The decoder reads the begin symbol and the target, and is compared with the target and the end symbol."""
    target = check.array("target", pairs.target)
    if target.ndim != 2 or target.dtype.kind not in "iu":
        raise ArgumentError("target", "be class indices of shape (T, B)", f"{target.dtype} {target.shape}")
    ends = _target_ends(pairs, target, size)
    within = np.ones(target.shape, bool) if ends is None else within_lengths(len(target), ends)
    counted = class_indices(target[within], alphabet.classes, "target")
    if alphabet.end is not None and (counted == alphabet.end).any():
        raise ArgumentError("target", "hold no end symbol: it is added", f"{alphabet.end} within the lengths")
    first = first_symbols(pairs.first, alphabet, size)
    # Beyond a target stands its end; without an end symbol anything, as nothing is read or compared there.
    known = np.where(within, target, 0 if alphabet.end is None else alphabet.end).astype(np.int64)
    targets = known if alphabet.end is None else np.concatenate([known, np.full((1, size), alphabet.end)])
    fed = np.concatenate([first[None], targets[:-1]])
    if ends is not None and alphabet.end is not None:
        ends = ends + 1
    return Forced(fed, targets, ends)


def forced_numbers(pairs: Pairs, width: int, dtype: np.dtype[Any], size: int) -> Forced:
    """The decoder reads zeros and the target without its last step, and is compared with the target."""
    target = check.real("target", pairs.target, dtype)
    if target.ndim != 3 or target.shape[2] != width:
        raise ArgumentError("target", f"have shape (T, B, {width})", target.shape)
    ends = _target_ends(pairs, target, size)
    within = None if ends is None else within_lengths(len(target), ends)[..., None]
    target = check.floating("target", target, dtype, within=within)
    if pairs.first is None:
        first = np.zeros((size, width), dtype)
    else:
        first = check.floating("first", pairs.first, dtype, (size, width))
    return Forced(np.concatenate([first[None], target[:-1]]), target, ends)


def _target_ends(pairs: Pairs, target: NDArray[Any], size: int) -> NDArray[np.int64] | None:
    if target.shape[1] != size:
        raise ArgumentError("target", f"have {size} sequences, as the source has", target.shape[1])
    if not len(target):
        raise ArgumentError("target", "have at least one step", target.shape)
    return _ends("target_lengths", pairs.target_lengths, *target.shape[:2])


def first_symbols(first: Any, alphabet: Alphabet, size: int) -> NDArray[np.int64]:
    """What the decoder reads first (B,)."""
    if first is None:
        if alphabet.begin is None:
            raise ArgumentError("first", "be given, since there is no begin symbol", "None")
        return np.full(size, alphabet.begin, np.int64)
    found = check.array("first", first)
    check.shape("first", found, (size,))
    return class_indices(found, alphabet.classes, "first").astype(np.int64)


def _ends(name: str, lengths: ArrayLike | None, steps: int, size: int) -> NDArray[np.int64] | None:
    return None if lengths is None else check.lengths(lengths, steps, size, name)
