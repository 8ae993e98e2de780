"""Arguments that are numbers, or arrays of them, looked at once at the border."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, shown

# Entries from which `is_finite` tests the sum first. For fewer, turning the warnings of overflow off takes longer.
SUMMED_FROM = 1 << 18


def is_finite(a: np.ndarray) -> bool:
    """Whether all entries are finite.

    The sum is tested first, which needs no large temporary array. Only if it is not finite, every entry is.

    Examples
    --------
    >>> is_finite(np.array([1.0, np.nan]))
    False
    """
    if a.size < SUMMED_FROM:
        return bool(np.count_nonzero(np.isfinite(a)) == a.size)  # `all` takes twice as long for few
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(a.sum()) or np.isfinite(a).all())


class Bounds(TypedDict, total=False):
    """What a number may be asked for."""

    above: float
    at_least: float
    below: float
    at_most: float


HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}
WORDS = {"above": "above", "at_least": "of at least", "below": "below", "at_most": "of at most"}


def integer(name: str, value: Any, **bounds: Unpack[Bounds]) -> int:
    """An integer within bounds.

    Raises
    ------
    ArgumentError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> integer("steps", np.int64(3), at_least=1)
    3
    >>> integer("steps", 0, at_least=1)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: steps must be an integer of at least 1; came 0
    """
    kind = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind and not -(2**63) <= value < 2**63:
        raise ArgumentError(name, "be an integer of 64 bits", shown(value))
    if not kind or not _inside(value, bounds):
        raise ArgumentError(name, f"be an integer{_words(bounds)}", shown(value))
    return int(value)


def number(name: str, value: Any, **bounds: Unpack[Bounds]) -> float:
    """A finite number within bounds.

    Raises
    ------
    ArgumentError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> number("momentum", 0.9, at_least=0, below=1)
    0.9
    >>> number("momentum", float("nan"), at_least=0, below=1)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: momentum must be a finite number of at least 0 and below 1; came nan
    """
    kind = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not kind or not _is_finite(value) or not _inside(value, bounds):
        raise ArgumentError(name, f"be a finite number{_words(bounds)}", shown(value))
    return float(value)


def unmasked(name: str, values: Any) -> None:
    """Refuse a masked array, whose mask would be lost.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> unmasked("x", np.ma.masked_array([1.0, 2.0], [True, False]))
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: x must be an array without a mask; came a masked array of shape (2,): fill it,
    or give lengths
    """
    if np.ma.is_masked(values):
        raise ArgumentTypeError(
            name,
            "be an array without a mask",
            f"a masked array of shape {values.shape}: fill it, or give lengths",
        )


def numbers(name: str, values: Any) -> np.ndarray:
    """Real numbers of any shape, as float64.

    Raises
    ------
    ArgumentTypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> numbers("losses", [1, 2])
    array([1., 2.])
    >>> numbers("losses", "low")
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: losses must hold real numbers; came 'low'
    """
    return reals(name, values).astype(np.float64)


def reals(name: str, values: Any) -> np.ndarray:
    """Real numbers of any shape, of the dtype that they have.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> reals("values", np.ones(2, np.float32)).dtype
    dtype('float32')
    """
    return _of_kinds(name, values, "biuf", "real numbers")


def complexes(name: str, values: Any) -> np.ndarray:
    """Real or complex numbers of any shape, as complex128.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> complexes("z", [1, 2j])
    array([1.+0.j, 0.+2.j])
    """
    return _of_kinds(name, values, "biufc", "real or complex numbers").astype(np.complex128)


def _of_kinds(name: str, values: Any, kinds: str, words: str) -> np.ndarray:
    unmasked(name, values)
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:  # lists of different lengths
        came = type(values).__name__ if hasattr(values, "_fields") else error  # a batch, say
        raise ArgumentTypeError(name, f"hold {words}", came) from None
    if found.dtype.kind not in kinds:  # integers of more than 64 bits are objects too
        came = f"dtype {found.dtype}" if found.ndim and found.dtype.kind != "O" else shown(values)
        raise ArgumentTypeError(name, f"hold {words}", came)
    return found


def rectangle(name: str, limits: Any) -> tuple[float, float, float, float]:
    """Limits of a plane: (left, right, bottom, top).

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> rectangle("limits", [-1, 1, 0, 2])
    (-1.0, 1.0, 0.0, 2.0)
    """
    unmasked(name, limits)
    given = limits.tolist() if isinstance(limits, np.ndarray) else limits
    if not isinstance(given, Sequence) or len(given) != 4:
        raise ArgumentError(name, "be (left, right, bottom, top)", repr(limits))
    left, right, bottom, top = (number(name, v) for v in given)
    if not (left < right and bottom < top):
        raise ArgumentError(name, "have left < right and bottom < top", repr(limits))
    return left, right, bottom, top


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floating-point numbers
        return False


def _inside(value: Any, bounds: Bounds) -> bool:
    return all(HOLDS[kind](value, limit) for kind, limit in bounds.items())


def _words(bounds: Bounds) -> str:
    return " and".join(f" {WORDS[kind]} {limit:g}" for kind, limit in bounds.items())
