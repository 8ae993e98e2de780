"""What the machine can do at most, on all threads of Numba: multiply-adds in registers, and stores."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from recurrent_dynamics.kernels.processor import BYTES, REGISTERS  # what the library's kernels use

WIDTH = BYTES // 4
# Independent sums: enough to hide the latency of every unit, few enough to stay in registers (16 or 32 of them).
SUMS = 24 if REGISTERS == 32 else 12
# Some milliseconds. A second thread begins 25 to 90 microseconds late: in a third of a millisecond the peak came out
# 16 % too low.
ROUNDS = 24_000_000 // SUMS


@intrinsic
def _multiply_adds(typingctx: Any, rounds: Any, out: Any) -> Any:
    """Run SUMS vectors of a = a * x + x for so many rounds, x the first vector of `out`, which gets their sum."""

    def codegen(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        rounds, out = arguments
        i64, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), WIDTH)
        name = f"llvm.fmuladd.v{WIDTH}f32"  # fused wherever the host can
        multiply_add = cgutils.get_or_insert_function(b.module, ir.FunctionType(vector, [vector] * 3), name)
        data = context.make_array(signature.args[1])(context, b, out).data
        pointer = b.bitcast(data, vector.as_pointer())
        x = b.load(pointer)
        x.align = 4
        before, loop, done = b.block, b.append_basic_block(), b.append_basic_block()
        b.branch(loop)
        b.position_at_end(loop)
        n = b.phi(i64)
        n.add_incoming(i64(0), before)
        sums = [b.phi(vector) for _ in range(SUMS)]
        for s in sums:
            s.add_incoming(x, before)
        new = [b.call(multiply_add, [s, x, x]) for s in sums]
        for s, value in zip(sums, new, strict=True):
            s.add_incoming(value, loop)
        following = b.add(n, i64(1))
        n.add_incoming(following, loop)
        b.cbranch(b.icmp_signed("<", following, rounds), loop, done)
        b.position_at_end(done)
        total = new[0]
        for value in new[1:]:
            total = b.fadd(total, value)
        b.store(total, pointer).align = 4
        return context.get_dummy_value()

    return types.void(types.int64, out), codegen


@njit(parallel=True, cache=True)
def _multiply_adds_on_all(rounds: int, out: np.ndarray) -> None:
    for i in prange(len(out)):
        _multiply_adds(rounds, out[i])


def multiply_adds() -> float:
    """Run multiply-adds of float32 that touch no memory, for some milliseconds; return the operations, in 10^9."""
    out = np.full((get_num_threads(), WIDTH), 1e-3, np.float32)
    _multiply_adds_on_all(ROUNDS, out)
    return 2e-9 * WIDTH * SUMS * ROUNDS * len(out)


@njit(parallel=True, cache=True)
def fill(rows: np.ndarray) -> None:
    """Write every entry of an array (n, m)."""
    for i in prange(len(rows)):
        rows[i] = 1.0
