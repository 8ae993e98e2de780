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
from ..stacked_products import MEAN
from . import classes, stage_products, tables
from .rows import row_kernel
from .tables import drives_size

NO_CLASSES = np.empty(0, np.int64)
NO_PLACE = np.empty(0, np.int64)  # a kernel is called now, see `BoundCall`
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
    return pack(tape.cell, tape.layout, matrices, tape.W, transposed, n, g)


def pack(
    cell: Cell,
    layout: Layout,
    matrices: np.ndarray,
    W: np.ndarray,
    transposed: bool,
    n: int,
    g: int,
) -> Factors:
    """Pack the blocks of U and W (g, n) as right factors; to be called inside of `POOL`."""
    products, starts, of_U, size = _packing(cell, layout, matrices.itemsize, transposed, n, g)
    both = memory.empty((size,), matrices.dtype)
    U, of_input = both[:of_U], both[of_U:]
    threads = POOL.available() if matrices.size + n * g >= current().min_parallel_packing else 1
    launch(
        threads,
        stage_products.pack_factors,
        products,
        matrices,
        W.reshape(-1),
        n,
        g,
        transposed,
        U,
        starts,
        of_input,
    )
    return Factors(U, starts, of_input)


def packed_entries(columns: int, rows: int, itemsize: int, transposed: bool) -> int:
    """Entries of a matrix (rows, columns) once packed as right factor of `v M^T`, or transposed of `d M`."""
    K, N = (rows, columns) if transposed else (columns, rows)
    w = panel_entries(itemsize)
    return (N + w - 1) // w * w * K


@lru_cache(maxsize=1024)
def _packing(
    cell: Cell, layout: Layout, itemsize: int, transposed: bool, n: int, g: int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """(products, where the packed blocks of each begin and their end, entries of U, entries of U and W)."""
    products = tables.products(cell, layout)
    sizes = [
        heads * packed_entries(columns, rows, itemsize, transposed) if matrix != MEAN else 0
        for rows, columns, heads, matrix in products[:, _SHAPE].tolist()
    ]
    starts = np.cumsum([0, *sizes])
    of_U = int(starts[-1])
    return products, starts, of_U, of_U + packed_entries(n, g, itemsize, transposed)


@lru_cache(maxsize=1024)
def loop_arguments(
    cell: Cell, layout: Layout, verb: str, letter: str, steps: int, batch: int
) -> tuple[Any, ...]:
    """The arguments of a time loop that a cell and its sizes decide, for numbers of the dtype of a letter."""
    return (
        row_kernel(cell, verb, np.dtype(letter)), tables.stages_with_equations(cell), tables.widths(layout), steps,
        batch, layout.state_size, layout.values_size, cell.schedule.stages, tables.products(cell, layout),
    )  # fmt: skip


def first_arguments(tape: Tape, verb: str, factors: Factors, steps: int | None = None) -> tuple[Any, ...]:
    """The first arguments of every time loop, for `steps` or all steps; backward loops need U transposed."""
    given = loop_arguments(tape.cell, tape.layout, verb, tape.dtype.char, steps or tape.steps, tape.batch)
    return *given, factors.U, factors.starts


def own_arguments(tape: Tape, verb: str, transposed: bool) -> tuple[Any, ...]:
    """`first_arguments` with the tape's own U."""
    return first_arguments(tape, verb, packed(tape, tape.matrices, transposed))


def drive_input(layout: Layout, x: np.ndarray, W: np.ndarray, bias: np.ndarray) -> Input:
    """The input of a pass. With class indices the product with W is a column of W, added to a bias for each class."""
    if x.ndim == 3:
        return Input(x.reshape(-1), layout.input_size, bias, NO_CLASSES)
    biases = classes.biases(W, bias[: drives_size(layout)])
    return Input(np.empty(0, bias.dtype), 0, biases, x.reshape(-1))


def new_values(shape: tuple[int, int, int], dtype: np.dtype, held: bool) -> np.ndarray:
    """Memory for the values of all steps; zeros where some steps are held, because those are not computed."""
    return (memory.zeros if held else memory.empty)(shape, dtype)
