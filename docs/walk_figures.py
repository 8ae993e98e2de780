"""The drawings of the ways through time on a GPU; `make_figures.py` writes them.

Time runs to the right. A row is what a thread or a block does, with what it holds in a box at its left; dotted lines
are barriers of a block, thick ones of the grid.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle

Fills = tuple[str, str, str, str]
WIDTH = 10.0
HELD = 2.05  # where the boxes of what is held end and time begins


def draw_columns(ink: str, muted: str, fills: Fills) -> plt.Figure:
    """A thread takes one unit through all steps."""
    fig, ax = _page(3.3)
    for row, name in enumerate(("unit 3", "unit 2", "unit 1")):
        y = 0.5 + 0.85 * row
        _held(ax, y, 0.62, f"thread of {name}\nstate in registers", ink, fills[0])
        for t in range(3):
            x = HELD + 0.15 + 2.5 * t + 0.12 * row
            _part(ax, x, y, 0.95, 0.62, "read $t$+1" if t == 0 else "", ink, fills[2])
            _part(ax, x + 0.95, y, 0.95, 0.62, "program" if t == 0 else "", ink, fills[1])
            _part(ax, x + 1.9, y, 0.55, 0.62, "write" if t == 0 else "", ink, fills[3])
    _time(ax, ("step 1", "step 2", "step 3"), 2.5, 2.95, ink, muted)
    return fig


def draw_blocks(ink: str, muted: str, fills: Fills) -> plt.Figure:
    """A block takes some instances through all steps."""
    fig, ax = _page(3.6)
    for row, name in enumerate(("block 2: instances 5-8", "block 1: instances 1-4")):
        y, late = 0.5 + 1.35 * row, 0.0 if row else 0.3
        _held(ax, y, 1.1, f"{name}\nshared memory:\nall of U, values, state", ink, fills[0])
        for t in range(2):
            x = HELD + 0.15 + late + 3.8 * t
            for start, width, label, fill in (
                (0.0, 0.85, "values,\nread ahead", 2), (0.85, 1.05, r"$U\,h$" + "\nthreads: rows", 0),
                (1.9, 1.05, "program\nthreads: units", 1), (2.95, 0.7, "write", 3),
            ):  # fmt: skip
                _part(ax, x + start, y, width, 1.1, label, ink, fills[fill])
            for at in (0.85, 1.9, 2.95):
                ax.plot([x + at] * 2, [y - 0.07, y + 1.17], color=ink, lw=1.6, ls=":")
    _time(ax, ("step 1", "step 2"), 3.8, 3.3, ink, muted)
    return fig


def draw_grid(ink: str, muted: str, fills: Fills) -> plt.Figure:
    """The blocks of the device share the units."""
    fig, ax = _page(4.3)
    for row, name in enumerate(("block 3: units 9-12", "block 2: units 5-8", "block 1: units 1-4")):
        y = 1.15 + 0.9 * row
        _held(ax, y, 0.7, f"{name}\nits rows of U", ink, fills[0])
        for t in range(2):
            x = HELD + 0.15 + 3.8 * t
            for start, width, label, fill in (
                (0.0, 1.5, r"own rows of $U\,h$", 0), (1.5, 1.0, "program", 1), (2.5, 0.8, "write", 3),
            ):  # fmt: skip
                _part(ax, x + start, y, width, 0.7, label, ink, fills[fill])
    for t in range(2):
        x = HELD + 0.15 + 3.8 * t + 3.55
        ax.plot([x, x], [0.95, 3.85], color=ink, lw=3.2)
        ax.text(x, 3.95, "all wait", ha="center", color=ink, size=8.5)
        _arrow(ax, (x - 0.65, 1.12), (x - 0.65, 0.78), ink)
        if t == 0:
            _arrow(ax, (x + 0.9, 0.78), (x + 0.9, 1.12), ink)
    _part(
        ax,
        HELD + 0.15,
        0.35,
        7.6,
        0.4,
        "L2 cache: the states of all units, written by one block and read by all",
        ink,
        fills[2],
    )
    _time(ax, ("step 1", "step 2"), 3.8, 3.95, ink, muted, 3.3)
    return fig


def draw_steps(ink: str, muted: str, fills: Fills) -> plt.Figure:
    """A launch for each stage of a step, between products."""
    fig, ax = _page(3.2)
    _held(ax, 0.75, 1.0, "device memory:\nU, values, states\nof the step", ink, fills[0])
    for t in range(3):
        x = HELD + 0.15 + 2.55 * t
        _part(ax, x, 0.75, 1.15, 1.0, "cuBLAS\n" + r"$U\,h$, all" + "\ninstances", ink, fills[2])
        _part(ax, x + 1.22, 0.75, 1.15, 1.0, "kernel:\nall programs", ink, fills[1])
        for at in (x, x + 1.22):
            _arrow(ax, (at + 0.55, 2.12), (at + 0.55, 1.8), ink)
    ax.text(HELD + 0.05, 2.2, "launches", color=ink, size=8.5, va="bottom", ha="right")
    ax.add_patch(Rectangle((HELD + 0.07, 0.6), 5.05, 1.75, fill=False, ec=ink, lw=1.2, ls="--"))
    ax.text(
        HELD + 2.6,
        2.43,
        "one CUDA graph of several steps, launched again and again",
        color=ink,
        size=8.5,
        ha="center",
    )
    _time(ax, ("step 1", "step 2", "step 3"), 2.55, 2.78, ink, muted)
    return fig


def _page(height: float) -> tuple[plt.Figure, Axes]:
    fig, ax = plt.subplots(figsize=(WIDTH, height))
    ax.set(xlim=(0, WIDTH), ylim=(-0.15, height))
    ax.axis("off")
    fig.subplots_adjust(0, 0, 1, 1)
    return fig, ax


def _held(ax: Axes, y: float, height: float, text: str, ink: str, fill: str) -> None:
    ax.add_patch(Rectangle((0.05, y), HELD - 0.15, height, fc=fill, ec=ink, lw=1.0))
    ax.text(HELD / 2 - 0.02, y + height / 2, text, ha="center", va="center", color=ink, size=8.5)


def _part(ax: Axes, x: float, y: float, width: float, height: float, text: str, ink: str, fill: str) -> None:
    ax.add_patch(Rectangle((x, y), width, height, fc=fill, ec=ink, lw=0.9))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", color=ink, size=8.5)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], ink: str) -> None:
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=ink, lw=1.1))


def _time(
    ax: Axes,
    steps: tuple[str, ...],
    each: float,
    top: float,
    ink: str,
    muted: str,
    width: float | None = None,
) -> None:
    for t, name in enumerate(steps):
        centre = HELD + 0.15 + each * t + (width or each) / 2
        ax.text(centre, top, name, ha="center", va="bottom", color=ink, size=9.5, weight="bold")
    ax.annotate("", (WIDTH - 0.1, 0.12), (HELD + 0.15, 0.12), arrowprops={"arrowstyle": "->", "color": muted})
    ax.text(WIDTH / 2 + 1, -0.08, "time", ha="center", color=muted, size=9)
