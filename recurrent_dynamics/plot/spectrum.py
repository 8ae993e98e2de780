"""Figures of Lyapunov spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance
from .options import line
from .style import INK, axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import LyapunovSpectrum


def lyapunov(
    spectrum: LyapunovSpectrum, *, label: str | None = None, index: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw the exponents by their index, with bars of one standard error. Exponents of -inf have no place.

    Parameters
    ----------
    spectrum
        What to draw; call again with the same `ax` for another one.
    label
        For the legend.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import LyapunovSpectrum

    instance("spectrum", spectrum, LyapunovSpectrum)
    line(index, label)
    ax = axes(ax)
    finite = np.isfinite(spectrum.exponents)
    ranks = np.arange(1, len(finite) + 1)[finite]
    few = len(ranks) <= 40
    ax.errorbar(
        ranks,
        spectrum.exponents[finite],
        yerr=spectrum.standard_errors[finite],
        fmt="o-" if few else "-",
        markersize=4,
        capsize=3 if few else 0,
        color=colour(index),
        ecolor=colour(index),
        label=label,
    )
    if "zero" not in {line.get_gid() for line in ax.get_lines()}:
        ax.axhline(0, color=INK, linewidth=0.8, gid="zero")
    whole(ax.xaxis)
    ax.set_xlabel("index $i$")
    ax.set_ylabel(rf"$\lambda_i$ ({spectrum.unit})")
    if label is not None:
        ax.legend(frameon=False)
    return ax
