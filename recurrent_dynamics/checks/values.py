"""Arguments that are names, flags, functions, paths, generators or instances, looked at once at the border."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ArgumentError, ArgumentTypeError, shown
from .numeric import unmasked


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
        raise ArgumentError(name, f"be one of {', '.join(known)}", shown(value))
    return value


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
        raise ArgumentTypeError(name, "be True or False", shown(value))
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
            name, "be a seed, an integer of at least 0, or a NumPy generator", shown(rng)
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
