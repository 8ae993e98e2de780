"""Forward, and forward and backward, of recurrences: plain, in double precision, layer-normalized, ragged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import geometric_mean
from typing import Any

from . import contestants
from .comparison import Comparison, Size, differences, text

FLOAT32, FLOAT64 = 1e-4, 1e-12  # allowed differences: sums over up to 16 000 terms, in another order


def recurrences(comparison: Comparison) -> None:
    """LSTM, GRU and Elman in single precision."""
    title = "Recurrences in float32, milliseconds"
    race(comparison, "recurrences", title, comparison.cells, contestants.plain, FLOAT32)


def float64(comparison: Comparison) -> None:
    """LSTM in double precision."""
    make = partial(contestants.plain, dtype="float64")
    race(comparison, "float64", "LSTM in float64, milliseconds", ["lstm"], make, FLOAT64)


def normalized(comparison: Comparison) -> None:
    """Layer-normalized LSTM; PyTorch has none and loops over the steps, JAX scans them."""
    title = "Layer-normalized LSTM against a loop over time steps, float32, milliseconds"
    race(comparison, "normalized", title, ["lstm"], contestants.normalized, FLOAT32)


def ragged(comparison: Comparison) -> None:
    """LSTM over sequences of many lengths; PyTorch packs and pads them."""
    title = "LSTM, lengths uniform in 1..T, against PackedSequence, float32, milliseconds"
    race(comparison, "ragged", title, ["lstm"], contestants.ragged, FLOAT32)


def race(
    comparison: Comparison,
    name: str,
    title: str,
    cells: list[str],
    contestants_of: Callable[[str, Size], dict[str, Callable[[], Any]]],
    tolerance: float,
) -> None:
    """Print a table over cells and sizes; check all numbers before the first is timed."""
    cases = [(cell, size) for cell in cells for size in comparison.sizes()]
    errors: dict[str, float] = {}
    for cell, size in cases:
        numbers = {peer: make().numbers() for peer, make in contestants_of(cell, size).items()}
        for peer, error in differences(f"{name}: {cell} {text(size)}", numbers, tolerance).items():
            errors[peer] = max(error, errors.get(peer, 0.0))
    peers = list(contestants_of(*cases[0]))
    whats = ("forward", "forward + backward")
    quantities = [f"{peer}: {what}" for peer in peers for what in whats]
    others = [peer for peer in peers if peer != "ours"]
    ratio_names = [f"{peer} over ours: {what}" for peer in others for what in whats]
    comparison.table(name, title, ["cell", "T, B, N, H"], quantities + ratio_names)
    ratios: dict[str, list[list[float]]] = {cell: [] for cell in cells}
    for cell, size in cases:
        racers = {peer: make() for peer, make in contestants_of(cell, size).items()}
        passes = [
            comparison.by_pairs({peer: getattr(racer, name) for peer, racer in racers.items()})
            for name in ("forward", "both")
        ]
        of_case = [ratios_of[peer] for peer in others for _, ratios_of in passes]
        ratios[cell].append(of_case)
        times = [times_of[peer] for peer in peers for times_of, _ in passes]
        comparison.row([cell, text(size)], times + of_case)
    for cell, of_cell in ratios.items():
        for quantity, column in zip(ratio_names, zip(*of_cell, strict=True), strict=True):
            comparison.summary(
                f"{cell}, {quantity}", {"geometric mean": geometric_mean(column), "worst": min(column)}
            )
    comparison.agreement(errors, tolerance)
