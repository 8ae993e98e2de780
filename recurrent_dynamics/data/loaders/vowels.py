"""Labelled series of several variables, of equal or of different lengths."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, one_of
from .files import package_file

# Those of different lengths, of several variables, or both, that the package brings with a training and a test part.
NAMES = (
    "JapaneseVowels",
    "BasicMotions",
    "PickupGestureWiimoteZ",
    "ArrowHead",
    "GunPoint",
    "ItalyPowerDemand",
    "OSULeaf",
)


class LabelledSeries(NamedTuple):
    """Series with a class each.

    Attributes
    ----------
    sequences : list of ndarray (T_b, N)
    labels : ndarray of int (n,)
        Indices into the names.
    names : tuple of str
        Of the classes.
    """

    sequences: list[NDArray[np.float64]]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        lengths = [len(s) for s in self.sequences]
        return (
            f"LabelledSeries({len(lengths)} of {min(lengths)} to {max(lengths)} steps and "
            f"{self.sequences[0].shape[1]} variables, {len(self.names)} classes)"
        )


def japanese_vowels() -> tuple[LabelledSeries, LabelledSeries]:
    """Nine men who say two Japanese vowels: who speaks? (Kudo, Toyama and Shimbo 1999).

    Each utterance is a series of 7 to 29 steps of 12 cepstrum coefficients. The package ``aeon`` brings the data.

    Returns
    -------
    training, test : LabelledSeries
        The split of the authors: 270 utterances, 30 of each speaker, and 370.

    Raises
    ------
    ModuleNotFoundError
        When ``aeon`` is not installed.

    References
    ----------
    M. Kudo, J. Toyama, M. Shimbo, "Multidimensional curve classification using passing-through regions", Pattern
    Recognition Letters 20, 1999.

    Examples
    --------
    .. code-block:: python

       training, test = rd.data.japanese_vowels()
       batches = rd.data.SequenceBatches(training.sequences, training.labels, 30, seed=0)
    """
    return aeon_series("JapaneseVowels")


def aeon_series(name: str) -> tuple[LabelledSeries, LabelledSeries]:
    """A problem of classification that the package ``aeon`` brings, with its own training and test part.

    Parameters
    ----------
    name : str
        One of "JapaneseVowels", "PickupGestureWiimoteZ" (of different lengths), "BasicMotions" (six variables),
        "ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf".

    Returns
    -------
    training, test : LabelledSeries

    Raises
    ------
    ModuleNotFoundError
        When ``aeon`` is not installed. It is not imported; its file is read.
    """
    one_of("name", name, NAMES)
    parts = []
    for part in ("TRAIN", "TEST"):
        path = package_file("aeon", "aeon", name, "datasets", "data", name, f"{name}_{part}.ts")
        with path.open(encoding="utf-8") as file:
            parts.append(read_series(file))
    training, test = parts
    if training.names != test.names:
        raise ArgumentError(f"{name}_TEST.ts", f"have the classes {training.names}", test.names)
    return training, test


def read_series(lines: Iterable[str]) -> LabelledSeries:
    """Series of a file in the format ``ts``: variables are parted by colons, steps by commas, the class stands last.

    Missing values, written ``?``, are NaN.
    """
    names: tuple[str, ...] = ()
    numbered = ((i, line.strip()) for i, line in enumerate(lines, 1) if line.strip() and line[0] != "#")
    for number, line in numbered:
        key, *values = line.split()
        if key.lower() == "@timestamps" and values != ["false"]:
            raise ArgumentError(f"line {number}", "say that there are no time stamps", line)
        if key.lower() == "@classlabel":
            names = tuple(values[1:])
        if key.lower() == "@data":
            break
    if not names:
        raise ArgumentError("lines", "name the classes before the data", "none")
    sequences: list[NDArray[np.float64]] = []
    labels: list[int] = []
    for number, line in numbered:
        *variables, label = line.split(":")
        rows = [[math.nan if v == "?" else _number(number, v) for v in row.split(",")] for row in variables]
        if (
            not rows
            or len({len(row) for row in rows}) > 1
            or (sequences and len(rows) != sequences[0].shape[1])
        ):
            raise ArgumentError(
                f"line {number}", "have all variables, each with as many steps", f"{len(rows)} of them"
            )
        if label.strip() not in names:
            raise ArgumentError(f"line {number}", f"end with a class of {', '.join(names)}", repr(label))
        sequences.append(np.ascontiguousarray(np.array(rows).T))
        labels.append(names.index(label.strip()))
    return LabelledSeries(sequences, np.array(labels, np.int64), names)


def _number(line: int, text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"line {line}", "hold numbers", repr(text)) from None
