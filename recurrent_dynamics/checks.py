"""Arguments that are numbers or names, looked at once at the border; `engine.check` looks at arrays.

An argument that is refused raises `ArgumentError` or `ArgumentTypeError`. Their texts are made here, all by one rule.
"""

from __future__ import annotations

import math
import operator
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np


class _Refusal(Exception):
    """What both errors of an argument have in common. `args` holds the three texts, as pickle needs them."""

    def __init__(self, argument: str, expected: str, came: object) -> None:
        super().__init__(argument, expected, re.sub(r"\s*\n\s*", " ", str(came)))

    def __str__(self) -> str:
        return f"{self.argument} must {self.expected}; came {self.came}"

    @property
    def argument(self) -> str:
        """The argument, as the caller spells it, such as ``params['W']``."""
        return self.args[0]

    @property
    def expected(self) -> str:
        """What the argument must do, such as ``be an integer of at least 1`` or ``have shape (4, 2)``."""
        return self.args[1]

    @property
    def came(self) -> str:
        """What was given instead, in short: a value, a type or a shape."""
        return self.args[2]


class ArgumentError(_Refusal, ValueError):
    """An argument has a value that the function cannot take.

    Parameters
    ----------
    argument : str
        The argument, as the caller spells it, such as ``params['W']``.
    expected : str
        What it must do, beginning with a verb, such as ``have shape (4, 2)``.
    came : object
        What was given instead, in short. It is kept as text, on one line.

    Attributes
    ----------
    argument, expected, came : str
        The three texts. The message of the error is ``<argument> must <expected>; came <came>``.

    See Also
    --------
    ArgumentTypeError : For an argument of another type.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> try:
    ...     rd.cells.lstm().init(input_size=3, hidden_size=0)
    ... except rd.ArgumentError as error:
    ...     print(error.argument, "|", error.expected, "|", error.came)
    hidden_size | be an integer of at least 1 | 0
    """

    __module__ = "recurrent_dynamics"


class ArgumentTypeError(_Refusal, TypeError):
    """An argument has a type or a dtype that the function cannot take: a TypeError made as `ArgumentError` is.

    See Also
    --------
    ArgumentError : For an argument of the right type with a value that cannot be taken; describes the attributes.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> try:
    ...     rd.cells.lstm().init(input_size=3, hidden_size=4, dtype="int64")
    ... except rd.ArgumentTypeError as error:
    ...     print(error.argument, "|", error.expected, "|", error.came)
    dtype | be float32 or float64 | int64
    """

    __module__ = "recurrent_dynamics"


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
        raise ArgumentError(name, "be an integer of 64 bits", _shown(value))
    if not kind or not _inside(value, bounds):
        raise ArgumentError(name, f"be an integer{_words(bounds)}", _shown(value))
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
        raise ArgumentError(name, f"be a finite number{_words(bounds)}", _shown(value))
    return float(value)


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """One of several names.

    Raises
    ------
    ArgumentError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> one_of("loss", "hinge", ("cross_entropy", "mean_squared_error"))
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: loss must be one of cross_entropy, mean_squared_error; came 'hinge'
    """
    if not isinstance(value, str) or value not in known:
        raise ArgumentError(name, f"be one of {', '.join(known)}", _shown(value))
    return value


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
        raise ArgumentTypeError(name, f"hold {words}", error) from None
    if found.dtype.kind not in kinds:  # integers of more than 64 bits are objects too
        came = f"dtype {found.dtype}" if found.ndim and found.dtype.kind != "O" else _shown(values)
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


def boolean(name: str, value: Any) -> bool:
    """True or False.

    Raises
    ------
    ArgumentTypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> boolean("increase", "yes")
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: increase must be True or False; came 'yes'
    """
    if not isinstance(value, bool | np.bool_):
        raise ArgumentTypeError(name, "be True or False", _shown(value))
    return bool(value)


def callable_(name: str, value: Any, what: str) -> None:
    """Refuse what is no function.

    Examples
    --------
    >>> callable_("callback", 3, "of a checkpoint")
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: callback must be a function of a checkpoint; came 3
    """
    if not callable(value):
        raise ArgumentTypeError(name, f"be a function {what}", f"{value!r:.60}")


def listed(name: str, values: Any, what: str) -> list[Any]:
    """The members of a list, a tuple, an array or another iterable that is no text and no dict.

    Examples
    --------
    >>> listed("names", "ab", "of texts")
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: names must be a sequence of texts; came 'ab'
    """
    unmasked(name, values)
    scalar = isinstance(values, np.ndarray) and not values.ndim
    if scalar or isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise ArgumentTypeError(name, f"be a sequence {what}", f"{values!r:.60}")
    return list(values)


def texts(name: str, values: Any, count: int | None = None) -> list[str]:
    """A list of texts, `count` of them where that is given; the characters of a text.

    Examples
    --------
    >>> texts("labels", ["a", 1])
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: labels[1] must be a str; came int
    """
    found = list(values) if isinstance(values, str) else listed(name, values, "of texts")
    for k, entry in enumerate(found):
        if not isinstance(entry, str):
            raise ArgumentTypeError(f"{name}[{k}]", "be a str", type(entry).__name__)
    if count is not None and len(found) != count:
        raise ArgumentError(name, f"be {count} texts", len(found))
    return found


def floating_dtype(name: str, given: Any) -> np.dtype:
    """float32 or float64, from all that NumPy takes for one.

    Examples
    --------
    >>> floating_dtype("dtype", "int64")
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: dtype must be float32 or float64; came 'int64'
    """
    try:
        kind = np.dtype(given)
    except (TypeError, ValueError):
        kind = np.dtype(object)
    if kind not in (np.float32, np.float64) or given is None:
        raise ArgumentTypeError(name, "be float32 or float64", f"{given!r:.60}")
    return kind


def pathlike(name: str, value: Any) -> Path:
    """A path; a number is not the descriptor of an open file.

    Raises
    ------
    ArgumentTypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> pathlike("path", 1)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: path must be a path; came int
    """
    if (
        not isinstance(value, str | os.PathLike)
        or isinstance(os.fspath(value), bytes)
        or not os.fspath(value)
    ):
        raise ArgumentTypeError(
            name, "be a path", type(value).__name__ if not isinstance(value, str) else "''"
        )
    return Path(value)


def generator(name: str, rng: Any) -> np.random.Generator:
    """A NumPy generator from a seed or a generator.

    Raises
    ------
    ArgumentTypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> generator("rng", -1)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: rng must be a seed, an integer of at least 0, or a NumPy generator; came -1
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            name, "be a seed, an integer of at least 0, or a NumPy generator", _shown(rng)
        ) from None


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse what is of another class.

    Raises
    ------
    ArgumentTypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> instance("branch", 3, dict)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: branch must be a dict; came int
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ArgumentTypeError(name, f"be {article} {kind.__name__}", type(value).__name__)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floating-point numbers
        return False


def _inside(value: Any, bounds: Bounds) -> bool:
    return all(HOLDS[kind](value, limit) for kind, limit in bounds.items())


def _words(bounds: Bounds) -> str:
    return " and".join(f" {WORDS[kind]} {limit:g}" for kind, limit in bounds.items())


def _shown(value: Any) -> str:
    """What came, on one line: an array by its shape."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return repr(value.item() if isinstance(value, np.generic | np.ndarray) else value)
