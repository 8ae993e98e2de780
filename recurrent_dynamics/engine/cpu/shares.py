"""Which kernels each verb needs, and which process compiles them. The compiler is not imported here.

So further processes can begin to import it before this one does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress

from ...kernels.disk import default_disk
from ...kernels.processes import FORKS, ONLY_COMPILES, start

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
    "prepared": ("bound_call.run",),  # a forward pass of frozen parameters
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
_SECONDS = {
    "time_loops.forward": 2.7, "time_loops.adjoint": 1.8, "weight_gradients.gradients": 3.0, "jacobian.jacobian": 2.0,
    "tangent_loops.tangent": 1.5, "tangent_loops.second": 1.5, "qr._carry": 4.5, "stage_products.pack_factors": 0.3,
    "branch_loops.of_parents": 1.0, "branch_loops.of_children": 0.9, "input_products.multiply_rows_of": 0.2,
    "bound_call.run": 0.2,
}  # fmt: skip
_WORTH_A_PROCESS = 1.0  # seconds of compilation; a process takes half of that to start

Wanted = tuple[str, str]  # a verb, and its dtype
Kernel = tuple[str, str]  # the name of a kernel of all cells, and its dtype


def kernels_of(wanted: Iterable[Wanted]) -> list[Kernel]:
    """The kernels of all cells that verbs need, in this order."""
    return list(dict.fromkeys((name, dtype) for verb, dtype in wanted for name in KERNELS[verb]))


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


def begin(kernels: Iterable[Kernel], processes: int) -> list[subprocess.Popen[bytes]]:
    """Start the processes that compile kernels: none if there is little to do, or if nothing can be stored.

    Where processes may fork, the one that is started forks the others. Where none can be started, as in a program that
    has Python inside, the caller compiles all.
    """
    wanted = list(kernels)
    # Kernels come back from other processes through the disk.
    can_start = processes > 1 and sys.executable
    if not can_start or _seconds_of(wanted) < _WORTH_A_PROCESS or not default_disk().can_store():
        return []
    shared = shares(wanted, processes)
    program = f"{ONLY_COMPILES}from {__package__}.ahead import compile_shares\ncompile_shares"
    begun = []
    with suppress(OSError):
        for group in [shared] if FORKS else [[share] for share in shared]:
            begun.append(start(f"{program}({group!r})"))
    return begun


def begin_early(wanted: Iterable[Wanted], processes: int) -> list[subprocess.Popen[bytes]] | None:
    """`begin` for all kernels that verbs need, if the disk is empty; None if it is not.

    This needs no compiler, so that the other processes load it while this one does. Which of the entries on a disk that
    is not empty are of use can be said only by who has loaded the compiler.
    """
    interpreted = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return None if interpreted or not default_disk().is_empty() else begin(kernels_of(wanted), processes)
