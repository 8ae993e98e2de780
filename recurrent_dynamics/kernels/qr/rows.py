# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False
"""The inner loops of QR as LLVM intrinsics, one pass over rows where matrix products would take several.

`reflect_rows` applies one reflection to the rows of a panel and computes the sums for the next one, in registers. As
two passes of the matrix-product tile it took 70 of 170 microseconds for a QR of 128 columns; now it takes 10. `pivot`
is the step between two reflections. `deflate` subtracts from a panel its component along another one (1.2 microseconds
for 128 rows; the tile takes 1.5 and leaves further work).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..access import INTERPRETED, element_pointer
from ..microkernel import TILE_ROWS, VECTORS, not_unrolled
from ..processor import BYTES

LANES = BYTES // 8
WIDTH = VECTORS * LANES  # columns of a panel, in double precision
UNROLLED = 4  # rows at a time, each with its own sums, so that no multiply-add waits for the one before


class _Rows:
    """Helpers to emit code for the rows of a panel, which are VECTORS vectors each."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b, self.vector = builder, ir.VectorType(ir.DoubleType(), LANES)
        self.zero = ir.Constant(self.vector, [0.0] * LANES)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        name = f"llvm.fmuladd.v{LANES}f64"
        self._multiply_add = cgutils.get_or_insert_function(builder.module, kind, name)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        return self.b.call(self._multiply_add, [x, y, z])

    def load(self, pointer: Any) -> list[Any]:
        found = []
        for v in range(VECTORS):
            at = self.b.gep(pointer, [ir.IntType(64)(v * LANES)])
            found.append(self.b.load(self.b.bitcast(at, self.vector.as_pointer())))
            found[-1].align = 8
        return found

    def store(self, row: list[Any], pointer: Any) -> None:
        for v, value in enumerate(row):
            at = self.b.gep(pointer, [ir.IntType(64)(v * LANES)])
            self.b.store(value, self.b.bitcast(at, self.vector.as_pointer())).align = 8

    def spread(self, value: Any, vector: Any = None) -> Any:
        """A number in all lanes."""
        undefined = ir.Constant(vector or self.vector, ir.Undefined)
        one = self.b.insert_element(undefined, value, ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.b.shuffle_vector(one, undefined, everywhere)

    def spread_from(self, pointer: Any) -> Any:
        return self.spread(self.b.load(pointer))

    def loop(self, first: Any, n: Any, stride: int, body: Callable[..., list[Any]], held: Any = ()) -> Any:
        """body(where rows begin, held) for rows `first` on, `stride` at a time as long as there are as many below n.

        Returns the row after them, and what is held in registers then.
        """
        b, i64 = self.b, ir.IntType(64)
        before, inside, done = b.block, b.append_basic_block(), b.append_basic_block()
        end = b.sub(n, i64(stride - 1))
        b.cbranch(b.icmp_signed("<", first, end), inside, done)
        b.position_at_end(inside)
        row, old = b.phi(i64), [b.phi(self.vector) for _ in held]
        for x, y in zip([row, *old], [first, *held], strict=True):
            x.add_incoming(y, before)
        new = body(b.mul(row, i64(WIDTH)), old)
        following = b.add(row, i64(stride))
        for x, y in zip([row, *old], [following, *new], strict=True):
            x.add_incoming(y, inside)
        again = b.cbranch(b.icmp_signed("<", following, end), inside, done)
        again.set_metadata("llvm.loop", not_unrolled(b.module))
        b.position_at_end(done)
        after, found = b.phi(i64), [b.phi(self.vector) for _ in held]
        for x, y, z in zip([after, *found], [first, *held], [following, *new], strict=True):
            x.add_incoming(y, before)
            x.add_incoming(z, inside)
        return after, found


@intrinsic
def _compiled_reflect(typingctx, a, at, n, column, following, factors, go, so):
    i = types.intp
    signature = types.void(a, i, i, i, i, factors, i, i)

    def codegen(context, b, sig, args):
        a, at, n, column, following, factors, go, so = args
        i64, rows = ir.IntType(64), _Rows(b)
        start = element_pointer(context, b, sig.args[0], a, at)
        into = element_pointer(context, b, sig.args[5], factors, so)
        factors = element_pointer(context, b, sig.args[5], factors, go)
        g = rows.load(factors)
        g_following = rows.spread_from(b.gep(factors, [following]))

        def reflect(row, sums):
            new = []
            for r in range(len(sums) // VECTORS):
                here = b.gep(start, [b.add(row, i64(r * WIDTH))])
                x, y = (rows.spread_from(b.gep(here, [c])) for c in (column, following))
                values = [rows.multiply_add(x, g[v], value) for v, value in enumerate(rows.load(here))]
                y = rows.multiply_add(x, g_following, y)
                rows.store(values, here)
                new += [rows.multiply_add(y, values[v], sums[r * VECTORS + v]) for v in range(VECTORS)]
            return new

        row, sums = rows.loop(i64(0), n, UNROLLED, reflect, [rows.zero] * (UNROLLED * VECTORS))
        _, total = rows.loop(row, n, 1, reflect, sums[:VECTORS])
        for r in range(1, UNROLLED):
            total = [b.fadd(x, sums[r * VECTORS + v]) for v, x in enumerate(total)]
        rows.store(total, into)
        return context.get_dummy_value()

    return signature, codegen


def _interpreted_reflect(
    a: np.ndarray, at: int, n: int, column: int, following: int, factors: np.ndarray, go: int, so: int
) -> None:
    rows = a[at : at + n * WIDTH].reshape(n, WIDTH)
    rows += np.outer(rows[:, column], factors[go : go + WIDTH])
    factors[so : so + WIDTH] = rows[:, following] @ rows


@intrinsic
def _compiled_pivot(typingctx, a, at, column):
    signature = types.float64(a, types.intp, types.intp)

    def codegen(context, b, sig, args):
        a, at, column = args
        i64, double, rows = ir.IntType(64), ir.DoubleType(), _Rows(b)
        factors = element_pointer(context, b, sig.args[0], a, at)
        sums, squares = (b.gep(factors, [i64(n * WIDTH)]) for n in (1, 2))
        square = b.load(b.gep(sums, [column]))
        root = cgutils.get_or_insert_function(b.module, ir.FunctionType(double, [double]), "llvm.sqrt.f64")
        inverse = rows.spread(b.fdiv(double(1.0), b.call(root, [square])))
        integers = ir.VectorType(ir.IntType(64), LANES)
        here = rows.spread(column, integers)
        row, old, factor = rows.load(sums), rows.load(squares), []
        for v in range(VECTORS):
            lanes = ir.Constant(integers, [v * LANES + n for n in range(LANES)])
            row[v] = b.select(b.icmp_signed(">=", lanes, here), b.fmul(row[v], inverse), rows.zero)
            old[v] = rows.multiply_add(row[v], row[v], old[v])
            factor.append(
                b.select(b.icmp_signed(">", lanes, here), b.fneg(b.fmul(row[v], inverse)), rows.zero)
            )
        rows.store(row, sums)
        rows.store(old, squares)
        rows.store(factor, factors)
        return square

    return signature, codegen


def _interpreted_pivot(a: np.ndarray, at: int, column: int) -> float:
    factors, sums, squares = a[at : at + 3 * WIDTH].reshape(3, WIDTH)
    square = float(sums[column])
    sums *= (np.arange(WIDTH) >= column) / np.sqrt(square)
    squares += sums**2
    factors[:] = -sums / np.sqrt(square) * (np.arange(WIDTH) > column)
    return square


@intrinsic
def _compiled_deflate(typingctx, a, along, at, n, products, po, so):
    i = types.intp
    signature = types.void(a, i, i, i, products, i, i)

    def codegen(context, b, sig, args):
        a, along, at, n, products, po, so = args
        i64, rows = ir.IntType(64), _Rows(b)
        along, start = (element_pointer(context, b, sig.args[0], a, x) for x in (along, at))
        sums, products = (element_pointer(context, b, sig.args[4], products, x) for x in (so, po))
        squares = rows.load(sums)
        for block in range(0, WIDTH, TILE_ROWS):

            def add(row, held, block=block):
                right = rows.load(b.gep(start, [row]))
                left = [
                    rows.spread_from(b.gep(along, [b.add(row, i64(block + r))])) for r in range(TILE_ROWS)
                ]
                pairs = [(x, y) for x in left for y in right]
                return [rows.multiply_add(*pair, old) for pair, old in zip(pairs, held, strict=True)]

            _, found = rows.loop(i64(0), n, 1, add, [rows.zero] * (TILE_ROWS * VECTORS))
            for r in range(TILE_ROWS):
                product = found[r * VECTORS : (r + 1) * VECTORS]
                squares = [rows.multiply_add(x, x, y) for x, y in zip(product, squares, strict=True)]
                rows.store([b.fneg(x) for x in product], b.gep(products, [i64((block + r) * WIDTH)]))
        rows.store(squares, sums)

        def take(count):
            def body(row, _):
                at = [b.add(row, i64(r * WIDTH)) for r in range(count)]
                values = [rows.load(b.gep(start, [x])) for x in at]
                for k in range(WIDTH):
                    right = rows.load(b.gep(products, [i64(k * WIDTH)]))
                    for r in range(count):
                        left = rows.spread_from(b.gep(along, [b.add(at[r], i64(k))]))
                        values[r] = [
                            rows.multiply_add(left, x, y) for x, y in zip(right, values[r], strict=True)
                        ]
                for x, value in zip(at, values, strict=True):
                    rows.store(value, b.gep(start, [x]))
                return []

            return body

        row, _ = rows.loop(i64(0), n, TILE_ROWS, take(TILE_ROWS))
        rows.loop(row, n, 1, take(1))
        return context.get_dummy_value()

    return signature, codegen


def _interpreted_deflate(
    a: np.ndarray, along: int, at: int, n: int, products: np.ndarray, po: int, so: int
) -> None:
    left, right = (a[x : x + n * WIDTH].reshape(n, WIDTH) for x in (along, at))
    found = left.T @ right
    products[po : po + WIDTH**2] = -found.reshape(-1)
    products[so : so + WIDTH] += (found**2).sum(axis=0)
    right -= left @ found


# reflect_rows(a, at, n, column, following, factors, go, so): each of n rows of a panel plus its entry in `column` times
# the row factors[go:], and into factors[so:] the sum over all rows of the entry in `following` times the row.
reflect_rows: Any = _interpreted_reflect if INTERPRETED else _compiled_reflect

# deflate(a, along, at, n, products, po, so): from a panel P of n rows at `at` is taken V V^T P, V the panel at `along`;
# -V^T P goes to products[po:], and to products[so:] the sums of its squares by column are added.
deflate: Any = _interpreted_deflate if INTERPRETED else _compiled_deflate

# pivot(a, at, column): of sums in a[at + WIDTH:], the products of column `column` with all of a panel, is made its row
# of R, zeros before it; its squares are added to a[at + 2 WIDTH:], and a[at:] gets the factors that take the column
# from those after it. Returns the square of the column.
pivot: Any = _interpreted_pivot if INTERPRETED else _compiled_pivot
