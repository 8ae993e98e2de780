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
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numba import types
from numba.core.registry import cpu_target

from ...cells import Cell, by_name
from ...kernels import copying
from ...kernels.access import INTERPRETED
from ...kernels.disk import default_disk
from ...kernels.product import provide_rows
from ...kernels.qr import compiled as qr
from . import (
    branch_loops,
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
    "dense": ("input_products.multiply_input",),
    "branch": ("branch_loops.of_parents", "branch_loops.of_children", "input_products.multiply_rows_of"),
    "qr": ("qr._carry",),
    "classes": ("classes._biases", "classes._gradients"),
}
_MODULES = {
    "time_loops": time_loops, "tangent_loops": tangent_loops, "stage_products": stage_products,
    "input_products": input_products, "weight_gradients": weight_gradients, "jacobian": jacobian, "classes": classes,
    "branch_loops": branch_loops, "copying": copying, "qr": qr,
}  # fmt: skip
_SECONDS = {
    "time_loops.forward": 2.7, "time_loops.adjoint": 1.8, "weight_gradients.gradients": 3.0, "jacobian.jacobian": 2.0,
    "tangent_loops.tangent": 1.5, "tangent_loops.second": 1.5, "qr._carry": 4.5, "stage_products.pack_factors": 0.3,
    "branch_loops.of_parents": 1.0, "branch_loops.of_children": 0.9, "input_products.multiply_rows_of": 0.2,
}  # fmt: skip
_WORTH_A_PROCESS = 1.0  # seconds of compilation; a process takes half of that to start

# Whether a process may fork after it has loaded its libraries: those of macOS may not go on in a fork.
FORKS = sys.platform == "linux"

_PAUSE = 0.25  # seconds between two looks at the disk

Wanted = tuple[str, str]  # a verb, and its dtype
Kernel = tuple[str, str]  # the name of a kernel of all cells, and its dtype

# How each further process begins. It ends when its parent and what that has forked have ended, however they did: they
# hold the other end of its standard input, and never write to it. The processes that it forks itself end in the same
# way. Python 3.12 warns of a fork beside the thread that looks at the pipe, which holds no lock. The pipe is
# moved to another number, because on Windows whoever looks at the standard input waits for the thread that reads it. It
# never looks for cycles among its objects.
_BEGIN = """
import gc, os, threading, warnings
gc.disable()
warnings.simplefilter("ignore", DeprecationWarning)
pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
os.dup2(nothing, 0)
def watch():
    threading.Thread(target=lambda: (os.read(pipe, 1), os._exit(1)), daemon=True).start()
watch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watch)
"""

# What a process that only compiles does before. Numba would load SciPy's linear algebra, which no kernel calls, and
# time each call of LLVM, which nobody asks for: 0.4 of 5 seconds.
ONLY_COMPILES = """
import sys
sys.modules["scipy.linalg"] = None
from numba.core import event
event.start_event = event.end_event = lambda *_, **__: None
"""

# The types of the arguments of kernels by their names. All others are integers.
_REALS = frozenset(
    "M dM tM uM "
    "U W packed t_packed of_input P C E S N initial checksums X bias dE dS dN dP d_initial zeros dX tE tS tN tP "
    "t_initial uE uS uN uP u_initial out dW dU d_bias total_W total_U total_bias J d_biases frames moved R "
    "weights".split()
)
_INTEGERS = frozenset(
    "starts widths places lengths counters classes index ends times parents spans slots".split()
)
_TABLES = frozenset("products parameters entries diagonals".split())
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


def kernels_of(wanted: Iterable[Wanted]) -> list[Kernel]:
    """The kernels of all cells that verbs need, in this order."""
    return list(dict.fromkeys((name, dtype) for verb, dtype in wanted for name in KERNELS[verb]))


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


def _seconds_of(kernels: Iterable[Kernel]) -> float:
    return sum(_SECONDS.get(name, 0.5) for name, _ in kernels)


def shares(kernels: Iterable[Kernel], processes: int) -> list[list[Kernel]]:
    """Distribute kernels so that all processes take about as long.

    The kernels of a module stay together: they call the same functions, which each process compiles again.
    """
    modules: dict[Kernel, list[Kernel]] = {}
    for name, dtype in kernels:
        modules.setdefault((name.partition(".")[0], dtype), []).append((name, dtype))
    load, shared = [0.0] * processes, [list[Kernel]() for _ in range(processes)]
    for own in sorted(modules.values(), key=_seconds_of, reverse=True):
        least = load.index(min(load))
        shared[least] += own
        load[least] += _seconds_of(own)
    return [share for share in shared if share]


def compile_shares(shared: Sequence[Sequence[Kernel]]) -> None:
    """Compile the first share in this process and each other one in a fork of it, which need not load the compiler.

    The first process needs the product for the forward pass, which takes longest. The second one compiles it meanwhile.
    """
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


def start(code: str) -> subprocess.Popen[bytes]:
    """Start a process that runs Python code, which compiles and stores kernels on disk; it ends when this one does.

    It imports the modules that this one would import, wherever it is started. It never looks for cycles among its
    objects, and does not take them apart at its end: a tenth of its time.
    """
    code = f"{_BEGIN}\n{code}\nos._exit(0)"
    folders = []
    for folder in sys.path:
        with suppress(OSError):  # the current folder, which was deleted
            folders.append(os.path.abspath(folder))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=nothing,
        stderr=nothing,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process."""
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def stand_back() -> None:
    """Take only the processor time that others leave: a training would wait for its slower thread in each step."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not on Linux, or not allowed
        with suppress(AttributeError, OSError):  # not on Windows
            os.nice(19)


def compile_ahead(
    cells: Sequence[Cell],
    wanted: Sequence[Wanted],
    processes: int,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Compile the kernels that verbs of cells need, on `processes` further processes, or here in their order for one.

    Those have an end of their own: to free the compiler's many objects, Python would take half a second of the caller.
    This process calls `meanwhile`: what it compiles is code that the other processes do not import.
    """
    if INTERPRETED:
        return
    kernels = kernels_of(wanted)
    missing = [kernel for kernel in kernels if not is_kept(*kernel)]
    # Kernels come back from other processes through the disk.
    alone = processes < 2 or _seconds_of(missing) < _WORTH_A_PROCESS or not default_disk().can_store()
    running: list[subprocess.Popen[bytes]] = []
    try:
        shared = [] if alone else shares(missing, processes)
        for group in [shared] if FORKS and shared else [[share] for share in shared]:
            program = f"from {__name__} import compile_shares\ncompile_shares({group!r})"
            running.append(start(ONLY_COMPILES + program))
        for kernel, dtype in dict.fromkeys(
            (ROW_KERNELS[v], dtype) for v, dtype in wanted if v in ROW_KERNELS
        ):
            for cell in cells:
                row_kernel(cell, kernel, np.dtype(dtype))
        if meanwhile is not None:
            meanwhile()
        for process in running:
            finish(process)
    except BaseException:
        for process in running:
            process.kill()
            finish(process)
        raise
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
