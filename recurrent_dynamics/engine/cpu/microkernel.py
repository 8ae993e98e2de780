"""The register tile of the matrix product as an LLVM intrinsic: C[rows, 2 vectors] += A[rows, k] packed[k, 2 vectors].

Rows of A and C are those of an index: a ragged batch computes its active ones. The accumulators are SSA values of the
loop over k, so LLVM keeps them in registers. Eight rows by two vectors load ten times for sixteen multiply-adds, fit
the 32 registers of AVX-512 and reach the peak of its two multiply-adds a cycle (EPYC, Zen 5); with 16 registers, four
rows by two vectors. LLVM makes of 16 bytes what the host has: NEON, SSE, or scalars.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .memory import INTERPRETED, element_pointer

VECTORS = 2


def _vector_bytes() -> int:
    """Width of the host's vector registers; RECURRENT_DYNAMICS_VECTOR_BYTES=32 or 16 tries a narrower host."""
    given = os.environ.get("RECURRENT_DYNAMICS_VECTOR_BYTES")
    if given:
        return int(given)
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


BYTES = _vector_bytes()
ROWS = 8 if BYTES == 64 else 4
# Panels side by side for one or two rows, which alone would wait for each multiply-add to end before the next: from
# the second cache one row reads 175 GB/s so, 139 with one panel.
WIDE = 4 if BYTES == 64 else 2


def not_unrolled(module: ir.Module) -> Any:
    """Unrolled twice, the pointers of the rows would no longer fit the registers (213 against 290 GFLOP/s)."""
    disable = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([disable])
    loop.operands = (loop, disable)
    return loop


def _tile(rows: int, panels: int = 1) -> Any:
    @intrinsic
    def tile(typingctx, a, ao, row_step, k_step, packed, po, k, c, co, ldc, index, ai, ci):
        i = types.intp
        signature = types.void(a, i, i, i, packed, i, i, c, i, i, index, i, i)

        def codegen(context, b, sig, args):
            scalar, i64, i32 = context.get_value_type(sig.args[0].dtype), ir.IntType(64), ir.IntType(32)
            width = BYTES // (sig.args[0].dtype.bitwidth // 8)
            vector = ir.VectorType(scalar, width)
            a, ao, row_step, k_step, packed, po, k, c, co, ldc, index, ai, ci = args
            a = element_pointer(context, b, sig.args[0], a, ao)
            packed = element_pointer(context, b, sig.args[4], packed, po)
            c = element_pointer(context, b, sig.args[7], c, co)
            left, out = (element_pointer(context, b, sig.args[10], index, at) for at in (ai, ci))
            name = f"llvm.fmuladd.v{width}f{sig.args[0].dtype.bitwidth}"  # fused wherever the host can
            multiply_add = cgutils.get_or_insert_function(
                b.module, ir.FunctionType(vector, [vector] * 3), name
            )

            def load(pointer):
                value = b.load(b.bitcast(pointer, vector.as_pointer()))
                value.align = sig.args[0].dtype.bitwidth // 8
                return value

            def row_of(array, index, r, step):
                return b.gep(array, [b.mul(step, b.load(b.gep(index, [i64(r)])))])

            columns = range(VECTORS * panels)
            into = [row_of(c, out, r, ldc) for r in range(rows)]
            at = [b.gep(into[r], [i64(v * width)]) for r in range(rows) for v in columns]
            start = [load(x) for x in at]
            row = [row_of(a, left, r, row_step) for r in range(rows)]
            panel_size = b.mul(k, i64(VECTORS * width))
            panel = [b.gep(packed, [b.mul(panel_size, i64(p))]) for p in range(panels)]
            before, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            b.cbranch(b.icmp_signed(">", k, i64(0)), loop, done)
            b.position_at_end(loop)
            n = b.phi(i64)
            n.add_incoming(i64(0), before)
            sums = [b.phi(vector) for _ in start]
            for x, s in zip(sums, start, strict=True):
                x.add_incoming(s, before)
            base, column = b.mul(n, i64(VECTORS * width)), b.mul(n, k_step)
            right = [load(b.gep(p, [b.add(base, i64(v * width))])) for p in panel for v in range(VECTORS)]
            undefined = ir.Constant(vector, ir.Undefined)
            broadcast = ir.Constant(ir.VectorType(i32, width), [0] * width)
            new = []
            for r in range(rows):
                x = b.load(b.gep(row[r], [column]))
                x = b.shuffle_vector(b.insert_element(undefined, x, i32(0)), undefined, broadcast)
                new += [b.call(multiply_add, [x, right[v], sums[r * len(columns) + v]]) for v in columns]
            following = b.add(n, i64(1))
            n.add_incoming(following, loop)
            for x, y in zip(sums, new, strict=True):
                x.add_incoming(y, loop)
            again = b.cbranch(b.icmp_signed("<", following, k), loop, done)
            again.set_metadata("llvm.loop", not_unrolled(b.module))
            b.position_at_end(done)
            final = [b.phi(vector) for _ in start]
            for f, s, y in zip(final, start, new, strict=True):
                f.add_incoming(s, before)
                f.add_incoming(y, loop)
            for f, pointer in zip(final, at, strict=True):
                b.store(f, b.bitcast(pointer, vector.as_pointer())).align = sig.args[0].dtype.bitwidth // 8
            return context.get_dummy_value()

        return signature, codegen

    return tile


def _interpreted_tile(rows: int, panels: int = 1) -> Any:
    """The same on NumPy arrays."""

    def tile(a, ao, row_step, k_step, packed, po, k, c, co, ldc, index, ai, ci):
        w = VECTORS * BYTES // a.itemsize
        for p in range(panels):
            panel = packed[po + p * k * w : po + (p + 1) * k * w].reshape(k, w)
            for r in range(rows):
                factors = a[ao + index[ai + r] * row_step + k_step * np.arange(k)]
                to = co + index[ci + r] * ldc + p * w
                c[to : to + w] += factors @ panel

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


def _panel(itemsize: int) -> int:
    return VECTORS * BYTES // itemsize


def _strip(itemsize: int) -> int:
    return ROWS


_make = _interpreted_tile if INTERPRETED else _tile
tile_full, tile_half, tile_pair, tile_one = _make(ROWS), _make(ROWS // 2), _make(2), _make(1)
tile_pair_wide, tile_one_wide = _make(2, WIDE), _make(1, WIDE)

# target[to:] = source[at:], a panel's width or ROWS entries at once, in registers.
_make_move = _interpreted_move if INTERPRETED else _move
move_panel, move_strip = _make_move(_panel), _make_move(_strip)
