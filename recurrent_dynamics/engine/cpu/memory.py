"""Unchecked access to flat arrays, and the options that all compiled functions share.

A signed index that may be negative makes Numba wrap it around, which stops the vectorizer (1.5 against 14 ns a unit);
`get` and `put` do not. With the environment variable RECURRENT_DYNAMICS_CHECK=1 they trap on an index out of range: the
test suite runs once so. With NUMBA_DISABLE_JIT=1 everything below runs as plain Python, row by row on NumPy vectors.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

INTERPRETED = bool(config.DISABLE_JIT)
CHECKED = bool(os.environ.get("RECURRENT_DYNAMICS_CHECK"))

# Fused multiply-add and no signed zeros: as fast as full fastmath here, and NaN stays NaN. "arcp" is left out: it turns
# 1 / sqrt(x) into an estimate that is NaN at 0. The options stand on every function, as a callee without options keeps
# the flags of whoever compiled it first.
OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
    "no_cpython_wrapper": True,
}
SERIAL: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": OPTIONS["fastmath"],
    "nogil": True,
    "cache": True,
}
PARALLEL: dict[str, Any] = {**SERIAL, "parallel": True}


def element_pointer(context: Any, builder: ir.IRBuilder, typ: Any, array: Any, index: Any) -> Any:
    """Pointer to array.flat[index]; traps when out of range in a checked build."""
    struct = context.make_array(typ)(context, builder, array)
    if CHECKED:
        with builder.if_then(builder.icmp_unsigned(">=", index, struct.nitems)):
            trap = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap"
            )
            builder.call(trap, [])
    return builder.gep(struct.data, [index])


if INTERPRETED:

    def get(array: np.ndarray, index: Any) -> Any:
        return array[index]

    def put(array: np.ndarray, index: Any, value: Any) -> None:
        array[index] = value

else:

    @intrinsic
    def get(typingctx, array, index):  # type: ignore[no-untyped-def,misc]
        """array[index] for a flat array."""

        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            return builder.load(element_pointer(context, builder, signature.args[0], *arguments))

        return array.dtype(array, types.intp), codegen

    @intrinsic
    def put(typingctx, array, index, value):  # type: ignore[no-untyped-def,misc]
        """array[index] = value for a flat array."""

        def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            target, index, value = arguments
            builder.store(value, element_pointer(context, builder, signature.args[0], target, index))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), codegen
