"""Figures of single units: saturation and time scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..checks import ArgumentError, instance, integer, listed, number, texts
from .options import line
from .style import GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import Saturation, TimeScales, Tracking


def saturation(
    result: Saturation, *, label: str | None = None, index: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw every unit as a point: the share of time saturated low against the share saturated high.

    A unit in the lower left corner works in its linear range; on the dotted line it is a switch, always at one end.
    Dead units are black crosses.

    Parameters
    ----------
    result
        What to draw; call again with the same `ax` for another layer.
    label
        For a legend.
    index
        Which colour and marker.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import Saturation

    instance("result", result, Saturation)
    line(index, label)
    ax = axes(ax, (3.1, 3.1))
    ax.plot([0, 1], [1, 0], color=GREY, linewidth=0.8, linestyle=":")
    marker: dict[str, Any] = {
        "marker": "os^Dv"[index % 5],
        "markersize": 4,
        "linestyle": "none",
        "clip_on": False,
    }
    dead = result.dead
    if not dead.all():
        ax.plot(result.low[~dead], result.high[~dead], color=colour(index), alpha=0.5, label=label, **marker)
    if dead.any():
        crosses = marker | {"marker": "x", "markersize": 6}
        ax.plot(result.low[dead], result.high[dead], color="black", **crosses)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    low, high = result.thresholds or (np.nan, np.nan)
    ax.set_xlabel(f"time below {low:g}".replace("-", "−"))
    ax.set_ylabel(f"time above {high:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        axis.set_ticks([0, 0.5, 1])
    ax.set_title(result.name, fontsize="medium")
    return ax


def time_scales(
    scales: TimeScales | Sequence[TimeScales],
    *,
    labels: Sequence[str] | None = None,
    longest: float = 1e4,
    ax: Axes | None = None,
) -> Axes:
    """Draw the distribution of the units' time scales, one outline for each layer, and their medians.

    Parameters
    ----------
    scales
        One result, or one for each layer.
    labels
        For the legend.
    longest
        Longer time scales are counted in the last bin.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import TimeScales

    number("longest", longest, above=0)
    several = [scales] if isinstance(scales, TimeScales) else listed("scales", scales, "of TimeScales")
    for found in several:
        instance("scales", found, TimeScales)
    labels = None if labels is None else texts("labels", labels, len(several))
    # Of units that never change, nothing is known.
    values = [np.clip(s.steps[~np.isnan(s.steps)], 1e-2, longest) for s in several]
    if not values or not all(v.size for v in values):
        raise ArgumentError(
            "scales", "have a unit that changes", "a result of nan alone" if values else "none"
        )
    ax = axes(ax)
    low = min(0.3, min(v.min() for v in values))
    high = max(30.0, 1.001 * max(v.max() for v in values))
    edges = np.geomspace(low, high, 30).tolist()
    for k, v in enumerate(values):
        label = labels[k] if labels else None
        ax.hist(v, edges, histtype="stepfilled", color=colour(k), alpha=0.25)
        ax.hist(v, edges, histtype="step", color=colour(k), label=label)
        ax.axvline(float(np.median(v)), color=colour(k), linestyle="--", linewidth=1)
    ax.set_xscale("log")
    measured = {scale.measured for scale in several}
    formula = {False: r" $\tau = -1/\ln f$", True: " of the autocorrelation"}
    ax.set_xlabel(f"time scale{formula[measured.pop()] if len(measured) == 1 else ''} (steps)")
    ax.set_ylabel("units")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.plot([], [], color=GREY, linestyle="--", linewidth=1, label="median")
    ax.legend(frameon=False)
    return ax


def compared_time_scales(
    implied: TimeScales, measured: TimeScales, *, longest: float = 1e4, ax: Axes | None = None
) -> Axes:
    """Draw the measured time scale of every unit against that which its gate implies.

    On the line a unit is its gate's alone. Above it lives longer than its gate says, by way of other units or of a slow
    input; below it is overwritten before its gate would have it forget.

    Parameters
    ----------
    implied, measured
        What `time_scales` and `measured_time_scales` found for the same slot. Units without one are left out.
    longest
        Longer time scales are drawn there, as triangles.
    ax
        Where to draw; a new figure if None.

    Raises
    ------
    ValueError
        When the two are of different numbers of units, or no unit has both.
    """
    from ..dynamics import TimeScales

    for name, given in (("implied", implied), ("measured", measured)):
        instance(name, given, TimeScales)
    number("longest", longest, above=0)
    if implied.steps.shape != measured.steps.shape:
        raise ArgumentError(
            "measured", f"be of as many units as implied, {implied.steps.size}", measured.steps.size
        )
    known = ~(np.isnan(implied.steps) | np.isnan(measured.steps))
    if not known.any():
        raise ArgumentError("measured", "have a unit that changes", "nan for all")
    ax = axes(ax, (3.6, 3.4))
    x, y = (np.clip(s.steps[known], 1e-2, longest) for s in (implied, measured))
    low, high = min(x.min(), y.min()) / 1.3, max(x.max(), y.max()) * 1.3
    ax.plot([low, high], [low, high], color=GREY, linewidth=0.8, linestyle=":", label="equal")
    cut = (implied.steps[known] > longest) | (measured.steps[known] > longest)
    for chosen, marker in ((~cut, "o"), (cut, "^")):
        ax.plot(x[chosen], y[chosen], marker, color=colour(0), alpha=0.5, markersize=4)
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    ax.set_xlabel("time scale that the gate implies (steps)")
    ax.set_ylabel("time scale of the autocorrelation (steps)")
    ax.legend(frameon=False, loc="lower right")
    return ax


def tracking(found: Tracking, *, index: int = 0, ax: Axes | None = None) -> Axes:
    """Draw how closely the best unit follows each signal: on the part where it was chosen, and on the other part.

    Parameters
    ----------
    found
        What to draw.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import Tracking

    instance("found", found, Tracking)
    integer("index", index)
    count = len(found.names)
    ax = axes(ax, (5.2, max(2.2, 0.6 + 0.32 * count)))
    places = np.arange(count)
    chosen = found.correlation[places, found.unit]
    ax.hlines(places, chosen, found.held_out, color=GREY, linewidth=0.8)
    ax.plot(chosen, places, "o", markerfacecolor="none", color=colour(index), label="chosen on")
    ax.plot(found.held_out, places, "o", color=colour(index), label="held out")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(
        places, [f"{name} (unit {unit})" for name, unit in zip(found.names, found.unit, strict=True)]
    )
    ax.set(xlim=(-1.05, 1.05), ylim=(count - 0.5, -0.5))
    ax.set_xlabel("correlation with the signal")
    ax.set_ylabel("signal")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax
