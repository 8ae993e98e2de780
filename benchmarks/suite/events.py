"""Times on a GPU by CUDA's own events, for the benchmarks of asv and for `gpu.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

LEAST = 5  # calls of which a median is taken


class _Clock:
    """What the simulator has in place of an event."""

    def record(self) -> None:
        self.now = time.perf_counter()

    def synchronize(self) -> None:
        pass


def ready() -> Any:
    """The module of the arrays on the device; asv leaves a benchmark out that raises what this raises without a GPU."""
    try:
        from recurrent_dynamics.engine.cuda import driver

        driver.ready()
    except (ModuleNotFoundError, RuntimeError) as missing:
        raise NotImplementedError(str(missing)) from None
    return driver.array_module()


def medians(passes: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median milliseconds of passes that run by turns, for about so many seconds each."""
    from recurrent_dynamics.engine.cuda import driver

    xp, dry = driver.array_module(), driver.SIMULATED
    event = _Clock if dry else xp.cuda.Event
    for call in passes.values():  # compiled already; once more for what is allocated at first
        call()
    times: dict[str, list[float]] = {name: [] for name in passes}
    end, rounds = time.perf_counter() + seconds * len(passes), 0
    while rounds < (1 if dry else LEAST) or time.perf_counter() < end:
        for name, call in passes.items():
            first, last = event(), event()
            first.record()
            kept = call()
            last.record()
            last.synchronize()
            del kept
            between = 1e3 * (last.now - first.now) if dry else xp.cuda.get_elapsed_time(first, last)
            times[name].append(between)
        rounds += 1
    return {name: statistics.median(taken) for name, taken in times.items()}
