"""Parallel kernels: one parallel loop, compiled once, calls all other functions by their address.

Numba compiles each parallel loop four times: in its function, as a kernel, and as two wrappers of that. Here a function
does the work of one thread, and its address is passed to the only parallel loop of the library. That one calls what
Numba's loops call, and is written as instructions: Numba would compile it in a fifth of a second, and its loops take
the interpreter's lock.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import fingerprint, machine_code
from .access import ENTRY, INTERPRETED, LIGHT, LIGHT_ENTRY, OPTIONS, start_and_size
from .placement import KNOWN, keep_apart, note, restore, settle
from .progress import compiling
from .threads import start_threads
from .translation import count_up

_LOOP = "parallel.loop"
_SYMBOL = f"{machine_code.SYMBOL}{_LOOP}:"  # the loop's name in machine code
_I64, _I32 = ir.IntType(64), ir.IntType(32)
_ZERO, _ONE = _I32(0), _I32(1)

# The place of a bound call: how many words it has, those before the task, and what these are: the address of the
# function that threads call, the number of threads, where the task says that memory was missing, and where it has the
# addresses of the varying arrays, in bytes from its beginning.
PLACE, HEAD = 1024, 8
FUNCTION, THREADS, FAILED, FIRST = range(4)


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
    varying: tuple[str, ...] = (),
) -> Any:
    """Make a kernel (threads, ...) of a function (thread, threads, ...) that each of the threads calls.

    With `varying` arguments the kernel can be called by a `BoundCall`, which brings these arrays anew each time. It has
    a further argument, the place of such a call, which is empty in others.
    """
    if function is None:
        return lambda f: by_threads(f, depends=depends, options=options, varying=varying)
    parameters = list(inspect.signature(function).parameters)[1:]
    names, rest = ", ".join(parameters), ", ".join(parameters[1:])
    scope: dict[str, Any] = {
        "parallel": parallel,
        "parallel_or_bound": _parallel_or_bound(tuple(map(parameters.index, varying))),
        "part": function if INTERPRETED else njit(**(LIGHT if options is LIGHT_ENTRY else OPTIONS))(function),
        "__name__": function.__module__,
    }
    text = f"def {function.__name__}({names}):\n    parallel(part, threads, (threads, {rest}))\n"
    if varying:
        text = f"def {function.__name__}({names}, place):\n"
        text += f"    parallel_or_bound(part, threads, (threads, {rest}), place)\n"
    exec(compile(text, function.__code__.co_filename, "exec"), scope)
    made = scope[function.__name__]
    made.__module__ = function.__module__
    made.__doc__, made.varying = function.__doc__, varying
    return kernel(made, depends=depends, options=options)


if INTERPRETED:

    def parallel(part: Callable[..., None], threads: int, arguments: tuple[Any, ...]) -> None:
        """Call part(i, *arguments) for i below `threads`."""
        for i in range(threads):
            part(i, *arguments)

    def _parallel_or_bound(varying: tuple[int, ...]) -> Any:
        return lambda part, threads, arguments, place: parallel(part, threads, arguments)

else:

    def _borrowed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
        """An array without an owner: the caller owns it, and reference counts would need atomic operations."""
        if not isinstance(kind, types.Array):
            return value
        array = context.make_array(kind)(context, builder, value)
        for owner in ("meminfo", "parent"):
            setattr(array, owner, ir.Constant(getattr(array, owner).type, None))
        return array._getvalue()

    def _write_part(module: ir.Module) -> ir.Function:
        """Write what Numba's threads call: a range of parts of the call, whose description is `task`."""
        part = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64] * 4), f"{_LOOP}.part")
        b = ir.IRBuilder(part.append_basic_block())
        places, counts, _, task = part.args
        function, data, notes = _loaded(b, task, 3)
        # The address that Numba moves on by one for each part before.
        first = b.sub(_loaded(b, places, 1)[0], task)
        with count_up(b, first, b.add(first, _loaded(b, counts, 1)[0])) as i:
            is_other = b.icmp_signed(">", i, _I64(0))  # the caller has the first part
            with b.if_then(is_other):
                settle(b, notes)
            kind = ir.FunctionType(ir.VoidType(), [_I64] * 2)
            b.call(b.inttoptr(function, kind.as_pointer()), [data, i])
            with b.if_then(is_other):
                note(b, notes)
        b.ret_void()
        return part

    def _write_loop(b: ir.IRBuilder) -> None:
        """Write the loop: function(data, i) for i below `threads`, each on a thread of Numba's."""
        function, data, threads = b.function.args
        part, notes = _write_part(b.module), keep_apart(b, threads)
        task = _stored(b, function, data, notes)
        arguments = [b.ptrtoint(part, _I64), _stored(b, task), _stored(b, threads), _stored(b, _I64(1)), task]
        inner_dimensions, arrays = _I64(0), _I64(1)
        get = cgutils.get_or_insert_function(b.module, ir.FunctionType(_I32, []), "get_num_threads")
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 7 + [_I32])
        start = cgutils.get_or_insert_function(b.module, kind, "numba_parallel_for")
        b.call(start, [*arguments, inner_dimensions, arrays, b.call(get, [])])
        restore(b, notes)

    def _stored(b: ir.IRBuilder, *values: Any) -> Any:
        """The address of some integers on the stack."""
        place = cgutils.alloca_once(b, ir.ArrayType(_I64, len(values)))
        for number, value in enumerate(values):
            b.store(value, b.gep(place, [_I64(0), _I64(number)]))
        return b.ptrtoint(place, _I64)

    def _loaded(b: ir.IRBuilder, address: Any, count: int) -> list[Any]:
        """So many integers at an address."""
        place = b.inttoptr(address, _I64.as_pointer())
        return [b.load(b.gep(place, [_I64(number)])) for number in range(count)]

    @lru_cache(maxsize=1)
    def _provide(_: str = "") -> None:
        """Read the parallel loop from the disk, or compile it, and register its symbol."""
        start_threads()  # also registers Numba's functions
        # A filled cache may come from a system whose C library has more functions.
        calls = "placing" if KNOWN else "alone"
        key = f"{_LOOP} {calls} {fingerprint.of_module(__file__)}"
        signature = ir.FunctionType(ir.VoidType(), [_I64] * 3)
        where = machine_code.address(
            key, "the parallel loop", machine_code.of_instructions(signature, _write_loop)
        )
        llvm.add_symbol(_SYMBOL, where)

    machine_code.provides(_LOOP, _provide)

    def call_task(context: Any, builder: Any, work: Any, task: Any, threads: Any, failed: Any) -> None:
        """Call the function at the address `work` for each thread; a MemoryError if it says that it failed."""
        _provide()
        with builder.if_else(builder.icmp_signed("==", threads, _I64(1))) as (alone, together):
            with alone:
                kind = ir.FunctionType(ir.VoidType(), [_I64] * 2)
                builder.call(builder.inttoptr(work, kind.as_pointer()), [task, _I64(0)])
            with together:
                kind = ir.FunctionType(ir.VoidType(), [_I64] * 3)
                loop = cgutils.get_or_insert_function(builder.module, kind, _SYMBOL)
                builder.call(loop, [work, task, threads])
        with builder.if_then(builder.icmp_signed("!=", builder.load(failed), _ZERO), likely=False):
            builder.store(_ZERO, failed)
            context.call_conv.return_user_exc(builder, MemoryError, ("a kernel had too little memory",))

    class _Task:
        """What threads read, the arguments and whether a thread had too little memory; and the function that reads it.

        The function has the address of the task and the number of the thread.
        """

        def __init__(self, typingctx: Any, part: Any, arguments: Any) -> None:
            self._inner = part.get_call_type(typingctx, (types.int64, *arguments.types), {})
            self._compiled = part.dispatcher.overloads[tuple(self._inner.args)]
            self._name, self._kinds = part.dispatcher.py_func.__name__, arguments.types

        def write(self, builder: Any, given: Any, place: Any) -> tuple[Any, Any]:
            """Write the arguments to a place. Returns its address, and where it says that memory was missing."""
            builder.store(given, builder.gep(place, [_ZERO, _ZERO]))
            failed = builder.gep(place, [_ZERO, _ONE])
            builder.store(_ZERO, failed)
            return builder.ptrtoint(place, _I64), failed

        def function(self, context: Any, builder: Any, task: Any) -> Any:
            """The address of the function."""
            module = builder.module
            work = ir.Function(
                module,
                ir.FunctionType(ir.VoidType(), [_I64, _I64]),
                module.get_unique_name(f"{self._name}.of_thread"),
            )
            work.linkage = "internal"
            work.attributes.add("noinline")
            b = ir.IRBuilder(work.append_basic_block())
            mine = b.inttoptr(work.args[0], task.as_pointer())
            items = cgutils.unpack_tuple(b, b.load(b.gep(mine, [_ZERO, _ZERO])))
            items = [_borrowed(context, b, *pair) for pair in zip(self._kinds, items, strict=True)]
            context.add_linking_libs([self._compiled.library])
            given = [work.args[1], *items]
            status, _ = context.call_internal_no_propagate(b, self._compiled.fndesc, self._inner, given)
            with b.if_then(status.is_error, likely=False):
                b.store(_ONE, b.gep(mine, [_ZERO, _ONE]))
            b.ret_void()
            return builder.ptrtoint(work, _I64)

    def _kind(given: Any) -> Any:
        return ir.LiteralStructType([given.type, _I32])

    @intrinsic
    def parallel(typingctx, part, threads, arguments):
        """Call part(i, *arguments) for i below `threads`, each i on a thread of its own.

        With one thread it is called directly. If a call cannot allocate memory, the caller raises a MemoryError.
        """
        task = _Task(typingctx, part, arguments)

        def codegen(context, builder, signature, values):
            _, threads, given = values
            place = cgutils.alloca_once(builder, _kind(given))
            address, failed = task.write(builder, given, place)
            call_task(
                context, builder, task.function(context, builder, _kind(given)), address, threads, failed
            )
            return context.get_dummy_value()

        return types.void(part, types.int64, arguments), codegen

    def _parallel_or_bound(varying: tuple[int, ...]) -> Any:
        """As `parallel`; with a place the task is written there behind the first words, and not called."""

        @intrinsic
        def parallel_or_bound(typingctx, part, threads, arguments, place):
            task = _Task(typingctx, part, arguments)

            def codegen(context, builder, signature, values):
                _, threads, given, array = values
                kind = _kind(given)
                if context.get_abi_sizeof(kind) > 8 * (PLACE - HEAD):
                    raise TypeError(f"a task of {len(arguments.types)} arguments is too large to be bound")
                words, size = start_and_size(context, builder, signature.args[3], array)
                bound = builder.icmp_signed(">", size, _I64(0))
                there = builder.bitcast(builder.gep(words, [_I64(HEAD)]), kind.as_pointer())
                where = builder.select(bound, there, cgutils.alloca_once(builder, kind))
                address, failed = task.write(builder, given, where)
                function, none = (
                    task.function(context, builder, kind),
                    ir.Constant(kind.as_pointer(), None),
                )

                def offset(*path):
                    return builder.ptrtoint(builder.gep(none, [_I32(0), *map(_I32, path)]), _I64)

                with builder.if_else(bound) as (binding, calling):
                    with binding:
                        noted = {FUNCTION: function, THREADS: threads, FAILED: offset(1)}
                        for n, argument in enumerate(varying):
                            fields = context.data_model_manager[arguments.types[argument]]
                            noted[FIRST + n] = offset(0, argument, fields.get_field_position("data"))
                        for word, value in noted.items():
                            builder.store(value, builder.gep(words, [_I64(word)]))
                    with calling:
                        call_task(context, builder, function, address, threads, failed)
                return context.get_dummy_value()

            return types.void(part, types.int64, arguments, place), codegen

        return parallel_or_bound
