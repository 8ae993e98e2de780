"""The register tile of the matrix product as an LLVM intrinsic: C[rows] = start[rows] + A[rows, k] packed[k].

All matrices are pointers. An index lists the rows, so a ragged batch computes only its active ones. A tile has the
columns of two vectors, of which the first `width` are read and written. The sums are SSA values of the loop over k, so
LLVM keeps them in registers. `start` is added at the end, so that no tile waits for it at its beginning. One call
computes `count` tiles, one below the other: with a call for each, the instructions between two tiles took a tenth of
the time of 64 columns (AVX2).

Eight rows by two vectors need ten loads for sixteen multiply-adds, fit the 32 registers of AVX-512 and reach its peak
of two multiply-adds a cycle (EPYC, Zen 5). With 16 registers six rows fit, which are twelve sums. Four rows are the
least: the latency of a multiply-add is four cycles, so fewer than eight sums would wait. For vectors of 16 bytes LLVM
uses what the host has: NEON, SSE or scalars.

Unless `pace` is 0, each iteration also prefetches: it reads `pace` / PARTS bytes a row further on from `ahead` each
time, and so covers the tile's part of the next panel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .access import INTERPRETED, element_pointer, fetch
from .processor import BYTES, REGISTERS

PARTS = 1 << 8  # of a byte, in which the pace of prefetching is counted
VECTORS = 2
TILE_ROWS = 8 if REGISTERS == 32 else 4  # of a tile at least; a tile has at most two more
TO_A_LINE = max(1, 64 // BYTES)  # vectors
BEST = 8 if REGISTERS == 32 else 6  # rows of a tile where the caller is free to choose
HALF_TILE = 4  # the fewest rows that read one panel at a time
# Panels side by side for one or two rows. With one panel each multiply-add would wait for the one before: from the
# second cache one row reads 175 GB/s with several panels, 139 with one.
WIDE = 4 if BYTES == 64 else 2


def not_unrolled(module: ir.Module) -> Any:
    """Forbid unrolling: unrolled twice, the row pointers do not fit the registers (213 instead of 290 GFLOP/s)."""
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([disable])
    loop.operands = (loop, disable)
    return loop


def _tile(rows: int, panels: int = 1) -> Any:
    @intrinsic
    def tile(typingctx, count, a, row_step, k_step, packed, k, start, lds, c, ldc, width, index, ahead, pace):
        i = types.intp
        signature = types.void(i, a, i, i, packed, i, start, i, c, i, i, index, ahead, i)

        def codegen(context, b, sig, args):
            scalar, i64, i32 = context.get_value_type(sig.args[1].dtype), ir.IntType(64), ir.IntType(32)
            size = sig.args[1].dtype.bitwidth // 8
            lanes = BYTES // size
            vector = ir.VectorType(scalar, lanes)
            count, a, row_step, k_step, packed, k, start, lds, c, ldc, width, index, ahead, pace = args
            multiply_add = cgutils.get_or_insert_function(  # fused wherever the host can
                b.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{8 * size}"
            )

            def load(pointer):
                value = b.load(b.bitcast(pointer, vector.as_pointer()))
                value.align = size
                return value

            def row_of(array, r, step):
                return b.gep(array, [b.mul(step, b.load(b.gep(index, [i64(r)])))])

            columns = range(VECTORS * panels)
            zero = ir.Constant(vector, [0.0] * lanes)
            undefined = ir.Constant(vector, ir.Undefined)
            broadcast = ir.Constant(ir.VectorType(i32, lanes), [0] * lanes)
            pace = b.ashr(b.mul(pace, i64(rows)), i64(PARTS.bit_length() - 1))
            ahead = b.bitcast(ahead, ir.IntType(8).as_pointer())
            panel_size = b.mul(k, i64(VECTORS * lanes))
            panel = [b.gep(packed, [b.mul(panel_size, i64(p))]) for p in range(panels)]
            before, tile, ended = b.block, b.append_basic_block(), b.append_basic_block()
            b.cbranch(b.icmp_signed(">", count, i64(0)), tile, ended)

            b.position_at_end(tile)
            own = [b.phi(x.type) for x in (count, index, ahead)]
            for x, y in zip(own, (count, index, ahead), strict=True):
                x.add_incoming(y, before)
            left, index, ahead = own
            # Prefetch the lines of C, which are needed last: up to 2 % of a step. If C does not begin at a line, the
            # panel before has fetched the first one.
            for r in range(rows):
                for v in columns[::-TO_A_LINE]:
                    fetch(b, b.gep(row_of(c, r, ldc), [i64(v * lanes)]), write=True)
            row = [row_of(a, r, row_step) for r in range(rows)]
            begun, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            b.branch(loop)
            b.position_at_end(loop)
            n = b.phi(i64)
            n.add_incoming(i64(0), begun)
            sums = [b.phi(vector) for _ in range(rows * len(columns))]
            for x in sums:
                x.add_incoming(zero, begun)
            base, column = b.mul(n, i64(VECTORS * lanes)), b.mul(n, k_step)
            right = [load(b.gep(p, [b.add(base, i64(v * lanes))])) for p in panel for v in range(VECTORS)]
            if panels == 1:
                with b.if_then(b.icmp_signed("!=", pace, i64(0))):
                    fetch(b, b.gep(ahead, [b.mul(n, pace)]), locality=2)
            new = []
            for r in range(rows):
                x = b.load(b.gep(row[r], [column]))
                x = b.shuffle_vector(b.insert_element(undefined, x, i32(0)), undefined, broadcast)
                new += [b.call(multiply_add, [x, right[v], sums[r * len(columns) + v]]) for v in columns]
            following = b.add(n, i64(1))
            n.add_incoming(following, b.block)
            for x, y in zip(sums, new, strict=True):
                x.add_incoming(y, b.block)
            again = b.cbranch(b.icmp_signed("<", following, k), loop, done)
            again.set_metadata("llvm.loop", not_unrolled(b.module))

            b.position_at_end(done)
            with b.if_else(b.icmp_signed("<", width, i64(len(columns) * lanes))) as (narrow, whole):
                for branch, partly in ((narrow, True), (whole, False)):
                    with branch:
                        read, write = _access(b, vector, size, width if partly else None)
                        for r in range(rows):
                            source, into = row_of(start, r, lds), row_of(c, r, ldc)
                            for v in columns:
                                first = read(b.gep(source, [i64(v * lanes)]), v)
                                write(
                                    b.fadd(first, new[r * len(columns) + v]),
                                    b.gep(into, [i64(v * lanes)]),
                                    v,
                                )
            left = b.sub(left, i64(1))
            following = left, b.gep(index, [i64(rows)]), b.gep(ahead, [b.mul(k, pace)])
            for x, y in zip(own, following, strict=True):
                x.add_incoming(y, b.block)
            again = b.cbranch(b.icmp_signed(">", left, i64(0)), tile, ended)
            again.set_metadata("llvm.loop", not_unrolled(b.module))
            b.position_at_end(ended)
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _access(
    b: ir.IRBuilder, vector: Any, size: int, width: Any
) -> tuple[Callable[..., Any], Callable[..., None]]:
    """(read, write) of vector v of a row: all lanes, or those within the first `width` columns."""
    i1, i32, i64, lanes = ir.IntType(1), ir.IntType(32), ir.IntType(64), vector.count
    pointer, void = vector.as_pointer(), ir.VoidType()

    def mask(v):
        numbers = ir.VectorType(i64, lanes)
        one = b.insert_element(ir.Constant(numbers, ir.Undefined), b.sub(width, i64(v * lanes)), i32(0))
        same = b.shuffle_vector(one, one, ir.Constant(ir.VectorType(i32, lanes), [0] * lanes))
        return b.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), same)

    def intrinsic_of(name, result, *arguments):
        full = f"llvm.masked.{name}.v{lanes}f{8 * size}.p0"
        return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), full)

    def read(at, v):
        if width is None:
            value = b.load(b.bitcast(at, pointer))
            value.align = size
            return value
        masked = intrinsic_of("load", vector, pointer, i32, ir.VectorType(i1, lanes), vector)
        return b.call(
            masked, [b.bitcast(at, pointer), i32(size), mask(v), ir.Constant(vector, [0.0] * lanes)]
        )

    def write(value, at, v):
        if width is None:
            b.store(value, b.bitcast(at, pointer)).align = size
            return
        masked = intrinsic_of("store", void, vector, pointer, i32, ir.VectorType(i1, lanes))
        b.call(masked, [value, b.bitcast(at, pointer), i32(size), mask(v)])

    return read, write


def _interpreted_tile(rows: int, panels: int = 1) -> Any:
    """The tile on NumPy arrays."""

    def tile(count, a, row_step, k_step, packed, k, start, lds, c, ldc, width, index, ahead, pace):
        w = VECTORS * BYTES // a.itemsize
        for p in range(panels):
            panel = packed[p * k * w : (p + 1) * k * w].reshape(k, w)
            n = min(w, width - p * w)
            for r in range(count * rows):
                factors = a[index[r] * row_step + k_step * np.arange(k)]
                source, to = index[r] * lds + p * w, index[r] * ldc + p * w
                c[to : to + n] = start[source : source + n] + (factors @ panel)[:n]

    return tile


def _move(count: Callable[[int], int]) -> Any:
    @intrinsic
    def move(typingctx, source, at, target, to):
        signature = types.void(source, types.intp, target, types.intp)

        def codegen(context, b, sig, args):
            source, at, target, to = args
            bits = sig.args[0].dtype.bitwidth
            vector = ir.VectorType(context.get_value_type(sig.args[0].dtype), count(bits // 8))
            start = element_pointer(context, b, sig.args[0], source, at)
            value = b.load(b.bitcast(start, vector.as_pointer()))
            value.align = bits // 8
            end = element_pointer(context, b, sig.args[2], target, to)
            b.store(value, b.bitcast(end, vector.as_pointer())).align = bits // 8
            return context.get_dummy_value()

        return signature, codegen

    return move


def _interpreted_move(count: Callable[[int], int]) -> Any:
    def move(source, at, target, to):
        n = count(source.itemsize)
        target[to : to + n] = source[at : at + n]

    return move


@intrinsic
def _transpose_square(typingctx, source, at, step, target, to, width):
    i = types.intp
    signature = types.void(source, i, i, target, i, i)

    def codegen(context, b, sig, args):
        source, at, step, target, to, width = args
        bits, i32 = sig.args[0].dtype.bitwidth, ir.IntType(32)
        side = vector_entries(bits // 8)
        vector = ir.VectorType(context.get_value_type(sig.args[0].dtype), side)
        places = ir.VectorType(i32, side)

        def pointer(kind, array, start, apart, n):
            entry = b.add(start, b.mul(apart, ir.IntType(64)(n)))
            return b.bitcast(element_pointer(context, b, kind, array, entry), vector.as_pointer())

        rows = [b.load(pointer(sig.args[0], source, at, step, n), align=bits // 8) for n in range(side)]
        # Exchanges entries whose row and column differ in one bit of their numbers, bit after bit.
        for bit in (1 << n for n in range(side.bit_length() - 1)):
            for n in (n for n in range(side) if not n & bit):
                pair = rows[n], rows[n + bit]
                for m, first in ((n, 0), (n + bit, bit)):
                    taken = [first + j if not j & bit else side + first + j - bit for j in range(side)]
                    rows[m] = b.shuffle_vector(*pair, ir.Constant(places, taken))
        for n, row in enumerate(rows):
            b.store(row, pointer(sig.args[3], target, to, width, n), align=bits // 8)
        return context.get_dummy_value()

    return signature, codegen


def _interpreted_square(source, at, step, target, to, width):
    side = range(vector_entries(source.itemsize))
    for k in side:
        for n in side:
            target[to + k * width + n] = source[at + n * step + k]


def vector_entries(itemsize: int) -> int:
    """Entries of a vector."""
    return BYTES // itemsize


def panel_entries(itemsize: int) -> int:
    """Columns of a panel."""
    return VECTORS * vector_entries(itemsize)


def strip_entries(itemsize: int) -> int:
    """Columns of a strip, a left factor of an outer product: a multiple of whole tiles, and at least a vector."""
    return (vector_entries(itemsize) + BEST - 1) // BEST * BEST


_make = _interpreted_tile if INTERPRETED else _tile
tile_full, tile_half, tile_pair, tile_one = _make(TILE_ROWS), _make(HALF_TILE), _make(2), _make(1)
tile_tall, tile_tallest = _make(TILE_ROWS + 1), _make(TILE_ROWS + 2)
tile_pair_wide, tile_one_wide = _make(2, WIDE), _make(1, WIDE)

# target[to:] = source[at:], the width of a vector, a panel or a strip at once, in registers.
_make_move = _interpreted_move if INTERPRETED else _move
move_vector, move_panel, move_strip = map(_make_move, (vector_entries, panel_entries, strip_entries))
# target[to + k width + n] = source[at + n step + k] for as many k and n as a vector has entries, in registers.
transpose_square = _interpreted_square if INTERPRETED else _transpose_square
