"""What all figures share: where they are made, and colours that colour-blind readers tell apart."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..checks import ArgumentError, boolean, instance, integer, listed, number

if TYPE_CHECKING:
    from matplotlib.axis import Axis

# Okabe and Ito (2008), without yellow, which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, GREY, LIGHT = "#222222", "#777777", "#dddddd"
PANEL = (5.2, 3.3)  # inches
PYPLOT = "matplotlib.pyplot"
_apart: ContextVar[bool] = ContextVar("apart", default=False)


@contextmanager
def without_pyplot() -> Iterator[None]:
    """Make figures that pyplot does not know, as a report does that writes them into a page and shows none.

    Examples
    --------
    >>> with without_pyplot():
    ...     figure, (ax,) = panels(1)
    """
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


def new_figure(size: tuple[float, float]) -> Figure:
    """A figure of so many inches: one of pyplot's where pyplot is in use, else one without global state.

    What pyplot made is shown by `plt.show`, saved by `plt.savefig`, and shown by a notebook at the end of its cell.
    """
    if PYPLOT in sys.modules and not _apart.get():
        return sys.modules[PYPLOT].figure(figsize=size, layout="constrained")
    return Figure(figsize=size, layout="constrained")


def colour(index: int) -> str:
    """The colour of the index-th layer or series; they repeat after six."""
    return COLOURS[integer("index", index) % len(COLOURS)]


def axes(ax: Axes | None, size: tuple[float, float] = PANEL) -> Axes:
    """The axes given, or those of a new figure, dressed alike: no box, a light grid behind the data."""
    if ax is None:
        ax = panels(1, size=size)[1][0]
    instance("ax", ax, Axes)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color=LIGHT, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def whole(*axes: Axis) -> None:
    """Let the ticks of linear axes stand at integers only: steps, units, updates."""
    for axis in axes:
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator(integer=True))


def panels(
    columns: int,
    rows: int = 1,
    *,
    size: tuple[float, float] = PANEL,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Any]]:
    """A figure of rows x columns axes, each `size` inches, and its axes row by row."""
    columns, rows = integer("columns", columns, at_least=1), integer("rows", rows, at_least=1)
    sharex, sharey = boolean("sharex", sharex), boolean("sharey", sharey)
    sides = [number("size", side, above=0) for side in listed("size", size, "of width and height, in inches")]
    if len(sides) != 2:
        raise ArgumentError("size", "be a width and a height, in inches", f"{len(sides)} numbers")
    figure = new_figure((columns * sides[0], rows * sides[1]))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    return figure, list(np.ravel(grid))


def plain_ticks(axis: Axis) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 times powers of ten over few decades, all of them as plain numbers."""
    low, high = sorted(np.abs(axis.get_data_interval()))
    if not 0 < low < high < np.inf or high / low > 1e4:
        return
    ratio = high / low
    subs = range(1, 10) if ratio < 8 else (1, 2, 5) if ratio < 200 else (1,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def given_or_panels(
    given: Sequence[Axes] | None, count: int, size: tuple[float, float] = PANEL
) -> np.ndarray:
    """An array of `count` axes: those given, or the panels of a new figure."""
    integer("count", count, at_least=1)
    if given is None:
        return np.array(panels(count, size=size)[1], dtype=object)
    found = np.array(given, dtype=object).ravel()
    if len(found) != count:
        raise ArgumentError("axes", f"be {count}, one for each panel", len(found))
    for k, ax in enumerate(found):
        instance(f"axes[{k}]", ax, Axes)
    return found


def svg(figure: Figure) -> str:
    """The figure as SVG text to stand inside an HTML page: the same figure gives the same text."""
    instance("figure", figure, Figure)
    buffer = io.StringIO()
    with rc_context(
        {"svg.hashsalt": "recurrent_dynamics", "svg.fonttype": "none", "font.family": "sans-serif"}
    ):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
