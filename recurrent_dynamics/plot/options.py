"""What figures take besides a result, looked at once at the border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, integer, number, numbers


def text(name: str, value: Any) -> None:
    """Refuse what is neither a text nor None.

    Examples
    --------
    >>> text("label", 3)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: label must be a str or None; came int
    """
    if value is not None and not isinstance(value, str):
        raise ArgumentTypeError(name, "be a str or None", type(value).__name__)


def line(index: Any, label: Any = None) -> None:
    """Refuse an `index` of a colour that is no integer, and a `label` that is no text.

    Examples
    --------
    >>> line(0.5)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: index must be an integer; came 0.5
    """
    integer("index", index)
    text("label", label)


def optional_number(name: str, value: Any, **bounds: Any) -> None:
    """Refuse what is neither None nor a finite number within bounds, as `checks.number` does."""
    if value is not None:
        number(name, value, **bounds)


def curve(name: str, values: Any) -> np.ndarray:
    """Real numbers (n,), as float64.

    Examples
    --------
    >>> curve("losses", [[1, 2]])
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: losses must have shape (n,); came shape (1, 2)
    """
    found = numbers(name, values)
    if found.ndim != 1:
        raise ArgumentError(name, "have shape (n,)", f"shape {found.shape}")
    return found


def curves(**given: Any) -> list[np.ndarray]:
    """Real numbers of several arguments, each (n,), as float64.

    Examples
    --------
    >>> curves(updates=[1, 2, 3], train=[0.5, 0.4])
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentError: updates and train must be of one length; came 3 and 2
    """
    found = [curve(name, values) for name, values in given.items()]
    lengths = [len(values) for values in found]
    if len(set(lengths)) > 1:
        raise ArgumentError(" and ".join(given), "be of one length", " and ".join(map(str, lengths)))
    return found


def states_of(name: str, run: Any) -> dict[str, np.ndarray]:
    """The states of a run by slot; refuse what has none.

    Examples
    --------
    >>> states_of("run", 3)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: run must be a run with states; came int
    """
    found = getattr(run, "states", None)
    if not isinstance(found, Mapping) or not found:
        raise ArgumentTypeError(name, "be a run with states", type(run).__name__)
    return dict(found)
