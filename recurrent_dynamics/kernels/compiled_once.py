"""Functions that other compiled functions call by name, so that each of them is compiled once.

Numba compiles a callee into each of its callers: a matrix product in six time loops would be compiled six times. A
function with this decorator is compiled by itself. Its callers call it by a symbol, whose name encodes the types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import fingerprint, machine_code
from .access import INTERPRETED, OPTIONS
from .flat_arrays import array_of
from .inlining import InlinedLight, WholeLight

_LETTERS = {types.float32: "f", types.float64: "d", types.int64: "i", types.boolean: "b", types.int32: "j"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


def _letter(kind: Any) -> str:
    """The code of a type in a symbol, such as "f" for a number, "pf" for a pointer, "af" for a flat array."""
    if isinstance(kind, types.Array):
        if kind.ndim != 1 or kind.layout != "C":
            raise TypeError(f"a function compiled once takes flat contiguous arrays; came {kind}")
        return "a" + _LETTERS[kind.dtype]
    if isinstance(kind, types.CPointer):
        return "p" + _LETTERS[kind.dtype]
    kind = types.unliteral(kind)
    return _LETTERS[types.int64 if isinstance(kind, types.Integer) else kind]


def _words(text: str) -> list[str]:
    found, i = [], 0
    while i < len(text):
        n = 2 if text[i] in "pa" else 1
        found.append(text[i : i + n])
        i += n
    return found


def _passed(words: list[str]) -> list[Any]:
    """The types of the arguments as they are passed: an array as a pointer and its length."""
    passed: list[Any] = []
    for word in words:
        kind = _KINDS[word[-1]]
        passed += (
            [types.CPointer(kind), types.int64]
            if word[0] == "a"
            else [types.CPointer(kind) if word[0] == "p" else kind]
        )
    return passed


def compiled_once(function: Callable[..., Any] | None = None, *, options: dict[str, Any] = OPTIONS) -> Any:
    """Compile a function once for each set of types; it takes numbers, pointers and flat arrays and returns nothing.

    It may not allocate memory: an error inside of it would not reach the caller. The options are `OPTIONS` or `LIGHT`.
    With NUMBA_DISABLE_JIT=1 it is the function itself.
    """
    if function is None:
        return lambda f: compiled_once(f, options=options)
    if INTERPRETED:
        return function
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    names = list(inspect.signature(function).parameters)
    symbols: set[str] = set()

    def make(words: list[str]) -> Callable[..., Any]:
        """The function as C calls it: arrays come as pointers and lengths."""
        taken = [n if w[0] != "a" else f"{n}, {n}_size" for n, w in zip(names, words, strict=True)]
        given = [n if w[0] != "a" else f"array({n}, {n}_size)" for n, w in zip(names, words, strict=True)]
        scope: dict[str, Any] = {"function": njit(**options)(function), "array": array_of}
        exec(f"def called({', '.join(taken)}):\n    function({', '.join(given)})\n", scope)
        return scope["called"]

    def compiler(letters: str) -> Callable[[str], machine_code.Compiled]:
        words = _words(letters)
        called: dict[str, Any] = (
            {"pipeline_class": WholeLight} if options["pipeline_class"] is InlinedLight else {}
        )
        return machine_code.by_numba(types.void(*_passed(words)), lambda: make(words), **called)

    def provide(letters: str) -> None:
        symbol = f"{machine_code.SYMBOL}{name}:{letters}"
        if symbol not in symbols:
            key = f"{name}({letters}) {fingerprint.of_module(function.__code__.co_filename)}"
            where = machine_code.address(key, f"{name} ({letters})", compiler(letters))
            llvm.add_symbol(symbol, where)
            symbols.add(symbol)

    machine_code.provides(name, provide)
    by_name = _by_name(name, names, provide)
    by_name.compiler, by_name.provide = compiler, provide
    return by_name


def _by_name(name: str, names: list[str], provide: Callable[[str], None]) -> Any:
    """The intrinsic that compiled code calls in place of the function."""

    def call(typingctx: Any, *given: Any) -> Any:
        letters = [_letter(kind) for kind in given]
        provide("".join(letters))
        symbol = f"{machine_code.SYMBOL}{name}:{''.join(letters)}"
        wanted = [
            kind if isinstance(kind, types.Array | types.CPointer) else _KINDS[letter]
            for kind, letter in zip(given, letters, strict=True)
        ]

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values = []
            for kind, value in zip(signature.args, arguments, strict=True):
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder, value)
                    values += [array.data, array.nitems]
                else:
                    values.append(value)
            kind = ir.FunctionType(ir.VoidType(), [v.type for v in values])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, symbol), values)
            return context.get_dummy_value()

        return types.void(*wanted), codegen

    scope: dict[str, Any] = {"call": call}
    taken = ", ".join(names)
    exec(f"def {name.rpartition('.')[2]}(typingctx, {taken}):\n    return call(typingctx, {taken})\n", scope)
    return intrinsic(scope[name.rpartition(".")[2]])
