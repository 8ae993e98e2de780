"""The arguments of the kernels, made from a tape: sizes, row kernel, packed matrices, input."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...cells import Cell
from ...cells.layout import Layout
from ...kernels import memory
from ...kernels.microkernel import panel_entries
from ...kernels.threads import POOL, launch
from ...kernels.tuning import current
from ..run import Tape
from . import classes, stage_products, tables
from .rows import row_kernel
from .tables import drives_size

NO_CLASSES = np.empty(0, np.int64)
_SHAPE = [tables.ROWS, tables.COLUMNS, tables.HEADS, tables.MATRIX]


class Input(NamedTuple):
    """The drives' part that needs no state: n numbers a row to multiply with W, and the bias, or one for each class."""

    x: np.ndarray
    n: int
    bias: np.ndarray
    classes: np.ndarray


def state_arrays(
    steps: int, batch: int, k: int, dtype: np.dtype, separate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(before, after): two views of one array one step apart, or with resets two arrays."""
    if separate:
        return memory.empty((steps, batch, k), dtype), memory.empty((steps, batch, k), dtype)
    both = memory.empty((steps + 1, batch, k), dtype)
    return both[:-1], both[1:]


def sizes(tape: Tape) -> tuple[int, int, int, int]:
    return tape.steps, tape.batch, tape.layout.state_size, tape.layout.values_size


class Factors(NamedTuple):
    """The packed matrices: blocks of U, where each begins, and W."""

    U: np.ndarray
    starts: np.ndarray
    W: np.ndarray


def packed(tape: Tape, matrices: np.ndarray, transposed: bool, n: int = 0, g: int = 0) -> Factors:
    """Pack the blocks of U and, unless n or g is 0, W; to be called inside of `POOL`."""
    threads = POOL.available() if matrices.size + n * g >= current().min_parallel_packing else 1
    return pack(tape.cell, tape.layout, matrices, tape.W, transposed, n, g, threads)


def pack(
    cell: Cell,
    layout: Layout,
    matrices: np.ndarray,
    W: np.ndarray,
    transposed: bool,
    n: int,
    g: int,
    threads: int,
) -> Factors:
    """Pack the blocks of U and W (g, n) as right factors, on `threads` threads; to be called inside of `POOL`."""
    dtype = matrices.dtype
    starts = _starts(cell, layout, dtype.itemsize, transposed)
    of_U = int(starts[-1])
    both = memory.empty((of_U + packed_entries(n, g, dtype.itemsize, transposed),), dtype)
    U, of_input = both[:of_U], both[of_U:]
    launch(
        threads, stage_products.pack_factors, tables.products(cell, layout), matrices, W.reshape(-1), n, g, transposed,
        U, starts, of_input,
    )  # fmt: skip
    return Factors(U, starts, of_input)


def packed_entries(columns: int, rows: int, itemsize: int, transposed: bool) -> int:
    """Entries of a matrix (rows, columns) once packed as right factor of `v M^T`, or transposed of `d M`."""
    K, N = (rows, columns) if transposed else (columns, rows)
    w = panel_entries(itemsize)
    return (N + w - 1) // w * w * K


@lru_cache(maxsize=1024)
def _starts(cell: Cell, layout: Layout, itemsize: int, transposed: bool) -> np.ndarray:
    """Where the packed blocks of each product begin, and their end."""
    sizes = [
        heads * packed_entries(columns, rows, itemsize, transposed) if matrix != tables.MEAN else 0
        for rows, columns, heads, matrix in tables.products(cell, layout)[:, _SHAPE].tolist()
    ]
    return np.cumsum([0, *sizes])


def first_arguments(tape: Tape, verb: str, factors: Factors, steps: int | None = None) -> tuple[Any, ...]:
    """The first arguments of every time loop, for `steps` or all steps; backward loops need U transposed."""
    every, batch, k, e = sizes(tape)
    cell, products = tape.cell, tables.products(tape.cell, tape.layout)
    return (
        row_kernel(cell, verb, tape.dtype), tables.stages_with_equations(cell), tables.widths(tape.layout),
        steps or every, batch, k, e, cell.schedule.stages, products, factors.U, factors.starts,
    )  # fmt: skip


def own_arguments(tape: Tape, verb: str, transposed: bool) -> tuple[Any, ...]:
    """`first_arguments` with the tape's own U."""
    return first_arguments(tape, verb, packed(tape, tape.matrices, transposed))


def drive_input(tape: Tape) -> Input:
    """The input of a tape. With class indices the product with W is a column of W, added to a bias for each class."""
    if not tape.has_classes:
        return Input(tape.input.reshape(-1), tape.layout.input_size, tape.bias, NO_CLASSES)
    biases = classes.biases(tape.W, tape.bias[: drives_size(tape.layout)])
    return Input(np.empty(0, tape.dtype), 0, biases, tape.input.reshape(-1))


def new_values(shape: tuple[int, int, int], dtype: np.dtype, held: bool) -> np.ndarray:
    """Memory for the values of all steps; zeros where some steps are held, because those are not computed."""
    return (memory.zeros if held else memory.empty)(shape, dtype)
