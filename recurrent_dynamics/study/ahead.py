"""What a study compiles: for the training at once and on all cores, for the analyses beside everything else."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from .. import cells
from ..checks import callable_, one_of
from ..engine.compiling import cores
from ..engine.cpu import ahead
from ..engine.cpu.shares import Wanted
from ..kernels.access import INTERPRETED
from ..kernels.disk import default_disk
from ..kernels.processes import ONLY_COMPILES, finish, start
from ..nn import cross_entropy
from ..training import Optimizer
from ..training.optimizers import advance
from .patience import said

COMPILING = "compiling the engine, once: later runs find it on disk"
STILL = "the analyses are still being compiled, once: later runs find them on disk"
PATIENCE = 20.0  # seconds for the analyses' code once the training has ended
TRAINING = tuple((verb, "float32") for verb in ("forward", "backward", "classes", "dense"))
# In the order in which the analyses need them: Jacobian products, fixed points, Lyapunov exponents, samples.
LAST = (("qr", "float64"), ("branch", "float32"))
ANALYSES = (
    *((verb, "float32") for verb in ("jacobian", "drives")),
    *((verb, "float64") for verb in ("forward", "jacobian", "drives")),
    *LAST,
)


def compile_training(
    cell: str, say: Callable[[str], None], meanwhile: Callable[[], None] | None = None
) -> None:
    """Compile what the training of a cell needs, on all cores; a line is said if that takes its time.

    This process also calls `meanwhile`, such as `try_update`.
    """
    missing = not INTERPRETED and ahead.is_missing(TRAINING)
    with said(say, COMPILING) if missing else nullcontext():
        ahead.compile_ahead([cells.by_name(cell)], TRAINING, cores(), meanwhile)


def try_update(optimizer: Optimizer, params: Mapping[str, Any]) -> None:
    """Compile the loss and the update of the parameters by computing them once; the parameters stay as they are."""
    cross_entropy(np.zeros((1, 2), np.float32), [0])
    advance(optimizer, params, optimizer.init(params), params, 0.0)


@contextmanager
def analyses_beside(cell: str, say: Callable[[str], None] | None = None) -> Iterator[Callable[[], None]]:
    """While entered, another process compiles what the analyses of a cell need and is not on disk.

    It begins when the code of the training is on disk, and takes the processor time that others leave. It goes on
    beside the analyses, with a second process for the last kernels. The analyses wait for a kernel that is being
    compiled, and compile one themselves that is not. At the end the processes end too.

    Yields
    ------
    callable
        To be called when the training has ended. The processes then have some seconds left, which is enough unless
        other work takes all cores; a line is said if there is still something to compile.

    Raises
    ------
    ArgumentError
        For a name that is none of a cell.
    """
    one_of("cell", cell, tuple(cells.NAMED))
    if say is not None:
        callable_("say", say, "of a text")
    if INTERPRETED or not ahead.is_missing(ANALYSES) or not default_disk().can_store():
        yield lambda: None
        return
    processes, timers = [_start(cell, ANALYSES, after=TRAINING)], []

    def limit() -> None:
        if processes[0].poll() is not None:
            return
        if say is not None:
            say(STILL)
        processes.append(_start(cell, LAST, after=()))
        # An analysis may wait for a kernel whose process gets no processor time.
        timers.extend([threading.Timer(PATIENCE, process.kill) for process in processes])
        for timer in timers:
            timer.daemon = True
            timer.start()

    try:
        yield limit
    finally:
        for timer in timers:
            timer.cancel()
        for process in processes:
            process.kill()
            finish(process)


def _start(cell: str, wanted: tuple[Wanted, ...], after: tuple[Wanted, ...]) -> subprocess.Popen[bytes]:
    """Start a process that compiles what verbs of a cell need."""
    return start(
        f"{ONLY_COMPILES}from {ahead.__name__} import compile_beside\n"
        f"compile_beside({cell!r}, {wanted}, {after})"
    )
