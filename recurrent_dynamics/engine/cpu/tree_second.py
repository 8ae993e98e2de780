"""Second derivatives over the levels of a graph of rows: the tangent of the backward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...kernels.threads import POOL, launch
from ..flatten import Flat
from ..run import Tape
from . import tables, tree_second_loops
from .arguments import packed
from .tree_gradients import arc_gradients, node_gradients
from .tree_pass import (
    Moved,
    TreeCotangents,
    TreeTangents,
    TreeTape,
    Way,
    graph_arguments,
    initial_gradient,
    split_of,
)


def second(tape: TreeTape, moved: TreeTangents, back: TreeCotangents, after: np.ndarray) -> TreeCotangents:
    """The tangent of `tree_pass.adjoint` in the direction of `moved`.

    `after` (rows, k) arrives with the tangents of the cotangents from outside and gets the sums.
    """
    split, levels, nodes, arcs = split_of(tape), tape.levels, _of_numbers(tape.nodes), tape.arcs
    row_of = levels.target if arcs is None else np.arange(len(levels.source))
    with POOL:
        way = of_arcs = Way.of(nodes, after)
        t_packed = packed(nodes, moved.nodes.move.matrices, True).U
        shared = np.empty_like(back.shared)
        if arcs is not None:
            of_arcs = Way.of(arcs, np.empty_like(back.of_arcs.after))
        begin, _, position, _, _, spans, _, index, counters = graph_arguments(tape)
        first = tables.products_by_operand(nodes.cell, nodes.layout)[0]

        def arguments(one: Tape, by: Way, d: Way, t: Moved, t_packed: np.ndarray) -> tuple[object, ...]:
            arrays = (one.values, one.before, t.values, t.before, t.move.vectors, d.values, d.after)
            own = (by.values, by.before, by.after, by.vectors)
            return (*by.cell_arguments(one, "second"), t_packed, *(a.reshape(-1) for a in (*arrays, *own)))

        of_node = arguments(nodes, way, back.way, moved.nodes, t_packed)
        of_arc = of_node
        if arcs is not None and moved.arcs is not None:
            q_packed = packed(arcs, moved.arcs.move.matrices, True).U
            of_arc = arguments(arcs, of_arcs, back.of_arcs, moved.arcs, q_packed)
        launch(
            split.threads, tree_second_loops.second,
            split.shared, split.bounds, begin, levels.target, position, row_of, *levels.leaving, spans, index, counters,
            first, arcs is not None, shared.reshape(-1), shared.shape[1], *of_node, *of_arc[:3], *of_arc[4:],
        )  # fmt: skip
        d_initial = np.zeros_like(tape.initial)
        initial_gradient(tape, way.factors.U, way.factors.starts, way.before, way.values, d_initial)
        nothing = np.zeros_like(way.before)
        initial_gradient(tape, t_packed, way.factors.starts, nothing, back.values, d_initial)
        # Products of cotangents that move with what was read, and of cotangents with what moves.
        still, still_x = node_gradients(nodes, levels, way.values, way.vectors, True)
        moving, moving_x = node_gradients(
            _moving(nodes, moved.nodes, moved.x), levels, back.values, np.zeros_like(way.vectors), True
        )
        flat, x, arc_flat = _sum(still, moving), still_x + moving_x, None
        if arcs is not None and moved.arcs is not None:
            arc_flat = _sum(
                arc_gradients(nodes, arcs, levels, shared, of_arcs.values, of_arcs.vectors, x),
                arc_gradients(
                    replace(nodes, input=moved.x[None]), _moving(arcs, moved.arcs, moved.x), levels, back.shared,
                    back.of_arcs.values, np.zeros_like(of_arcs.vectors), x,
                ),
            )  # fmt: skip
    return TreeCotangents(flat, arc_flat, x, after, d_initial, way, of_arcs, shared)


def _of_numbers(tape: Tape) -> Tape:
    """The tape with one-hot vectors in place of class indices, as the sums of two kinds of products take them."""
    return replace(tape, input=tape.x) if tape.has_classes else tape


def _moving(tape: Tape, moved: Moved, x: np.ndarray) -> Tape:
    """The tape with the tangents of all that products read."""
    return replace(tape, input=x[None], values=moved.values, before=moved.before, W=moved.move.W)


def _sum(still: Flat, moving: Flat) -> Flat:
    """Both products; the bias and the vectors have one factor alone, which is in the first."""
    return still._replace(W=still.W + moving.W, matrices=still.matrices + moving.matrices)
