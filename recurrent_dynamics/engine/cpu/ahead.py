"""Compilation ahead of the first call, by several processes at once.

Numba's compiler uses one thread of a process. The small row kernels of a cell are compiled by the process that has the
cell. The kernels that all cells share are distributed to other processes by their names, see `shares`. Each process
finds on disk what another one has compiled.
"""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numba import types
from numba.core.registry import cpu_target

from ...cells import Cell, by_name
from ...kernels.access import INTERPRETED
from ...kernels.processes import awaited, stand_back
from ...kernels.product import provide_rows
from .rows import REAL, row_kernel
from .shares import ROW_KERNELS, Kernel, Wanted, begin, kernels_of

# Modules of kernels elsewhere than in this package. A process imports those whose kernels it needs.
_ELSEWHERE = {
    "bound_call": "...kernels.bound_call",
    "copying": "...kernels.copying",
    "qr": "...kernels.qr.compiled",
}
_PAUSE = 0.25  # seconds between two looks at the disk

# The types of the arguments of kernels by their names. All others are integers.
_REALS = frozenset(
    "M dM tM uM "
    "U W packed t_packed of_input P C E S N initial checksums X bias dE dS dN dP d_initial zeros dX tE tS tN tP "
    "t_initial uE uS uN uP u_initial out dW dU d_bias total_W total_U total_bias J d_biases frames moved R "
    "weights final".split()
)
_INTEGERS = frozenset(
    "starts widths place places lengths counters classes index ends times parents spans slots".split()
)
_TABLES = frozenset("products parameters entries diagonals".split())
_FLAGS = frozenset("active resets".split())
_TRUTHS = frozenset("transposed by_units assign adds from_end first_time last_time".split())
_DIMENSIONS = {"first": 3, "second": 3, "third": 2}  # of the varying arrays of a bound call
_OF_QR = {"J": 1, "frames": 1, "moved": 1, "R": 1, "logs": 3, "conditions": 2}


def _argument(name: str, real: Any, is_qr: bool) -> Any:
    if is_qr and name in _OF_QR:
        return types.Array(types.float64, _OF_QR[name], "C")
    if name in _DIMENSIONS:
        return types.Array(real, _DIMENSIONS[name], "C")
    if name in _REALS:
        return types.Array(real, 1, "C")
    if name in _INTEGERS:
        return types.Array(types.int64, 1, "C")
    if name in _TABLES:
        return types.Array(types.int64, 2, "C")
    if name in _FLAGS:
        return types.Array(types.boolean, 1, "C")
    return types.boolean if name in _TRUTHS else types.int64


def _kernel(name: str, dtype: str) -> tuple[Any, tuple[Any, ...]]:
    """(the kernel of a name, the types of its arguments)."""
    module, _, function = name.partition(".")
    found = importlib.import_module(_ELSEWHERE.get(module, f".{module}"), __package__)
    kernel = getattr(found, function)
    arguments = inspect.signature(kernel.py_func).parameters
    return kernel, tuple(_argument(argument, REAL[dtype], module == "qr") for argument in arguments)


def compile_kernel(name: str, dtype: str) -> None:
    """Compile a kernel of all cells, or read it from the disk."""
    kernel, arguments = _kernel(name, dtype)
    kernel.compile(arguments)


def is_kept(name: str, dtype: str) -> bool:
    """Whether a kernel of all cells is on disk."""
    kernel, arguments = _kernel(name, dtype)
    return bool(kernel._cache.is_kept(arguments))


def is_missing(wanted: Iterable[Wanted]) -> bool:
    """Whether a kernel of these verbs is not on disk."""
    return not all(is_kept(*kernel) for kernel in kernels_of(wanted))


def compile_shares(shared: Sequence[Sequence[Kernel]]) -> None:
    """Compile the first share in this process and each other one in a fork of it, which need not load the compiler.

    The first process needs the product for the forward pass, which takes longest. The second one compiles it meanwhile.
    """
    if INTERPRETED:
        return
    cpu_target.target_context.refresh()  # loads the rest of the compiler, which would be loaded when it is first used
    forked = []
    for share in shared[1:]:
        process = os.fork()
        if process == 0:
            try:
                if share is shared[1]:
                    for dtype in [dtype for name, dtype in shared[0] if name == "time_loops.forward"]:
                        provide_rows(dtype)
                for own in share:
                    compile_kernel(*own)
            finally:
                os._exit(0)
        forked.append(process)
    try:
        for own in shared[0]:
            compile_kernel(*own)
    finally:
        for process in forked:
            os.waitpid(process, 0)


def compile_ahead(
    cells: Sequence[Cell],
    wanted: Sequence[Wanted],
    processes: int,
    meanwhile: Callable[[], None] | None = None,
    begun: Sequence[subprocess.Popen[bytes]] | None = None,
) -> None:
    """Compile the kernels that verbs of cells need, on `processes` further processes, or here in their order for one.

    `begin_early` may have `begun` the further processes. They have an end of their own: to free the compiler's many
    objects, Python would take half a second of the caller. This process calls `meanwhile`: what it compiles is code
    that the other processes do not import.
    """
    if INTERPRETED:
        return
    kernels = kernels_of(wanted)
    if begun is None:
        begun = begin([kernel for kernel in kernels if not is_kept(*kernel)], processes)
    with awaited(begun):
        for kernel, dtype in dict.fromkeys(
            (ROW_KERNELS[v], dtype) for v, dtype in wanted if v in ROW_KERNELS
        ):
            for cell in cells:
                row_kernel(cell, kernel, np.dtype(dtype))
        if meanwhile is not None:
            meanwhile()
    for own in kernels:  # also those that another process failed to compile: here the error is seen
        compile_kernel(*own)


def compile_beside(cell: str, wanted: Sequence[Wanted], after: Sequence[Wanted]) -> None:
    """Compile what verbs of a cell need, in the processor time that others leave.

    It begins when another process has compiled the verbs `after`: that process would otherwise wait for code that both
    need, and that this one compiles slowly. A second process would delay a training on two cores by a tenth.
    """
    stand_back()
    while is_missing(after):
        time.sleep(_PAUSE)
    compile_ahead([by_name(cell)], wanted, processes=1)
