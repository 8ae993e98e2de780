"""Figures of searches for the most probable sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import GREY, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..nn import Decoded


def decoded(found: Decoded, *, source: int = 0, label: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the scores of the sequences of one source by rank, and the bound of what the search left out.

    Where the first score is not below the bound, the first sequence is certain to be the best.

    Parameters
    ----------
    found : Decoded
    source : int
        In 0..B-1.
    label : str, optional
        Of the scores in the legend; "ended" and "unfinished" if None.
    ax
        Where to draw; a new figure if None.
    """
    ax = axes(ax, (6.5, 3.6))
    scores, ended = found.scores[source], found.ended[source]
    ranks = np.arange(1, len(scores) + 1)
    known = np.isfinite(scores)
    for kept, marker, name in ((ended & known, "o", "ended"), (~ended & known, "x", "unfinished")):
        if kept.any():
            text = name if label is None else f"{label}, {name}"
            ax.plot(ranks[kept], scores[kept], marker, color=colour(0), label=text)
    if np.isfinite(found.bounds[source]):
        ax.axhline(found.bounds[source], color=GREY, linestyle="--", label="bound of what was left out")
    unit = (
        f"log-probability / length$^{{{found.length_penalty:g}}}$"
        if found.length_penalty
        else "log-probability"
    )
    ax.set(
        xlabel="rank",
        ylabel=f"score: {unit} (nats)",
        xticks=ranks if len(ranks) <= 12 else ranks[:: len(ranks) // 6],
    )
    ax.legend()
    return ax
