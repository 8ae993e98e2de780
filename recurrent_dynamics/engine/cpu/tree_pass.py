"""The passes over the levels of a graph of rows, see `tree_loops`: from the tapes of nodes and arcs to new arrays.

A tape of one step has the rows as its instances. So all that is computed row by row (drives, local Jacobians, gradients
by parameters) takes it as it takes the tape of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...kernels import memory
from ...kernels.barrier import new_counters
from ...kernels.copying import are_finite
from ...kernels.microkernel import TILE_ROWS
from ...kernels.threads import POOL, launch, threads_for
from ..flatten import Flat
from ..levels import Levels
from ..run import Tape
from . import tables, tree_loops
from .arguments import Factors, drive_input, first_arguments, packed, sizes
from .tables import drives_size
from .tree_gradients import arc_gradients, node_gradients
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

    @property
    def arcs_with_input(self) -> Tape:
        """The tape of the arcs with the input of their targets, which the passes above read from that of the nodes."""
        assert self.arcs is not None
        return replace(self.arcs, input=self.nodes.input[:, self.levels.target])


class Way(NamedTuple):
    """The cotangents that a backward pass fills, for all rows, with the packed matrices."""

    values: np.ndarray  # (rows, e)
    before: np.ndarray  # (rows, k)
    after: np.ndarray  # (rows, k)
    vectors: np.ndarray
    factors: Factors

    @classmethod
    def of(cls, tape: Tape, after: np.ndarray) -> Way:
        """New arrays; to be called inside of `POOL`."""
        _, rows, k, e = sizes(tape)
        vectors = np.zeros((rows, tape.layout.vectors_size), tape.dtype)
        values, before = memory.empty((rows, e), tape.dtype), memory.empty((rows, k), tape.dtype)
        return cls(values, before, after, vectors, packed(tape, tape.matrices, True))

    def cell_arguments(self, tape: Tape, verb: str) -> tuple[Any, ...]:
        return _cell_arguments(tape, verb, self.factors)

    def arguments(self, tape: Tape) -> tuple[Any, ...]:
        arrays = _flat(tape.values, tape.before, self.values, self.before, self.after, self.vectors)
        return (*self.cell_arguments(tape, "adjoint"), *arrays)


class TreeCotangents(NamedTuple):
    """Derivatives by the parameters of nodes and arcs, and by the input, values and states of the nodes."""

    nodes: Flat
    arcs: Flat | None
    x: np.ndarray  # (rows, N); (rows, 0) for class indices
    after: np.ndarray  # (rows, k)
    initial: np.ndarray  # (trees, k)
    way: Way
    of_arcs: Way  # that of the nodes where arcs have no cell
    shared: np.ndarray  # (rows, drives): of the drives of the arcs, summed over those that lead to a row

    @property
    def values(self) -> np.ndarray:
        """(rows, e) cotangents of the values of the nodes."""
        return self.way.values


class Moved(NamedTuple):
    """Tangents of the values, and of the states before and after, for all rows; the direction of the parameters."""

    values: np.ndarray  # (rows, e)
    before: np.ndarray  # (rows, k)
    after: np.ndarray  # (rows, k)
    move: Flat


class TreeTangents(NamedTuple):
    """Those of nodes and arcs, and of the input (rows, N)."""

    nodes: Moved
    arcs: Moved | None
    x: np.ndarray


class _Split(NamedTuple):
    threads: int
    shared: bool
    bounds: np.ndarray


def split_of(tape: TreeTape) -> _Split:
    flops = step_flops(tape.nodes.layout) + (step_flops(tape.arcs.layout) if tape.arcs else 0)
    threads = threads_for(tape.nodes.batch, flops)
    bounds, shared = tape.levels.bounds(threads)
    return _Split(threads, shared, bounds)


def graph_arguments(tape: TreeTape) -> tuple[Any, ...]:
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


def _of_arcs(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments of the cell of the arcs; the width of the state is that of the nodes."""
    return (*arguments[:3], *arguments[4:])


def forward(tape: TreeTape) -> bool:
    """Fill values, states before and after of both tapes. Returns True if all states are finite."""
    split, nodes = split_of(tape), tape.nodes
    checksums = np.zeros(split.threads, nodes.dtype)
    arguments: list[Any] = []
    with POOL:
        for one in (nodes, tape.arcs or nodes):
            x, g = drive_input(one.layout, nodes.input, one.W, one.bias), one.layout.input_rows
            factors = packed(one, one.matrices, False, x.n, g)
            arrays = _flat(one.values, one.before, one.after)
            of_input = (x.x, factors.W, x.bias, x.classes, x.n, g, drives_size(one.layout))
            arguments.append((*_cell_arguments(one, "forward", factors), *arrays, *of_input))
        begin, source, position, brings, *graph = graph_arguments(tape)
        *of_arcs, _, W, bias, _, _, g, drives = arguments[1]
        launch(
            split.threads, tree_loops.forward,
            split.shared, split.bounds, begin, source, tape.levels.target, position, brings, *graph, checksums,
            tape.initial.reshape(-1), _first_products(tape), tape.arcs is not None, *arguments[0],
            *_of_arcs(of_arcs), W, bias, g, drives,
        )  # fmt: skip
    return are_finite(checksums)


def _first_products(tape: TreeTape) -> np.ndarray:
    """The products of the lowest level: those with the initial states only where they are not 0."""
    nodes = tape.nodes
    if tape.initial.any():
        return tables.products(nodes.cell, nodes.layout)
    return tables.products_by_operand(nodes.cell, nodes.layout)[0]


def adjoint(tape: TreeTape, after: np.ndarray) -> TreeCotangents:
    """The backward pass; `after` (rows, k) arrives with the cotangents from outside and gets the sums."""
    split, levels, nodes, arcs = split_of(tape), tape.levels, tape.nodes, tape.arcs
    row_of = levels.target if arcs is None else np.arange(len(levels.source))
    with POOL:
        way = of_arcs = Way.of(nodes, after)
        shared = np.empty((0, 0), nodes.dtype)
        if arcs is not None:
            of_arcs = Way.of(arcs, memory.empty((arcs.batch, arcs.layout.state_size), nodes.dtype))
            shared = memory.empty((nodes.batch, drives_size(arcs.layout)), nodes.dtype)
        begin, _, position, _, _, spans, _, index, counters = graph_arguments(tape)
        launch(
            split.threads, tree_loops.adjoint,
            split.shared, split.bounds, begin, levels.target, position, row_of, *levels.leaving, spans, index, counters,
            tables.products_by_operand(nodes.cell, nodes.layout)[0], arcs is not None, shared.reshape(-1),
            shared.shape[1], *way.arguments(nodes), *_of_arcs(of_arcs.arguments(arcs or nodes)),
        )  # fmt: skip
        d_initial = np.zeros_like(tape.initial)
        initial_gradient(tape, way.factors.U, way.factors.starts, way.before, way.values, d_initial)
        flat, x = node_gradients(nodes, levels, way.values, way.vectors, bool(tape.initial.any()))
        arc_flat = None
        if arcs is not None:
            arc_flat = arc_gradients(nodes, arcs, levels, shared, of_arcs.values, of_arcs.vectors, x)
    return TreeCotangents(flat, arc_flat, x, after, d_initial, way, of_arcs, shared)


def initial_gradient(
    tape: TreeTape,
    U: np.ndarray,
    starts: np.ndarray,
    d_before: np.ndarray,
    d_values: np.ndarray,
    d_initial: np.ndarray,
) -> None:
    """Add the cotangents of the initial states to d_initial (trees, k), from those of states before and of values.

    U are the packed matrices with which those of the values are multiplied.
    """
    nodes, levels = tape.nodes, tape.levels
    begin, _, position, _, places, spans, tree, index, _ = graph_arguments(tape)
    layout = nodes.layout
    tree_loops.initial_adjoint(
        begin, position, places, spans, tree, index, int(levels.starts[1]), d_before.reshape(-1),
        d_initial.reshape(-1), layout.state_size, nodes.cell.schedule.stages,
        tables.products_by_operand(nodes.cell, layout)[1], U, starts, d_values.reshape(-1),
        np.zeros(levels.trees * layout.values_size, nodes.dtype), layout.values_size,
    )  # fmt: skip


def tangent(
    tape: TreeTape,
    moves: tuple[Flat, Flat | None],
    x: np.ndarray,
    initial: np.ndarray,
    signals: np.ndarray | None,
) -> TreeTangents:
    """The tangent pass.

    They come from those of the parameters of nodes and arcs, of the input (rows, N), of the initial states (trees, k)
    and of the signals.
    """
    split = split_of(tape)

    def of(one: Tape, move: Flat, x: np.ndarray, signals: np.ndarray | None) -> tuple[Moved, tuple[Any, ...]]:
        values = values_of_moved_parameters(one, move, x, signals)
        _, rows, k, e = sizes(one)
        before, after = memory.empty((rows, k), one.dtype), memory.empty((rows, k), one.dtype)
        arguments = _cell_arguments(one, "tangent", packed(one, one.matrices, False))
        moved = Moved(values.reshape(rows, e), before, after, move)
        return moved, (*arguments, *_flat(one.values, one.before, values, before, after), move.vectors)

    with POOL:
        of_nodes, nodes = of(tape.nodes, moves[0], x, signals)
        of_arcs, arcs = None, nodes
        if tape.arcs is not None and moves[1] is not None:
            of_arcs, arcs = of(
                tape.arcs_with_input, moves[1], np.ascontiguousarray(x[tape.levels.target]), None
            )
        launch(
            split.threads, tree_loops.tangent,
            split.shared, split.bounds, *graph_arguments(tape), initial.reshape(-1), tape.arcs is not None, *nodes,
            *_of_arcs(arcs),
        )  # fmt: skip
    return TreeTangents(of_nodes, of_arcs, x)


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
