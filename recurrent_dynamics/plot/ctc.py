"""Alignments of labels with the steps of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance, integer
from .style import axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..nn import CtcAlignment


def ctc_alignment(alignment: CtcAlignment, sequence: int = 0, *, ax: Axes | None = None) -> Axes:
    """Draw the position in the target against the step; between two labels the alignment stands at the blank.

    Parameters
    ----------
    alignment
        What `recurrent_dynamics.nn.ctc_align` found.
    sequence
        Which one of the batch.
    ax
        Axes to draw into.
    """
    from ..nn import CtcAlignment

    instance("alignment", alignment, CtcAlignment)
    sequence = integer("sequence", sequence, at_least=0, at_most=alignment.path.shape[1] - 1)
    ax = axes(ax)
    positions = alignment.positions[:, sequence]
    steps = np.arange(len(positions))
    read = alignment.path[:, sequence] >= 0
    done = np.maximum.accumulate(positions) + 1
    ax.step(steps[read], done[read], where="mid", color=colour(0), linewidth=1)
    named = positions >= 0
    ax.plot(steps[named], done[named], "o", color=colour(1), markersize=4, label="label")
    ax.plot(steps[read & ~named], done[read & ~named], ".", color=colour(0), markersize=3, label="blank")
    ax.set_xlabel("step")
    ax.set_ylabel("labels read so far")
    ax.legend(frameon=False, fontsize="small")
    return ax
