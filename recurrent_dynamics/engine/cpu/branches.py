"""A step of rows that branch from others: what of a step needs no input, and the two parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout, Span
from ...equations.schedule import operand_name
from ...equations.variables import ROW_OF_LEAF, leaf_variable, targets
from ...kernels import memory
from ...kernels.copying import are_finite
from ...kernels.threads import POOL, launch, threads_for
from . import branch_loops, classes
from .arguments import NO_CLASSES
from .work_split import step_flops


class Input(NamedTuple):
    """What is multiplied with W: numbers (m * n,); or class indices (m,), whose biases (classes * g,) hold W."""

    x: np.ndarray
    n: int
    bias: np.ndarray
    classes: np.ndarray


class Branches:
    """Steps of rows that branch from others, with the parameters that `streaming.prepare` has packed."""

    def __init__(self, cell: Cell, layout: Layout, own_W: np.ndarray, packed: tuple[Any, ...]) -> None:
        rows, active, widths, k, e, n, g, drives, stages, products, W, bias, _, U, starts, P, C = packed
        begin = input_stage(cell)
        weightless = np.concatenate([np.zeros(g, bias.dtype), bias[g:drives]])  # W and its bias come later
        self._of_parents = (rows, active, widths, k, e, drives, begin, products, weightless, U, starts, P, C)
        self._of_cell = rows, active, widths, k, e
        self._stages, self._factors = (begin, stages, products, W), (U, starts, P, C)
        self._g, self._size, self._n, self._bias = g, e, n, bias[:g].copy()
        self._flops, self._W = step_flops(layout), own_W
        self._values, self._slots = read_later(cell, layout, begin)
        self._biases: np.ndarray | None = None

    def of_numbers(self, x: np.ndarray) -> Input:
        """An input (m, n)."""
        return Input(x.reshape(-1), self._n, self._bias, NO_CLASSES)

    def of_classes(self, x: np.ndarray) -> Input:
        """Class indices (m,) in 0..n-1 as input."""
        if self._biases is None:
            self._biases = classes.biases(self._W, self._bias)
        return Input(self._bias[:0], 0, self._biases, x)

    def step(
        self,
        read: Input,
        parents: np.ndarray,
        memories: tuple[np.ndarray, np.ndarray],
        before: np.ndarray,
        after: np.ndarray,
        weights: Span | None,
    ) -> tuple[bool, np.ndarray]:
        """Write the states `after` (m, k) of rows that branch from the rows `parents` (m,) of `before` (n, k).

        Returns whether all numbers are finite, and the weights (m, width) of the attention, if asked for.
        """
        shared = np.flatnonzero(np.bincount(parents, minlength=len(before)))
        span = (0, 0) if weights is None else (weights.offset, weights.width)
        found = np.empty((len(parents), span[1]), before.dtype)
        spans = self._values if weights is None else np.append(self._values, span)
        values = memory.empty((len(before) * self._size,), before.dtype)
        with POOL:
            launch(
                threads_for(len(shared), self._flops), branch_loops.of_parents, *self._of_parents, *memories, values,
                before.reshape(-1), shared, NO_CLASSES,
            )  # fmt: skip
            threads = threads_for(len(parents), self._flops)
            checksums = np.empty(threads, before.dtype)
            begin, stages, products, W = self._stages
            launch(
                threads, branch_loops.of_children, *self._of_cell, read.n, self._g, begin, stages, products, W,
                read.bias, read.classes, *self._factors, *memories, spans, self._slots, read.x, values,
                before.reshape(-1), after.reshape(-1), parents, *span, found.reshape(-1), checksums,
            )  # fmt: skip
        return are_finite(checksums), found


def _leaves(cell: Cell) -> Iterator[tuple[int, str, str]]:
    """(stage, "values" or "state", name) of all that a program, a product or a read of a stage reads."""
    schedule = cell.schedule
    nodes = schedule.graph.nodes
    for target in targets(schedule, cell):
        todo, seen = [target.node], set[int]()
        while todo:
            index = todo.pop()
            if index in seen:
                continue
            seen.add(index)
            variable = leaf_variable(schedule, target.stage, index)
            if variable is None:
                todo += [a for a in nodes[index].arguments if isinstance(a, int)]
            else:
                yield target.stage, variable.row, variable.name
    for p in schedule.products:
        for i in p.operand:
            if nodes[i].kind in ROW_OF_LEAF:
                yield p.stage, ROW_OF_LEAF[nodes[i].kind], nodes[i].arguments[0]
            if i in schedule.stored:  # a copy beside other operands
                yield p.stage, "values", operand_name(i)


@lru_cache(maxsize=1024)
def input_stage(cell: Cell) -> int:
    """The first stage of a step that reads the input, or a signal, or the one that a row kernel computes with it."""
    given = {p.name for p in cell.schedule.preactivations if p.input} | set(cell.signals)
    stages = [stage for stage, row, name in _leaves(cell) if row == "values" and name in given]
    return cell.schedule.joined[min(stages, default=cell.schedule.stages)]


@lru_cache(maxsize=1024)
def read_later(cell: Cell, layout: Layout, begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Offset and width, one after the other, of the values and of the slots that the stages from `begin` on read.

    Values that the input enters are left out; they come first. Those that a product adds to are read.
    """
    read = {(row, name) for stage, row, name in _leaves(cell) if stage >= begin}
    read |= {("values", p.target) for p in cell.schedule.products if p.stage >= begin}
    values = [s for s in layout.values if ("values", s.name) in read and s.offset >= layout.input_rows]
    slots = [s for s in layout.slots if ("state", s.name) in read]
    return _stretches(values), _stretches(slots)


def _stretches(spans: list[Span]) -> np.ndarray:
    return np.array([number for s in spans for number in (s.offset, s.width)], np.int64)
