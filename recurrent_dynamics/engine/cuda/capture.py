"""Repeated launches: captured once in a CUDA graph if single launches from Python would take longer."""

from __future__ import annotations

from collections.abc import Callable

from .blas import own_workspace
from .driver import SIMULATED, array_module


def repeat(call: Callable[[], None], times: int, together: int) -> None:
    """`call()` so many times, `together` of them in one graph; 0: without a graph.

    The first calls run without a graph: they compile kernels and load libraries, which a capture does not allow.
    """
    if SIMULATED or not together or times <= 2 * together:
        for _ in range(times):
            call()
        return
    xp = array_module()
    now = xp.cuda.get_current_stream()
    with own_workspace():
        side = xp.cuda.Stream(non_blocking=True)  # the default stream cannot be captured
        side.wait_event(now.record())
        with side:
            first = 1 + (times - 1) % together
            for _ in range(first):
                call()
            side.begin_capture()
            try:
                for _ in range(together):
                    call()
            finally:
                graph = side.end_capture()
            for _ in range((times - first) // together):
                graph.launch()
        now.wait_event(side.record())
