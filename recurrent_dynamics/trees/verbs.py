"""What is computed from a run over trees: gradients, tangents, Jacobians."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, unmasked
from ..engine import check
from ..engine.arguments import some_cotangent, write_signals
from ..engine.cpu import tree_pass, tree_second
from ..engine.flatten import Flat, flatten, unflatten
from ..engine.run import Views
from ..kernels import memory
from ..kernels.copying import add_columns, gathered
from .cells import ARC
from .run import NodeViews, TreeGradients, TreeRun, TreeTangent, column_of
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
    return _gradients(run, tree_pass.adjoint(run_of(run).tape, cotangent(run, d_output, d_states)))


def _gradients(run: TreeRun, back: tree_pass.TreeCotangents) -> TreeGradients:
    """The derivatives by everything that went into a run, in the order of its nodes."""
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
        gathered(back.x, levels.rows) if run.has_input and not tape.nodes.has_classes else None,
        Views(run.all_places(back.initial), run.slots),
        NodeViews(run.all_places(back.after), levels.rows, run.slots),
        signals,
        run.graph,
    )


def run_of(run: Any) -> TreeRun:
    """A run over trees; an error for anything else."""
    if not isinstance(run, TreeRun):
        raise ArgumentTypeError("run", "be a TreeRun, as trees.forward returns", type(run).__name__)
    return run


def cotangent(
    run: TreeRun, d_output: np.ndarray | None, d_states: Arrays | None, suffix: str = ""
) -> np.ndarray:
    """(rows, k): the sum of the cotangents by row, those of a slot in its first place.

    Errors call them by their names with the suffix.
    """
    rows, dtype, order = run.graph.nodes, run.dtype, run.graph.levels.order
    out = memory.empty((rows, run.tape.nodes.layout.state_size), dtype)
    widths = {s.name: s.width for s in run.slots}
    fresh = True

    def add(name: str, value: Any, slot: str) -> None:
        nonlocal fresh
        a = check.real(name, value, dtype)
        check.shape(name, a, (rows, widths[slot]))
        if not add_columns(a, out, column_of(run, slot), fresh, index=order):
            check.finite(name, a)
        fresh = False

    if d_output is not None:
        add(f"d_output{suffix}", d_output, run.cell.output)
    for slot, value in check.mapping(f"d_states{suffix}", d_states, tuple(widths)).items():
        add(f"d_states{suffix}[{slot!r}]", value, slot)
    if fresh:
        out[...] = 0
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
    moved = _tangents(run_of(run), d_params, d_x, d_initial, d_signals)
    return TreeTangent(run.by_node(moved.nodes.after), run.cell.output)


def hvp(
    run: TreeRun,
    d_output: np.ndarray | None = None,
    d_params: Arrays | None = None,
    d_output_tangent: np.ndarray | None = None,
    *,
    d_x: np.ndarray | None = None,
    d_initial: Arrays | None = None,
    d_signals: Arrays | None = None,
    d_states: Arrays | None = None,
    d_states_tangent: Arrays | None = None,
) -> TreeGradients:
    """The tangent of `backward`: how the gradients move, for products with the Hessian.

    With `d_output_tangent` = (second derivative of the loss by the output) applied to `jvp(run, direction).output` the
    result is the Hessian of the whole loss times the direction (Pearlmutter 1994); without it, the cotangents count
    as constant.

    Parameters
    ----------
    run : TreeRun
    d_output, d_states
        The cotangents, as in `backward`.
    d_params, d_x, d_initial, d_signals
        The direction, as in `jvp`.
    d_output_tangent, d_states_tangent
        How the cotangents move in that direction.

    Returns
    -------
    TreeGradients

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6, 1994.

    Examples
    --------
    The Hessian of `|output of the root|^2 / 2` by the inputs of the leaves, applied to their sum:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.recursive(2)
    >>> tree = rd.trees.from_nested(((), ()))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((3, 3), "float32"))
    >>> root = np.zeros_like(run.output)
    >>> root[0] = 1
    >>> direction = np.ones((3, 3), "float32")
    >>> moved = rd.trees.jvp(run, d_x=direction).output
    >>> rd.trees.hvp(run, root * run.output, d_output_tangent=root * moved, d_x=direction).x.shape
    (3, 3)
    """
    some_cotangent("hvp", d_output, d_states, None)
    moved = _tangents(run_of(run), d_params, d_x, d_initial, d_signals)
    back = tree_pass.adjoint(run.tape, cotangent(run, d_output, d_states))
    change = cotangent(run, d_output_tangent, d_states_tangent, "_tangent")
    return _gradients(run, tree_second.second(run.tape, moved, back, change))


def _tangents(
    run: TreeRun,
    d_params: Arrays | None,
    d_x: np.ndarray | None,
    d_initial: Arrays | None,
    d_signals: Arrays | None,
) -> tree_pass.TreeTangents:
    """The tangent pass of a run, of a direction that is looked at."""
    tape, levels, dtype = run.tape, run.graph.levels, run.dtype
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
    return tree_pass.tangent(tape, moves, x, start, signals)


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
    unmasked("arcs", arcs)
    try:
        chosen = (
            every if arcs is None else every[arcs if isinstance(arcs, slice) else np.asarray(arcs, np.int64)]
        )
    except (IndexError, OverflowError, TypeError, ValueError) as error:
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
