"""What all tables share: the options, the check that numbers agree, and markdown and CSV."""

from __future__ import annotations

import csv
import importlib.util
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from suite.common import against_limits, medians

from recurrent_dynamics.kernels.processor import BYTES

ENVIRONMENT = "environment"  # the name of the first rows of a file
Size = tuple[int, int, int, int]
Record = tuple[str, ...]  # table, case, quantity, value

SIZES: list[Size] = [  # T, B, N, H
    (100, 1, 32, 32),
    (100, 32, 64, 64),
    (100, 32, 128, 128),
    (100, 64, 256, 256),
    (50, 64, 512, 512),
    (1000, 16, 64, 128),
    (200, 1, 128, 256),
]
TINY: Size = (20, 4, 8, 16)
PYTORCH, JAX = (importlib.util.find_spec(name) is not None for name in ("torch", "jax"))


class Disagreement(Exception):
    """Two sides of a table computed different numbers: it is not printed."""


@dataclass
class Comparison:
    """The options of a comparison, and its output: markdown as it comes, and a record of every number."""

    threads: int
    seconds: float
    cells: list[str]
    quick: bool
    records: list[tuple[str, str, str, Any]] = field(default_factory=list)
    table_name: str = ""
    quantities: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        packages = ["recurrent-dynamics", "numba", "numpy"]
        if PYTORCH:
            import torch

            torch.set_num_threads(self.threads)
            packages.append("torch")
        if JAX:
            packages.append("jax")
        packages += [p for p in ("onnxruntime",) if importlib.util.find_spec(p) is not None]
        facts = {"processor": processor(), "vector bytes": BYTES, "threads": self.threads}
        facts |= {package: version(package) for package in packages}
        print(", ".join(f"{k} {v}" for k, v in facts.items()), flush=True)
        self.records += [(ENVIRONMENT, "", k, v) for k, v in facts.items()]

    def sizes(self, full: Sequence[Size] = SIZES) -> Sequence[Size]:
        """The sizes of a table, or a tiny one."""
        return [TINY] if self.quick else full

    def medians(self, passes: Mapping[str, Any]) -> dict[str, float]:
        """Median milliseconds of passes that run by turns."""
        return medians(passes, self.seconds)

    def by_pairs(self, passes: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
        """Median milliseconds of all, ours beside the first peer; and of each peer over ours in the same pair of runs.

        In pairs, as a third library that leaves other caches behind would change the ratio of the first two.
        """
        times: dict[str, float] = {}
        ratios = {"ours": 1.0}
        for peer in [name for name in passes if name != "ours"] or ["ours"]:
            found = self.medians({name: passes[name] for name in dict.fromkeys(("ours", peer))})
            times = found | times
            ratios[peer] = found[peer] / found["ours"]
        return times, ratios

    def against_limits(self, passes: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, float]:
        """Median milliseconds of passes and the fastest run of each limit, by turns."""
        return against_limits(passes, limits, self.seconds)

    def table(self, name: str, title: str, labels: Sequence[str], quantities: Sequence[str]) -> None:
        """Begin a table: its name on the command line, its title, columns that say what is measured, and numbers."""
        self.table_name, self.quantities = name, list(quantities)
        print(f"\n### {title}\n\n| {' | '.join([*labels, *quantities])} |")
        print("|" + "---|" * len(labels) + "---:|" * len(quantities), flush=True)

    def row(self, labels: Sequence[Any], numbers: Sequence[float]) -> None:
        """Print a row; numbers in the order of the quantities, NaN for one that was not measured."""
        case = "; ".join(map(str, labels))
        measured = [(q, v) for q, v in zip(self.quantities, numbers, strict=True) if not math.isnan(v)]
        self.records += [(self.table_name, case, q, v) for q, v in measured]
        print(f"| {' | '.join([*map(str, labels), *map(shown, numbers)])} |", flush=True)

    def summary(self, case: str, numbers: Mapping[str, float], unit: str = "") -> None:
        """Print numbers in a line below the table, which they end for markdown."""
        self.records += [(self.table_name, case, q, v) for q, v in numbers.items()]
        listing = ", ".join(f"{q} {shown(v)}{unit}" for q, v in numbers.items())
        print(f"\n{case}: {listing}", flush=True)

    def agreement(self, errors: Mapping[str, float], tolerance: float) -> None:
        """Say how well the peers' numbers agreed with ours, if there were peers."""
        for peer, error in errors.items():
            self.records.append((self.table_name, peer, "largest relative difference", error))
            print(
                f"\nThe numbers of {peer} and ours agree to {error:.0e} of the largest (allowed: {tolerance:.0e})."
            )

    def write_csv(self, path: Path) -> None:
        """Write every number as (table, case, quantity, value).

        Tables that the file has from a run of the same libraries on the same machine stay.
        """
        records = [(table, case, quantity, str(value)) for table, case, quantity, value in self.records]
        if path.exists():
            with path.open(newline="") as file:
                records += other_tables([tuple(record) for record in csv.reader(file)][1:], records)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("table", "case", "quantity", "value"))
            writer.writerows(records)


def other_tables(before: Sequence[Record], now: Sequence[Record]) -> list[Record]:
    """Return the records of tables that were not measured now; none if another machine or library measured them."""
    if _environment(before) != _environment(now):
        return []
    measured = {record[0] for record in now}
    return [r for r in before if r[0] not in measured]


def _environment(records: Sequence[Record]) -> list[Record]:
    return [r for r in records if r[0] == ENVIRONMENT]


def text(size: Size) -> str:
    """Write a size as T, B, N, H."""
    return ", ".join(map(str, size))


def shown(number: float) -> str:
    """Write a number for a table."""
    if math.isnan(number):
        return ""
    digits = 0 if abs(number) >= 1000 else 1 if abs(number) >= 100 else 2
    return f"{number:,.{digits}f}"


def differences(
    what: str, numbers: Mapping[str, Mapping[str, np.ndarray]], tolerance: float
) -> dict[str, float]:
    """Return for each peer the largest difference from ours, over the largest entry of the array it is in.

    Raises
    ------
    Disagreement
        When it is more than the tolerance, or when a peer has other arrays.
    """
    ours = numbers["ours"]
    worst = {}
    for peer, theirs in numbers.items():
        if peer == "ours":
            continue
        if {k: a.shape for k, a in theirs.items()} != {k: a.shape for k, a in ours.items()}:
            raise Disagreement(f"{what}: {peer} has other arrays than ours, {', '.join(theirs)}")
        errors = {k: float(np.abs(theirs[k] - a).max() / np.abs(a).max()) for k, a in ours.items()}
        name = max(errors, key=lambda k: np.nan_to_num(errors[k], nan=np.inf))
        if not errors[name] <= tolerance:
            raise Disagreement(
                f"{what}: {peer} and ours differ by {errors[name]:.1e} of the largest entry in {name!r}, more than "
                f"{tolerance:.0e}"
            )
        worst[peer] = errors[name]
    return worst


def processor() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
