"""The register tile of the matrix product as an LLVM intrinsic: C[rows, 2 vectors] += A[rows, k] packed[k, 2 vectors].

The accumulators are SSA values of the loop over k, so LLVM keeps them in registers and folds the broadcast of A into
the multiply-add. Eight rows by two vectors use 18 of the 32 registers of AVX-512 (115 GFLOP/s on one core of an EPYC
where the BLAS gives 99); with 16 registers, four rows by two vectors.
"""

from __future__ import annotations

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
    """Width of the host's vector registers."""
    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


BYTES = _vector_bytes()
ROWS = 8 if BYTES == 64 else 4


def _tile(rows: int) -> Any:
    @intrinsic
    def tile(typingctx, a, ao, row_step, k_step, packed, po, k, c, co, ldc):
        index = types.intp
        signature = types.void(a, index, index, index, packed, index, index, c, index, index)

        def codegen(context, b, sig, args):
            scalar, i64, i32 = context.get_value_type(sig.args[0].dtype), ir.IntType(64), ir.IntType(32)
            width = BYTES // (sig.args[0].dtype.bitwidth // 8)
            vector = ir.VectorType(scalar, width)
            a, ao, row_step, k_step, packed, po, k, c, co, ldc = args
            a = element_pointer(context, b, sig.args[0], a, ao)
            packed = element_pointer(context, b, sig.args[4], packed, po)
            c = element_pointer(context, b, sig.args[7], c, co)
            name = f"llvm.fmuladd.v{width}f{sig.args[0].dtype.bitwidth}"  # fused wherever the host can
            multiply_add = cgutils.get_or_insert_function(
                b.module, ir.FunctionType(vector, [vector] * 3), name
            )

            def load(pointer):
                value = b.load(b.bitcast(pointer, vector.as_pointer()))
                value.align = sig.args[0].dtype.bitwidth // 8
                return value

            columns = range(VECTORS)
            at = [b.gep(c, [b.add(b.mul(ldc, i64(r)), i64(v * width))]) for r in range(rows) for v in columns]
            start = [load(x) for x in at]
            row = [b.gep(a, [b.mul(row_step, i64(r))]) for r in range(rows)]
            before, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
            b.cbranch(b.icmp_signed(">", k, i64(0)), loop, done)
            b.position_at_end(loop)
            n = b.phi(i64)
            n.add_incoming(i64(0), before)
            sums = [b.phi(vector) for _ in start]
            for x, s in zip(sums, start, strict=True):
                x.add_incoming(s, before)
            base, column = b.mul(n, i64(VECTORS * width)), b.mul(n, k_step)
            panel = [load(b.gep(packed, [b.add(base, i64(v * width))])) for v in columns]
            undefined = ir.Constant(vector, ir.Undefined)
            broadcast = ir.Constant(ir.VectorType(i32, width), [0] * width)
            new = []
            for r in range(rows):
                x = b.load(b.gep(row[r], [column]))
                x = b.shuffle_vector(b.insert_element(undefined, x, i32(0)), undefined, broadcast)
                new += [b.call(multiply_add, [x, panel[v], sums[r * VECTORS + v]]) for v in columns]
            following = b.add(n, i64(1))
            n.add_incoming(following, loop)
            for x, y in zip(sums, new, strict=True):
                x.add_incoming(y, loop)
            b.cbranch(b.icmp_signed("<", following, k), loop, done)
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


def _interpreted_tile(rows: int) -> Any:
    """The same on NumPy arrays."""

    def tile(a, ao, row_step, k_step, packed, po, k, c, co, ldc):
        w = VECTORS * BYTES // a.itemsize
        panel = packed[po : po + k * w].reshape(k, w)
        for r in range(rows):
            factors = a[ao + r * row_step + k_step * np.arange(k)]
            c[co + r * ldc : co + r * ldc + w] += factors @ panel

    return tile


_make = _interpreted_tile if INTERPRETED else _tile
tile_full, tile_half, tile_pair, tile_one = _make(ROWS), _make(ROWS // 2), _make(2), _make(1)
