"""The passes over the levels of a graph of rows, see `tree_loops`: from the tapes of nodes and arcs to new arrays.

A tape of one step has the rows as its instances. So all that is computed row by row (drives, local Jacobians, gradients
by parameters) takes it as it takes the tape of a run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.microkernel import TILE_ROWS
from ...kernels.threads import POOL, launch, threads_for
from ..flatten import Flat, empty
from ..levels import Levels
from ..run import Tape
from . import tree_loops, weight_gradients
from .arguments import Factors, drive_input, first_arguments, packed, sizes
from .backward_pass import DONE, WRITE, StepArrays, add_gradients, from_classes, new_input
from .groups import enough_groups
from .tables import drives_size
from .verbs import dense_jacobian, values_of_moved_parameters
from .work_split import step_flops


@dataclass(frozen=True, eq=False)
class TreeTape:
    """The arrays of a run over a graph: a tape of its nodes, one of its arcs if those have a cell, both of one step."""

    levels: Levels
    nodes: Tape
    arcs: Tape | None
    spans: np.ndarray  # (slots, 2): offset, and width of each place; see `tree_loops._gather`
    places: int
    initial: np.ndarray  # (trees, k)


class TreeCotangents(NamedTuple):
    """Derivatives by everything on the tapes. Those by values are of nodes; `x` of arcs is that of their targets."""

    nodes: Flat
    arcs: Flat | None
    x: np.ndarray  # (rows, N); (rows, 0) for class indices
    x_of_arcs: np.ndarray | None
    values: np.ndarray  # (rows, e)
    before: np.ndarray  # (rows, k)
    after: np.ndarray  # (rows, k)
    messages: np.ndarray | None  # (arcs, k): by what arcs bring
    initial: np.ndarray  # (trees, k)


class _Split(NamedTuple):
    threads: int
    shared: bool
    bounds: np.ndarray


def _split(tape: TreeTape) -> _Split:
    flops = step_flops(tape.nodes.layout) + (step_flops(tape.arcs.layout) if tape.arcs else 0)
    threads = threads_for(tape.nodes.batch, flops)
    bounds, shared = tape.levels.bounds(threads)
    return _Split(threads, shared, bounds)


def _graph(tape: TreeTape) -> tuple[Any, ...]:
    """The arguments that say where the state before each row comes from."""
    levels = tape.levels
    brings = levels.source if tape.arcs is None else np.arange(len(levels.source))
    position = levels.position if tape.places > 1 else np.zeros_like(levels.position)
    return (
        levels.begin, levels.source, position, brings, tape.places, tape.spans, levels.tree,
        _index(np.arange(max(len(levels.tree), len(levels.source)))), new_counters(),
    )  # fmt: skip


def _index(rows: np.ndarray) -> np.ndarray:
    """A list of rows as products take it, see `kernels.product.new_index`."""
    return np.concatenate([np.arange(TILE_ROWS), rows])


def _flat(*arrays: np.ndarray) -> list[np.ndarray]:
    return [a.reshape(-1) for a in arrays]


def _cell_arguments(tape: Tape, verb: str, factors: Factors) -> tuple[Any, ...]:
    """`first_arguments` as the loops over levels take them: without numbers of steps and instances."""
    rows, active, widths, _, _, k, e, *rest = first_arguments(tape, verb, factors)
    return (rows, active, widths, k, e, *rest, tape.vectors, tape.constants)


def _of_arcs(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of the cell of the arcs; the width of the state is that of the nodes."""
    return (*arguments[:3], *arguments[4:])


def forward(tape: TreeTape) -> bool:
    """Fill values, states before and after of both tapes. Returns True if all states are finite."""
    split = _split(tape)
    checksums = np.zeros(split.threads, tape.nodes.dtype)

    def of(one: Tape) -> tuple[Any, ...]:
        x, g = drive_input(one.layout, one.input, one.W, one.bias), one.layout.input_rows
        factors = packed(one, one.matrices, False, x.n, g)
        return (
            *_cell_arguments(one, "forward", factors), *_flat(one.values, one.before, one.after), x.x, factors.W,
            x.bias, x.classes, x.n, g, drives_size(one.layout),
        )  # fmt: skip

    with POOL:
        nodes = of(tape.nodes)
        arcs = nodes if tape.arcs is None else of(tape.arcs)
        launch(
            split.threads, tree_loops.forward,
            split.shared, split.bounds, *_graph(tape), checksums, tape.initial.reshape(-1), tape.arcs is not None,
            *nodes, *_of_arcs(arcs),
        )  # fmt: skip
    return are_finite(checksums)


def adjoint(tape: TreeTape, after: np.ndarray) -> TreeCotangents:
    """The backward pass; `after` (rows, k) arrives with the cotangents from outside and gets the sums."""
    split = _split(tape)
    levels, nodes = tape.levels, tape.nodes
    row_of = levels.target if tape.arcs is None else np.arange(len(levels.source))
    leaving, arcs = levels.leaving

    def of(one: Tape, d_after: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[Any, ...]]:
        _, rows, k, e = sizes(one)
        made = memory.empty((rows, e), one.dtype), memory.zeros((rows, k), one.dtype)
        vectors = np.zeros((rows, one.layout.vectors_size), one.dtype)
        factors = packed(one, one.matrices, True)
        arguments = _cell_arguments(one, "adjoint", factors)
        arrays = _flat(one.values, one.before, *made, d_after, vectors)
        return (*made, vectors), (*arguments, *arrays)

    with POOL:
        (values, before, vectors), of_nodes = of(nodes, after)
        of_arcs, messages = of_nodes, None
        if tape.arcs is not None:
            messages = memory.empty((tape.arcs.batch, tape.arcs.layout.state_size), nodes.dtype)
            (arc_values, arc_before, arc_vectors), of_arcs = of(tape.arcs, messages)
        begin, _, position, _, _, spans, tree, index, counters = _graph(tape)
        launch(
            split.threads, tree_loops.adjoint,
            split.shared, split.bounds, begin, levels.target, position, row_of, leaving, arcs, spans, index, counters,
            tape.arcs is not None, *of_nodes, *_of_arcs(of_arcs),
        )  # fmt: skip
        d_initial = np.zeros_like(tape.initial)
        tree_loops.initial_adjoint(
            begin, position, tape.places, spans, tree, before.reshape(-1), d_initial.reshape(-1),
            nodes.layout.state_size,
        )  # fmt: skip
        groups = _groups(nodes, levels)
        flat, x = _by_parameters(nodes, values, before, after, vectors, groups)
        arc_flat = x_of_arcs = None
        if tape.arcs is not None and messages is not None:
            every = np.arange(tape.arcs.batch), np.array([0, tape.arcs.batch])
            arc_flat, x_of_arcs = _by_parameters(
                tape.arcs, arc_values, arc_before, messages, arc_vectors, every
            )
    return TreeCotangents(flat, arc_flat, x, x_of_arcs, values, before, after, messages, d_initial)


def _groups(tape: Tape, levels: Levels) -> tuple[np.ndarray, np.ndarray]:
    """Rows in groups of whole trees; their number does not depend on the number of threads."""
    biases = tape.layout.input_size * drives_size(tape.layout) * tape.dtype.itemsize  # of classes
    count = enough_groups(
        tape.matrices.nbytes + (biases if tape.has_classes else tape.W.nbytes), levels.trees
    )
    return levels.groups(count)


def _by_parameters(
    tape: Tape,
    values: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    vectors: np.ndarray,
    groups: tuple[np.ndarray, np.ndarray],
) -> tuple[Flat, np.ndarray]:
    """The gradients by the parameters and by the input, from the cotangents of values and states of all rows."""
    flat = empty(tape.layout, tape.dtype)
    rows, ends = groups
    x = np.empty((1, tape.batch, 0), tape.dtype) if tape.has_classes else new_input(tape)
    if tape.has_classes:
        of_classes = np.empty(tape.layout.input_size * drives_size(tape.layout), tape.dtype)
        flat = flat._replace(W=flat.W[:0], bias=of_classes)
    given = DONE if tape.has_classes else WRITE
    sums = weight_gradients.group_sums(len(ends) - 1, (flat.W, flat.matrices, flat.bias))
    arrays = StepArrays.of(tape.input, tape.values, tape.before, x, before, after, values)
    add_gradients(tape, sums, arrays, tape.W, (_index(rows), ends), given, first_time=True, last_time=True)
    if tape.has_classes:
        flat = from_classes(tape, flat)
    return flat._replace(vectors=vectors.sum(axis=0)), x[0]


def tangent(
    tape: TreeTape,
    moves: tuple[Flat, Flat | None],
    x: np.ndarray,
    initial: np.ndarray,
    signals: np.ndarray | None,
) -> np.ndarray:
    """The tangents of the states after all rows (rows, k).

    They come from those of the parameters of nodes and arcs, of the input (rows, N), of the initial states (trees, k)
    and of the signals.
    """
    split = _split(tape)

    def of(
        one: Tape, move: Flat, x: np.ndarray, signals: np.ndarray | None
    ) -> tuple[np.ndarray, tuple[Any, ...]]:
        values = values_of_moved_parameters(one, move, x, signals)
        _, rows, k, _ = sizes(one)
        before, after = memory.empty((rows, k), one.dtype), memory.empty((rows, k), one.dtype)
        arguments = _cell_arguments(one, "tangent", packed(one, one.matrices, False))
        return after, (*arguments, *_flat(one.values, one.before, values, before, after), move.vectors)

    with POOL:
        after, nodes = of(tape.nodes, moves[0], x, signals)
        arcs = nodes
        if tape.arcs is not None and moves[1] is not None:
            _, arcs = of(tape.arcs, moves[1], np.ascontiguousarray(x[tape.levels.target]), None)
        launch(
            split.threads, tree_loops.tangent,
            split.shared, split.bounds, *_graph(tape), initial.reshape(-1), tape.arcs is not None, *nodes,
            *_of_arcs(arcs),
        )  # fmt: skip
    return after


def jacobians(tape: TreeTape, arcs: np.ndarray) -> np.ndarray:
    """The derivative of the state of the target of each of some arcs by the state of its source: (arcs, k, k).

    With places, all columns of the state before the target.
    """
    of_nodes = dense_jacobian(_some(tape.nodes, tape.levels.target[arcs]), np.zeros(1, np.int64))[0]
    if tape.arcs is None:
        return of_nodes
    return of_nodes @ dense_jacobian(_some(tape.arcs, arcs), np.zeros(1, np.int64))[0]


def _some(tape: Tape, rows: np.ndarray) -> Tape:
    """A tape of some rows of a tape of one step."""
    return replace(
        tape, batch=len(rows), values=tape.values[:, rows], before=tape.before[:, rows], after=tape.after[:, rows],
        input=tape.input[:, rows],
    )  # fmt: skip
