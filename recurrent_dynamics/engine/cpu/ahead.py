"""Compilation ahead of the first call: which kernels each verb needs, compiled by several processes at once.

Numba's compiler uses one thread of a process. The small row kernels of a cell are compiled by the process that has the
cell. The kernels that all cells share are distributed to other processes by their names. Each process finds on disk
what another one has compiled.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numba import types

from ...cells import Cell
from ...kernels import copying
from ...kernels.access import INTERPRETED
from ...kernels.disk import default_disk
from ...kernels.qr import compiled as qr
from . import (
    classes,
    input_products,
    jacobian,
    stage_products,
    tangent_loops,
    time_loops,
    weight_gradients,
)
from .rows import REAL, row_kernel

# Each verb's row kernel, which every cell compiles for itself, and its kernels that all cells share. `_SECONDS` says
# about how long a shared kernel takes to compile.
ROW_KERNELS = {
    "forward": "forward", "step": "forward", "backward": "adjoint", "jvp": "tangent", "hvp": "second",
    "jacobian": "jacobian",
}  # fmt: skip
_FORWARD = (
    "time_loops.forward",
    "stage_products.pack_factors",
    "copying.move_vectors",
)
_BACKWARD = ("weight_gradients.gradients", "time_loops.adjoint")
_TANGENT = ("tangent_loops.tangent", "input_products.multiply_input", "stage_products.add_matrix_products")
KERNELS: dict[str, tuple[str, ...]] = {
    "forward": _FORWARD,
    "backward": (*_FORWARD, *_BACKWARD),
    "jvp": (*_FORWARD, *_TANGENT),
    "hvp": (*_FORWARD, *_BACKWARD, *_TANGENT, "tangent_loops.second"),
    "jacobian": (*_FORWARD, "jacobian.jacobian"),
    "step": ("time_loops.one_step", "stage_products.pack_factors"),
    "drives": ("input_products.multiply_input", "stage_products.add_matrix_products"),
    "qr": ("qr._carry",),
    "classes": ("classes._biases", "classes._gradients"),
}
_MODULES = {
    "time_loops": time_loops, "tangent_loops": tangent_loops, "stage_products": stage_products,
    "input_products": input_products, "weight_gradients": weight_gradients, "jacobian": jacobian, "classes": classes,
    "copying": copying, "qr": qr,
}  # fmt: skip
_SECONDS = {
    "time_loops.forward": 3.4, "time_loops.adjoint": 1.5, "weight_gradients.gradients": 2.8, "jacobian.jacobian": 2.0,
    "tangent_loops.tangent": 1.5, "tangent_loops.second": 1.5, "qr._carry": 5.0, "stage_products.pack_factors": 1.0,
}  # fmt: skip
_SECONDS_TO_START = 0.6  # of a further process

# The types of the arguments of kernels by their names. All others are integers.
_REALS = frozenset(
    "M dM tM uM "
    "U W packed t_packed of_input P C E S N initial checksums X bias dE dS dN dP d_initial zeros dX tE tS tN tP "
    "t_initial uE uS uN uP u_initial out dW dU d_bias total_W total_U total_bias J d_biases frames moved R".split()
)
_INTEGERS = frozenset("starts widths places lengths counters classes index ends times".split())
_TABLES = frozenset("products entries diagonals".split())
_FLAGS = frozenset("active resets".split())
_TRUTHS = frozenset("transposed by_units assign adds from_end first_time last_time".split())
_OF_QR = {"J": 1, "frames": 1, "moved": 1, "R": 1, "logs": 3, "conditions": 2}


def _argument(name: str, real: Any, is_qr: bool) -> Any:
    if is_qr and name in _OF_QR:
        return types.Array(types.float64, _OF_QR[name], "C")
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
    kernel = getattr(_MODULES[module], function)
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


def shares(names: Iterable[str], processes: int, taken: float = 0.0) -> list[list[str]]:
    """Distribute names so that all processes take about as long; the first one has `taken` seconds of work already.

    The kernels of a module stay together: they call the same functions, which each process compiles again.
    """
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(name.partition(".")[0], []).append(name)
    load, shared = [taken] + [_SECONDS_TO_START] * (processes - 1), [list[str]() for _ in range(processes)]
    seconds = {module: sum(_SECONDS.get(name, 0.5) for name in own) for module, own in modules.items()}
    for module in sorted(modules, key=lambda module: -seconds[module]):
        least = load.index(min(load))
        shared[least] += modules[module]
        load[least] += seconds[module]
    return shared


def start(code: str) -> subprocess.Popen[bytes]:
    """Start a process that runs Python code, which compiles and stores kernels on disk."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=nothing, stdout=nothing, stderr=nothing
    )


def compile_ahead(cells: Sequence[Cell], verbs: Sequence[str], dtype: str, processes: int) -> None:
    """Compile the kernels that the verbs of cells need, on `processes` processes, this one among them."""
    if INTERPRETED:
        return
    names = list(dict.fromkeys(name for verb in verbs for name in KERNELS[verb]))
    rows = [
        (cell, kernel)
        for cell in cells
        for kernel in dict.fromkeys(ROW_KERNELS[v] for v in verbs if v in ROW_KERNELS)
    ]
    if not default_disk().can_store():
        processes = 1  # kernels come back from other processes through the disk
    missing = [name for name in names if not is_kept(name, dtype)]
    mine, *others = shares(missing, max(1, processes), taken=0.4 + 0.1 * len(rows))
    running = [
        start(
            f"from {__name__} import compile_kernel\nfor name in {names!r}: compile_kernel(name, {dtype!r})"
        )
        for names in others
        if names
    ]
    try:
        for cell, kernel in rows:
            row_kernel(cell, kernel, np.dtype(dtype))
        for name in mine:
            compile_kernel(name, dtype)
    finally:
        for process in running:
            process.wait()
    for name in names:  # also those that another process failed to compile: here the error is seen
        compile_kernel(name, dtype)
