"""Further processes that compile: how they begin and end. Numba is not imported here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# Whether a process may fork after it has loaded its libraries: those of macOS may not go on in a fork.
FORKS = sys.platform == "linux"

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

# What a process that only compiles does before.
ONLY_COMPILES = f"from {__package__}.lean_numba import leave_out\nleave_out()\n"


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


@contextmanager
def awaited(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Wait for processes when left; an error ends them."""
    try:
        yield
        for process in processes:
            finish(process)
    except BaseException:
        for process in processes:
            process.kill()
            finish(process)
        raise


def stand_back() -> None:
    """Take only the processor time that others leave: a training would wait for its slower thread in each step."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # not on Linux, or not allowed
        with suppress(AttributeError, OSError):  # not on Windows
            os.nice(19)
