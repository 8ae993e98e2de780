# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The inner loop of Householder's QR as an LLVM intrinsic: one reflection of a panel's rows, and the sums for the next.

Both in one pass over the rows, held in registers: as two passes, by the tile of the matrix product, it took 70 of 170
microseconds for a QR of 128 columns; so it takes 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..cpu.memory import INTERPRETED, element_pointer
from ..cpu.microkernel import BYTES, VECTORS

LANES = BYTES // 8
WIDTH = VECTORS * LANES  # columns of a panel, in double precision
UNROLLED = 4  # rows at a time, each with sums of its own, that no multiply-add waits for the one before


@intrinsic
def _compiled(typingctx, a, at, n, column, following, factors, go, so):
    i = types.intp
    signature = types.void(a, i, i, i, i, factors, i, i)

    def codegen(context, b, sig, args):
        a, at, n, column, following, factors, go, so = args
        i64, vector = ir.IntType(64), ir.VectorType(ir.DoubleType(), LANES)
        name = f"llvm.fmuladd.v{LANES}f64"
        multiply_add = cgutils.get_or_insert_function(b.module, ir.FunctionType(vector, [vector] * 3), name)
        undefined, zero = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * LANES)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)

        def load(pointer):
            value = b.load(b.bitcast(pointer, vector.as_pointer()))
            value.align = 8
            return value

        def store(value, pointer):
            b.store(value, b.bitcast(pointer, vector.as_pointer())).align = 8

        def spread(pointer):
            one = b.insert_element(undefined, b.load(pointer), ir.IntType(32)(0))
            return b.shuffle_vector(one, undefined, everywhere)

        start = element_pointer(context, b, sig.args[0], a, at)
        into = element_pointer(context, b, sig.args[5], factors, so)
        factors = element_pointer(context, b, sig.args[5], factors, go)
        g = [load(b.gep(factors, [i64(v * LANES)])) for v in range(VECTORS)]
        g_following = spread(b.gep(factors, [following]))

        def loop(first, stride, sums):
            """Rows `first` on, `stride` at a time as long as there are as many; the row after them, and the sums."""
            before, body, done = b.block, b.append_basic_block(), b.append_basic_block()
            end = b.sub(n, i64(stride - 1))
            b.cbranch(b.icmp_signed("<", first, end), body, done)
            b.position_at_end(body)
            row = b.phi(i64)
            row.add_incoming(first, before)
            old = [[b.phi(vector) for _ in range(VECTORS)] for _ in range(stride)]
            new = []
            for r in range(stride):
                for v in range(VECTORS):
                    old[r][v].add_incoming(sums[r][v], before)
            for r in range(stride):
                here = b.gep(start, [b.mul(b.add(row, i64(r)), i64(WIDTH))])
                x, y = spread(b.gep(here, [column])), spread(b.gep(here, [following]))
                values = [load(b.gep(here, [i64(v * LANES)])) for v in range(VECTORS)]
                values = [b.call(multiply_add, [x, g[v], values[v]]) for v in range(VECTORS)]
                y = b.call(multiply_add, [x, g_following, y])
                for v in range(VECTORS):
                    store(values[v], b.gep(here, [i64(v * LANES)]))
                new.append([b.call(multiply_add, [y, values[v], old[r][v]]) for v in range(VECTORS)])
            following_row = b.add(row, i64(stride))
            row.add_incoming(following_row, b.block)
            for r in range(stride):
                for v in range(VECTORS):
                    old[r][v].add_incoming(new[r][v], b.block)
            b.cbranch(b.icmp_signed("<", following_row, end), body, done)
            b.position_at_end(done)
            after = b.phi(i64)
            after.add_incoming(first, before)
            after.add_incoming(following_row, body)
            found = []
            for r in range(stride):
                found.append([b.phi(vector) for _ in range(VECTORS)])
                for v in range(VECTORS):
                    found[r][v].add_incoming(sums[r][v], before)
                    found[r][v].add_incoming(new[r][v], body)
            return after, found

        row, sums = loop(i64(0), UNROLLED, [[zero] * VECTORS for _ in range(UNROLLED)])
        _, (first,) = loop(row, 1, sums[:1])
        for v in range(VECTORS):
            total = first[v]
            for other in sums[1:]:
                total = b.fadd(total, other[v])
            store(total, b.gep(into, [i64(v * LANES)]))
        return context.get_dummy_value()

    return signature, codegen


def _interpreted(
    a: np.ndarray, at: int, n: int, column: int, following: int, factors: np.ndarray, go: int, so: int
) -> None:
    rows = a[at : at + n * WIDTH].reshape(n, WIDTH)
    rows += np.outer(rows[:, column], factors[go : go + WIDTH])
    factors[so : so + WIDTH] = rows[:, following] @ rows


# reflect_rows(a, at, n, column, following, factors, go, so): each of n rows of a panel plus its entry in `column` times
# the row factors[go:], and into factors[so:] the sum over all rows of the entry in `following` times the row.
reflect_rows: Any = _interpreted if INTERPRETED else _compiled
