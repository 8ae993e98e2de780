"""What the benchmarks share: sizes, a run to measure, and how passes are timed against each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

import recurrent_dynamics as rd

CELLS = ["lstm", "gru", "elman"]
SIZES = {  # T, B, N, H: steps, sequences side by side, inputs, units
    "T100 B1 N32 H32": (100, 1, 32, 32),
    "T100 B32 N64 H64": (100, 32, 64, 64),
    "T100 B32 N128 H128": (100, 32, 128, 128),
    "T100 B64 N256 H256": (100, 64, 256, 256),
    "T1000 B16 N64 H128": (1000, 16, 64, 128),
}
LARGE = {  # where the products outweigh everything else
    "T100 B64 N256 H256": (100, 64, 256, 256),
    "T50 B64 N512 H512": (50, 64, 512, 512),
}
PAUSE = 0.003  # seconds


class Problem(NamedTuple):
    """A cell, its parameters, an input (T, B, N), and the derivative of a loss by the output (T, B, H)."""

    cell: rd.cells.Cell
    params: dict[str, np.ndarray]
    x: np.ndarray
    d_output: np.ndarray


def problem(name: str, size: str, dtype: str = "float32") -> Problem:
    """Return the problem of a cell of the library, its size given by its label."""
    return problem_of(getattr(rd.cells, name)(), (SIZES | LARGE)[size], dtype)


def problem_of(cell: rd.cells.Cell, size: tuple[int, int, int, int], dtype: str = "float32") -> Problem:
    """Return the problem of a cell; biases, gains and offsets are drawn too, so that each of them matters."""
    steps, batch, inputs, units = size
    rng = np.random.default_rng(0)
    params = cell.init(input_size=inputs, hidden_size=units, rng=0, dtype=dtype)
    for value in params.values():
        if value.ndim == 1:
            value += 0.1 * rng.standard_normal(value.shape).astype(dtype)
    x = rng.standard_normal((steps, batch, inputs)).astype(dtype)
    return Problem(cell, params, x, rng.standard_normal((steps, batch, units)).astype(dtype))


def lengths_of(size: tuple[int, int, int, int]) -> np.ndarray:
    """Return a length for each sequence, uniform in 1..T."""
    steps, batch = size[:2]
    return np.random.default_rng(0).integers(1, steps + 1, batch)


def flops(params: Mapping[str, np.ndarray], size: tuple[int, int, int, int]) -> int:
    """Return the operations of the products with W and U, forward and, twice as many, backward."""
    steps, batch, inputs, units = size
    return 6 * steps * batch * len(params["W"]) * (inputs + units)


def by_turns(
    passes: Mapping[str, Callable[[], Any]], seconds: float, pause: float = PAUSE
) -> dict[str, list[float]]:
    """Run passes by turns for about so many seconds and return the milliseconds of each run of each.

    At least seven rounds, three where a round takes a second. In the pauses idle threads go to sleep. What a pass
    returns is given back to the system outside its time.
    """
    for run in passes.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in passes}

    def round_of_all() -> float:
        begun = time.perf_counter()
        for name, run in passes.items():
            time.sleep(pause)
            start = time.perf_counter()
            kept = run()
            times[name].append(1e3 * (time.perf_counter() - start))
            del kept
        return time.perf_counter() - begun

    rounds = 3 if round_of_all() > 1 else 7
    for values in times.values():
        values.clear()  # that round was the second warming up
    end = time.perf_counter() + seconds
    while rounds > 0 or time.perf_counter() < end:
        round_of_all()
        rounds -= 1
    return times


def medians(
    passes: Mapping[str, Callable[[], Any]], seconds: float, pause: float = PAUSE
) -> dict[str, float]:
    """Run passes by turns for about so many seconds and return each one's median in milliseconds."""
    return {name: statistics.median(values) for name, values in by_turns(passes, seconds, pause).items()}


def against_limits(
    passes: Mapping[str, Callable[[], Any]], limits: Mapping[str, Callable[[], Any]], seconds: float
) -> dict[str, float]:
    """Run passes and what limits them by turns; return medians of the passes and the fastest run of each limit.

    A limit is what the machine can do, so whatever else ran meanwhile must not lower it.
    """
    times = by_turns({**passes, **limits}, seconds)
    return {name: min(v) if name in limits else statistics.median(v) for name, v in times.items()}
