"""The matrix products of one stage of a step, forward and transposed, and the packing of their matrices.

`worker` and `workers` say which share of the work a call does: of the panels of a matrix, or of the columns of a
result.
"""

from __future__ import annotations

from numba import njit

from ...kernels.access import LIGHT, LIGHT_ENTRY, get, put
from ...kernels.barrier import share
from ...kernels.microkernel import TILE_ROWS
from ...kernels.parallel import by_threads
from ...kernels.product import ONE, ZERO, gemm, pack, panel_width, total
from .tables import (
    COLUMNS,
    HEADS,
    MATRIX,
    OPERAND,
    ROWS,
    SOURCE,
    STAGE,
    STATE,
    TARGET,
    UNIFORM_SOURCE,
    UNIFORM_TARGET,
)  # fmt: skip

ALL_STAGES = -1


@njit(**LIGHT)
def pack_matrix(M, at, rows, columns, transposed, packed, start, worker, workers):
    """One share of the panels of a matrix (rows, columns) as right factor of `v M^T`, or transposed of `d M`."""
    K, N, k_step, n_step = (rows, columns, columns, ONE()) if transposed else (columns, rows, ONE(), columns)
    w = panel_width(M)
    panels = (N + w - 1) // w
    first, end = share(panels, workers, worker) * w, min(N, share(panels, workers, worker + 1) * w)
    pack(M, at + first * n_step, k_step, n_step, K, end - first, packed, start + first * K)


@by_threads(options=LIGHT_ENTRY)
def pack_factors(i, threads, products, U, W, n, g, transposed, packed, starts, of_input):
    """The blocks of U and W (g, n) as right factors of `v U^T` and `x W^T`, or transposed of `d U` and `d W`.

    The blocks of U go to `packed`, each to where `starts` says. W goes to `of_input`.
    """
    for p in range(products.shape[0]):
        if products[p, MATRIX] >= 0:
            R, C, heads = products[p, ROWS], products[p, COLUMNS], products[p, HEADS]
            for head in range(heads):
                start = starts[p] + (starts[p + 1] - starts[p]) // heads * head
                pack_matrix(
                    U, products[p, MATRIX] + head * R * C, R, C, transposed, packed, start, i, threads
                )
    pack_matrix(W, ZERO(), g, n, transposed, of_input, ZERO(), i, threads)


@njit(**LIGHT)
def has_products(products, stage):
    for p in range(products.shape[0]):
        if products[p, STAGE] == stage:
            return True
    return False


@njit(**LIGHT)
def multiply(
    products, stage, packed, starts, means, S, E, out, first, count, k, e, index, at, worker, workers
):  # fmt: skip
    """out[target] += M operand for the products of a stage; operands in S and E, in `count` rows that `index` lists.

    Means over the units are products too, and are left out unless `means` is true.
    """
    for p in range(products.shape[0]):
        if stage == ALL_STAGES or products[p, STAGE] == stage:
            _multiply_one(
                products, p, False, packed, starts, means, S, E, out, first, count, k, e, index, at, worker, workers
            )  # fmt: skip


@njit(**LIGHT)
def multiply_transposed(
    products, stage, packed, starts, means, dT, dS, dE, first, count, k, e, index, at, worker, workers
):  # fmt: skip
    """operand's cotangent += M^T dT[target]: in dS where the operand is the state, else in dE."""
    for p in range(products.shape[0] - 1, -1, -1):
        if products[p, STAGE] == stage:
            _multiply_one(
                products, p, True, packed, starts, means, dS, dE, dT, first, count, k, e, index, at, worker, workers
            )  # fmt: skip


@njit(**LIGHT)
def _multiply_one(
    products, p, transposed, packed, starts, means, S, E, T, first, count, k, e, index, at, worker, workers
):  # fmt: skip
    """T[target] += M operand of one product; `transposed`: operand += M^T T[target]. Operands are in S and E."""
    R, C, n = products[p, ROWS], products[p, COLUMNS], products[p, HEADS]
    v, ld = (S, k) if products[p, OPERAND] == STATE else (E, e)
    source, target = first * ld + products[p, SOURCE], first * e + products[p, TARGET]
    if products[p, MATRIX] >= 0:
        size = (starts[p + 1] - starts[p]) // n
        for head in range(n):
            operand, result, factor = source + head * C, target + head * R, starts[p] + head * size
            if transposed:
                gemm(
                    count, C, R, T, result, e, ONE(), packed, factor, v, operand, ld, index, at, worker, workers
                )  # fmt: skip
            else:
                gemm(
                    count, R, C, v, operand, ld, ONE(), packed, factor, T, result, e, index, at, worker, workers
                )  # fmt: skip
    elif means and transposed:
        _mean(
            T, target, E, source, e, R, products[p, UNIFORM_SOURCE], False, index, at, count, worker, workers
        )
    elif means:
        _mean(
            E, source, T, target, e, R, products[p, UNIFORM_TARGET], True, index, at, count, worker, workers
        )


@njit(**LIGHT)
def _mean(a, at, c, to, e, width, uniform, fresh, index, first, count, worker, workers):
    """c = (if `fresh`) or += the mean over `width` entries of each row of a; `uniform` assigns unit 0 only."""
    for i in range(count):
        row = get(index, first + i) * e
        m = total(a, at + row, width) / a.dtype.type(width)
        if uniform:
            if worker == 0:
                put(c, to + row, m)
        elif fresh:
            for j in range(width * worker // workers, width * (worker + 1) // workers):
                put(c, to + row + j, m)
        else:
            for j in range(width * worker // workers, width * (worker + 1) // workers):
                put(c, to + row + j, get(c, to + row + j) + m)


@by_threads(options=LIGHT_ENTRY)
def add_matrix_products(i, threads, products, packed, starts, S, E, out, index, k, e):
    """out[target] += M operand for the products of all stages, without means: the part of a tangent that moves U.

    All rows that `index` lists are multiplied at once, with the operands in S and E.
    """
    rows = index.size - TILE_ROWS
    r0, r1 = share(rows, threads, i), share(rows, threads, i + 1)
    multiply(
        products, ALL_STAGES, packed, starts, False, S, E, out, ZERO(), r1 - r0, k, e, index, TILE_ROWS + r0, ZERO(),
        ONE(),
    )  # fmt: skip
