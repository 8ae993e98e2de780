"""What a row says to the process that started it: lines for people, findings, and when it wants the GPU alone."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

READY, FINDING = "@ready", "@finding "


@dataclass(frozen=True)
class Options:
    """How a row is run: `dry` in the simulator at tiny sizes, `seconds` for each time, `seeds` of each check."""

    dry: bool = False
    seconds: float = 1.0
    seeds: int = 3

    def size(self, *size: int) -> tuple[int, ...]:
        """(T, B, N, H), or a tiny one that the simulator can walk through."""
        return tuple(min(n, most) for n, most in zip(size, (3, 2, 3, 4))) if self.dry else size


def say(line: str) -> None:
    """Print a line of the row's report."""
    print(line, flush=True)


def found(
    what: str, value: float, unit: str, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Report a number, and the bound that it should keep, if there is one."""
    met = None
    if at_least is not None or at_most is not None:
        met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    finding: dict[str, Any] = {"what": what, "value": float(value), "unit": unit, "met": met}
    finding |= {"at_least": at_least, "at_most": at_most}
    print(FINDING + json.dumps(finding), flush=True)


def wait_for_the_gpu() -> None:
    """Return when no other row computes: what is timed next has the GPU to itself."""
    print(READY, flush=True)
    if not sys.stdin.readline():
        raise SystemExit("the process that started this row is gone")


def shown(finding: dict[str, Any]) -> str:
    """A line for a finding."""
    line = f"{finding['what']}: {finding['value']:.4g} {finding['unit']}".rstrip()
    if finding["met"] is None:
        return line
    bounds = [(">=", finding["at_least"]), ("<=", finding["at_most"])]
    wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
    return f"{line}  [wanted {wanted}: {'yes' if finding['met'] else 'NO'}]"
