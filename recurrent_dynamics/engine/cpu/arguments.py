"""What the kernels take of a tape: its sizes, its equations, matrices packed, the input."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...cells import Cell
from .. import blocks
from ..run import Tape
from . import classes, tables, walks
from .pool import POOL, launch
from .rows import BUILT, Equations
from .tables import drives_size

NO_CLASSES = np.empty(0, np.int64)
LARGE = 1 << 16  # entries of matrices that all threads pack: half the time from 128 units on


class Input(NamedTuple):
    """What the drives take of the input: n numbers a row, times W, and of the bias, or of a bias for each class."""

    x: np.ndarray
    n: int
    bias: np.ndarray
    classes: np.ndarray


@lru_cache(maxsize=1024)
def equations(cell: Cell) -> Equations:
    """The compiled form's handle of a cell."""
    return Equations(cell)


def state_arrays(
    steps: int, batch: int, k: int, dtype: np.dtype, separate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(before, after): two views of one array one step apart, or with resets two arrays."""
    if separate:
        return blocks.empty((steps, batch, k), dtype), blocks.empty((steps, batch, k), dtype)
    both = blocks.empty((steps + 1, batch, k), dtype)
    return both[:-1], both[1:]


def sizes(tape: Tape) -> tuple[int, int, int, int]:
    return tape.steps, tape.batch, tape.layout.state_size, tape.layout.values_size


class Factors(NamedTuple):
    """Matrices as the products need them: blocks of U, where each begins, and W."""

    U: np.ndarray
    starts: np.ndarray
    W: np.ndarray


def packed(tape: Tape, matrices: np.ndarray, transposed: bool, n: int = 0, g: int = 0) -> Factors:
    """Blocks of U and, unless n or g is 0, W; inside of `POOL`."""
    products, W = tables.products(tape.cell, tape.layout), tape.W.reshape(-1)
    threads = POOL.available() if matrices.size + n * g >= LARGE else 1
    return Factors(
        *launch(threads, walks.pack_factors, BUILT, products, matrices, W, n, g, transposed, threads)
    )


def first_arguments(tape: Tape, factors: Factors, steps: int | None = None) -> tuple[Any, ...]:
    """The first arguments of every walk, through so many steps or all; those that go back need U transposed."""
    every, batch, k, e = sizes(tape)
    stages, products = tape.cell.schedule.stages, tables.products(tape.cell, tape.layout)
    return (
        equations(tape.cell), tables.widths(tape.layout), steps or every, batch, k, e, stages, products, factors.U,
        factors.starts,
    )  # fmt: skip


def own_arguments(tape: Tape, transposed: bool) -> tuple[Any, ...]:
    """`first_arguments` with the tape's own U."""
    return first_arguments(tape, packed(tape, tape.matrices, transposed))


def drive_input(tape: Tape) -> Input:
    """With class indices the products with W are rows of W^T, a bias for each class."""
    if not tape.has_classes:
        return Input(tape.input.reshape(-1), tape.layout.input_size, tape.bias, NO_CLASSES)
    biases = classes.biases(tape.W, tape.bias[: drives_size(tape.layout)])
    return Input(np.empty(0, tape.dtype), 0, biases, tape.input.reshape(-1))


def new_values(shape: tuple[int, int, int], dtype: np.dtype, held: bool) -> np.ndarray:
    """Values of all steps; zeros where steps are held, as those are not computed."""
    return (blocks.zeros if held else blocks.empty)(shape, dtype)


def plain(a: np.ndarray) -> np.ndarray:
    """C-contiguous, aligned, writeable: any other array would be another type to the compiler, compiled for anew."""
    return a if a.flags.carray else np.array(a, order="C")
