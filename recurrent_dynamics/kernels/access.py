"""Unchecked access to flat arrays, and the options that all compiled functions share.

Numba wraps a signed index around if it may be negative, which stops the vectorizer (14 instead of 1.5 ns a unit). `get`
and `put` do not wrap. With RECURRENT_DYNAMICS_CHECK=1 they trap on an index out of range; the test suite runs once like
this. With NUMBA_DISABLE_JIT=1 everything below runs as plain Python, row by row on NumPy vectors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from .inlining import Inlined, InlinedLight, Whole, WholeLight

INTERPRETED = bool(config.DISABLE_JIT)
CHECKED = bool(os.environ.get("RECURRENT_DYNAMICS_CHECK"))

# Fused multiply-add and no signed zeros: as fast as full fastmath here, and NaN stays NaN. "arcp" is left out: it turns
# 1 / sqrt(x) into an estimate that is NaN at 0. Every function has the options, because a callee without options keeps
# the flags of the caller that compiled it first.
ARITHMETIC: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "nsz"}}
# Of a function that compiled functions call.
OPTIONS: dict[str, Any] = {
    **ARITHMETIC,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": Inlined,
}
# The same of one that adds, so that it adds in vectors.
SUM: dict[str, Any] = {**OPTIONS, "fastmath": {"contract", "nsz", "reassoc"}}
# Of a function that is called at an address, and of one that Python calls.
CALLED: dict[str, Any] = {
    **ARITHMETIC,
    "no_cpython_wrapper": True,
    "nogil": True,
    "pipeline_class": Whole,
}
ENTRY: dict[str, Any] = {**ARITHMETIC, "no_cfunc_wrapper": True, "nogil": True, "pipeline_class": Whole}
# `OPTIONS` and `ENTRY` of functions that leave most of the work to others: compiled in two thirds of the time, as fast.
LIGHT: dict[str, Any] = {**OPTIONS, "pipeline_class": InlinedLight}
LIGHT_ENTRY: dict[str, Any] = {**ENTRY, "pipeline_class": WholeLight}


def element_pointer(context: Any, builder: ir.IRBuilder, typ: Any, array: Any, index: Any) -> Any:
    """Pointer to array.flat[index]; traps when out of range in a checked build."""
    return pointer_within(builder, *start_and_size(context, builder, typ, array), index)


def start_and_size(context: Any, builder: ir.IRBuilder, typ: Any, array: Any) -> tuple[Any, Any]:
    """Pointer to the first entry of an array, and how many entries it has: two instructions.

    `context.make_array` copies all fields to the stack and back, of each array at each access.
    """
    fields = context.data_model_manager[typ]
    return tuple(builder.extract_value(array, fields.get_field_position(name)) for name in ("data", "nitems"))


def pointer_within(builder: ir.IRBuilder, start: Any, size: Any, index: Any) -> Any:
    """Pointer to entry `index` of the `size` entries from `start` on; traps when out of range in a checked build."""
    if CHECKED:
        with builder.if_then(builder.icmp_unsigned(">=", index, size)):
            trap = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), []), "llvm.trap"
            )
            builder.call(trap, [])
    return builder.gep(start, [index])


def fetch(builder: ir.IRBuilder, pointer: Any, write: bool = False, locality: int = 3) -> None:
    """Prefetch the cache line of a pointer into the first cache (locality 3) or the second one (2)."""
    byte, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    data = 1  # not instructions
    builder.call(function, [builder.bitcast(pointer, byte), i32(int(write)), i32(locality), i32(data)])


def may_meet(a: str, b: str) -> bool:
    """Whether two streams of a row function may touch the same memory, at the same or at different steps.

    A stream "array.variable" owns its stretch of every row of its array. Streams meet only where the state after a step
    (N, tN, ...) is the state before the next one (S, tS, ...).
    """
    (array_a, _, _), (array_b, _, _) = a.partition("."), b.partition(".")
    return a == b or ({array_a[-1], array_b[-1]} == {"S", "N"} and array_a[:-1] == array_b[:-1])


def stream_marks(streams: tuple[str, ...]) -> Callable[[Any, ir.Module, int], None]:
    """A function that marks a load or store as one of the stream of a number, which tells LLVM what it never meets.

    Without this the vectorizer compares all pairs of pointers at run time, and gives up if there are many (a
    layer-normalized LSTM: 60 instead of 4 ns a unit).
    """

    def mark(instruction: Any, module: ir.Module, own: int) -> None:
        domain = module.add_metadata([ir.MetaDataString(module, "recurrent_dynamics")])
        scope = [module.add_metadata([ir.MetaDataString(module, s), domain]) for s in streams]
        instruction.set_metadata("alias.scope", module.add_metadata([scope[own]]))
        apart = [scope[i] for i, s in enumerate(streams) if not may_meet(s, streams[own])]
        if apart:
            instruction.set_metadata("noalias", module.add_metadata(apart))

    return mark


def stream_access(streams: tuple[str, ...]) -> tuple[Any, Any]:
    """(get, put) that also take the number of a stream; see `stream_marks`."""
    mark = stream_marks(streams)

    @intrinsic(prefer_literal=True)
    def get(typingctx, array, index, stream):
        def codegen(context, builder, signature, arguments):
            value = builder.load(element_pointer(context, builder, signature.args[0], *arguments[:2]))
            mark(value, builder.module, stream.literal_value)
            return value

        return array.dtype(array, types.intp, stream), codegen

    @intrinsic(prefer_literal=True)
    def put(typingctx, array, index, value, stream):
        def codegen(context, builder, signature, arguments):
            target, index, value, _ = arguments
            store = builder.store(value, element_pointer(context, builder, signature.args[0], target, index))
            mark(store, builder.module, stream.literal_value)
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype, stream), codegen

    return get, put


def stream_instructions(builder: ir.IRBuilder, streams: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """`stream_access` for `translation`: an array is a pair, its start and how many entries it has."""
    mark, index_type = stream_marks(streams), ir.IntType(64)

    def entry(array: tuple[Any, Any], index: Any) -> Any:
        return pointer_within(builder, *array, index_type(index) if isinstance(index, int) else index)

    def get(array: tuple[Any, Any], index: Any, stream: int) -> Any:
        value = builder.load(entry(array, index))
        mark(value, builder.module, stream)
        return value

    def put(array: tuple[Any, Any], index: Any, value: Any, stream: int) -> None:
        mark(builder.store(value, entry(array, index)), builder.module, stream)

    return {"get": get, "put": put}


if INTERPRETED:

    def get(array: np.ndarray, index: Any) -> Any:
        return array[index]

    def put(array: np.ndarray, index: Any, value: Any) -> None:
        array[index] = value

    def prefetch(array: np.ndarray, index: Any) -> None:
        return None

    def pointer(array: np.ndarray, index: Any) -> np.ndarray:
        return array[index:]

    def moved(start: np.ndarray, n: Any) -> np.ndarray:
        return start[n:]

else:

    @intrinsic
    def pointer(typingctx, array, index):
        """Pointer to array[index]: one word of a call instead of the seven of an array. The array must outlive it."""

        def codegen(context, builder, signature, arguments):
            return element_pointer(context, builder, signature.args[0], *arguments)

        return types.CPointer(array.dtype)(array, types.intp), codegen

    @intrinsic
    def moved(typingctx, start, n):
        """A pointer n entries further on."""

        def codegen(context, builder, signature, arguments):
            return builder.gep(arguments[0], [arguments[1]])

        return start(start, types.intp), codegen

    @intrinsic
    def prefetch(typingctx, array, index):
        """Bring the line of array[index] into the second cache; any index will do."""

        def codegen(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            fetch(builder, builder.gep(data, [arguments[1]]), locality=2)
            return context.get_dummy_value()

        return types.void(array, types.intp), codegen

    @intrinsic
    def get(typingctx, array, index):
        """array[index] for a flat array."""

        def codegen(context, builder, signature, arguments):
            return builder.load(element_pointer(context, builder, signature.args[0], *arguments))

        return array.dtype(array, types.intp), codegen

    @intrinsic
    def put(typingctx, array, index, value):
        """array[index] = value for a flat array."""

        def codegen(context, builder, signature, arguments):
            target, index, value = arguments
            builder.store(value, element_pointer(context, builder, signature.args[0], target, index))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), codegen
