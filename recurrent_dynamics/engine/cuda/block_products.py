"""The matrix products and means of one step, by the threads of one block.

Matrices are packed as [head][inner][outer]: threads that own neighbouring rows of the result read neighbouring
numbers, whichever way the product goes. A thread takes ROWS rows of the result for all TILE instances of its block, so
that a number of the operand is read once for all these rows. Where there are more threads than that gives work to,
the sum is cut into slices, whose parts are added up in their order: results do not depend on the schedule.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba
import numpy as np

from .device_model import LANES, ROWS
from .driver import cuda, device
from .programs import get, put
from .tables import AT, COLUMNS, FROM_STATE, HEADS, HEIGHT, SLICES, SOURCE, STAGE, TARGET

KINDS: dict[str, Any] = {"float32": numba.float32, "float64": numba.float64}


@cache
def tools(dtype: str, tile: int) -> tuple[Any, Any, Any]:
    """(multiply, multiply_transposed, means) for blocks of `tile` instances."""
    kind, zero, real = KINDS[dtype], np.dtype(dtype).type(0), np.dtype(dtype).type
    sums = ROWS * tile

    @device
    def product(A, at, heads, inner, outer, slices, v, source, ldv, out, target, ldo, scratch, tid, threads):
        """out[q, target + head * outer + m] += sum over c of A[head, c, m] v[q, source + head * inner + c]."""
        groups, height = (outer + ROWS - 1) // ROWS, heads * outer
        total = cuda.local.array(sums, kind)
        further = cuda.local.array(ROWS, numba.int64)
        for item in range(tid, groups * heads * slices, threads):
            g, rest = item % groups, item // groups
            head, part = rest % heads, rest // heads
            for i in range(sums):
                total[i] = zero
            c0, c1 = inner * part // slices, inner * (part + 1) // slices
            row = at + (head * inner + c0) * outer + g
            operand = source + head * inner + c0
            for i in range(
                ROWS
            ):  # rows g, g + groups, ...; in place of one beyond the end it reads the first again
                further[i] = i * groups if g + i * groups < outer else 0
            for _ in range(c0, c1):
                for i in range(ROWS):
                    a = get(A, row + further[i], 0)
                    for q in range(tile):
                        total[i * tile + q] += a * get(v, operand + q * ldv, 0)
                row += outer
                operand += 1
            for i in range(ROWS):
                m = g + i * groups
                if m < outer:
                    for q in range(tile):
                        to = head * outer + m
                        if slices == 1:
                            to += q * ldo + target
                            put(out, to, get(out, to, 0) + total[i * tile + q], 0)
                        else:
                            put(scratch, (part * tile + q) * height + to, total[i * tile + q], 0)
        cuda.syncthreads()
        if slices > 1:
            for item in range(tid, tile * height, threads):
                q = item // height
                to = q * ldo + target + item - q * height
                s = get(scratch, item, 0)
                for part in range(1, slices):
                    s += get(scratch, part * tile * height + item, 0)
                put(out, to, get(out, to, 0) + s, 0)
            cuda.syncthreads()

    @device
    def multiply(table, products, stage, A, S, k, E, e, scratch, tid, threads):
        """E[target] += M operand for the products of a stage, with operands in S and E."""
        for p in range(products):
            if table[p, STAGE] == stage and table[p, AT] >= 0:
                state = table[p, FROM_STATE] != 0
                product(
                    A, table[p, AT], table[p, HEADS], table[p, COLUMNS], table[p, HEIGHT], table[p, SLICES],
                    S if state else E, table[p, SOURCE], k if state else e, E, table[p, TARGET], e,
                    scratch, tid, threads,
                )  # fmt: skip

    @device
    def multiply_transposed(table, products, stage, A, dS, k, dE, e, scratch, tid, threads):
        """operand's cotangent += M^T dE[target]: in dS where the operand is the state, else in dE."""
        for p in range(products - 1, -1, -1):
            if table[p, STAGE] == stage and table[p, AT] >= 0:
                state = table[p, FROM_STATE] != 0
                product(
                    A, table[p, AT], table[p, HEADS], table[p, HEIGHT], table[p, COLUMNS], table[p, SLICES],
                    dE, table[p, TARGET], e, dS if state else dE, table[p, SOURCE], k if state else e,
                    scratch, tid, threads,
                )  # fmt: skip

    @device
    def means(table, products, stage, source, target, E, e, scratch, tid, threads):
        """E[target] += mean of E[source] for the means of a stage; `source` and `target` are columns of the table."""
        found = 0
        for p in range(products):
            if table[p, STAGE] == stage and table[p, AT] < 0:
                width = table[p, HEIGHT]
                for item in range(tid, tile * LANES, threads):
                    q = item // LANES
                    start, s = q * e + table[p, source], zero
                    for j in range(item - q * LANES, width, LANES):
                        s += get(E, start + j, 0)
                    put(scratch, found * tile * LANES + item, s, 0)
                found += 1
        if found > 0:
            cuda.syncthreads()
            found = 0
            for p in range(products):
                if table[p, STAGE] == stage and table[p, AT] < 0:
                    width = table[p, HEIGHT]
                    for item in range(tid, tile * width, threads):
                        q = item // width
                        to, s = q * e + table[p, target] + item - q * width, zero
                        for lane in range(LANES):
                            s += get(scratch, (found * tile + q) * LANES + lane, 0)
                        put(E, to, get(E, to, 0) + s / real(width), 0)
                    found += 1
            cuda.syncthreads()

    return multiply, multiply_transposed, means
