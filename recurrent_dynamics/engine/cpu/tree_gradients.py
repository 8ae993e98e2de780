"""The gradients by the parameters and by the input after a backward pass over levels.

What is zero is left out: the state before the rows of the lowest level, where the initial states are 0. The input of
the cell of the arcs is that of their targets, so its products have the sums over the arcs that lead to each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...kernels.microkernel import TILE_ROWS
from ...kernels.threads import launch, threads_for
from ..flatten import Flat, empty
from ..levels import Levels
from ..run import Tape
from . import tables, weight_gradients
from .arguments import NO_CLASSES
from .backward_pass import from_classes, new_input
from .groups import enough_groups
from .tables import INPUT, OPERAND, STATE, drives_size
from .work_split import step_flops

Groups = tuple[np.ndarray, np.ndarray]


@dataclass
class _Sums:
    """Launches of `weight_gradients.gradients` for a tape, each for some products and rows."""

    tape: Tape

    def __call__(
        self,
        products: np.ndarray,
        rows: Groups,
        values: np.ndarray,
        totals: tuple[np.ndarray, np.ndarray, np.ndarray],
        x: np.ndarray,
        d_x: np.ndarray | None = None,
        write: bool = False,
    ) -> None:
        """Set totals (W, matrices, bias) to the sums over the rows; write or add to d_x unless it is None."""
        tape, layout, (index, ends) = self.tape, self.tape.layout, rows
        has_classes = x.dtype.kind == "i"
        g = 0 if d_x is None or has_classes else layout.input_rows
        nothing = np.empty(0, tape.dtype)
        numbers, classes = (nothing, x.reshape(-1)) if has_classes else (x.reshape(-1), NO_CLASSES)
        threads = threads_for(len(index), 2 * step_flops(layout))
        index = np.concatenate([np.arange(TILE_ROWS), index])
        launch(
            threads, weight_gradients.gradients,
            products, values.reshape(-1), numbers, tape.W.reshape(-1), tape.before.reshape(-1), tape.values.reshape(-1),
            nothing if d_x is None else d_x.reshape(-1), *weight_gradients.group_sums(len(ends) - 1, totals), classes,
            index, ends, layout.input_size, g, drives_size(layout), layout.state_size, values.shape[1], write, True,
            True,
        )  # fmt: skip


def _new(tape: Tape, has_classes: bool) -> Flat:
    """Flat gradients to be filled; with class indices a bias for each class, see `from_classes`."""
    flat = empty(tape.layout, tape.dtype)
    if has_classes:
        of_classes = np.empty(tape.layout.input_size * drives_size(tape.layout), tape.dtype)
        flat = flat._replace(W=flat.W[:0], bias=of_classes)
    return flat


def _group_count(tape: Tape, levels: Levels) -> int:
    """Groups of rows with sums of their own; their number does not depend on the number of threads."""
    biases = tape.layout.input_size * drives_size(tape.layout) * tape.dtype.itemsize  # of classes
    size = tape.matrices.nbytes + (biases if tape.has_classes else tape.W.nbytes)
    return enough_groups(size, levels.trees)


def node_gradients(
    tape: Tape, levels: Levels, values: np.ndarray, vectors: np.ndarray, has_initial: bool
) -> tuple[Flat, np.ndarray]:
    """(gradients by the parameters of the nodes, by the input (rows, N)), from the cotangents of the values."""
    flat, count = _new(tape, tape.has_classes), _group_count(tape, levels)
    x = np.empty((1, tape.batch, 0), tape.dtype) if tape.has_classes else new_input(tape)
    products = tables.parameter_products(tape.cell, tape.layout)
    of_state = products[:, OPERAND] == STATE
    of_input = products[:, OPERAND] == INPUT
    first = ~of_state & ~of_input if tape.has_classes else ~of_state
    sums, add = np.empty_like(flat.matrices), _Sums(tape)
    add(
        products[first], levels.groups(count), values, (flat.W, flat.matrices, flat.bias), tape.input, x, True
    )
    if of_state.any():
        rows = levels.groups(count, has_initial)
        add(products[of_state], rows, values, (flat.W[:0], sums, flat.bias[:0]), tape.input[:, :0])
        np.add(flat.matrices, sums, out=flat.matrices)
    if tape.has_classes:
        flat = from_classes(tape, flat)
    return flat._replace(vectors=vectors.sum(axis=0)), x[0]


def arc_gradients(
    nodes: Tape,
    arcs: Tape,
    levels: Levels,
    shared: np.ndarray,
    values: np.ndarray,
    vectors: np.ndarray,
    d_x: np.ndarray,
) -> Flat:
    """The gradients by the parameters of the arcs; that by the input of their targets is added to d_x (rows, N).

    `shared` (rows, drives) are the cotangents of the drives, summed over the arcs that lead to a row.
    """
    flat = _new(arcs, nodes.has_classes)
    products, add = tables.parameter_products(arcs.cell, arcs.layout), _Sums(arcs)
    of_input = products[:, OPERAND] == INPUT
    first = products[of_input & (not nodes.has_classes)]
    none = flat.matrices[:0]
    inner = levels.groups(_group_count(arcs, levels), False)
    add(first, inner, shared, (flat.W, none, flat.bias), nodes.input, d_x)
    every = np.arange(arcs.batch), np.array([0, arcs.batch])
    add(products[~of_input], every, values, (flat.W[:0], flat.matrices, flat.bias[:0]), nodes.input[:, :0])
    if nodes.has_classes:
        flat = from_classes(arcs, flat)
    return flat._replace(vectors=vectors.sum(axis=0))
