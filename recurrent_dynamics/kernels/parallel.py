"""Parallel kernels: one parallel loop, compiled once, calls all other functions by their address.

Numba compiles each parallel loop four times: in its function, as a kernel, and as two wrappers of that. Here a function
does the work of one thread, and its address is passed to the only parallel loop of the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import fingerprint, machine_code
from .access import ENTRY, INTERPRETED, LIGHT, LIGHT_ENTRY, OPTIONS
from .placement import KNOWN, keep_apart, note, restore, settle
from .progress import compiling
from .threads import start_threads

_LOOP = "parallel.loop"
_SYMBOL = f"{machine_code.SYMBOL}{_LOOP}:"  # the loop's name in machine code


def kernel(
    function: Callable[..., Any] | None = None,
    *,
    depends: Iterable[str] = (),
    options: dict[str, Any] = ENTRY,
) -> Any:
    """Make a kernel, a function that Python calls: compiled for the types of its arguments, and kept on disk.

    `depends` are further files whose source is compiled into it. It returns a number or nothing.
    """
    if function is None:
        return lambda f: kernel(f, depends=depends, options=options)
    if INTERPRETED:
        return function
    dispatcher = njit(**options)(function)
    cache = machine_code.KernelCache(function, depends)
    dispatcher._cache = cache
    compile_ = dispatcher.compile

    def compile_or_release(signature: Any) -> Any:
        with compiling(f"{function.__module__.rpartition('.')[2]}.{function.__name__}"):
            try:
                entry = compile_(signature)
            finally:
                cache.release()
        machine_code.give_warnings()
        return entry

    dispatcher.compile = compile_or_release
    return dispatcher


def by_threads(
    function: Callable[..., Any] | None = None,
    *,
    depends: Iterable[str] = (),
    options: dict[str, Any] = ENTRY,
) -> Any:
    """Make a kernel (threads, ...) of a function (thread, threads, ...) that each of the threads calls."""
    if function is None:
        return lambda f: by_threads(f, depends=depends, options=options)
    names = ", ".join(list(inspect.signature(function).parameters)[1:])
    rest = names.partition(", ")[2]
    scope: dict[str, Any] = {
        "parallel": parallel,
        "part": function if INTERPRETED else njit(**(LIGHT if options is LIGHT_ENTRY else OPTIONS))(function),
        "__name__": function.__module__,
    }
    text = f"def {function.__name__}({names}):\n    parallel(part, threads, (threads, {rest}))\n"
    exec(compile(text, function.__code__.co_filename, "exec"), scope)
    made = scope[function.__name__]
    made.__module__ = function.__module__
    made.__doc__ = function.__doc__
    return kernel(made, depends=depends, options=options)


if INTERPRETED:

    def parallel(part: Callable[..., None], threads: int, arguments: tuple[Any, ...]) -> None:
        """Call part(i, *arguments) for i below `threads`."""
        for i in range(threads):
            part(i, *arguments)

else:

    @intrinsic
    def _call(typingctx, function, data, i):
        """Call the function at an address."""

        def codegen(context, builder, signature, arguments):
            function, data, i = arguments
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 2)
            builder.call(builder.inttoptr(function, kind.as_pointer()), [data, i])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        """An array without an owner: the caller owns it, and reference counts would need atomic operations."""
        if not isinstance(kind, types.Array):
            return value
        array = context.make_array(kind)(context, builder, value)
        for owner in ("meminfo", "parent"):
            setattr(array, owner, ir.Constant(getattr(array, owner).type, None))
        return array._getvalue()

    def _loop(function, data, threads):
        notes = keep_apart(threads)
        for i in prange(threads):
            if i > 0:  # the caller has the first part
                settle(notes)
            _call(function, data, np.int64(i))
            if i > 0:
                note(notes)
        restore(notes)

    @lru_cache(maxsize=1)
    def _provide(_: str = "") -> None:
        """Read the parallel loop from the disk, or compile it, and register its symbol."""
        start_threads()
        signature = types.void(types.int64, types.int64, types.int64)
        # A filled cache may come from a system whose C library has more functions.
        calls = "placing" if KNOWN else "alone"
        key = f"{_LOOP} {calls} {fingerprint.of_module(__file__)}"
        where = machine_code.address(
            key, "the parallel loop", machine_code.by_numba(signature, lambda: _loop, parallel=True)
        )
        llvm.add_symbol(_SYMBOL, where)

    machine_code.provides(_LOOP, _provide)

    @intrinsic
    def parallel(typingctx, part, threads, arguments):
        """Call part(i, *arguments) for i below `threads`, each i on a thread of its own.

        With one thread it is called directly. If a call cannot allocate memory, the caller raises a MemoryError.
        """
        inner = part.get_call_type(typingctx, (types.int64, *arguments.types), {})
        compiled = part.dispatcher.overloads[tuple(inner.args)]
        _provide()

        def codegen(context, builder, signature, values):
            _, threads, given = values
            i64, i32 = ir.IntType(64), ir.IntType(32)
            task = ir.LiteralStructType([given.type, i32])
            place = cgutils.alloca_once(builder, task)
            zero = i32(0)
            builder.store(given, builder.gep(place, [zero, zero]))
            failed = builder.gep(place, [zero, i32(1)])
            builder.store(zero, failed)

            work = ir.Function(
                builder.module,
                ir.FunctionType(ir.VoidType(), [i64, i64]),
                builder.module.get_unique_name(f"{part.dispatcher.py_func.__name__}.of_thread"),
            )
            work.linkage = "internal"
            work.attributes.add("noinline")
            b = ir.IRBuilder(work.append_basic_block())
            mine = b.inttoptr(work.args[0], task.as_pointer())
            items = cgutils.unpack_tuple(b, b.load(b.gep(mine, [zero, zero])))
            items = [_borrowed(context, b, *pair) for pair in zip(arguments.types, items, strict=True)]
            context.add_linking_libs([compiled.library])
            status, _ = context.call_internal_no_propagate(b, compiled.fndesc, inner, [work.args[1], *items])
            with b.if_then(status.is_error, likely=False):
                b.store(i32(1), b.gep(mine, [zero, i32(1)]))
            b.ret_void()

            data = builder.ptrtoint(place, i64)
            with builder.if_else(builder.icmp_signed("==", threads, i64(1))) as (alone, together):
                with alone:
                    builder.call(work, [data, i64(0)])
                with together:
                    kind = ir.FunctionType(ir.VoidType(), [i64] * 3)
                    loop = cgutils.get_or_insert_function(builder.module, kind, _SYMBOL)
                    builder.call(loop, [builder.ptrtoint(work, i64), data, threads])
            with builder.if_then(builder.icmp_signed("!=", builder.load(failed), zero), likely=False):
                context.call_conv.return_user_exc(builder, MemoryError, ("a kernel had too little memory",))
            return context.get_dummy_value()

        return types.void(part, types.int64, arguments), codegen
