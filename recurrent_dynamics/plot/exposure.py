"""What a decoder does on its own outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import instance
from .style import axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..nn import ExposureBias, LoopGrowth


def exposure(found: ExposureBias, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw the divergence between own and given prefixes over the positions, with two standard errors.

    Parameters
    ----------
    found
        What `recurrent_dynamics.nn.exposure_bias` found.
    ax
        Axes to draw into.
    **options
        Of the line, as `matplotlib.axes.Axes.plot` takes them.
    """
    from ..nn import ExposureBias

    instance("found", found, ExposureBias)
    ax = axes(ax)
    positions = np.arange(len(found.divergence))
    (line,) = ax.plot(positions, found.divergence, "o-", **({"markersize": 3} | options))
    if not found.exact:
        low, high = (found.divergence + sign * 2 * found.standard_error for sign in (-1, 1))
        ax.fill_between(positions, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
    ax.set_xlabel("position (symbols)")
    ax.set_ylabel("divergence (nats)")
    whole(ax.xaxis)
    return ax


def loop_growth(found: LoopGrowth, *, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw how a small difference grows over the steps, the mean over the sources, with and without feedback.

    Parameters
    ----------
    found
        What `recurrent_dynamics.nn.loop_growth` found.
    ax
        Axes to draw into.
    **options
        Of the lines, as `matplotlib.axes.Axes.plot` takes them.
    """
    from ..nn import LoopGrowth

    instance("found", found, LoopGrowth)
    ax = axes(ax)
    steps = np.arange(1, len(found.closed) + 1)
    for i, (label, growth) in enumerate((("reads its outputs", found.closed), ("is told them", found.open))):
        ax.plot(steps, growth.mean(axis=1), **({"color": colour(i), "label": label} | options))
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    ax.set_xlabel("steps")
    ax.set_ylabel("growth of a difference (nats)")
    ax.legend()
    return ax
