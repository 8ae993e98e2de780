"""Vocabularies of words, phonemes and other symbols, with symbols for what is special."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, boolean, instance, integer, listed
from ..engine import check
from ..training import write_atomically

SPECIAL = ("padding", "unknown", "begin", "end")
KIND = "recurrent_dynamics token vocabulary"


def words(text: str, lower: bool = True) -> list[str]:
    """The words and punctuation marks of a text, each a token.

    Parameters
    ----------
    text : str
    lower : bool
        Whether to write them in lower case.

    Returns
    -------
    list of str

    Examples
    --------
    >>> words("The cat's asleep.")
    ['the', "cat's", 'asleep', '.']
    """
    instance("text", text, str)
    return re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", text.lower() if boolean("lower", lower) else text)


class TokenVocabulary:
    """Tokens such as words, phonemes or letters, numbered.

    Parameters
    ----------
    tokens : iterable of str
        Each once; their order gives the indices.
    padding, unknown, begin, end : str, optional
        Which of the tokens stands for padding, for tokens that are not in the vocabulary, for the begin and for the end
        of a sequence. Without `unknown` such tokens raise.

    Attributes
    ----------
    tokens : tuple of str
    padding, unknown, begin, end : str or None
    indices : dict of int
        The index of "padding", "unknown", "begin", "end", of those that there are.

    See Also
    --------
    Vocabulary : The characters of a text, which are encoded faster.

    Examples
    --------
    >>> vocabulary = TokenVocabulary.from_sequences(
    ...     [["the", "cat"], ["the", "dog"], ["the", "cat"]], minimum=2, unknown="<unknown>", end="<end>")
    >>> vocabulary.tokens
    ('<unknown>', '<end>', 'the', 'cat')
    >>> vocabulary.encode(["the", "dog"], end=True)
    array([2, 0, 1])
    >>> vocabulary.decode([2, 3, 1, 2, 2])
    ['the', 'cat']
    """

    def __init__(
        self,
        tokens: Iterable[str],
        *,
        padding: str | None = None,
        unknown: str | None = None,
        begin: str | None = None,
        end: str | None = None,
    ) -> None:
        self.tokens = tuple(listed("tokens", tokens, "of texts"))
        if not self.tokens:
            raise ArgumentError("tokens", "hold at least one", "none")
        for token in self.tokens:
            if not isinstance(token, str) or not token:
                raise ArgumentError("tokens", "be strings of at least one character", repr(token))
        self._index = {token: i for i, token in enumerate(self.tokens)}
        if len(self._index) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ArgumentError("tokens", "hold each once", f"{twice!r} twice")
        given = {"padding": padding, "unknown": unknown, "begin": begin, "end": end}
        self.indices: dict[str, int] = {}
        for name, special in given.items():
            if special is None:
                continue
            if not isinstance(special, str) or special not in self._index:
                raise ArgumentError(name, "be one of the tokens", repr(special))
            if self._index[special] in self.indices.values():
                raise ArgumentError(name, "be a token of its own", f"{special!r}, which is special already")
            self.indices[name] = self._index[special]
        self.padding, self.unknown, self.begin, self.end = given.values()

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        minimum: int = 1,
        most: int | None = None,
        padding: str | None = None,
        unknown: str | None = None,
        begin: str | None = None,
        end: str | None = None,
    ) -> TokenVocabulary:
        """The special tokens, then those of counts, from the most frequent on and alphabetically where equal.

        Parameters
        ----------
        counts : dict of int
            How often each token comes.
        minimum : int
            Tokens that come less often are left out.
        most : int, optional
            How many tokens are kept besides the special ones.
        padding, unknown, begin, end : str, optional
            Special tokens, in this order the first of the vocabulary. They are not counted.

        Returns
        -------
        TokenVocabulary
        """
        instance("counts", counts, Mapping)
        special = [t for t in (padding, unknown, begin, end) if t is not None]
        minimum = integer("minimum", minimum, at_least=1)
        kept = [
            (-integer(f"counts[{token!r}]", n, at_least=0), token)
            for token, n in counts.items()
            if token not in special
        ]
        kept = sorted((n, token) for n, token in kept if -n >= minimum)
        if most is not None:
            kept = kept[: integer("most", most, at_least=0)]
        found = [*special, *(token for _, token in kept)]
        return cls(found, padding=padding, unknown=unknown, begin=begin, end=end)

    @classmethod
    def from_sequences(
        cls,
        sequences: Iterable[Iterable[str]],
        *,
        minimum: int = 1,
        most: int | None = None,
        **special: str | None,
    ) -> TokenVocabulary:
        """The tokens of sequences, as `from_counts`."""
        counts = Counter(token for i, s in enumerate(sequences) for token in _tokens(f"sequences[{i}]", s))
        return cls.from_counts(counts, minimum=minimum, most=most, **special)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TokenVocabulary) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.tokens, tuple(self.indices.items())))

    def __repr__(self) -> str:
        special = "".join(f", {name} {self.tokens[i]!r}" for name, i in self.indices.items())
        return f"TokenVocabulary({len(self)} tokens{special})"

    def encode(self, tokens: Iterable[str], *, begin: bool = False, end: bool = False) -> NDArray[np.int64]:
        """Indices (n,) of tokens.

        Parameters
        ----------
        tokens : iterable of str
        begin, end : bool
            Whether to add the special token before, and after.

        Returns
        -------
        ndarray of int (n,)

        Raises
        ------
        ValueError
            When a token is not in the vocabulary and there is no `unknown` one, when a token is the one for padding,
            begin or end, or when there is none of these to add.
        """
        given = _tokens("tokens", tokens)
        other = self.indices.get("unknown", -1)
        found = np.array([self._index.get(token, other) for token in given], np.int64)
        reserved = [i for name, i in self.indices.items() if name != "unknown"]
        for wrong, expected in (
            (found < 0, "be in the vocabulary, which has no token for unknown ones"),
            (np.isin(found, reserved), "not be special ones"),
        ):
            if wrong.any():
                at = int(np.argmax(wrong))
                raise ArgumentError("tokens", expected, f"{given[at]!r} at position {at}")
        around: list[list[int]] = [[], []]
        for place, name, wanted in ((0, "begin", begin), (1, "end", end)):
            if boolean(name, wanted):
                if name not in self.indices:
                    raise ArgumentError(name, "be False, since the vocabulary has no such token", "True")
                around[place] = [self.indices[name]]
        return np.concatenate([around[0], found, around[1]]).astype(np.int64)

    def decode(self, indices: ArrayLike, *, special: bool = False) -> list[str]:
        """Tokens of indices (n,).

        Parameters
        ----------
        indices : array_like of int (n,)
        special : bool
            Whether to give all of them. Otherwise the tokens up to the first end, without those for begin and padding.

        Returns
        -------
        list of str
        """
        array = check.array("indices", indices)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ArgumentError("indices", "be integers of shape (n,)", f"{array.dtype} {array.shape}")
        if array.size and (array.min() < 0 or array.max() >= len(self)):
            raise ArgumentError("indices", f"lie in 0..{len(self) - 1}", f"{array.min()} to {array.max()}")
        if not boolean("special", special):
            ends = np.flatnonzero(array == self.indices.get("end", -1))
            array = array[: ends[0]] if len(ends) else array
            array = array[~np.isin(array, [self.indices.get(name, -1) for name in ("begin", "padding")])]
        return [self.tokens[int(i)] for i in array]

    def to_dict(self) -> dict[str, Any]:
        """The tokens and the special ones, for JSON."""
        return {"tokens": list(self.tokens)} | {name: self.tokens[i] for name, i in self.indices.items()}

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> TokenVocabulary:
        """The inverse of `to_dict`."""
        instance("described", described, Mapping)
        if other := described.keys() - {"tokens", *SPECIAL}:
            raise ArgumentError(
                "described", f"have the keys tokens, {', '.join(SPECIAL)}", f"{sorted(other)}"
            )
        if not isinstance(described.get("tokens"), list):
            raise ArgumentError("described", "have a list of tokens", repr(described.get("tokens")))
        return cls(described["tokens"], **{name: described[name] for name in SPECIAL if name in described})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON, atomically."""
        text = json.dumps({"kind": KIND} | self.to_dict(), ensure_ascii=False, indent=0)
        write_atomically(path, lambda file: file.write(text.encode()))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> TokenVocabulary:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
        ValueError
            When the file is another one.
        """
        try:
            described = json.loads(Path(path).read_text("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ArgumentError(
                str(path), "be a vocabulary as TokenVocabulary.save writes it", error
            ) from None
        if not isinstance(described, dict) or described.pop("kind", None) != KIND:
            raise ArgumentError(str(path), "be a vocabulary as TokenVocabulary.save writes it", "other JSON")
        return cls.from_dict(described)


def _tokens(name: str, tokens: Iterable[str]) -> Sequence[str]:
    """Strings, of an iterable that is not one string itself."""
    if isinstance(tokens, str):
        raise ArgumentTypeError(
            name, "be a list of tokens", f"one text: list({tokens[:9]!r}) has its characters"
        )
    try:
        found = list(tokens)
    except TypeError:
        raise ArgumentTypeError(name, "be a list of tokens", type(tokens).__name__) from None
    for token in found:
        if not isinstance(token, str):
            raise ArgumentTypeError(name, "be strings", repr(token))
    return found
