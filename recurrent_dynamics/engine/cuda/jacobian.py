"""Dense Jacobians of every step: d state after / d state before, as `engine.cpu.jacobian` makes them.

All steps are known, so all are done at once: a thread for each unit of each row finds the diagonals of the step, then
blocks of threads add up diagonal times derivative of what the target depends on, for every entry of the result. That
derivative is a block of U, common to all rows, unless a product within the step has an operand that was computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from ..cpu.tables import D_AT, D_FROM_STATE, D_IN, D_NEW, D_OUT, D_STAGE, D_WIDTH, diagonals
from ..run import Tape
from ..stacked_products import StackedProduct, stacked_products
from .blas import product
from .block_products import KINDS
from .driver import array_module, cuda, kernel, launch, limits
from .footprint import DERIVATIVES
from .programs import get, program, put, unit_sizes

THREADS = 128
ROWS = 8  # of the tape that a block combines

_LOCAL: dict[tuple[str, str], Any] = {}
_COMBINE: dict[tuple[str, bool], Any] = {}


def _local(cell: Cell, dtype: str) -> Any:
    key = (cell.fingerprint, dtype)
    if key not in _LOCAL:
        row, sizes = program(cell, "jacobian", dtype), unit_sizes(len(width_labels(cell)))
        stages = cell.schedule.stages

        def local(rows, k, e, size, widths, widest, P, C, E, S, J):
            i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
            r = i // widest
            if r < rows:
                for stage in range(stages + 1):
                    row(0, stage, sizes(widths, i - r * widest), E, r * e, S, r * k, P, C, J[r * size :])

        _LOCAL[key] = kernel(local, "columns", dtype)
    return _LOCAL[key]


def _combine(dtype: str, shared: bool) -> Any:
    """out[r, o + j, c] for one target: the sum over its entries first ... end - 1.

    A block has one j and some rows r, a thread some columns c: a derivative that all rows share is read once for them,
    and no index is divided for a number.
    """
    if (dtype, shared) not in _COMBINE:
        kind, zero = KINDS[dtype], np.dtype(dtype).type(0)

        def combine(rows, k, entries, first, end, diagonals, size, D, out, height):
            width = entries[first, D_WIDTH]
            j, r0 = cuda.blockIdx.x % width, cuda.blockIdx.x // width * ROWS
            last = min(ROWS, rows - r0) - 1
            to = r0 * (k if entries[first, D_NEW] != 0 else height) + entries[first, D_OUT] + j
            total = cuda.local.array(ROWS, kind)
            for c in range(cuda.threadIdx.x, k, cuda.blockDim.x):
                for q in range(ROWS):
                    total[q] = zero
                for m in range(first, end):
                    at, source = r0 * size + entries[m, D_AT] + j, entries[m, D_IN] + j
                    if entries[m, D_FROM_STATE] == 0:
                        start = (source if shared else r0 * height + source) * k + c
                        d = get(D, start, 0)
                        for q in range(ROWS):  # in place of one beyond the end the last again
                            i = min(q, last)
                            if not shared:
                                d = get(D, start + i * height * k, 0)
                            total[q] += get(diagonals, at + i * size, 0) * d
                    elif source == c:
                        for q in range(ROWS):
                            total[q] += get(diagonals, at + min(q, last) * size, 0)
                for q in range(ROWS):
                    if q <= last:
                        put(
                            out, (to + q * (k if entries[first, D_NEW] != 0 else height)) * k + c, total[q], 0
                        )

        _COMBINE[dtype, shared] = kernel(combine, "columns", dtype)
    return _COMBINE[dtype, shared]


def dense_jacobian(tape: Tape, chosen: np.ndarray) -> Any:
    """d state after / d state before of the chosen steps: (chosen, B, k, k)."""
    xp, layout = array_module(), tape.layout
    k, e = layout.state_size, max(layout.values_size, 1)
    index = xp.asarray(chosen)
    values, before = (a[index].reshape(len(chosen) * tape.batch, -1) for a in (tape.values, tape.before))
    entries, _, size = diagonals(tape.cell, layout)
    targets = _targets(entries) if len(entries) else []
    written = sum(int(entries[m, D_WIDTH]) for m, _ in targets if entries[m, D_NEW])
    # Writing is what takes the time, so nothing is written twice.
    J = (xp.empty if written == k else xp.zeros)((len(before), k, k), tape.dtype)
    shared = all(p.from_state for p in stacked_products(layout)) and all(entries[:, D_NEW])
    held = (size if shared else e * k) * tape.dtype.itemsize
    together = max(1, DERIVATIVES // max(held, 1))
    for first in range(0, len(before), together):
        rows = slice(first, first + together)
        _rows(tape, values[rows], before[rows], J[rows], entries, size, shared)
    J = J.reshape(len(chosen), tape.batch, k, k)
    if tape.lengths.size:
        J[index[:, None] >= tape.lengths] = xp.eye(k, dtype=tape.dtype)
    return J


def _rows(tape: Tape, values: Any, before: Any, J: Any, entries: np.ndarray, size: int, shared: bool) -> None:
    xp, layout, dtype = array_module(), tape.layout, tape.dtype
    rows, k, e = len(before), layout.state_size, max(layout.values_size, 1)
    if not len(entries):
        return
    found, stages = stacked_products(layout), tape.cell.schedule.stages
    D = xp.zeros((1 if shared else rows, e, k), dtype)
    for p in found:
        if p.from_state:
            _place(p, tape.matrices, D)
    local = xp.empty(rows * size, dtype)
    some = [
        a.reshape(-1) if a.size else xp.zeros(1, dtype)
        for a in (tape.vectors, tape.constants, values, before)
    ]
    widest = max(layout.widths)
    launch(
        _local(tape.cell, dtype.name), -(-rows * widest // THREADS), THREADS, 0, rows, k, layout.values_size, size,
        tuple(int(w) for w in layout.widths), widest, *some, local,
    )  # fmt: skip
    table, lanes = xp.asarray(entries), limits().lanes
    threads = min(THREADS, -(-k // lanes) * lanes)
    for stage in range(stages + 1):
        for first, end in _targets(entries):
            if entries[first, D_STAGE] == stage:
                out = J if entries[first, D_NEW] else D
                blocks = -(-rows // ROWS) * int(entries[first, D_WIDTH])
                launch(
                    _combine(dtype.name, shared), blocks, threads, 0, rows, k, table, first, end, local, size,
                    D.reshape(-1), out.reshape(-1), e,
                )  # fmt: skip
        for p in found:
            if p.stage == stage and not p.from_state:
                _multiply(p, tape.matrices, D, tape.tf32)


def _targets(entries: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of the entries of each target."""
    keys = [tuple(row) for row in entries[:, : D_OUT + 1]]
    starts = [m for m, key in enumerate(keys) if m == 0 or key != keys[m - 1]]
    return list(zip(starts, [*starts[1:], len(keys)], strict=True))


def _place(p: StackedProduct, matrices: Any, D: Any) -> None:
    """The blocks of U of a product with the state."""
    for head in range(p.heads):
        at, R, C = p.at + head * p.height * p.columns, p.target + head * p.height, p.source + head * p.columns
        block = matrices[at : at + p.height * p.columns].reshape(p.height, p.columns)
        D[:, R : R + p.height, C : C + p.columns] = block


def _multiply(p: StackedProduct, matrices: Any, D: Any, tf32: bool) -> None:
    """D[target] = M D[operand]."""
    xp = array_module()
    source = D[:, p.source : p.source + p.heads * p.columns]
    if not p.size:
        D[:, p.target : p.target + p.height] = source.mean(axis=1, keepdims=True)
        return
    M = matrices[p.at : p.at + p.size].reshape(p.heads, p.height, p.columns)
    for head in range(p.heads):
        R, C = p.target + head * p.height, head * p.columns
        for_all = xp.broadcast_to(M[head], (len(D), p.height, p.columns))
        product(for_all, source[:, C : C + p.columns], D[:, R : R + p.height], tf32=tf32)
