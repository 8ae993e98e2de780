"""What a study compiles: for the training at once and on all cores, for the analyses beside the training."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from .. import cells, engine
from ..checks import callable_, one_of
from ..engine.cpu import ahead
from ..kernels.access import INTERPRETED
from ..kernels.disk import default_disk
from .patience import said

TRAINING = ("forward", "backward")
WAITING = "compiling the analyses, once: later runs find them on disk"
PATIENCE = 20.0  # seconds to wait for the analyses' code once the training has ended
CLASSES = "classes"  # the text is class indices
ANALYSES = (
    ("float64", ("forward", CLASSES, "jacobian", "drives", "qr")),
    ("float32", ("jacobian", "drives", "step")),
)


def compile_training(cell: str, say: Callable[[str], None]) -> None:
    """Compile what the training of a cell needs, on all cores; a line is said if that takes its time."""
    missing = not INTERPRETED and _missing(("float32", (*TRAINING, CLASSES)))
    with said(say, "compiling the engine, once: later runs find it on disk") if missing else nullcontext():
        engine.compile(cells.by_name(cell), TRAINING, class_indices=True)


def compile_analyses(cell: str) -> None:
    """Compile what the analyses of a cell need, in this process and one more."""
    for dtype, verbs in ANALYSES:
        ahead.compile_ahead([cells.by_name(cell)], verbs, dtype, processes=2)


@contextmanager
def analyses_beside(cell: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """While entered, other processes compile what the analyses of a cell need and is not on disk.

    A line is said if they have not ended at the end.

    Raises
    ------
    ArgumentError
        For a name that is none of a cell.
    """
    one_of("cell", cell, tuple(cells.NAMED))
    if say is not None:
        callable_("say", say, "of a text")
    if INTERPRETED or not any(map(_missing, ANALYSES)) or not default_disk().can_store():
        yield
        return
    process = ahead.start(
        f"from {__name__} import compile_analyses, stand_back\nstand_back()\ncompile_analyses({cell!r})"
    )
    try:
        yield
    except BaseException:
        process.terminate()
        raise
    finally:
        try:
            with said(say, WAITING) if say is not None and process.poll() is None else nullcontext():
                process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # Other work leaves it no time. The analyses compile what is missing.
            process.terminate()
            process.wait()


def stand_back() -> None:
    """Take only the processor time that others leave: a training would wait for its slower thread in each step."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not on Linux, or not allowed
        os.nice(19)


def _missing(needed: tuple[str, tuple[str, ...]]) -> bool:
    """Whether a kernel of these verbs is not on disk."""
    dtype, verbs = needed
    return not all(ahead.is_kept(name, dtype) for verb in verbs for name in ahead.KERNELS[verb])
