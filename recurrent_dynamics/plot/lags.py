"""The figure of a gradient split by lag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance, one_of
from .options import line
from .style import axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import LagGradients


def lag_gradients(
    parts: LagGradients, name: str = "U", *, index: int = 0, label: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the norm of one parameter's gradient over the lag: each lag alone, and all up to it.

    Parameters
    ----------
    parts
        What to draw.
    name
        Of the parameter.
    index
        Which colour.
    label
        For the legend, before what the two lines are.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import LagGradients

    instance("parts", parts, LagGradients)
    line(index, label)
    norms = parts.norms(one_of("name", name, tuple(parts.params)))
    ax = axes(ax)
    sums = np.cumsum(parts.params[name].reshape(len(norms), -1).astype(np.float64), axis=0)
    prefix = f"{label}: " if label else ""
    for values, style, words in (
        (norms, "o-", "lag $k$ alone"),
        (np.linalg.norm(sums, axis=1), "--", "lags up to $k$"),
    ):
        shown = np.where(values > 0, values, np.nan)  # zeros have no place on the scale
        ax.plot(parts.lags, shown, style, color=colour(index), markersize=3, label=prefix + words)
    ax.set_yscale("log")
    ax.set_xlabel("lag $k$ (steps)")
    ax.set_ylabel(rf"$\Vert\,\partial L / \partial {name}\,\Vert_F$")
    ax.legend(frameon=False)
    return ax
