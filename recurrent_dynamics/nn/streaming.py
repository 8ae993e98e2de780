"""A layer or a model one step at a time: compiled steps of its cells, with their parameters packed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..engine.stepper import State, Stepper
from .table import embed

Step = Callable[[NDArray[Any], Sequence[State], Sequence[State]], NDArray[Any]]


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
        ``step(x, before, after)`` gives the output (B, M) of an input (B, N), or of class indices (B,), and writes the
        states after the step. Each row has the same bits whatever the other rows are.
    products : int
        Multiplications of a step for each row.
    """

    steppers: list[Stepper]
    step: Step
    products: int


def of_cell(cell: Cell, params: Mapping[str, NDArray[Any]], memory: Memory | None = None) -> Streamed:
    """A cell; class indices stand for one-hot vectors."""
    products = sum(np.size(a) for a in params.values())
    read: dict[str, NDArray[Any]] | None = None
    if cell.memory:
        read = {m.name: memory.arrays[m.name] for m in cell.memory} if memory is not None else {}
        products += sum(a[:, 0].size for a in read.values())
    lengths = memory.lengths if memory is not None and cell.memory else None
    step, name = Stepper(cell, params, read, lengths), cell.output or cell.state[0]
    return Streamed([step], lambda x, before, after: step(x, before[0], out=after[0])[name], products)


def of_linear(W: NDArray[Any], b: NDArray[Any] | None) -> Streamed:
    """``W x + b``."""
    W = np.array(W)
    b = np.zeros(len(W), W.dtype) if b is None else np.array(b)

    def step(x: NDArray[Any], before: Sequence[State], after: Sequence[State]) -> NDArray[Any]:
        # Products row by row: one with a matrix of several rows rounds otherwise, and a sequence would depend on
        # those beside it.
        y = np.empty((len(x), len(b)), W.dtype)
        np.matmul(W, x[:, :, None], out=y[:, :, None])
        y += b
        return y

    return Streamed([], step, W.size)


def of_table(table: NDArray[Any]) -> Streamed:
    """An embedding."""
    table = np.array(table)
    return Streamed([], lambda x, before, after: embed(table, x), 0)


def of_identity() -> Streamed:
    """What changes nothing in evaluation."""
    return Streamed([], lambda x, before, after: x, 0)


def in_a_chain(parts: Sequence[Streamed]) -> Streamed:
    """One behind another."""
    places = _places(parts)

    def step(x: NDArray[Any], before: Sequence[State], after: Sequence[State]) -> NDArray[Any]:
        for part, own in zip(parts, places, strict=True):
            x = part.step(x, before[own], after[own])
        return x

    return _together(parts, step)


def side_by_side(parts: Sequence[Streamed]) -> Streamed:
    """All on one input, their outputs beside each other."""
    places = _places(parts)

    def step(x: NDArray[Any], before: Sequence[State], after: Sequence[State]) -> NDArray[Any]:
        outputs = [part.step(x, before[own], after[own]) for part, own in zip(parts, places, strict=True)]
        return np.concatenate(outputs, axis=-1)

    return _together(parts, step)


def around(part: Streamed) -> Streamed:
    """The input added to the output."""
    return part._replace(step=lambda x, before, after: x + part.step(x, before, after))


def _places(parts: Sequence[Streamed]) -> list[slice]:
    """Where the states of each part are among those of all."""
    ends = np.cumsum([len(part.steppers) for part in parts]).tolist()
    return [slice(end - len(part.steppers), end) for part, end in zip(parts, ends, strict=True)]


def _together(parts: Sequence[Streamed], step: Step) -> Streamed:
    steppers = [own for part in parts for own in part.steppers]
    return Streamed(steppers, step, sum(part.products for part in parts))
