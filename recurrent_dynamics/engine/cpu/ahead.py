"""What each verb compiles, so that it can be compiled before the verb is called, by several processes at once.

Numba's compiler works on one thread of a process. What is compiled for a cell are small kernels, which the process
that has the cell compiles itself; what is compiled once for all cells is shared out to processes that know only names.
All of them find on disk what another one has compiled.
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
from . import classes, hoisted, jacobian, outer, walks
from .rows import REAL, row_kernel

# Of each verb the kernel of a cell, and the kernels of all cells, with about how many seconds each takes to compile.
ROWS = {
    "forward": "forward", "step": "forward", "backward": "adjoint", "jvp": "tangent", "hvp": "second",
    "jacobian": "jacobian",
}  # fmt: skip
_FORWARD = ("walks.forward", "walks.pack_factors", "copying.place_rows", "classes._biases")
_BACKWARD = ("outer.gradients", "walks.adjoint", "classes._gradients")
_TANGENT = ("walks.tangent", "hoisted.inputs", "hoisted.add_matrices")
KERNELS: dict[str, tuple[str, ...]] = {
    "forward": _FORWARD,
    "backward": (*_FORWARD, *_BACKWARD),
    "jvp": (*_FORWARD, *_TANGENT),
    "hvp": (*_FORWARD, *_BACKWARD, *_TANGENT, "walks.second"),
    "jacobian": (*_FORWARD, "jacobian.jacobian"),
    "step": ("walks.one_step", "walks.pack_factors"),
    "drives": ("hoisted.inputs", "hoisted.add_matrices"),
    "qr": ("qr._carry",),
}
_MODULES = {
    "walks": walks, "hoisted": hoisted, "outer": outer, "jacobian": jacobian, "classes": classes, "copying": copying,
    "qr": qr,
}  # fmt: skip
_SECONDS = {
    "walks.forward": 3.0, "walks.adjoint": 2.0, "outer.gradients": 3.0, "walks.tangent": 1.5, "walks.second": 1.5,
    "jacobian.jacobian": 2.0, "qr._carry": 5.0,
}  # fmt: skip

# The types of the arguments of kernels, by their names; others are integers.
_REALS = frozenset(
    "U W packed of_input P C E S N initial sums X bias dE dS dN dP d_initial nothing dX tE tS tN tP t_initial moved uE "
    "uS uN uP u_initial out dW dU d_bias whole_W whole_U whole_bias J d_biases frames R".split()
)
_INTEGERS = frozenset("starts widths lengths counters classes index ends times".split())
_TABLES = frozenset("products entries diagonals".split())
_FLAGS = frozenset("active resets".split())
_TRUTHS = frozenset("transposed by_units fresh first_time last_time".split())
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
    """The names parted so that all processes take about as long, the heaviest first; the first one has work already."""
    load, parts = [taken] + [0.0] * (processes - 1), [list[str]() for _ in range(processes)]
    for name in sorted(names, key=lambda name: -_SECONDS.get(name, 0.5)):
        least = load.index(min(load))
        parts[least].append(name)
        load[least] += _SECONDS.get(name, 0.5)
    return parts


def start(code: str) -> subprocess.Popen[bytes]:
    """A process that runs Python code, to compile something that it leaves on the disk."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=nothing, stdout=nothing, stderr=nothing
    )


def compile_ahead(cells: Sequence[Cell], verbs: Sequence[str], dtype: str, processes: int) -> None:
    """Compile what the verbs of cells need, on so many processes, this one among them."""
    if INTERPRETED:
        return
    names = list(dict.fromkeys(name for verb in verbs for name in KERNELS[verb]))
    rows = [(cell, kernel) for cell in cells for kernel in dict.fromkeys(ROWS[v] for v in verbs if v in ROWS)]
    if not default_disk().info().writable:
        processes = 1  # nothing would come back from others
    missing = [name for name in names if not is_kept(name, dtype)]
    mine, *others = shares(missing, max(1, processes), taken=0.5 + 0.5 * len(rows))
    running = [
        start(f"from {__name__} import compile_kernel\nfor name in {part!r}: compile_kernel(name, {dtype!r})")
        for part in others
        if part
    ]
    try:
        for cell, kernel in rows:
            row_kernel(cell, kernel, np.dtype(dtype))
        for name in mine:
            compile_kernel(name, dtype)
    finally:
        for process in running:
            process.wait()
    for name in names:  # what a process could not compile is compiled here, where its error is seen
        compile_kernel(name, dtype)
