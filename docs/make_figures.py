"""Make the figures of the documentation and the README: ``python docs/make_figures.py [NAME ...]``.

The figures are kept in ``docs/_static``, so that reading the README needs no build. ``idea`` and
``walks`` are drawings; the others are measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from walk_figures import draw_blocks, draw_columns, draw_grid, draw_steps

STATIC = Path(__file__).parent / "_static"

EQUATIONS = """def update(drive, state):
    i, f, o = sigmoid(drive.i), sigmoid(drive.f), sigmoid(drive.o)
    c = f * state.c + i * tanh(drive.g)
    return {"h": o * tanh(c), "c": c}"""

# Each row of the drawing: its caption, and its boxes as (title, second line).
ROWS = [
    (
        "derived once:\ntraced with SymPy,\ndifferentiated,\nsubexpressions shared",
        [
            ("forward", "step"),
            ("adjoint", "of the step"),
            ("tangent", "of the step"),
            ("Jacobian", "blocks"),
            ("second order", "tangent of\nthe adjoint"),
            ("typeset", "equations"),
        ],
    ),
    (
        "engines:\neach written once\nfor all cells",
        [
            ("forward", "every state kept"),
            ("backward", "BPTT, every\nd loss / d state"),
            ("jvp", "directional\nderivatives"),
            ("jacobian", "dense, or applied\nas an operator"),
            ("hvp", "curvature"),
            ("LaTeX", "notebooks and\ndocumentation"),
        ],
    ),
]
USES = [
    ("train", "models of stacked cells, truncated BPTT,\noptimizers, scipy.optimize"),
    ("understand", "how far gradients reach, saturation,\nJacobian products, time scales of memory"),
    ("check", "complex step on the same equations\nrun as plain NumPy"),
]


def box(ax: Axes, x: float, y: float, width: float, height: float, ink: str, fill: str) -> None:
    """Draw a rounded box whose lower left corner is (x, y)."""
    shape = "round,pad=0,rounding_size=0.09"
    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, fc=fill, ec=ink, lw=1.1))


def arrow(ax: Axes, x: float, top: float, bottom: float, ink: str) -> None:
    """Draw an arrow straight down at x."""
    ax.add_patch(
        FancyArrowPatch((x, top), (x, bottom), arrowstyle="-|>", mutation_scale=10, color=ink, lw=1.1)
    )


def draw_idea(ink: str, muted: str, fills: tuple[str, str, str, str]) -> plt.Figure:
    """Draw the path from the equations of a cell to what they are used for."""
    fig, ax = plt.subplots(figsize=(12.4, 6.3))
    ax.set(xlim=(0, 10), ylim=(0, 6.3))
    ax.axis("off")
    left, width, gap = 1.75, 8.1, 0.15

    box(ax, left + 1.2, 5.0, 5.7, 1.2, ink, fills[0])
    ax.text(
        left + 1.35, 5.6, EQUATIONS, family="monospace", size=9.5, va="center", color=ink, linespacing=1.5
    )
    ax.text(0.05, 5.6, "a cell is\nits equations,\nwritten once", va="center", color=muted, size=9.5)

    columns = len(ROWS[0][1])
    cell_width = (width - gap * (columns - 1)) / columns
    centres = [left + k * (cell_width + gap) + cell_width / 2 for k in range(columns)]
    for (caption, boxes), top, fill in zip(ROWS, (4.35, 2.85), fills[1:3]):
        ax.text(0.05, top - 0.45, caption, va="center", color=muted, size=9.5)
        for x, (title, detail) in zip(centres, boxes):
            box(ax, x - cell_width / 2, top - 0.95, cell_width, 0.95, ink, fill)
            ax.text(x, top - 0.22, title, ha="center", va="center", color=ink, size=10, weight="bold")
            ax.text(x, top - 0.6, detail, ha="center", va="center", color=ink, size=8)
    for x in centres:
        arrow(ax, x, 4.7, 4.37, ink)
        arrow(ax, x, 3.4, 2.87, ink)
    ax.plot([centres[0], centres[-1]], [4.7, 4.7], color=ink, lw=1.1)
    ax.plot([left + width / 2] * 2, [5.0, 4.7], color=ink, lw=1.1)
    ax.text(0.05, 3.13, "compiled, kept on disk", color=muted, size=9.5, va="center")

    use_width = (width - 2 * gap) / 3
    ax.text(0.05, 0.75, "uses", va="center", color=muted, size=9.5)
    ax.plot([centres[0], centres[-1]], [1.6, 1.6], color=ink, lw=1.1)
    for x in centres:
        ax.plot([x, x], [1.9, 1.6], color=ink, lw=1.1)
    for k, (title, detail) in enumerate(USES):
        x = left + k * (use_width + gap)
        box(ax, x, 0.3, use_width, 0.95, ink, fills[3])
        ax.text(x + use_width / 2, 1.03, title, ha="center", va="center", color=ink, size=10, weight="bold")
        ax.text(x + use_width / 2, 0.63, detail, ha="center", va="center", color=ink, size=8)
        arrow(ax, x + use_width / 2, 1.6, 1.27, ink)
    return fig


THEMES = {
    "light": ("#22303c", "#5a6772", ("#fdf3dc", "#e3eefb", "#e4f3e6", "#f1e8f8")),
    "dark": ("#dfe6ec", "#9fb0bd", ("#4a3f22", "#1f3550", "#1f4028", "#3c2b4c")),
}


def save_drawing(name: str, draw: Callable[..., plt.Figure]) -> None:
    """Write a drawing for light and for dark pages."""
    for theme, colours in THEMES.items():
        fig = draw(*colours)
        fig.savefig(
            STATIC / f"{name}-{theme}.svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
        plt.close(fig)


def make_idea() -> None:
    """Draw the idea of the library."""
    save_drawing("idea", draw_idea)


def make_walks() -> None:
    """Draw the ways through time on a GPU, each by itself."""
    for draw in (draw_columns, draw_blocks, draw_grid, draw_steps):
        save_drawing(draw.__name__.replace("draw", "walk").replace("_", "-"), draw)


def make_reach() -> None:
    """Train three cells on the source of Python's standard library and show what of them can be seen."""
    import recurrent_dynamics as rd

    text = rd.data.standard_library()
    vocabulary = rd.data.Vocabulary.from_text(text)
    training, held_out = rd.data.split(vocabulary.encode(text), 0.05)
    cells = {"GRU": rd.cells.gru(), "LSTM": rd.cells.lstm(), "Elman": rd.cells.elman()}
    measured = {}
    for name, cell in cells.items():
        model = rd.nn.Model(cell, hidden_size=128, vocabulary_size=len(vocabulary), embedding_size=64)
        result = rd.training.fit(
            model,
            model.init(rng=0),
            rd.data.Streams(training, batch_size=50, window=50),
            optimizer=rd.training.adam(),
            learning_rate=rd.training.cosine(5e-3, UPDATES),
            updates=UPDATES,
            clip_norm=5.0,
        )
        measured[name] = rd.study.measure(model, result.params, held_out, window=100).layers[0]

    fig, axes = rd.plot.panels(3, size=(4.1, 3.2))
    for k, (name, layer) in enumerate(measured.items()):
        rd.plot.gradient_flow(layer.flow, label=name, index=k, ax=axes[0])
    axes[0].set_title("How far back the last loss reaches", fontsize=10.5)
    rd.plot.singular_values(measured["LSTM"].products, index=list(cells).index("LSTM"), ax=axes[1])
    axes[1].set_title("Jacobian products of the LSTM", fontsize=10.5)
    gated = ("GRU", "LSTM")
    rd.plot.time_scales([measured[name].time_scales[0] for name in gated], labels=gated, ax=axes[2])
    axes[2].set_title("Time scales that the units chose", fontsize=10.5)
    fig.savefig(STATIC / "reach.png", dpi=160)


UPDATES = 1500
FIGURES = {"idea": make_idea, "walks": make_walks, "reach": make_reach}


def main(names: list[str]) -> None:
    """Make the named figures, or all."""
    mpl.rcParams["svg.hashsalt"] = "recurrent_dynamics"  # the same drawing gives the same file
    for name in names or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
