"""A layer or a model one step at a time: compiled steps of its cells, with their parameters packed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..engine.linear import packed_linear
from ..engine.stepper_state import State
from ..engine.stepping import Stepper
from .table import FoldedEmbedding, embed

MOST_FOLDED = 1 << 12  # classes whose embedding is multiplied with W once, for all steps of a loop

Parents = NDArray[np.intp] | None
Step = Callable[[NDArray[Any], Sequence[State], Parents, list[State]], NDArray[Any]]


class Memory(NamedTuple):
    """What cells with attention read at every step: arrays (S, M, width) by name, and lengths (M,) or None."""

    arrays: Mapping[str, NDArray[Any]]
    lengths: NDArray[Any] | None


class Streamed(NamedTuple):
    """What makes a step.

    Attributes
    ----------
    steppers : list of Stepper
        One for each recurrent layer.
    step : callable
        ``step(x, before, parents, after)`` gives the output (M, K) of an input (M, N), or of class indices (M,), and
        appends the states after the step to a list. Row m comes from the row ``parents[m]`` of the states before; all
        rows come in their order where that is None. Each row has the same bits whatever the other rows are.
    table : ndarray (V, E), optional
        Of an embedding.
    folded : callable, optional
        What reads class indices in place of the rows of a table (V, E), which it takes.
    """

    steppers: list[Stepper]
    step: Step
    table: NDArray[Any] | None = None
    folded: Callable[[NDArray[Any]], Streamed] | None = None


def of_cell(cell: Cell, params: Mapping[str, NDArray[Any]], memory: Memory | None = None) -> Streamed:
    """A cell; class indices stand for one-hot vectors."""
    read: dict[str, NDArray[Any]] | None = None
    if cell.memory:
        read = {m.name: memory.arrays[m.name] for m in cell.memory} if memory is not None else {}
    lengths = memory.lengths if memory is not None and cell.memory else None
    stepper, name = Stepper(cell, params, read, lengths), cell.output or cell.state[0]

    def step(x: NDArray[Any], before: Sequence[State], parents: Parents, after: list[State]) -> NDArray[Any]:
        after.append(stepper.branch(x, before[0], parents))
        return after[-1][name]

    def folded(table: NDArray[Any]) -> Streamed:
        product = FoldedEmbedding(np.asarray(table), np.asarray(params["W"])).product()
        return of_cell(cell, {**params, "W": product}, memory)

    # A cell that reads its input as it is needs the vectors themselves.
    return Streamed([stepper], step, folded=folded if "W" in params and "x" not in cell.signals else None)


def pointwise(function: Callable[[NDArray[Any]], NDArray[Any]]) -> Streamed:
    """A function of the rows of a layer's input."""
    return Streamed([], lambda x, before, parents, after: function(x))


def of_linear(W: NDArray[Any], b: NDArray[Any] | None) -> Streamed:
    """``W x + b``."""
    return pointwise(packed_linear(W, np.zeros(len(W), W.dtype) if b is None else b))


def of_table(table: NDArray[Any]) -> Streamed:
    """An embedding."""
    table = np.array(table)
    return pointwise(lambda x: embed(table, x))._replace(table=table)


def of_identity() -> Streamed:
    """What changes nothing in evaluation."""
    return pointwise(lambda x: x)


def in_a_chain(parts: Sequence[Streamed]) -> Streamed:
    """One behind another. An embedding is folded into the matrix of the layer behind it, unless it is large."""
    first, *rest = parts
    if rest and first.table is not None and rest[0].folded is not None:
        if len(first.table) <= MOST_FOLDED:
            parts = [rest[0].folded(first.table), *rest[1:]]
    places = _places(parts)

    def step(x: NDArray[Any], before: Sequence[State], parents: Parents, after: list[State]) -> NDArray[Any]:
        for part, own in zip(parts, places, strict=True):
            x = part.step(x, before[own], parents, after)
        return x

    def folded(table: NDArray[Any]) -> Streamed:
        assert parts[0].folded is not None
        return in_a_chain([parts[0].folded(table), *parts[1:]])

    return Streamed(_steppers(parts), step, folded=None if parts[0].folded is None else folded)


def side_by_side(parts: Sequence[Streamed]) -> Streamed:
    """All on one input, their outputs beside each other."""
    places = _places(parts)

    def step(x: NDArray[Any], before: Sequence[State], parents: Parents, after: list[State]) -> NDArray[Any]:
        outputs = [part.step(x, before[own], parents, after) for part, own in zip(parts, places, strict=True)]
        return np.concatenate(outputs, axis=-1)

    return Streamed(_steppers(parts), step)


def around(part: Streamed) -> Streamed:
    """The input added to the output."""
    return Streamed(part.steppers, lambda x, before, parents, after: x + part.step(x, before, parents, after))


def _places(parts: Sequence[Streamed]) -> list[slice]:
    """Where the states of each part are among those of all."""
    ends = np.cumsum([len(part.steppers) for part in parts]).tolist()
    return [slice(end - len(part.steppers), end) for part, end in zip(parts, ends, strict=True)]


def _steppers(parts: Sequence[Streamed]) -> list[Stepper]:
    return [own for part in parts for own in part.steppers]
