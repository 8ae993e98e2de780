"""The product of the input with W, forward and transposed: for the rows of some steps, or for all rows at once."""

from __future__ import annotations

from numba import njit

from ...kernels.access import LIGHT, LIGHT_ENTRY, get, put
from ...kernels.barrier import share
from ...kernels.flat_arrays import array_at, empty
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads, kernel, parallel
from ...kernels.product import ONE, ZERO, gemm, gemm_from, new_index, packed_size
from .stage_products import pack_matrix

CACHED_ROWS = 6 * TILE_ROWS  # rows of the input that stay in cache while all panels of W are read


@njit(**LIGHT)
def bias_of(classes, row, drives):
    """Where the bias of a row begins: there is one for all, or, with class indices, one for each class."""
    return get(classes, row) * drives if classes.size > 0 else ZERO()


@njit(**LIGHT)
def write_drives(X, W, bias, classes, E, of_input, first, count, n, g, drives, e, index, at, worker, workers):
    """The part of the drives that needs no state: E[:, :drives] = bias, then E[:, :g] += X W^T.

    `index` lists the rows. They are counted from `of_input` in the input and from `first` in E. With class indices, n
    is 0 and there is a bias for each class. A call writes the columns of one worker.
    """
    multiplied = g if n > 0 else ZERO()
    begin = multiplied + share(drives - multiplied, workers, worker)
    end = multiplied + share(drives - multiplied, workers, worker + 1)
    for q in range(count):
        r = get(index, at + q)
        row, source = (first + r) * e, bias_of(classes, of_input + r, drives)
        for j in range(begin, end):
            put(E, row + j, get(bias, source + j))
    gemm_from(
        count, g, n, X, of_input * n, n, ONE(), W, ZERO(), bias, ZERO(), ZERO(), E, first * e, e, index, at,
        worker, workers,
    )  # fmt: skip


@njit(**LIGHT)
def write_input_gradient(dX, W, dE, zeros, first, count, n, g, e, index, at):
    """The adjoint of `write_drives` by X: dX = dE[:, :g] W; `zeros` has n entries."""
    gemm_from(
        count, n, g, dE, first * e, e, ONE(), W, ZERO(), zeros, ZERO(), ZERO(), dX, first * n, n, index, at,
        ZERO(), ONE(),
    )  # fmt: skip


@njit(**LIGHT)
def _pack_input(i, threads, W, g, n, packed):
    pack_matrix(W, ZERO(), g, n, False, packed, ZERO(), i, threads)


@njit(**LIGHT)
def _multiply_input(i, threads, X, packed, bias, classes, E, index, n, g, drives, e):
    rows = index.size - TILE_ROWS
    end = share(rows, threads, i + 1)
    for r in range(share(rows, threads, i), end, CACHED_ROWS):
        count, at = min(CACHED_ROWS, end - r), TILE_ROWS + r
        if bias.size > 0:
            write_drives(
                X, packed, bias, classes, E, ZERO(), ZERO(), count, n, g, drives, e, index, at, ZERO(), ONE()
            )  # fmt: skip
        else:
            gemm(count, g, n, X, ZERO(), n, ONE(), packed, ZERO(), E, ZERO(), e, index, at, ZERO(), ONE())


@kernel(options=LIGHT_ENTRY)
def multiply_input(threads, X, W, bias, classes, E, index, n, g, drives, e):
    """E[:, :drives] = bias (kept as it is where the bias is empty), then E[:, :g] += X W^T; X (rows, n), W (g, n).

    With class indices, n is 0 and there is a bias for each class.
    """
    packed = empty(packed_size(n, g, X), X.dtype)
    parallel(_pack_input, threads, (threads, W, g, n, packed))
    parallel(_multiply_input, threads, (threads, X, packed, bias, classes, E, index, n, g, drives, e))


@by_threads(options=LIGHT_ENTRY)
def multiply_rows_of(i, threads, start, step, W, bias, out, n, g):
    """out = bias + X W^T for rows of X (rows, n) that lie `step` entries apart behind the address `start`."""
    index, end = new_index(CACHED_ROWS), share(out.size // g, threads, i + 1)
    for r in range(share(out.size // g, threads, i), end, CACHED_ROWS):
        count = min(CACHED_ROWS, end - r)
        X = array_at(start + r * step * out.itemsize, (count - 1) * step + n, out)
        gemm_from(
            count, g, n, X, ZERO(), step, ONE(), W, ZERO(), bias, ZERO(), ZERO(), out, r * g, g, index, TILE_ROWS,
            ZERO(), ONE(),
        )  # fmt: skip
