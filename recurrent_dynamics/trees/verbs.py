"""What is computed from a run over trees: gradients, tangents, Jacobians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError
from ..engine import check
from ..engine.arguments import some_cotangent, write_signals
from ..engine.cpu import tree_pass
from ..engine.flatten import Flat, flatten, unflatten
from ..engine.run import Views
from .cells import ARC
from .run import TreeGradients, TreeRun, TreeTangent
from .running import NO_LENGTHS, initial_states, spread

Arrays = Mapping[str, np.ndarray]


def backward(
    run: TreeRun, d_output: np.ndarray | None = None, d_states: Arrays | None = None
) -> TreeGradients:
    """Backpropagation through structure (Goller and Kuechler 1996): derivatives of a loss by all that went into a run.

    Parameters
    ----------
    run : TreeRun
    d_output : ndarray (nodes, H), optional
        The loss's derivative by the output of each node; of a loss of the roots, 0 elsewhere.
    d_states : dict of ndarray (nodes, width), optional
        Its derivatives by the states of each node.

    Returns
    -------
    TreeGradients
        By params, x, initial, signals, and by the state of every node.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.n_ary_lstm(2)
    >>> tree = rd.trees.from_nested(((), ((), ())))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((5, 3), "float32"))
    >>> grads = rd.trees.backward(run, np.ones_like(run.output))
    >>> grads.params["U"].shape, grads.x.shape, grads.states["h"].shape
    ((20, 8), (5, 3), (5, 4))
    """
    some_cotangent("backward", d_output, d_states, None)
    back = tree_pass.adjoint(run_of(run).tape, cotangent(run, d_output, d_states))
    tape, levels = run.tape, run.graph.levels
    params = unflatten(tape.nodes.layout, back.nodes)
    if tape.arcs is not None and back.arcs is not None:
        params |= {ARC + name: a for name, a in unflatten(tape.arcs.layout, back.arcs).items()}
    signals = {}
    for s in tape.nodes.layout.signals:
        d = back.values[levels.rows, s.offset : s.offset + s.width]
        signals[s.name] = d.sum(axis=-1) if s.name in run.shared_signals else d
    return TreeGradients(
        {name: params[name] for name in run.params},
        np.take(back.x, levels.rows, axis=0) if run.has_input and not tape.nodes.has_classes else None,
        Views(run.all_places(back.initial), run.slots),
        Views(np.take(run.all_places(back.after), levels.rows, axis=0), run.slots),
        signals,
        run.graph,
    )


def run_of(run: Any) -> TreeRun:
    """A run over trees; an error for anything else."""
    if not isinstance(run, TreeRun):
        raise ArgumentTypeError("run", "be a TreeRun, as trees.forward returns", type(run).__name__)
    return run


def cotangent(run: TreeRun, d_output: np.ndarray | None, d_states: Arrays | None) -> np.ndarray:
    """(rows, k): the sum of the cotangents by row, those of a slot in its first place."""
    rows, dtype = run.graph.nodes, run.dtype
    out = np.zeros((rows, run.tape.nodes.layout.state_size), dtype)
    slots = {s.name: s for s in run.slots}
    at = (
        dict(zip(slots, run.tape.spans[:, 0].tolist()))
        if run.cell.children is not None
        else {s.name: s.offset for s in run.slots}
    )

    def add(name: str, value: Any, slot: str) -> None:
        width = slots[slot].width
        a = check.floating(name, value, dtype, (rows, width))
        out[:, at[slot] : at[slot] + width] += np.take(a, run.graph.levels.order, axis=0)

    if d_output is not None:
        add("d_output", d_output, run.cell.output)
    for slot, value in check.mapping("d_states", d_states, tuple(slots)).items():
        add(f"d_states[{slot!r}]", value, slot)
    return out


def jvp(
    run: TreeRun,
    d_params: Arrays | None = None,
    d_x: np.ndarray | None = None,
    d_initial: Arrays | None = None,
    d_signals: Arrays | None = None,
) -> TreeTangent:
    """The tangent of a run: its directional derivative when parameters, input or initial states move.

    Parameters
    ----------
    run : TreeRun
    d_params, d_x, d_initial, d_signals
        The direction, each of the shape of its argument; arguments without a direction do not move.

    Returns
    -------
    TreeTangent

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.recursive(2)
    >>> tree = rd.trees.from_nested(((), ()))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((3, 3), "float32"))
    >>> rd.trees.jvp(run, d_x=np.ones((3, 3), "float32")).output.shape
    (3, 4)
    """
    tape, levels, dtype = run_of(run).tape, run.graph.levels, run.dtype
    move = {}
    for name, value in check.mapping("d_params", d_params, tuple(run.params)).items():
        move[name] = check.floating(f"d_params[{name!r}]", value, dtype, run.params[name].shape)
    x = np.zeros(tape.nodes.x.shape[1:], dtype)
    if d_x is not None:
        if not run.has_input or tape.nodes.has_classes:
            why = "no input" if not run.has_input else "class indices as its input"
            raise ArgumentError("d_x", f"be None, as the run has {why}", "an array")
        x = check.floating("d_x", d_x, dtype, x.shape)[levels.order]
    start = initial_states("d_initial", d_initial, run.slots, run.graph.trees, dtype)
    start = spread(start, run.slots, tape.places)
    layout, signals = tape.nodes.layout, None
    given = check.mapping("d_signals", d_signals, run.cell.node.signals)
    if given:
        full = np.zeros(tape.nodes.values.shape, dtype)
        still = {s: np.zeros(run.graph.nodes, dtype) for s in run.cell.node.signals}
        ordered = {name: np.asarray(a)[None, levels.order] for name, a in (still | given).items()}
        write_signals(run.cell.node, layout, full, ordered, None, NO_LENGTHS, False, prefix="d_")
        signals = full[..., layout.signals[0].offset :]
    of_node, of_arc = run.cell.apart(move)
    moves: tuple[Flat, Flat | None] = (
        flatten(layout, of_node, dtype),
        None if tape.arcs is None else flatten(tape.arcs.layout, of_arc, dtype),
    )
    after = tree_pass.tangent(tape, moves, x, start, signals)
    return TreeTangent(Views(run.by_node(after), run.slots), run.cell.output)


def jacobian(run: TreeRun, arcs: slice | Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """Jacobians of the state of a parent by the state of its child.

    Parameters
    ----------
    run : TreeRun
    arcs : slice or indices, optional
        Which arcs, as numbered in ``run.graph.source`` and ``run.graph.target``; all by default. All of them take
        arcs * S * S numbers, S the sum of the widths of the slots.

    Returns
    -------
    ndarray (arcs, S, S)
        Slots in the order of ``run.cell.state``.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.recursive(2)
    >>> tree = rd.trees.from_nested(((), ()))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.zeros((3, 3), "float32"))
    >>> bool(np.allclose(rd.trees.jacobian(run)[1], run.params["U"][:, 4:]))    # tanh'(0) U of the second child
    True
    """
    levels = run_of(run).graph.levels
    every = np.empty_like(levels.given)
    every[levels.given] = np.arange(len(levels.given))
    try:
        chosen = (
            every if arcs is None else every[arcs if isinstance(arcs, slice) else np.asarray(arcs, np.int64)]
        )
    except (IndexError, TypeError, ValueError) as error:
        raise ArgumentError("arcs", f"select some of the {len(every)} arcs", error) from None
    chosen = np.atleast_1d(chosen)
    size = sum(s.width for s in run.slots)
    if not chosen.size:
        return np.empty((0, size, size), run.dtype)
    J = tree_pass.jacobians(run.tape, chosen)
    if run.cell.children is None:
        return J
    places = levels.position[chosen]
    rows = np.concatenate([o + np.arange(w) for o, w in run.tape.spans.tolist()])
    columns = np.concatenate(
        [o + places[:, None] * w + np.arange(w) for o, w in run.tape.spans.tolist()], axis=1
    )
    return J[np.arange(len(chosen))[:, None, None], rows[:, None], columns[:, None, :]]
