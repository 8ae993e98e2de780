"""Text: vocabulary, streams, splits, files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import (
    ArgumentError,
    ArgumentTypeError,
    boolean,
    instance,
    integer,
    listed,
    number,
    pathlike,
    unmasked,
)
from ..engine import check
from ..kernels.lazy import cached_property
from ..nn.batch import Batch

SHORTEST_TEXT = 1000


class Vocabulary:
    """The characters of a text, numbered.

    Parameters
    ----------
    characters : iterable of str
        Single characters, each once; their order gives the indices.
    unknown : str, optional
        One of the characters, which stands for all that are not in the vocabulary. Without it they raise.

    Examples
    --------
    >>> vocabulary = Vocabulary.from_text("abracadabra")
    >>> vocabulary.characters
    ('a', 'b', 'c', 'd', 'r')
    >>> vocabulary.encode("bar")
    array([1, 0, 4])
    >>> vocabulary.decode([1, 0, 4])
    'bar'
    """

    def __init__(self, characters: Iterable[str], unknown: str | None = None) -> None:
        self.characters = tuple(
            characters if isinstance(characters, str) else listed("characters", characters, "of texts")
        )
        if not self.characters:
            raise ArgumentError("characters", "hold at least one", "none")
        for c in self.characters:
            if not isinstance(c, str) or len(c) != 1:
                raise ArgumentError("characters", "be single characters", repr(c))
        if len(set(self.characters)) != len(self.characters):
            twice = next(c for i, c in enumerate(self.characters) if c in self.characters[:i])
            raise ArgumentError("characters", "hold each once", f"{twice!r} twice")
        if unknown is not None and (not isinstance(unknown, str) or unknown not in self.characters):
            raise ArgumentError("unknown", "be one of the characters", repr(unknown))
        self.unknown = unknown

    @classmethod
    def from_text(cls, text: str, unknown: str | None = None) -> Vocabulary:
        """The sorted characters of a text, and the one for unknown characters if it is not among them."""
        return cls(sorted(set(text) | ({unknown} if unknown is not None else set())), unknown)

    @classmethod
    def from_list(cls, characters: list[str], unknown: str | None = None) -> Vocabulary:
        """The inverse of `to_list`."""
        return cls(characters, unknown)

    def to_list(self) -> list[str]:
        """The characters as a list, for JSON."""
        return list(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Vocabulary) and self.characters == other.characters
        return same and self.unknown == other.unknown  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.characters, self.unknown))

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} characters)"

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        """From code point to index; -1 for none."""
        points = np.array([ord(c) for c in self.characters])
        table = np.full(points.max() + 1, -1, np.int64)
        table[points] = np.arange(len(points))
        return table

    def encode(self, text: str) -> NDArray[np.int64]:
        """Indices (n,) of a text.

        Raises
        ------
        ValueError
            When a character is not in the vocabulary and there is no `unknown` one; the message says where.
        """
        instance("text", text, str)
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
        inside = points < len(self._table)
        indices = np.where(inside, self._table[np.where(inside, points, 0)], -1)
        missing = indices < 0
        if missing.any():
            if self.unknown is None:
                at = int(np.argmax(missing))
                raise ArgumentError(
                    "text", "be of characters in the vocabulary", f"{text[at]!r} at position {at}"
                )
            indices[missing] = self._table[ord(self.unknown)]
        return indices

    def decode(self, indices: ArrayLike) -> str:
        """The text of indices (n,)."""
        array = check.array("indices", indices)
        if array.ndim != 1:
            raise ArgumentError("indices", "have shape (n,)", array.shape)
        if array.size and array.dtype.kind not in "iu":
            raise ArgumentError("indices", "be integers", array.dtype)
        if array.size and (array.min() < 0 or array.max() >= len(self)):
            raise ArgumentError("indices", f"lie in 0..{len(self) - 1}", f"{array.min()} to {array.max()}")
        return "".join(self.characters[int(i)] for i in array)


class Streams:
    """A sequence of class indices as B parallel streams, read window by window.

    The sequence is cut into `batch_size` stretches of equal length. A batch holds the next window of each, so that the
    state after one batch is where the next one begins; targets are the inputs moved by one. This is a `BatchSource`.

    With `window` > `stride` the batches overlap: each moves on by `stride` (k1) and its gradient reaches back over
    `window` steps (k2), while the mask lets each loss count once in an epoch.

    Parameters
    ----------
    indices : array_like of int (n,)
    batch_size : int
        The number B of streams.
    window : int
        Steps T of a batch.
    stride : int, optional
        Steps from one batch to the next; the window when absent.
    partial : bool
        Whether the rest of the streams, shorter than a stride, makes a last batch. For validation, where nothing may
        be left out; a training update on a few steps would be noise.

    Examples
    --------
    >>> streams = Streams(np.arange(13), batch_size=2, window=3)
    >>> streams.batches_per_epoch
    2
    >>> batch = streams.batch(1)
    >>> batch.inputs.T
    array([[ 3,  4,  5],
           [ 9, 10, 11]])
    >>> batch.targets.T
    array([[ 4,  5,  6],
           [10, 11, 12]])
    """

    def __init__(
        self,
        indices: ArrayLike,
        batch_size: int,
        window: int,
        stride: int | None = None,
        partial: bool = False,
    ) -> None:
        if isinstance(indices, str):
            raise ArgumentTypeError("indices", "be integers", "a text: a Vocabulary encodes it")
        array = check.array("indices", indices)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise ArgumentError("indices", "be integers of shape (n,)", f"{array.dtype} {array.shape}")
        batch_size = integer("batch_size", batch_size, at_least=1)
        window = integer("window", window, at_least=1)
        partial = boolean("partial", partial)
        stride = window if stride is None else integer("stride", stride, at_least=1)
        if stride > window:
            raise ArgumentError("stride", f"be at most the window, {window}, since every loss counts", stride)
        length = (len(array) - 1) // batch_size
        if length < (1 if partial else window):
            raise ArgumentError(
                "indices",
                f"be at least {batch_size * (1 if partial else window) + 1} for {batch_size} streams of "
                f"{window} steps",
                len(array),
            )
        cut = length * batch_size
        self.inputs = np.ascontiguousarray(array[:cut].reshape(batch_size, length).T)
        self.targets = np.ascontiguousarray(array[1 : cut + 1].reshape(batch_size, length).T)
        self.window, self.stride = window, stride
        later = max(0, length - window)
        self.batches_per_epoch = 1 + (-(-later // stride) if partial else later // stride)

    def __repr__(self) -> str:
        length, count = self.inputs.shape
        return f"Streams({count} of {length} symbols, window {self.window}, stride {self.stride})"

    @property
    def carry_steps(self) -> int:
        """The state is handed on after a stride: where the next window begins."""
        return self.stride

    @property
    def symbols_per_epoch(self) -> int:
        """How many losses count in an epoch."""
        return (
            min(len(self.inputs), self.window + (self.batches_per_epoch - 1) * self.stride)
            * self.inputs.shape[1]
        )

    def batch(self, number: int) -> Batch:
        """The batch of update `number`, counted over all epochs."""
        number = integer("number", number, at_least=0)
        place = number % self.batches_per_epoch
        first = place * self.stride
        inputs, targets = (a[first : first + self.window] for a in (self.inputs, self.targets))
        if place == 0 or self.stride == self.window:
            return Batch(inputs, targets)
        seen = self.window - self.stride  # the batches before have counted these losses
        mask = np.zeros(inputs.shape, bool)
        mask[seen:] = True
        return Batch(inputs, targets, mask)


def split(indices: NDArray[Any], fraction: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Training and validation part: the last `fraction` of a sequence is held out.

    Examples
    --------
    >>> training, validation = split(np.arange(10), 0.2)
    >>> len(training), validation
    (8, array([8, 9]))
    """
    number("fraction", fraction, above=0, below=1)
    unmasked("indices", indices)
    if not isinstance(indices, Sequence | np.ndarray) or (
        isinstance(indices, np.ndarray) and not indices.ndim
    ):
        raise ArgumentTypeError("indices", "be a sequence", type(indices).__name__)
    held_out = round(len(indices) * fraction)
    if not 0 < held_out < len(indices):
        raise ArgumentError("indices", f"be enough to hold out a fraction of {fraction}", len(indices))
    return indices[:-held_out], indices[-held_out:]


def read_text(path: str | os.PathLike[str], shortest: int = SHORTEST_TEXT) -> str:
    """Read a UTF-8 text file.

    Line ends become a line feed; a byte order mark is dropped.

    Parameters
    ----------
    path : path-like
    shortest : int
        The fewest characters that are accepted.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError
        With a message of one line.
    ValueError
        When the file is empty, binary, not UTF-8, or too short.
    """
    path = pathlike("path", path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path} must be a text file; came a folder")
    try:
        data = path.read_bytes()
    except PermissionError:
        raise PermissionError(f"{path}: no permission to read it") from None
    if not data:
        raise ArgumentError(str(path), "be UTF-8 text", "an empty file")
    if b"\0" in data:
        raise ArgumentError(str(path), "be UTF-8 text", "a binary file (it contains zero bytes)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ArgumentError(
            str(path), "be UTF-8 text", f"{data[error.start]:#04x} as byte {error.start}"
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) < shortest:
        raise ArgumentError(str(path), f"hold at least {shortest} characters", len(text))
    return text
