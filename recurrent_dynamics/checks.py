"""Arguments that are numbers or names, looked at once at the border; `engine.check` looks at arrays.

Every error of the package reads "<argument> must ...; came ...".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from typing import Any, TypedDict, Unpack

import numpy as np

SMALL = 1 << 18  # entries, looked at sooner than summed with the warnings of overflow off


def is_finite(a: np.ndarray) -> bool:
    """Without a large temporary array: a finite sum has finite terms, and one that is not is looked at again.

    Examples
    --------
    >>> is_finite(np.array([1.0, np.nan]))
    False
    """
    if a.size < SMALL:
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
    ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> integer("steps", np.int64(3), at_least=1)
    3
    >>> integer("steps", 0, at_least=1)
    Traceback (most recent call last):
    ValueError: steps must be an integer of at least 1; came 0
    """
    kind = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not kind or not _inside(value, bounds):
        raise ValueError(f"{name} must be an integer{_words(bounds)}; came {_shown(value)}")
    return int(value)


def number(name: str, value: Any, **bounds: Unpack[Bounds]) -> float:
    """A finite number within bounds.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> number("momentum", 0.9, at_least=0, below=1)
    0.9
    >>> number("momentum", float("nan"), at_least=0, below=1)
    Traceback (most recent call last):
    ValueError: momentum must be a finite number of at least 0 and below 1; came nan
    """
    kind = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not kind or not math.isfinite(value) or not _inside(value, bounds):
        raise ValueError(f"{name} must be a finite number{_words(bounds)}; came {_shown(value)}")
    return float(value)


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """One of several names.

    Raises
    ------
    ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> one_of("loss", "hinge", ("cross_entropy", "mean_squared_error"))
    Traceback (most recent call last):
    ValueError: loss must be one of cross_entropy, mean_squared_error; came 'hinge'
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; came {_shown(value)}")
    return value


def numbers(name: str, values: Any) -> np.ndarray:
    """Real numbers of any shape, as float64.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> numbers("losses", [1, 2])
    array([1., 2.])
    >>> numbers("losses", "low")
    Traceback (most recent call last):
    TypeError: losses must hold real numbers; came 'low'
    """
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:  # lists of different lengths
        raise TypeError(f"{name} must hold real numbers; {error}") from None
    if found.dtype.kind not in "biuf":
        came = f"dtype {found.dtype}" if found.ndim and found.dtype.kind != "O" else _shown(values)
        raise TypeError(f"{name} must hold real numbers; came {came}")
    return found.astype(np.float64)


def boolean(name: str, value: Any) -> bool:
    """True or False.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> boolean("increase", "yes")
    Traceback (most recent call last):
    TypeError: increase must be True or False; came 'yes'
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False; came {_shown(value)}")
    return bool(value)


def generator(name: str, rng: Any) -> np.random.Generator:
    """A NumPy generator from a seed or a generator.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> generator("rng", -1)
    Traceback (most recent call last):
    TypeError: rng must be a seed, an integer of at least 0, or a NumPy generator; came -1
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} must be a seed, an integer of at least 0, or a NumPy generator; came {_shown(rng)}"
        ) from None


def instance(name: str, value: Any, kind: type) -> None:
    """Refuse what is of another class.

    Raises
    ------
    TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> instance("branch", 3, dict)
    Traceback (most recent call last):
    TypeError: branch must be a dict; came int
    """
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}; came {type(value).__name__}")


def _inside(value: Any, bounds: Bounds) -> bool:
    return all(HOLDS[kind](value, limit) for kind, limit in bounds.items())


def _words(bounds: Bounds) -> str:
    return " and".join(f" {WORDS[kind]} {limit:g}" for kind, limit in bounds.items())


def _shown(value: Any) -> str:
    """What came, on one line: an array by its shape."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return repr(value.item() if isinstance(value, np.generic | np.ndarray) else value)
