"""What all results share: a short text, the same as an HTML table, and columns for a data frame."""

from __future__ import annotations

import importlib
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from html import escape
from typing import Any, ClassVar

import numpy as np

from .checks import is_finite

LINES, WIDTH = 10, 78  # of a text: below 800 characters
SHORT = 48  # characters of a fact that shares its line
INDENT = "  "


class Result:
    """A result whose text names its attributes, with shape, dtype and range instead of the numbers of an array."""

    # The attributes that are shown; all fields of a dataclass if there are none.
    _shown: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # else `dataclass` writes one, with all numbers of all arrays
            cls.__repr__ = cls.__repr__  # type: ignore[method-assign]

    def _described(self) -> Iterator[tuple[str, Any]]:
        """Names and values of what is shown, the most telling first."""
        names = self._shown or [f.name for f in fields(self) if f.repr]  # type: ignore[arg-type]
        return ((name, getattr(self, name)) for name in names)

    def __repr__(self) -> str:
        name = type(self).__name__
        rows, notes = _summary(self)
        together = f"{name}({', '.join(notes)})"
        if not rows and len(together) <= WIDTH:
            return together
        width = max((len(label) for label, _ in rows), default=0)
        lines = [f"{INDENT}{label:{width}s}  {text}" for label, text in rows]
        return "\n".join(_shorter(line, WIDTH) for line in [name, *lines, *_wrapped(notes)])

    def _repr_html_(self) -> str:
        rows, notes = _summary(self)
        cells = [f"<tr><th>{escape(a)}</th><td>{escape(_shorter(b, WIDTH))}</td></tr>" for a, b in rows]
        cells += [f'<tr><td colspan="2">{escape(line.strip())}</td></tr>' for line in _wrapped(notes)]
        return f"<table><caption>{escape(type(self).__name__)}</caption>{''.join(cells)}</table>"


class Tabular(Result, ABC):
    """A result that is a table."""

    @abstractmethod
    def _columns(self) -> Mapping[str, Any]:
        """Columns of one length by name."""

    def to_frame(self) -> Any:
        """The result as a `pandas.DataFrame`.

        Raises
        ------
        ImportError
            When pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            raise ImportError(
                "to_frame needs pandas, which is not installed; `pip install pandas` brings it"
            ) from None
        return pandas.DataFrame(dict(self._columns()))


def grid_columns(axes: Mapping[str, Any], **values: Any) -> dict[str, np.ndarray]:
    """One row for each entry of arrays that share their axes: the places along each axis, and the entries.

    Examples
    --------
    >>> columns = grid_columns({"steps": [1, 2], "unit": [0, 1]}, left=np.array([[1.0, 0.5], [0.9, 0.8]]))
    >>> {name: column.tolist() for name, column in columns.items()}
    {'steps': [1, 1, 2, 2], 'unit': [0, 1, 0, 1], 'left': [1.0, 0.5, 0.9, 0.8]}
    """
    places = np.meshgrid(*(np.asarray(a) for a in axes.values()), indexing="ij")
    found = {name: place.ravel() for name, place in zip(axes, places, strict=True)}
    return found | {name: np.asarray(value).ravel() for name, value in values.items()}


def describe(value: Any) -> str:
    """One line about a value: of an array shape, dtype and range.

    Examples
    --------
    >>> describe(np.array([[0.5, -1.0], [2.0, np.nan]]))
    '(2, 2) float64, -1 to 2, 1 not finite'
    >>> describe({"W": np.zeros((3, 2)), "b": np.zeros(3)})
    'W (3, 2), b (3,)'
    """
    if isinstance(value, np.generic):
        value = value.item()
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _array(value)
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(_leaves(value)) or "none"
    if isinstance(value, Result):
        return type(value).__name__ + (f" of {len(value)}" if hasattr(value, "__len__") else "")
    if isinstance(value, float | complex):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        if not value:
            return "none"
        together = f"({', '.join(map(describe, value))})" if len(value) <= 4 else ""
        if (
            together
            and len(together) <= SHORT
            and all(isinstance(v, int | float | str | None) for v in value)
        ):
            return together
        return f"{len(value)} {', '.join(dict.fromkeys(type(v).__name__ for v in value))}"
    text = repr(value)
    if len(text) <= SHORT and "\n" not in text and " at 0x" not in text:
        return text
    return _shorter(text, SHORT) if isinstance(value, str) else type(value).__name__


def _array(a: Any) -> str:
    text = f"{tuple(a.shape)} {'str' if a.dtype.kind == 'U' else a.dtype}"
    if not isinstance(a, np.ndarray) or not a.size:  # the numbers of a device stay there
        return text
    if a.dtype.kind == "b":
        return f"{text}, {np.count_nonzero(a)} of {a.size} true"
    if a.dtype.kind == "U":
        return f"{text}, " + ", ".join(f"{n} {value}" for value, n in zip(*np.unique_counts(a)))
    if a.dtype.kind not in "iufc":
        return text
    known = a if is_finite(a) else a[np.isfinite(a)]
    wrong = f", {a.size - known.size} not finite" if known.size < a.size else ""
    if not known.size:
        return text + wrong
    size, what = (np.abs(known), ", modulus ") if a.dtype.kind == "c" else (known, ", ")
    low, high = size.min().item(), size.max().item()
    return f"{text}{what}{low:.4g}" + (f" to {high:.4g}" if high > low else "") + wrong


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            text = str(tuple(value.shape)) if hasattr(value, "shape") else describe(value)
            yield f"{prefix}{name} {text}"


def _summary(result: Result) -> tuple[list[tuple[str, str]], list[str]]:
    """Rows of a name and what it holds, and short facts that share lines, cut to the lines that there are."""
    rows, notes = [], []
    for name, value in result._described():
        text = describe(value)
        if isinstance(value, Mapping | Result | list) or (hasattr(value, "shape") and np.ndim(value)):
            rows.append((name, text))
        else:
            notes.append(f"{name}={text}")
    room = LINES - 1 - len(_wrapped(notes))
    if len(rows) > room:
        rest = ", ".join(name for name, _ in rows[room - 1 :])
        rows = [*rows[: room - 1], ("also", rest)]
    return rows, notes


def _wrapped(notes: Sequence[str]) -> list[str]:
    """Facts side by side on as few lines as hold them, at most four."""
    return textwrap.wrap(
        ", ".join(notes), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, max_lines=4, placeholder=" ..."
    )  # fmt: skip


def _shorter(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ..."
