"""The result of a forward pass over trees, and of what is computed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells.layout import Span
from ..engine.backends import backend
from ..engine.cpu.tree_pass import TreeTape
from ..engine.run import Views, read_only
from ..kernels.copying import gathered
from ..kernels.lazy import cached_property
from ..results import Result
from .cells import TreeCell
from .forest import Graph

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def slots_of(cell: TreeCell, hidden_size: int) -> tuple[Span, ...]:
    """The slots of the state of a node, side by side."""
    spans, start = [], 0
    for slot in cell.node.slots:
        name, _, place = slot.name.rpartition("_") if cell.children is not None else (slot.name, "", "1")
        if place == "1":
            width = hidden_size if slot.width == "hidden" else int(slot.width)
            spans.append(Span(name, start, width))
            start += width
    return tuple(spans)


def places_of(cell: TreeCell, hidden_size: int, state_size: int) -> tuple[np.ndarray, int]:
    """(spans, places) as `engine.cpu.tree_loops` takes them."""
    if cell.children is None:
        return np.array([[0, state_size]]), 1
    widths = np.array([s.width for s in slots_of(cell, hidden_size)])
    return np.stack(
        [np.cumsum(widths * cell.children) - widths * cell.children, widths], axis=1
    ), cell.children


class NodeViews(Views):
    """Named stretches of rows (rows, k) in the order of the nodes: a copy of each, made when it is first asked for."""

    def __init__(self, rows: np.ndarray, order: np.ndarray, spans: tuple[Span, ...]) -> None:
        super().__init__(rows, spans)
        self._order = order
        self._found: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._found:
            self._found[name] = read_only(gathered(super().__getitem__(name), self._order))
        return self._found[name]

    def __reduce__(self) -> tuple[Any, ...]:
        return NodeViews, (self._array, self._order, tuple(self._spans.values()))


def column_of(run: TreeRun, slot: str) -> int:
    """The column of the state of a row at which a slot, or its first place, begins."""
    if run.cell.children is None:
        return next(s.offset for s in run.slots if s.name == slot)
    return dict(zip([s.name for s in run.slots], run.tape.spans[:, 0].tolist()))[slot]


class TreeRun(Result):
    """The states of all nodes of a forest.

    A run is immutable; `backward`, `jvp` and `jacobian` of `recurrent_dynamics.trees` take it any number of times.

    Attributes
    ----------
    output : ndarray (nodes, H)
        The output slot of every node.
    states : mapping of ndarray (nodes, width)
        Every slot of every node.
    final : mapping of ndarray (trees, width)
        The state of the root of every tree; of another graph that of the nodes in `last`.
    last : ndarray of int
        The nodes that no arc leaves, ordered by tree: of a forest its roots.
    drives : mapping of ndarray (nodes, width)
        Every drive of every node, before its nonlinearity.
    arc_drives : mapping of ndarray (arcs, width)
        Every drive of the cell of the arcs; empty if it has none. Arcs are numbered as in `graph.source`.
    x : ndarray (nodes, N), (nodes,) of int, or None
    initial : mapping of ndarray (trees, width)
    cell : TreeCell
    params : dict of ndarray
        Read-only copies.
    graph : Graph
        The forest.
    """

    _shown = ("cell", "params", "graph", "dtype")

    def __init__(
        self,
        tape: TreeTape,
        graph: Graph,
        cell: TreeCell,
        params: Mapping[str, np.ndarray],
        has_input: bool,
        shared_signals: tuple[str, ...],
    ) -> None:
        self.tape, self.graph, self.cell = tape, graph, cell
        self.params = {name: read_only(a) for name, a in params.items()}
        self.has_input = has_input
        self.shared_signals = shared_signals
        self.dtype = tape.nodes.dtype
        self.slots = slots_of(cell, tape.nodes.layout.hidden_size)

    def __repr__(self) -> str:
        return f"TreeRun of {self.cell!r}: {self.graph.nodes} nodes, {self.graph.trees} trees, {self.dtype}"

    @cached_property
    def x(self) -> np.ndarray | None:
        if not self.has_input:
            return None
        return read_only(gathered(self.tape.nodes.input[0], self.graph.levels.rows))

    def by_node(self, a: np.ndarray) -> Views:
        """Slots of the states (rows, k) of the engine, in the order of the nodes."""
        return NodeViews(self.one_place(a), self.graph.levels.rows, self.slots)

    def one_place(self, a: np.ndarray) -> np.ndarray:
        """The columns of the first place."""
        if self.cell.children is None:
            return a
        spans = self.tape.spans.tolist()
        return np.concatenate([a[..., offset : offset + width] for offset, width in spans], axis=-1)

    def all_places(self, a: np.ndarray) -> np.ndarray:
        """The sum over places."""
        if self.cell.children is None:
            return a
        parts = [
            a[..., offset : offset + width * self.tape.places].reshape(*a.shape[:-1], self.tape.places, width)
            for offset, width in self.tape.spans.tolist()
        ]
        return np.concatenate([p.sum(axis=-2) for p in parts], axis=-1)

    @cached_property
    def states(self) -> Views:
        return self.by_node(self.tape.nodes.after[0])

    @property
    def output(self) -> np.ndarray:
        return self.states[self.cell.output]

    @cached_property
    def initial(self) -> Views:
        return Views(self.one_place(self.tape.initial), self.slots)

    @cached_property
    def last(self) -> np.ndarray:
        """The nodes that no arc leaves, ordered by tree: of a forest its roots."""
        last = np.flatnonzero(np.bincount(self.graph.source, minlength=self.graph.nodes) == 0)
        return last[np.argsort(self.graph.tree[last], kind="stable")]

    @cached_property
    def final(self) -> Views:
        last = self.last
        return Views(np.concatenate([self.states[s.name][last] for s in self.slots], axis=1), self.slots)

    @cached_property
    def drives(self) -> Views:
        tape = self.tape.nodes
        named = tuple(p for p in tape.layout.preactivations if p.name in (p.drive, f"{p.drive}_h"))
        return Views(backend("cpu").verbs.drives(tape)[0][self.graph.levels.rows], named)

    @cached_property
    def arc_drives(self) -> Views:
        if self.tape.arcs is None:
            return Views(np.empty((len(self.graph.source), 0), self.dtype), ())
        tape = self.tape.arcs_with_input
        named = tuple(p for p in tape.layout.preactivations if p.name in (p.drive, f"{p.drive}_h"))
        return Views(self.by_arc(backend("cpu").verbs.drives(tape)[0]), named)

    def by_arc(self, a: np.ndarray) -> np.ndarray:
        """Rows of the arcs as they are numbered in the graph."""
        out = np.empty_like(a)
        out[self.graph.levels.given] = a
        return out

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a slot of the state of all nodes as an image; see `recurrent_dynamics.plot.tree_states`."""
        from ..plot import tree_states

        return tree_states(self, ax=ax, **options)


@dataclass(frozen=True, eq=False)
class TreeTangent(Result):
    """Directional derivatives of a run over trees.

    Attributes
    ----------
    states : mapping of ndarray (nodes, width)
        Of every slot of every node.
    slot : str
        The slot that is the output.
    """

    states: Views
    slot: str

    @property
    def output(self) -> np.ndarray:
        """Of the output of every node, (nodes, H)."""
        return self.states[self.slot]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the tangents of a slot of all nodes as an image; see `recurrent_dynamics.plot.tree_states`."""
        from ..plot import tree_states

        return tree_states(self, ax=ax, **options)


@dataclass(frozen=True, eq=False)
class TreeGradients(Result):
    """Derivatives of a loss by everything that went into a run over trees.

    Attributes
    ----------
    params : dict of ndarray
        By every parameter.
    x : ndarray (nodes, N), or None
        By the input; None without an input and for class indices.
    initial : mapping of ndarray (trees, width)
        By the initial state.
    states : mapping of ndarray (nodes, width)
        By the state of each node, along every path that leads from there to the loss.
    signals : dict of ndarray
        By the signals, shaped as the signals.
    graph : Graph
    """

    params: dict[str, np.ndarray]
    x: np.ndarray | None
    initial: Views
    states: Views
    signals: dict[str, np.ndarray]
    graph: Graph

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by the state against the distance from the root; see `gradient_by_depth`."""
        from .depth import gradient_by_depth

        return gradient_by_depth(self).plot(ax=ax, **options)
