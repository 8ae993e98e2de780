"""The forward pass over trees: arrays in, checked once, and a run out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cells import Cell
from ..checks import ArgumentError, ArgumentTypeError, boolean, instance
from ..engine import check
from ..engine.arguments import new_tape, own_parameters, write_signals
from ..engine.backends import backend, resolve_device
from ..engine.cpu import tree_pass
from ..engine.cpu.tree_pass import TreeTape
from ..engine.run import Tape
from ..kernels import memory
from ..kernels.copying import add_columns
from .cells import ARC, TreeCell, child_sum
from .forest import Graph
from .run import TreeRun, places_of, slots_of

Arrays = Mapping[str, np.ndarray]
NO_LENGTHS, NO_RESETS = np.empty(0, np.int64), np.empty(0, np.bool_)


def forward(
    cell: TreeCell,
    params: Arrays,
    graph: Graph,
    x: np.ndarray | None = None,
    *,
    initial: Arrays | None = None,
    signals: Arrays | None = None,
    check_finite: bool = True,
) -> TreeRun:
    """Run a cell from the leaves of trees to their roots.

    Nodes of one height are computed together, those of all trees. What a node gets does not depend on the other trees,
    nor on the number of threads.

    Parameters
    ----------
    cell : TreeCell
        The equations; of a `Cell` those of `child_sum` of it.
    params : dict of ndarray
        As `TreeCell.init` makes them.
    graph : Graph
        The `forest`.
    x : ndarray (nodes, N), or (nodes,) of int, optional
        The input of each node: numbers, or class indices in 0..N-1. Without it the nodes have none.
    initial : dict of ndarray (trees, width) or (width,), optional
        The state of absent children by slot; 0 where not given. A leaf of a cell over a sum has it in place of the sum.
    signals : dict of ndarray (nodes,) or (nodes, H), optional
        The signals that the cell of the nodes declares; all of them.
    check_finite : bool
        Whether a run that becomes NaN or infinite raises.

    Returns
    -------
    TreeRun

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came. For arrays on a GPU: trees run on the CPU.
    FloatingPointError
        The state became NaN or infinite: at which node, in which slot.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.child_sum_lstm()
    >>> tree = rd.trees.forest([-1, 0, 0, 2, 2])
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((5, 3), "float32"))
    >>> run.output.shape, run.final["c"].shape
    ((5, 4), (1, 4))
    """
    cell = over_children(cell)
    instance("graph", graph, Graph)
    check_finite = boolean("check_finite", check_finite)
    if resolve_device(None, params=params, x=x, initial=initial, signals=signals)[0] != "cpu":
        raise ArgumentError("params, x, initial and signals", "lie on the CPU for a run over trees", "a GPU")
    _check_places(cell, graph)
    of_node, of_arc = cell.apart(params)
    arrays, dtype, n, hidden = check.given_parameters(cell.node, of_node)
    levels, order = graph.levels, graph.levels.order
    layout = cell.node.layout(n, hidden)
    given = _input(x, order, n, dtype, "W" in layout.shapes)
    slots = slots_of(cell, hidden)
    spans, places = places_of(cell, hidden, layout.state_size)
    start = initial_states("initial", initial, slots, graph.trees, dtype)
    start = spread(start, slots, places)
    engine = backend("cpu").verbs

    def tape(one: Cell, weights: Arrays, x: np.ndarray) -> tuple[Tape, dict[str, np.ndarray]]:
        """A tape of one step whose instances are rows."""
        one_layout, rows = one.layout(n, hidden), x.shape[1]
        flat, own = own_parameters(engine, one_layout, weights, dtype)
        # With resets there are separate arrays for the states before and after.
        start, resets = np.empty((rows, 0), dtype), np.empty(rows, np.bool_)
        made = new_tape(engine, one, one_layout, flat, x, start, NO_LENGTHS, resets)
        made.resets = NO_RESETS
        return made, own

    nodes, own = tape(cell.node, arrays, given[None])
    arcs = None
    if cell.arc is not None:
        arrays, kind, *sizes = check.given_parameters(cell.arc, of_arc)
        if kind != dtype:
            raise ArgumentTypeError(f"params[{ARC + next(iter(arrays))!r}]", f"have dtype {dtype}", kind)
        if sizes != [n, hidden]:
            raise ArgumentError(
                f"params that begin with {ARC!r}", f"be for {n} inputs and {hidden} units", tuple(sizes)
            )
        arcs, own_arcs = tape(cell.arc, arrays, np.empty((1, len(levels.source), 0), dtype))
        own |= {ARC + name: a for name, a in own_arcs.items()}
    ordered = {
        name: check.array(f"signals[{name!r}]", a)[None]
        for name, a in check.mapping("signals", signals, cell.node.signals).items()
    }
    for name, a in ordered.items():
        if a.shape[1] != graph.nodes:
            raise ArgumentError(
                f"signals[{name!r}]", f"have {graph.nodes} rows, one for each node", a.shape[1:]
            )
    shared = write_signals(
        cell.node,
        layout,
        nodes.values,
        {name: a[:, order] for name, a in ordered.items()},
        None,
        NO_LENGTHS,
        False,
    )
    made = TreeTape(levels, nodes, arcs, spans, places, start)
    finite = tree_pass.forward(made)
    run = TreeRun(made, graph, cell, own, x is not None, shared)
    if not finite and check_finite:
        _refuse_not_finite(run)
    return run


def over_children(cell: Any) -> TreeCell:
    """A cell of trees; of a `Cell` that over the sum of children."""
    if isinstance(cell, Cell):
        return child_sum(cell)
    instance("cell", cell, TreeCell)
    return cell


def _check_places(cell: TreeCell, graph: Graph) -> None:
    if cell.children is not None and graph.places > cell.children:
        wrong = int(graph.target[graph.position >= cell.children][0])
        raise ArgumentError(
            "graph",
            f"have children at {cell.children} places, as cell {cell.name!r} has",
            f"one at place {graph.places - 1} (counted from 0); node {wrong} has too many",
        )


def _input(x: Any, order: np.ndarray, n: int, dtype: np.dtype, has_w: bool) -> np.ndarray:
    """A finite copy of x (nodes, N), or of class indices (nodes,), in the order of the rows."""
    nodes = len(order)
    if x is None:
        return np.zeros((nodes, n), dtype)
    x = check.array("x", x)
    if x.dtype.kind in "iu":
        check.shape("x", x, (nodes,))
        if not has_w:
            raise ArgumentTypeError("x", "be None, as there is no params['W']", f"class indices ({x.dtype})")
        if not check.below(x, n):
            wrong = int(np.flatnonzero((x < 0) | (x >= n))[0])
            raise ArgumentError(
                "x",
                f"be class indices in 0..{n - 1}, as params['W'] has {n} columns",
                f"{x[wrong]} for node {wrong}",
            )
        return np.take(x.astype(np.int64, copy=False), order)
    x = check.real("x", x, dtype)
    check.shape("x", x, (nodes, n))
    own = memory.empty(x.shape, dtype)
    if not add_columns(x, own, 0, True, index=order):
        check.finite("x", x)
    return own


def initial_states(
    name: str, given: Arrays | None, slots: tuple[Any, ...], trees: int, dtype: np.dtype
) -> np.ndarray:
    """Initial states (trees, width of all slots) from a dict of slots; 0 where not given."""
    out = np.zeros((trees, sum(s.width for s in slots)), dtype)
    by_name = {s.name: s for s in slots}
    for slot, value in check.mapping(name, given, tuple(by_name)).items():
        s, a = by_name[slot], check.floating(f"{name}[{slot!r}]", value, dtype)
        if a.shape not in ((s.width,), (trees, s.width)):
            raise ArgumentError(
                f"{name}[{slot!r}]", f"have shape {(trees, s.width)} or {(s.width,)}", a.shape
            )
        out[:, s.offset : s.offset + s.width] = a
    return out


def spread(state: np.ndarray, slots: tuple[Any, ...], places: int) -> np.ndarray:
    """The state of a node (..., k) at every place, as the engine has it."""
    if places == 1:
        return state
    parts = [np.tile(state[..., s.offset : s.offset + s.width], places) for s in slots]
    return np.concatenate(parts, axis=-1)


def _refuse_not_finite(run: TreeRun) -> None:
    for slot, values in run.states.items():
        wrong = np.argwhere(~np.isfinite(values))
        if wrong.size:
            node, unit = (int(i) for i in wrong[np.argmin(run.graph.level[wrong[:, 0]])])
            for name, a in run.params.items():
                check.finite(f"params[{name!r}]", a)
            raise FloatingPointError(
                f"the run became {values[node, unit]} at node {node}, of height {run.graph.level[node]}: slot "
                f"{slot!r}. Smaller weights or inputs keep it finite; check_finite=False returns it as it is"
            )
