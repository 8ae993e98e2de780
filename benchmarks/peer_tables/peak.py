"""How near the products of forward and backward come to the machine's multiply-adds."""

from __future__ import annotations

from suite.common import LARGE, flops
from suite.machine import multiply_adds

from . import contestants
from .comparison import Comparison, shown, text


def peak(comparison: Comparison) -> None:
    """Achieved GFLOP/s: operations of the products alone, 6 T B G (N + H) for G rows of W, over the whole time.

    The peak is that of its fastest run, by turns with ours.
    """
    measured = []
    for name in comparison.cells:
        for size in comparison.sizes(list(LARGE.values())):
            ours = contestants.plain(name, size)["ours"]()
            ours.both()  # the library starts the threads
            billions = multiply_adds()
            times = comparison.against_limits({"ours": ours.both}, {"peak": multiply_adds})
            achieved = 1e-6 * flops(ours.problem.params, size) / times["ours"]
            measured.append(([name, text(size)], times["ours"], achieved, 1e3 * billions / times["peak"]))
    limit = max(row[-1] for row in measured)
    title = f"Forward and backward against the peak of multiply-adds, {shown(limit)} GFLOP/s, float32"
    comparison.table("peak", title, ["cell", "T, B, N, H"], ["milliseconds", "GFLOP/s", "percent of peak"])
    for labels, ms, achieved, _ in measured:
        comparison.row(labels, [ms, achieved, 100 * achieved / limit])
    comparison.records.append(("peak", "", "peak GFLOP/s", limit))
