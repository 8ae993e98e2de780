"""Text whose characters are coloured by a number, as Karpathy et al. (2015) drew the cells of a character model."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ..checks import ArgumentError, ArgumentTypeError, instance, integer, number, numbers
from .options import text as check_text
from .style import INK, panels

COLUMNS = 88
WIDTH, HEIGHT = 0.075, 0.165  # of a character, inches


def coloured_text(
    text: str,
    values: np.ndarray,
    *,
    limit: float | None = None,
    columns: int = COLUMNS,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a text in a typewriter's letters on a ground from blue (negative) over white (0) to red (positive).

    Parameters
    ----------
    text
        Longer lines are broken.
    values
        One number for each character, (n,).
    limit
        The absolute value of the strongest colour; that of the largest by default.
    columns
        Characters in a line.
    title
        Above the text.
    ax
        Where to draw; a new figure of the right size if None.
    """
    if not isinstance(text, str):
        raise ArgumentTypeError("text", "be a str", type(text).__name__)
    values = numbers("values", values)
    integer("columns", columns, at_least=1)
    check_text("title", title)
    if limit is not None:
        number("limit", limit, above=0)
    if values.shape != (len(text),) or not np.isfinite(values).all():
        raise ArgumentError(
            "values",
            f"be {len(text)} finite numbers, one for each character of text",
            f"shape {values.shape}",
        )
    places, row, column = [], 0, 0
    for c in text:
        if column == columns:
            row, column = row + 1, 0
        places.append((column, row))
        row, column = (row + 1, 0) if c == "\n" else (row, column + 1)
    rows = max((r for _, r in places), default=0) + 1
    if ax is None:
        ax = panels(1, size=(columns * WIDTH, rows * HEIGHT + (0.35 if title else 0.1)))[1][0]
    instance("ax", ax, Axes)
    largest = float(np.abs(values).max()) if len(values) else 0.0
    scale = limit if limit is not None else largest
    colours = colormaps["RdBu_r"](0.5 + 0.5 * np.clip(values / (scale or 1.0), -1, 1) * 0.8)
    size = 72 * WIDTH / 0.62
    for c, (x, y), colour in zip(text, places, colours, strict=True):
        ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, linewidth=0))
        if not c.isspace():
            shown = r"\$" if c == "$" else c
            ax.text(
                x + 0.5, y + 0.52, shown, family="monospace", size=size, color=INK, ha="center", va="center"
            )
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.axis("off")
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    return ax
