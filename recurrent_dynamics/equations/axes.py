"""The axes of a value of the equations, as the label of its width.

A value has units (`"hidden"`, `"3"`), or the positions of a memory (`SOURCE`), or both (`"source,hidden"`), or is a
number (None).
"""

from __future__ import annotations

from collections.abc import Iterable

SOURCE = "source"


def over_both(units: str) -> str:
    """The label of values that have positions and units."""
    return f"{SOURCE},{units}"


def axes(width: str | None) -> tuple[bool, str | None]:
    """(whether a value has positions, the label of its units).

    Examples
    --------
    >>> axes("hidden"), axes("source"), axes("source,hidden"), axes(None)
    ((False, 'hidden'), (True, None), (True, 'hidden'), (False, None))
    """
    if width is None:
        return False, None
    first, _, rest = width.partition(",")
    return (True, rest or None) if first == SOURCE else (False, width)


def has_both(width: str | None) -> bool:
    """Whether a value has positions and units."""
    positions, units = axes(width)
    return positions and units is not None


def joined(widths: Iterable[str | None]) -> tuple[str | None, list[str]]:
    """(the label of a combination of values, the different labels of units that meet in it).

    Examples
    --------
    >>> joined(["source", "hidden"])
    ('source,hidden', ['hidden'])
    """
    found = [axes(w) for w in widths]
    units = sorted({u for _, u in found if u is not None})
    positions = any(p for p, _ in found)
    if not units:
        return (SOURCE if positions else None), units
    return (over_both(units[0]) if positions else units[0]), units
