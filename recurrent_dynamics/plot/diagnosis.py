"""The figure of a diagnosis: what it rests on, one panel for each kind of number that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentError, instance
from .flow import gradient_flow
from .style import GREY, INK, axes, colour, given_or_panels, plain_ticks
from .training import clipping, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import Diagnosis


def diagnosis(found: Diagnosis, *, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Draw the loss curves, gradient norms, flow of gradients, and losses along the window, as far as they are known.

    Parameters
    ----------
    found
        What `recurrent_dynamics.diagnose` returned.
    axes
        Where to draw, one for each panel; a new figure if None.

    Returns
    -------
    ndarray of Axes
        One for each kind of number that the diagnosis was given.
    """
    from ..dynamics import Diagnosis

    instance("found", found, Diagnosis)
    draw: list[Callable[[Diagnosis, Axes], None]] = []
    data = found.data
    if data.get("losses") is not None:
        draw.append(_losses)
    if data.get("norms") is not None:
        draw.append(_norms)
    if data.get("flows"):
        draw.append(_flows)
    if data.get("by_step") is not None:
        draw.append(_by_step)
    if data.get("gates") or data.get("states"):
        draw.append(_units)
    if not draw:
        raise ArgumentError("found", "rest on a number that can be drawn", "a diagnosis without any")
    drawn = given_or_panels(axes, len(draw), (3.7, 3.2))
    if axes is None:
        head = found.verdict + (f" ({found.cause})" if found.cause else "")
        drawn[0].figure.suptitle(head, fontsize="medium")
    for function, ax in zip(draw, drawn, strict=True):
        function(found, ax)
    return drawn


def _losses(found: Diagnosis, ax: Axes) -> None:
    axes(ax)
    losses, validation, baseline = (found.data[k] for k in ("losses", "validation", "baseline"))
    updates = np.arange(1, len(losses) + 1)
    ax.plot(updates, losses, color=colour(0), alpha=0.25, linewidth=0.6)
    ax.plot(updates, smooth(losses, max(1, len(losses) // 40)), color=colour(0), label="training")
    if validation is not None:
        places = np.linspace(0, len(losses), len(validation) + 1)[1:]
        ax.plot(places, validation, "o-", markersize=3, color=colour(1), label="held out")
    if baseline is not None:
        ax.axhline(baseline, color=GREY, linestyle=":", linewidth=1, label="without memory")
    ax.set_yscale("log")
    plain_ticks(ax.yaxis)
    ax.set_xlabel("update")
    ax.set_title("loss", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")


def _norms(found: Diagnosis, ax: Axes) -> None:
    norms, clipped = found.data["norms"], found.data["clipped_norms"]
    updates = np.arange(1, len(norms) + 1)
    if clipped is not None and (clipped < norms).any():
        clipping(updates, norms, clipped, ax=ax)
        ax.legend(frameon=False, fontsize="small")
    else:
        axes(ax).plot(updates, norms, color=colour(1), linewidth=0.8)
        ax.set_yscale("log")
        ax.set_xlabel("update")
    ax.set_ylabel("")
    ax.set_title("norm of the gradient", fontsize="medium")


def _flows(found: Diagnosis, ax: Axes) -> None:
    axes(ax)
    names = {m.name: m.threshold for m in found.measures}
    flows = found.data["flows"]
    for index, flow in enumerate(flows):
        named = found.data.get("named") or [f"layer {k + 1}" for k in range(len(flows))]
        label = named[index] if len(flows) > 1 else None
        start = max(flow.norms[flow.entry], 1e-300)
        windows = None if flow.per_window is None else flow.per_window / start
        relative = type(flow)(flow.lags, flow.relative, flow.spread / start, windows)
        gradient_flow(relative, label=label, index=index, ax=ax)
    thresholds = {
        threshold
        for name, threshold in names.items()
        if name.startswith(("gradient of a single", "largest gradient at any lag"))
    }
    for index, threshold in enumerate(sorted(thresholds)):
        ax.axhline(threshold, color=GREY, linestyle=":", linewidth=1, label=None if index else "threshold")
    curves = np.concatenate([curve for f in flows for curve in (f.relative, f.typical)])
    lowest = float(curves[curves > 0].min(initial=1.0))
    highest = max(float(f.relative.max()) for f in flows)
    ax.set_ylim(max(lowest, 1e-12) / 3, max(highest, 10.0) * 3)
    ax.set_ylabel("")
    ax.set_title("gradient of one loss, relative", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")


def _by_step(found: Diagnosis, ax: Axes) -> None:
    axes(ax)
    for index, (name, label) in enumerate((("by_step", "trained on"), ("validation_by_step", "held out"))):
        values = found.data[name]
        steps = np.flatnonzero(np.isfinite(values))
        ax.plot(
            steps,
            values[steps],
            "o-" if len(steps) < 30 else "-",
            markersize=3,
            color=colour(index),
            label=label,
        )
    ax.set_xlabel("step in the window")
    ax.set_title("loss along the window", fontsize="medium")
    ax.legend(frameon=False, fontsize="small")


def _units(found: Diagnosis, ax: Axes) -> None:
    axes(ax)
    states, gates = found.data["states"], found.data["gates"]
    layers = [
        [units for part in (gates, states) if index < len(part) for units in part[index]]
        for index in range(max(len(states), len(gates)))
    ]
    names = list(dict.fromkeys(units.name for layer in layers for units in layer))
    width = 0.8 / len(layers)
    for index, layer in enumerate(layers):
        for units in layer:
            place = names.index(units.name) + (index - (len(layers) - 1) / 2) * width
            low, high = float(units.low.mean()), float(units.high.mean())
            ax.barh(place, -low, width, color=colour(index), alpha=0.5)
            ax.barh(place, high, width, color=colour(index))
            # In numbers too: where nothing saturates there is no bar to be seen.
            for value, side in ((-low, "right"), (high, "left")):
                ax.text(
                    value,
                    place,
                    f" {100 * abs(value):.0f} % ",
                    ha=side,
                    va="center",
                    fontsize=7,
                    color=INK,
                    clip_on=True,
                )
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set_xlim(-1, 1)
    ax.set_xticks([-1, -0.5, 0, 0.5, 1], ["100 %", "50 %", "0", "50 %", "100 %"], fontsize="small")
    ax.set_xlabel("time saturated low | high")
    ax.set_title("gates and states", fontsize="medium")
