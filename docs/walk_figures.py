"""The drawing of the ways through time on a GPU; `make_figures.py` writes it."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

STEPS = 5


def draw_walks(ink: str, muted: str, fills: tuple[str, str, str, str]) -> plt.Figure:
    """Time runs to the right; a coloured row is a thread or a block that goes through it."""
    fig, axes = plt.subplots(1, 3, figsize=(12.4, 4.0), width_ratios=(1, 1, 1))
    for ax, draw in zip(axes, (_columns, _blocks, _grid), strict=True):
        ax.set(xlim=(-1.9, STEPS + 0.2), ylim=(-1.5, 6.6))
        ax.axis("off")
        draw(ax, ink, muted, fills)
        ax.annotate("", (STEPS, -0.35), (0, -0.35), arrowprops={"arrowstyle": "->", "color": muted})
        ax.text(STEPS / 2, -0.85, "time", ha="center", color=muted, size=9.5)
    fig.subplots_adjust(0.01, 0.01, 0.99, 0.99, wspace=0.04)
    return fig


def _rows(ax: Axes, bottom: float, height: float, fill: str, ink: str, label: str) -> None:
    """A row of steps, and what goes through them."""
    for t in range(STEPS):
        ax.add_patch(Rectangle((t + 0.06, bottom), 0.88, height, fc=fill, ec=ink, lw=0.9))
    ax.annotate(
        "",
        (STEPS - 0.1, bottom + height / 2),
        (0.1, bottom + height / 2),
        arrowprops={"arrowstyle": "->", "color": ink, "lw": 1.1},
    )
    ax.text(-0.12, bottom + height / 2, label, ha="right", va="center", color=ink, size=8.5)


def _title(ax: Axes, ink: str, muted: str, title: str, below: str) -> None:
    ax.text(STEPS / 2 - 0.6, 6.3, title, ha="center", va="center", color=ink, size=11, weight="bold")
    ax.text(STEPS / 2 - 0.6, 5.75, below, ha="center", va="center", color=muted, size=9)


def _columns(ax: Axes, ink: str, muted: str, fills: tuple[str, str, str, str]) -> None:
    _title(ax, ink, muted, "by columns", "U diagonal: nobody waits")
    for i in range(6):
        _rows(ax, 0.1 + 0.88 * i, 0.6, fills[1], ink, f"thread: unit {5 - i}")


def _blocks(ax: Axes, ink: str, muted: str, fills: tuple[str, str, str, str]) -> None:
    _title(ax, ink, muted, "in blocks", "all of U in each: blocks never wait")
    for i in range(2):
        bottom = 0.1 + 2.75 * i
        _rows(ax, bottom, 2.3, fills[2], ink, "")
        ax.add_patch(Rectangle((-1.75, bottom), 1.5, 2.3, fc=fills[0], ec=ink, lw=0.9))
        ax.text(-1.0, bottom + 1.15, f"block {1 - i}\nU", ha="center", va="center", color=ink, size=9)
        for t in range(1, STEPS):
            ax.plot([t, t], [bottom, bottom + 2.3], color=muted, lw=1.2, ls=":")


def _grid(ax: Axes, ink: str, muted: str, fills: tuple[str, str, str, str]) -> None:
    _title(ax, ink, muted, "on a grid", "rows of U in each: all wait at every step")
    for i in range(4):
        bottom = 0.1 + 1.32 * i
        _rows(ax, bottom, 1.0, fills[3], ink, "")
        ax.add_patch(Rectangle((-1.75, bottom), 1.5, 1.0, fc=fills[0], ec=ink, lw=0.9))
        ax.text(
            -1.0, bottom + 0.5, f"block {3 - i}\nrows of U", ha="center", va="center", color=ink, size=8.5
        )
    for t in range(1, STEPS):
        ax.plot([t, t], [0.0, 5.2], color=ink, lw=2.0)
