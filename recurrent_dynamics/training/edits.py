"""How far sequences that were found are from those that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, boolean, listed, unmasked


class ErrorRates(NamedTuple):
    """Errors of many sequences.

    Attributes
    ----------
    symbols : float
        Symbols to insert, delete or replace, as a share of the symbols of the targets: the phoneme, label or character
        error rate. It is above 1 where far too much was found.
    sequences : float
        Share of the sequences with an error: the word or sentence error rate.
    edits : int
    length : int
        Symbols of the targets.
    """

    symbols: float
    sequences: float
    edits: int
    length: int

    def __repr__(self) -> str:
        return f"ErrorRates({self.symbols:.2%} of {self.length} symbols, {self.sequences:.2%} of sequences)"


def edit_distance(found: Sequence[Any], target: Sequence[Any]) -> int:
    """The fewest symbols to insert, delete or replace that make one sequence of the other (Levenshtein 1966).

    Parameters
    ----------
    found, target : sequence or str
        Symbols that can be compared, such as integers, strings, or the characters of a text.

    Returns
    -------
    int

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    >>> edit_distance([1, 2, 3], [])
    3
    """
    return _distance(("found", "target"), found, target)


def _distance(names: tuple[str, str], found: Sequence[Any], target: Sequence[Any]) -> int:
    """`edit_distance` of sequences that an error calls so."""
    number_of: dict[Any, int] = {}
    a, b = (_numbered(name, s, number_of) for name, s in zip(names, (found, target), strict=True))
    places = np.arange(len(b) + 1)
    row = places
    for i, symbol in enumerate(a, 1):
        new = np.empty_like(row)
        new[0] = i
        np.minimum(row[1:] + 1, row[:-1] + (b != symbol), out=new[1:])
        row = np.minimum.accumulate(new - places) + places  # insertions after the best place before
    return int(row[-1])


def error_rates(
    found: Sequence[Sequence[Any]], targets: Sequence[Sequence[Any]], *, several: bool = False
) -> ErrorRates:
    """Shares of wrong symbols and of wrong sequences.

    Parameters
    ----------
    found : sequence of (sequence or str)
    targets : sequence of (sequence or str)
        What was asked for, one for each found sequence.
    several : bool
        Whether each of `targets` is a list of right ones, such as the pronunciations of a word. The one with the fewest
        edits counts, the longest of these.

    Returns
    -------
    ErrorRates

    Raises
    ------
    ValueError
        When there are no sequences, as many on both sides, or all targets are empty.

    Examples
    --------
    >>> error_rates(["kitten", "cat"], ["sitting", "cat"])
    ErrorRates(30.00% of 10 symbols, 50.00% of sequences)
    >>> error_rates(["red"], [["read", "red"]], several=True).edits
    0
    """
    found, targets = listed("found", found, "of sequences"), listed("targets", targets, "of sequences")
    if len(found) != len(targets) or not len(found):
        raise ArgumentError(
            "found", f"be as many as the targets, {len(targets)}, and at least one", len(found)
        )
    several = boolean("several", several)
    edits = count = wrong = 0
    for i, (own, target) in enumerate(zip(found, targets, strict=True)):
        choices = listed(f"targets[{i}]", target, "of right sequences") if several else [target]
        if not choices:
            raise ArgumentError(f"targets[{i}]", "hold at least one right sequence", "none")
        named = (f"found[{i}]", f"targets[{i}]")
        least, longest = min((_distance(named, own, choice), -len(choice)) for choice in choices)
        edits, count, wrong = edits + least, count - longest, wrong + (least > 0)
    if not count:
        raise ArgumentError("targets", "hold at least one symbol", "none")
    return ErrorRates(edits / count, wrong / len(found), edits, count)


def _numbered(name: str, sequence: Sequence[Any], number_of: dict[Any, int]) -> np.ndarray:
    """Each symbol by its number among those that came before."""
    unmasked(name, sequence)
    symbols = sequence.tolist() if isinstance(sequence, np.ndarray) else sequence
    if not isinstance(symbols, Sequence) or isinstance(symbols, bytes):
        raise ArgumentTypeError(name, "be a sequence of symbols", type(sequence).__name__)
    try:
        return np.array([number_of.setdefault(s, len(number_of)) for s in symbols], np.int64)
    except TypeError:
        raise ArgumentTypeError(
            name, "be of symbols that can be compared, in one row", repr(symbols)[:40]
        ) from None
