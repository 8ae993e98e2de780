"""Machine code that outlives the process: compiled once, kept on disk, called by address or from Python.

Numba's own cache on disk is not used. It takes a free number from an index without a lock, so two processes that save
at once can each get the other's code. It also stores bitcode, which each process reads again. Here a key contains
everything that the code depends on, and a file contains the machine code and the names of its functions.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import _dynfunc, njit, types
from numba.core import fastmathpass
from numba.core.caching import _Cache
from numba.core.compiler import compile_result
from numba.core.compiler_lock import global_compiler_lock
from numba.core.cpu_options import FastMathOptions
from numba.core.registry import cpu_target
from numba.core.runtime import rtsys

from . import fingerprint
from .access import ARITHMETIC, CALLED
from .disk import default_disk
from .inlining import WRITTEN, Whole
from .processor import BYTES
from .progress import compiling, is_compiling

SYMBOL = "recurrent_dynamics."  # begins the names of functions that compiled code calls by name
_HEADER = 8  # bytes of the length of the header


class Compiled(NamedTuple):
    """Machine code, and the name of the function in it that is called at its address."""

    library: Any
    function: str


# Code that is called by its address has to live as long as the process.
_kept: dict[str, Any] = {}
_providers: dict[str, Callable[[str], None]] = {}
_numbers = itertools.count()


def provides(name: str, make: Callable[[str], None]) -> None:
    """Register `make(text)`, which provides the function of the symbol `SYMBOL` + name + ":" + text."""
    _providers[name] = make


def _require(symbols: Iterable[str]) -> None:
    for symbol in symbols:
        name, _, rest = symbol.removeprefix(SYMBOL).partition(":")
        _providers[name](rest)


def _needed(library: Any) -> list[str]:
    """The symbols of this library that a compiled library calls."""
    found = re.findall(rf'declare [^\n]*@"({re.escape(SYMBOL)}[^"]*)"', library.get_llvm_str())
    return sorted(set(found))


@lru_cache(maxsize=1)
def _context() -> Any:
    """Numba's context for loading machine code. What only compilation needs is not loaded, which saves a second."""
    context = cpu_target.target_context
    rtsys.initialize(context)
    return context


def _stand_in(names: list[str]) -> bytes:
    """Bitcode with functions of these names: Numba reads from it which functions the machine code has."""
    module = f'target triple = "{llvm.get_process_triple()}"\n'
    module += "".join(f'define void @"{name}"() {{ ret void }}\n' for name in names)
    return bytes(llvm.parse_assembly(module).as_bitcode())


def _pack(library: Any, header: dict[str, Any]) -> bytes:
    text = json.dumps(header | {"library": library.name}).encode()
    return len(text).to_bytes(_HEADER, "little") + text + library._get_compiled_object()


def _unpack(payload: bytes) -> tuple[dict[str, Any], bytes]:
    end = _HEADER + int.from_bytes(payload[:_HEADER], "little")
    return json.loads(payload[_HEADER:end]), payload[end:]


def _load(payload: bytes) -> tuple[dict[str, Any], Any]:
    """(header, library) of a payload of `_pack`; the symbols that it calls are provided before it is linked."""
    header, code = _unpack(payload)
    _require(header["needs"])
    codegen = _context().codegen()
    state = header["library"], "object", (code, _stand_in(header["names"]))
    return header, codegen.unserialize_library(state)


def address(key: str, label: str, compile_: Callable[[str], Compiled]) -> int:
    """The address of a C function: read from the disk, or compiled by `by_numba` or `of_instructions`."""
    with global_compiler_lock:  # one of the threads that need it at once compiles it
        if key not in _kept:
            library, name = _found(key) or _compiled(key, label, compile_)
            _kept[key] = library, _pointer(library, name)
    give_warnings()
    return _kept[key][1]


def _found(key: str) -> Compiled | None:
    """The function from the disk; None if this process has the claim to compile it."""
    payload = default_disk().load_or_claim(key, fingerprint.build())
    if payload is None:
        return None
    header, library = _load(payload)
    return Compiled(library, header["function"])


def _compiled(key: str, label: str, compile_: Callable[[str], Compiled]) -> Compiled:
    """Compile and store."""
    disk, build = default_disk(), fingerprint.build()
    try:
        with compiling(label):
            library, name = compile_(key)
        header = {"names": [name], "needs": _needed(library), "function": name}
        _store(key, _pack(library, header))
    finally:
        disk.release(key, build)
    return Compiled(library, name)


# Warnings of the disk, kept until compilation has ended. If warnings are errors, Numba would take one during
# compilation for a function that cannot be compiled, and would not try again.
_warnings: list[warnings.WarningMessage] = []


def _store(key: str, payload: bytes) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        default_disk().store(key, fingerprint.build(), payload)
    _warnings.extend(caught)


def give_warnings() -> None:
    """Give the warnings of a compilation that has ended."""
    while _warnings and not is_compiling():
        warning = _warnings.pop()
        warnings.warn(warning.message, warning.category, stacklevel=3)


def _private_name(prefix: str, key: str) -> str:
    """If two functions had one name, calls of both would run the code of the first."""
    return f"{prefix}{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def by_numba(
    signature: Any, make: Callable[[], Callable[..., Any]], **options: Any
) -> Callable[[str], Compiled]:
    """For `address`: Numba compiles the Python function that `make` returns, whatever is on disk."""

    def compile_(key: str) -> Compiled:
        function = make()
        function.__name__ = function.__qualname__ = _private_name("kernel_", key)
        dispatcher = njit(**(CALLED | options))(function)
        dispatcher.compile(signature)
        made = dispatcher.overloads[tuple(signature.args)]
        _refuse_constants(made)
        return Compiled(made.library, made.fndesc.llvm_cfunc_wrapper_name)

    return compile_


def of_instructions(
    signature: ir.FunctionType, write: Callable[[ir.IRBuilder], None]
) -> Callable[[str], Compiled]:
    """For `address`: a function that returns nothing, whose instructions `write` gives to a builder.

    LLVM optimizes them as those that Numba writes, with the same flags of arithmetic. Numba itself is not needed.
    """

    def compile_(key: str) -> Compiled:
        with global_compiler_lock:
            name = f"{_private_name(WRITTEN, key)}.{next(_numbers)}"
            library = Whole.new_library(_context().codegen())
            module = library.create_ir_module(name)
            function = ir.Function(module, signature, name)
            # Otherwise vectors that LLVM keeps on the stack may lie across two lines, or across two pages.
            function.attributes.alignstack = BYTES
            function.attributes.add("nounwind")  # llvmlite prints no alignment alone
            builder = ir.IRBuilder(function.append_basic_block())
            write(builder)
            builder.ret_void()
            fastmathpass.rewrite_module(module, FastMathOptions(ARITHMETIC["fastmath"]))
            library.add_ir_module(module)
            library.finalize()
        return Compiled(library, name)

    return compile_


def _pointer(library: Any, name: str) -> int:
    where = library.get_pointer_to_function(name)
    if not where:
        raise RuntimeError(f"no function {name} in the machine code of {library.name}")
    return int(where)


def _refuse_constants(compiled: Any) -> None:
    """Refuse code that uses Python objects: they are not stored on disk, and kernels use none."""
    if compiled.environment.consts or compiled.library.has_dynamic_globals:
        raise TypeError(f"{compiled.fndesc.qualname} uses Python objects, which no kernel may")


class KernelCache(_Cache):
    """The cache in which Numba looks for the machine code of one kernel."""

    def __init__(self, function: Callable[..., Any], depends: Iterable[str]) -> None:
        self._function, self._depends = function, tuple(depends)
        self._claimed: dict[
            tuple[Any, ...], str
        ] = {}  # keys of kernels that are being compiled, by their types

    @property
    def cache_path(self) -> str:
        return str(default_disk().folder)

    def _key(self, signature: Any) -> str:
        function = self._function
        arguments = ", ".join(map(str, getattr(signature, "args", signature)))
        source = fingerprint.of_module(function.__code__.co_filename, self._depends)
        return f"{function.__module__}.{function.__qualname__}({arguments}) {source}"

    def is_kept(self, signature: Any) -> bool:
        """Whether machine code for these types is on disk."""
        return default_disk().load(self._key(signature), fingerprint.build()) is not None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        key, arguments = self._key(sig), tuple(getattr(sig, "args", sig))
        payload = default_disk().load_or_claim(key, fingerprint.build())
        if payload is None:
            self._claimed[arguments] = key
            return None
        header, library = _load(payload)
        described = SimpleNamespace(
            qualname=self._function.__qualname__,
            llvm_cpython_wrapper_name=header["function"],
            env_name=header["environment"],
            restype=getattr(types, header["result"]),
            argtypes=arguments,
        )
        environment = _dynfunc.Environment(self._function.__globals__)
        entry = _entry_point(library, self._function, described, environment)
        return compile_result(
            typing_context=cpu_target.typing_context, target_context=target_context, entry_point=entry,
            signature=described.restype(*arguments), objectmode=False, library=library, fndesc=described,
            environment=environment, lifted=(), metadata={}, reload_init=(), type_annotation="",
        )  # fmt: skip

    def save_overload(self, sig: Any, data: Any) -> None:
        arguments, described = tuple(getattr(sig, "args", sig)), data.fndesc
        _refuse_constants(data)
        header = {
            "names": [described.llvm_cpython_wrapper_name, described.env_name],
            "needs": _needed(data.library),
            "function": described.llvm_cpython_wrapper_name,
            "environment": described.env_name,
            "result": str(data.signature.return_type),
        }
        # Another thread that compiled the kernel for other types may have given up the claim.
        _store(self._claimed.get(arguments) or self._key(sig), _pack(data.library, header))
        self._claimed.pop(arguments, None)

    def release(self) -> None:
        """Give up the claims of a compilation that failed."""
        while self._claimed:
            default_disk().release(self._claimed.popitem()[1], fingerprint.build())

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...


def _entry_point(library: Any, function: Callable[..., Any], described: Any, environment: Any) -> Any:
    """The function that Numba's dispatcher calls."""
    where = _pointer(library, described.llvm_cpython_wrapper_name)
    module = sys.modules[function.__module__]
    entry = _dynfunc.make_function(module, function.__name__, "", where, environment, (library,))
    library.codegen.set_env(described.env_name, environment)
    return entry
