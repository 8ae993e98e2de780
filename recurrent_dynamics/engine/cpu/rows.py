"""The row kernels of a cell: its equations for some rows of a step, behind an address.

A cell compiles nothing else: one kernel for each verb, when the verb is first used. The time loops know no cell and
call

    kernel(stage, task, sizes, rows, first, count)

`task` holds the widths of the rows and the addresses of the arrays, `sizes` the units to compute, and `rows`, `first`,
`count` the rows. SymPy is imported only if a kernel is not on disk yet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ...cells import Cell
from ...equations.schedule import width_labels
from ...equations.signatures import ARRAYS, MEMORY_ARRAYS, signature
from ...kernels import fingerprint, machine_code, translation
from ...kernels.access import INTERPRETED, OPTIONS, stream_access, stream_instructions
from ...kernels.flat_arrays import array_of, empty, flat_array
from ...kernels.processor import BYTES

REAL = {"float32": types.float32, "float64": types.float64}
REAL_OF_LLVM = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
# Numbers at the start of a task: the widths of values, state, and vectors or diagonals. The arrays follow.
WIDTHS = 3
VALUES, STATE, VECTORS = range(WIDTHS)

# Where a row of an array begins: rows of values, rows of the state, or one row for each instance.
_START = dict.fromkeys(("e",), "r * e") | dict.fromkeys(("s", "n", "dn", "ds", "tn", "us"), "r * k")
_START |= {"dp": "b * v", "up": "b * v"}
# Numbers of an instance in `places`: start of its memory, length of its source, start of its gradient.
PLACES = 3
_START |= {"m": "places[3 * b]", "length": "places[3 * b + 1]", "dm": "places[3 * b + 2]"}

# The modules that turn equations into the source of a row function. An edit of any other module recompiles nothing.
_DERIVATION = (
    "axes", "derive", "graph", "jacobian_sparsity", "nonlinearities", "program", "read_source", "reads", "schedule",
    "signatures", "source", "split_loops", "storage", "symbolic", "variables",
)  # fmt: skip


@lru_cache(maxsize=1)
def _derivation_fingerprint() -> str:
    folder = fingerprint.PACKAGE / "equations"
    files = (
        *(folder / f"{name}.py" for name in _DERIVATION),
        fingerprint.PACKAGE / "engine" / "cpu" / "rows.py",
        fingerprint.PACKAGE / "kernels" / "positions.py",
    )
    return fingerprint.of_files(files)


_kernels: dict[tuple[str, str, str], Any] = {}


def row_kernel(cell: Cell, verb: str, dtype: np.dtype) -> Any:
    """The kernel of one verb of a cell, as the time loops take it: its address, or a function if interpreted."""
    key = (cell.fingerprint, verb, dtype.char)  # the name of a dtype takes a microsecond
    found = _kernels.get(key)
    if found is None:
        found = _interpreted(cell, verb) if INTERPRETED else _address(cell, verb, dtype.name)
        _kernels[key] = found
    return found


def _names(cell: Cell, verb: str) -> tuple[str, ...]:
    """The arrays of a task, in their order. All but those of the equations are for cells that read a memory."""
    return (*ARRAYS[verb], *(MEMORY_ARRAYS[verb] if cell.memory else ()))


def _text(cell: Cell, verb: str) -> str:
    """The source of a kernel: a loop that calls the function of one row."""
    names = _names(cell, verb)
    arrays = {name: f"array(task, {WIDTHS + 2 * n}, 0)" for n, name in enumerate(names)}
    each = {name: place.replace(", 0)", ", b * v)") for name, place in arrays.items() if name == "J"}
    lines = ["def kernel(stage, task, sizes, rows, first, count):", "    e, k, v = task[0], task[1], task[2]"]
    lines += [f"    {name} = {place}" for name, place in arrays.items() if name not in each]
    if cell.memory:
        lines.append(f"    places = integers(task, {WIDTHS + 2 * len(names)})")
    lines += ["    for q in range(count):", "        b = rows[q]", "        r = first + b"]
    given = [
        each.get(name) or _START.get(name, name) for name in signature(verb, bool(cell.memory)).split(", ")
    ]
    lines.append(f"        row(0, stage, sizes, {', '.join(given)})")
    return "\n".join(lines) + "\n"


def _row_source(cell: Cell, verb: str) -> Any:
    from ...equations.derive import Derivation
    from ...equations.source import source

    return source(Derivation(cell, store_activations=True), verb, splits=verb == "forward")


def _defined(text: str, name: str, scope: dict[str, Any]) -> Callable[..., None]:
    exec(compile(text, f"<{name}>", "exec"), scope)
    return scope[name]


def _interpreted(cell: Cell, verb: str) -> Callable[..., None]:
    """A kernel that takes all units of a row in one pass of NumPy; its task is a list."""
    from ...equations.nonlinearities import NONLINEARITIES
    from ...kernels.positions import READS

    def get(array: np.ndarray, index: Any, stream: int) -> Any:
        return array[index]

    def put(array: np.ndarray, index: Any, value: Any, stream: int) -> None:
        array[index] = value

    def array(task: list[Any], at: int, start: int) -> np.ndarray:
        return task[WIDTHS + (at - WIDTHS) // 2][start:]

    units = {"range": lambda first, end: (np.arange(first, end),)}
    functions = {"get": get, "put": put, **units, **NONLINEARITIES, **READS}
    row = _defined(_row_source(cell, verb).text, verb, functions)
    inside = {"row": row, "array": array, "integers": lambda task, at: array(task, at, 0)}
    return _defined(_text(cell, verb), "kernel", inside)


def _address(cell: Cell, verb: str, dtype: str) -> int:
    key = f"{verb} {dtype} {_derivation_fingerprint()} {cell.fingerprint}"
    return machine_code.address(key, f"{verb} of {cell.name}, {dtype}", compiler(cell, verb, dtype))


def compiler(cell: Cell, verb: str, dtype: str) -> Callable[[str], machine_code.Compiled]:
    """A function that compiles a kernel anew under a key; its result's `library` shows the machine code.

    The equations are translated into instructions directly. The reads of a memory call functions of Numba.
    """
    return _by_numba(cell, verb, dtype) if cell.memory else _of_instructions(cell, verb, dtype)


def _of_instructions(cell: Cell, verb: str, dtype: str) -> Callable[[str], machine_code.Compiled]:
    integer, real = translation.INTEGER, REAL_OF_LLVM[dtype]
    pointer = integer.as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [integer, pointer, pointer, pointer, integer, integer])

    def write(builder: ir.IRBuilder) -> None:
        from ...kernels.elementary import written

        found = _row_source(cell, verb)

        def array(task: Any, at: int, start: Any) -> tuple[Any, Any]:
            where, size = (builder.load(builder.gep(task, [integer(at + n)])) for n in (0, 1))
            data = builder.inttoptr(where, real.as_pointer())
            start = integer(start) if isinstance(start, int) else start
            return builder.gep(data, [start]), builder.sub(size, start)

        def row(_: int, *arguments: Any) -> None:
            inner.write(found.text, None, *arguments)

        functions = written(builder, real) | stream_instructions(builder, found.streams)
        lanes = BYTES // np.dtype(dtype).itemsize
        inner = translation.Translation(builder, real, functions, lanes)
        outer = translation.Translation(builder, real, {"array": array, "row": row})
        outer.write(_text(cell, verb), *builder.function.args)

    return machine_code.of_instructions(signature, write)


def _by_numba(cell: Cell, verb: str, dtype: str) -> Callable[[str], machine_code.Compiled]:
    pointer = types.CPointer(types.int64)
    labels = len(width_labels(cell))
    signature = types.void(types.int64, pointer, pointer, pointer, types.int64, types.int64)

    def make() -> Callable[..., None]:
        from ...kernels.elementary import COMPILED
        from ...kernels.positions import READS

        found = _row_source(cell, verb)
        get, put = stream_access(found.streams)
        row = _defined(found.text, verb, {"get": get, "put": put, **COMPILED, **READS})
        inside: dict[str, Any] = {
            "row": njit(**OPTIONS, forceinline=True)(row), "array": _array_in(REAL[dtype]), "integers": _integers,
        }  # fmt: skip
        kernel = njit(**OPTIONS)(_defined(_text(cell, verb), "kernel", inside))
        task = WIDTHS + 2 * (len(_names(cell, verb)) + 1)

        def called(stage, task_start, sizes_start, rows_start, first, count):
            kernel(
                stage, array_of(task_start, task), array_of(sizes_start, 3 * labels), array_of(rows_start, count),
                first, count,
            )  # fmt: skip

        return called

    return machine_code.by_numba(signature, make)


@njit(**OPTIONS)
def _integers(task, at):
    """`array` of integers, from its first entry on."""
    return _integer_array(task, at, np.int64(0))


def _array_in(real: Any) -> Any:
    """`array(task, at, start)`: the array at the address task[at], of task[at + 1] entries, from entry `start` on."""

    @intrinsic
    def array(typingctx, task, at, start):
        found = types.Array(real, 1, "C")

        def codegen(context, builder, signature, arguments):
            task, at, start = arguments
            numbers = context.make_array(signature.args[0])(context, builder, task).data
            where, size = (
                builder.load(builder.gep(numbers, [builder.add(at, ir.IntType(64)(n))])) for n in (0, 1)
            )
            data = builder.inttoptr(where, context.get_data_type(real).as_pointer())
            return flat_array(context, builder, found, builder.gep(data, [start]), builder.sub(size, start))

        return found(task, types.int64, types.int64), codegen

    return array


_integer_array = _array_in(types.int64)

if INTERPRETED:

    def row_task(e: int, k: int, v: int, arrays: tuple[np.ndarray, ...]) -> list[Any]:
        return [e, k, v, *arrays]

    def compute_rows(kernel, stage, task, sizes, rows, at, first, count) -> None:
        kernel(stage, task, sizes, rows[at:], first, count)

else:

    @intrinsic
    def _write_addresses(typingctx, task, arrays):
        """Write the addresses and lengths of a tuple of arrays behind the widths of a task."""

        def codegen(context, builder, signature, arguments):
            i64, to = (
                ir.IntType(64),
                context.make_array(signature.args[0])(context, builder, arguments[0]).data,
            )
            for n, kind in enumerate(signature.args[1].types):
                value = builder.extract_value(arguments[1], n)
                array = context.make_array(kind)(context, builder, value)
                pair = builder.ptrtoint(array.data, i64), array.nitems
                for i, number in enumerate(pair):
                    builder.store(number, builder.gep(to, [i64(WIDTHS + 2 * n + i)]))
            return context.get_dummy_value()

        return types.void(task, arrays), codegen

    @njit(**OPTIONS)
    def row_task(e, k, v, arrays):
        """The task of a kernel: widths of the rows and addresses of the arrays. The arrays must outlive it."""
        task = empty(WIDTHS + 2 * len(arrays), np.int64)
        task[VALUES], task[STATE], task[VECTORS] = e, k, v
        _write_addresses(task, arrays)
        return task

    @intrinsic
    def compute_rows(typingctx, kernel, stage, task, sizes, rows, at, first, count):
        """Call the row kernel at an address for `count` rows, which `rows` lists from `at` on, counted from `first`."""

        def codegen(context, builder, signature, arguments):
            kernel, stage, *arrays, at, first, count = arguments
            task, sizes, rows = (
                context.make_array(kind)(context, builder, value).data
                for kind, value in zip(signature.args[2:5], arrays, strict=True)
            )
            values = [stage, task, sizes, builder.gep(rows, [at]), first, count]
            kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
            builder.call(builder.inttoptr(kernel, kind.as_pointer()), values)
            return context.get_dummy_value()

        i = types.int64
        return types.void(i, i, task, sizes, rows, i, i, i), codegen
