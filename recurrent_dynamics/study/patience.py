"""Lines for somebody who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 5.0  # seconds between two lines


@contextmanager
def said(say: Callable[[str], None], what: str, every: float = EVERY) -> Iterator[None]:
    """Say what is done while entered, and every few seconds how long it has taken."""
    ended, started = threading.Event(), time.monotonic()

    def again() -> None:
        while not ended.wait(every):
            say(f"{what}: {time.monotonic() - started:.0f} s")

    say(what)
    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
