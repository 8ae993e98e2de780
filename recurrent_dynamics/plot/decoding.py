"""Figures of searches for the most probable sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance, integer
from .options import text as check_text
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
        Of the scores in the legend; "complete" if None. Sequences without their end are "unfinished" beside it.
    ax
        Where to draw; a new figure if None.
    """
    from ..nn import Decoded

    instance("found", found, Decoded)
    check_text("label", label)
    b = integer("source", source, at_least=0, at_most=len(found.scores) - 1)
    ax = axes(ax, (6.5, 3.6))
    scores, ranks = found.scores[b], np.arange(1, found.scores.shape[1] + 1)
    known, complete = np.isfinite(scores), found.ended[b] | (found.stop is None)
    label = "complete" if label is None else label
    for kept, marker, text in (
        (complete & known, "o", label), (~complete & known, "x", "unfinished"),
    ):  # fmt: skip
        if kept.any():
            ax.plot(ranks[kept], scores[kept], marker, color=colour(0), label=text)
    if np.isfinite(found.bounds[b]):
        ax.axhline(found.bounds[b], color=GREY, linestyle="--", label="bound of what was left out")
    a = found.length_penalty
    score = f"log-probability / length$^{{{a:g}}}$" if a else "log-probability"
    every = -(-len(ranks) // 12)
    ax.set(xlabel="rank", ylabel=f"score: {score} (nats)", xticks=ranks[::every])
    if ax.get_legend_handles_labels()[0]:
        ax.legend()
    return ax
