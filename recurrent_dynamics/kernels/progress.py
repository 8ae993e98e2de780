"""Messages about long compilations: a line on a terminal, a record of the logger everywhere else.

The first call of a verb may compile for some seconds. Silence would look like a program that hangs.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .tuning import current

LOGGER = logging.getLogger("recurrent_dynamics")
PAUSE = 2.0  # seconds without compilation after which the count begins again


class _Progress:
    """The compilations of a process; those inside of another one belong to it.

    Meanwhile Python does not look for cycles: it found next to none in the many objects of a compiler, in an eighth of
    the time.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._labels: list[str] = []
        self._began = self._ended = float("-inf")
        self._timer: threading.Timer | None = None
        self._bar: Any = None
        self._told = self._collecting = False

    @property
    def active(self) -> bool:
        """Whether something is being compiled."""
        return bool(self._labels)

    def begin(self, label: str) -> None:
        with self._lock:
            now = time.monotonic()
            if not self._labels and now - self._ended > PAUSE:
                self._began, self._told = now, False
            self._labels.append(label)
            if len(self._labels) == 1:
                self._collecting = gc.isenabled()
                gc.disable()
            LOGGER.debug("compiling %s", label)
            if len(self._labels) == 1:
                self._timer = threading.Timer(
                    max(0.0, self._began + current().silent_compilation - now), self._tell
                )
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        with self._lock:
            self._labels.pop()
            if self._labels:
                return
            if self._collecting:
                if not gc.get_freeze_count():
                    # The compiler's objects join the old ones, unseen: to search them took 0.3 s.
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()
            self._ended = time.monotonic()
            if self._timer is not None:
                self._timer.cancel()
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _tell(self) -> None:
        with self._lock:
            if not self._labels:
                return
            text = f"compiling {self._labels[-1]}, once: later processes find it on disk"
            if sys.stderr is not None and sys.stderr.isatty():
                from tqdm import tqdm

                self._bar = tqdm(total=0, desc=text, bar_format="{desc}", leave=False, file=sys.stderr)
            elif not self._told:
                LOGGER.info(text)
            self._told = True


_progress = _Progress()


def is_compiling() -> bool:
    """Whether this process compiles something now."""
    return _progress.active


@contextmanager
def compiling(label: str) -> Iterator[None]:
    """While entered, the code of this label is being compiled.

    Examples
    --------
    >>> with compiling("a product"):
    ...     pass
    """
    _progress.begin(label)
    try:
        yield
    finally:
        _progress.end()
