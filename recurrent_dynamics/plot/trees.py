"""Figures of runs over trees: states of all nodes, and numbers against the distance from the root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentError, instance, one_of, texts
from .options import curve, line, states_of
from .style import INK, LIGHT, axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..trees import ByDepth, Graph, TreeRun, TreeTangent


def tree_states(run: TreeRun | TreeTangent, *, slot: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw one slot of the state of all nodes as an image: units from top to bottom, nodes from left to right.

    Parameters
    ----------
    run
        What was computed.
    slot
        The first slot of the state by default.
    ax
        Where to draw; a new figure if None.
    """
    known = states_of("run", run)
    slot = one_of("slot", next(iter(known)) if slot is None else slot, tuple(known))
    shown = np.asarray(known[slot]).T.astype(np.float64)
    ax = axes(ax)
    limit = float(np.abs(shown).max()) or 1.0
    image = ax.pcolormesh(
        np.arange(shown.shape[1] + 1) - 0.5, np.arange(len(shown) + 1) - 0.5, shown, cmap="RdBu_r", vmin=-limit,
        vmax=limit, rasterized=True,
    )  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label=f"state {slot}")
    ax.grid(False)
    ax.invert_yaxis()
    whole(ax.xaxis, ax.yaxis)
    ax.set_xlabel("node")
    ax.set_ylabel("unit")
    return ax


def by_depth(found: ByDepth, *, label: str | None = None, index: int = 0, ax: Axes | None = None) -> Axes:
    """Draw the median over the nodes at each distance from the root, and a band of their middle 80 %.

    Parameters
    ----------
    found
        What to draw.
    label
        For the legend.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..trees import ByDepth

    instance("found", found, ByDepth)
    line(index, label)
    ax = axes(ax)
    positive = found.values[found.values > 0]
    logarithmic = positive.size > 0 and positive.max() > 10 * positive.min()
    shown = [np.where(q > 0, q, np.nan) if logarithmic else q for q in (found.low, found.median, found.high)]
    ax.plot(found.distance, shown[1], marker="o", markersize=3, color=colour(index), label=label)
    ax.fill_between(found.distance, shown[0], shown[2], color=colour(index), alpha=0.15, linewidth=0)
    if logarithmic:
        ax.set_yscale("log")
    whole(ax.xaxis)
    ax.set_xlabel("distance from the root (arcs)")
    ax.set_ylabel(found.what)
    if label:
        ax.legend(frameon=False)
    return ax


def graph(
    graph: Graph,
    *,
    labels: Sequence[str] | None = None,
    values: np.ndarray | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw nodes and arcs: of a forest the roots above, of another graph levels from left to right.

    Parameters
    ----------
    graph
        What to draw.
    labels
        A text for each node.
    values
        A number for each node, which its colour shows.
    ax
        Where to draw; a new figure if None.
    """
    from ..trees import Graph

    instance("graph", graph, Graph)
    labels = None if labels is None else texts("labels", labels)
    values = None if values is None else curve("values", values)
    for name, given in (("labels", labels), ("values", values)):
        if given is not None and len(given) != graph.nodes:
            raise ArgumentError(name, f"have one entry for each of the {graph.nodes} nodes", len(given))
    ax = axes(ax)
    is_forest = hasattr(graph, "roots")
    x, y = _places_of_trees(graph) if is_forest else (graph.level.astype(float), graph.tree.astype(float))
    for a, b in zip(graph.source, graph.target):
        middle = 0.5 * (y[a] + y[b]) if is_forest else y[a] + 0.12 * (x[b] - x[a] - 1)
        bend = np.array([0.5 * (x[a] + x[b]), middle])
        s = np.linspace(0, 1, 2 if is_forest else 20)[:, None]
        ends = np.array([[x[a], y[a]], [x[b], y[b]]])
        arc = (1 - s) ** 2 * ends[0] + 2 * s * (1 - s) * bend + s**2 * ends[1]
        ax.plot(*arc.T, color=INK, linewidth=0.7, zorder=1)
    drawn = ax.scatter(
        x, y, c=colour(0) if values is None else values, s=18, zorder=2, edgecolors=LIGHT, linewidths=0.5
    )
    if values is not None:
        ax.figure.colorbar(drawn, ax=ax, label="value")
    for node, text in enumerate(labels or ()):
        ax.annotate(
            text, (x[node], y[node]), (0, 5), textcoords="offset points", ha="center", fontsize="x-small",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        )  # fmt: skip
    ax.grid(False)
    whole(ax.xaxis, ax.yaxis)
    if is_forest:
        ax.set_xticks([])
        ax.invert_yaxis()
    ax.set_xlabel("trees side by side" if is_forest else "level")
    ax.set_ylabel("distance from the root (arcs)" if is_forest else "sequence")
    return ax


def _places_of_trees(forest: Graph) -> tuple[np.ndarray, np.ndarray]:
    """Places of nodes: leaves side by side in their order, each inner node above the middle of its children."""
    x = np.full(forest.nodes, np.nan)
    at = 0.0
    todo = [(int(root), False) for root in reversed(forest.roots)]  # type: ignore[attr-defined]
    while todo:
        node, opened = todo.pop()
        below = forest.children(node)  # type: ignore[attr-defined]
        if opened:
            x[node] = np.mean([x[below[0]], x[below[-1]]])
        elif below:
            todo.append((node, True))
            todo += [(child, False) for child in reversed(below)]
        else:
            x[node], at = at, at + 1
    return x, forest.distance.astype(float)  # type: ignore[attr-defined]
