"""Figures of how often a number has which value: activations, angles, rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import PercentFormatter

from ..checks import instance, integer
from .options import line
from .style import GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import CovariantVectors, Gate, GradientGrowth

BINS = 40


def gate(gate: Gate, *, label: str | None = None, index: int = 0, ax: Axes | None = None) -> Axes:
    """Draw the distribution of a gate's activations over time and units, and where a unit counts as saturated.

    Parameters
    ----------
    gate
        What to draw; call again with the same `ax` for another one.
    label
        For the legend; the name of the gate by default.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import Gate

    instance("gate", gate, Gate)
    line(index, label)
    thresholds = gate.thresholds
    low, high = (0.0, 1.0) if thresholds[0] > 0 else (-1.0, 1.0)
    ax = axes(ax)
    values = np.ravel(gate.values)
    edges = np.linspace(low, high, BINS + 1)
    shares = np.histogram(values, edges)[0] / values.size
    ax.stairs(shares, edges, color=colour(index), fill=True, alpha=0.25)
    ax.stairs(shares, edges, color=colour(index), label=label or f"{gate.name} ({gate.kind})")
    if "saturated" not in {line.get_gid() for line in ax.get_lines()}:
        for threshold in thresholds:
            ax.axvline(threshold, color=GREY, linestyle=":", linewidth=1, gid="saturated")
    ax.set_xlim(low, high)
    ax.set_xlabel("activation (beyond the dotted lines saturated)")
    ax.set_ylabel("share of steps and units")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ax.legend(frameon=False)
    return ax


def angles(
    vectors: CovariantVectors, i: int = 0, j: int | None = None, *, index: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw the distribution of the angle between two covariant Lyapunov vectors over time.

    Parameters
    ----------
    vectors
        What to draw.
    i, j
        Which two; the first and the last one by default.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import CovariantVectors

    instance("vectors", vectors, CovariantVectors)
    integer("index", index)
    count = vectors.vectors.shape[2]
    i = integer("i", i, at_least=-count, below=count)
    j = count - 1 if j is None else integer("j", j, at_least=-count, below=count)
    found = vectors.angles(i, j).ravel()
    ax = axes(ax)
    edges = np.linspace(0, np.pi / 2, BINS + 1)
    density, _ = np.histogram(found, edges, density=True)
    ax.stairs(density, edges, color=colour(index), fill=True, alpha=0.25)
    ax.stairs(density, edges, color=colour(index), label=f"vectors {i} and {j}")
    ax.set_xlim(0, np.pi / 2)
    ax.set_xticks(np.linspace(0, np.pi / 2, 5), ["0", r"$\pi/8$", r"$\pi/4$", r"$3\pi/8$", r"$\pi/2$"])
    ax.set_xlabel("angle (radians)")
    ax.set_ylabel("density (1 / radian)")
    ax.legend(frameon=False)
    return ax


def gradient_growth(growth: GradientGrowth, *, index: int = 0, ax: Axes | None = None) -> Axes:
    """Draw the growth rate of each window in the order of its size, their mean, and its standard error.

    Parameters
    ----------
    growth
        What to draw.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import GradientGrowth

    instance("growth", growth, GradientGrowth)
    integer("index", index)
    ax = axes(ax)
    rates = np.sort(growth.per_window)
    ax.plot(
        rates,
        (np.arange(len(rates)) + 0.5) / len(rates),
        "o",
        color=colour(index),
        markersize=4,
        label="window",
    )
    ax.axvspan(
        growth.rate - growth.standard_error, growth.rate + growth.standard_error, color=colour(index), alpha=0.2,
        linewidth=0, label="one standard error",
    )  # fmt: skip
    ax.axvline(growth.rate, color=colour(index), label=f"mean {growth.rate:.3g}")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_xlabel("growth of the gradient (nats per step back)")
    ax.set_ylabel("share of windows below")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.legend(frameon=False)
    return ax
