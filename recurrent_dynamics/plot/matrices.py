"""Figures of a single matrix: numerical range and pseudospectra in the complex plane, transient growth in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Circle

from ..checks import ArgumentError, instance, integer, one_of
from .options import curve, line
from .style import GREY, INK, axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import KreissConstant, NumericalRange, Pseudospectra, TransientGrowth

SQUARE = (5.2, 4.3)  # inches


def numerical_range(
    field: NumericalRange,
    *,
    kind: str = "map",
    index: int = 0,
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the numerical range of one matrix in the complex plane, its eigenvalues, and what bounds stability.

    Parameters
    ----------
    field
        Of one matrix.
    kind
        "map" for the unit circle, "flow" for the imaginary axis.
    index
        Which colour.
    label
        For the legend.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import NumericalRange

    instance("field", field, NumericalRange)
    one_of("kind", kind, ("map", "flow"))
    line(index, label)
    if field.boundary.ndim != 1:
        raise ArgumentError("field", "be of one matrix", f"a batch of shape {field.boundary.shape[:-1]}")
    ax = axes(ax, SQUARE)
    outline = np.append(field.boundary, field.boundary[:1])
    ax.fill(outline.real, outline.imag, color=colour(index), alpha=0.15, linewidth=0)
    ax.plot(outline.real, outline.imag, color=colour(index), label=label or "numerical range")
    _plane(ax, field.eigenvalues, kind)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def pseudospectra(
    spectra: Pseudospectra, *, exponents: Sequence[float] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw contours of log10 epsilon in the complex plane, the eigenvalues, and what bounds stability.

    Parameters
    ----------
    spectra
        What to draw.
    exponents
        log10 epsilon of the contours, increasing; about seven between the extremes by default.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import Pseudospectra

    instance("spectra", spectra, Pseudospectra)
    if exponents is not None:
        given = curve("exponents", exponents)
        if not (len(given) and np.isfinite(given).all() and (np.diff(given) > 0).all()):
            raise ArgumentError("exponents", "be finite numbers, increasing", exponents)
    ax = axes(ax, SQUARE)
    values = np.maximum(spectra.smallest_singular_values, np.finfo(float).tiny)
    logs = np.log10(values)
    levels = _levels(logs) if exponents is None else given
    drawn = ax.contour(
        spectra.real,
        spectra.imaginary,
        logs,
        levels=levels,
        cmap="viridis",
        linewidths=1.2,
        linestyles="solid",
    )
    bar = ax.figure.colorbar(drawn, ax=ax, ticks=levels)
    bar.set_label(r"$\log_{10}\varepsilon$")
    bar.lines[0].set_linewidth(6) if bar.lines else None
    _plane(ax, spectra.eigenvalues, spectra.kind)
    ax.set_xlim(spectra.real[0], spectra.real[-1])
    ax.set_ylim(spectra.imaginary[0], spectra.imaginary[-1])
    return ax


def transient_growth(
    growth: TransientGrowth, *, index: int = 0, label: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the norms of powers or exponentials over time, their peak, and the bound by the Kreiss constant.

    Parameters
    ----------
    growth
        Of one matrix.
    index
        Which colour.
    label
        For the legend.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import TransientGrowth

    instance("growth", growth, TransientGrowth)
    line(index, label)
    if growth.norms.ndim != 1:
        raise ArgumentError("growth", "be of one matrix", f"a batch of shape {growth.norms.shape[:-1]}")
    ax = axes(ax)
    name = r"\Vert A^k \Vert_2" if growth.kind == "map" else r"\Vert e^{tA} \Vert_2"
    shown = np.where((growth.norms > 0) & np.isfinite(growth.norms), growth.norms, np.nan)
    ax.plot(growth.times, shown, color=colour(index), label=label or f"${name}$")
    if np.isfinite(growth.peak):
        where = f"{growth.at:.3g}" if growth.kind == "flow" else f"{growth.at}"
        ax.plot([float(growth.at)], [float(growth.peak)], "o", color=colour(index), markersize=5)
        ax.annotate(
            f"{growth.peak:.3g} at {where}",
            (float(growth.at), float(growth.peak)),
            xytext=(6, 4),
            textcoords="offset points",
            color=colour(index),
        )
    if growth.kreiss is not None and np.isfinite(growth.kreiss.value):
        ax.axhline(
            float(growth.kreiss.value), color=GREY, linestyle="--", linewidth=1, label="Kreiss constant $K$"
        )
    ax.axhline(1, color=INK, linewidth=0.8)
    ax.set_yscale("log")
    ax.margins(y=0.12)
    if growth.kind == "map":
        whole(ax.xaxis)
    ax.set_xlabel("$k$ (steps)" if growth.kind == "map" else "$t$ (units of time)")
    ax.set_ylabel(f"${name}$")
    ax.legend(frameon=False)
    return ax


def kreiss_constant(kreiss: KreissConstant, *, index: int = 0, ax: Axes | None = None) -> Axes:
    """Draw where in the complex plane the Kreiss constant is reached, with its value and what bounds stability.

    Parameters
    ----------
    kreiss
        Of one matrix, or of a batch. A constant of 1 in the limit of large z, and that of an unstable matrix, which is
        infinite, are counted in the legend.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import KreissConstant

    instance("kreiss", kreiss, KreissConstant)
    integer("index", index)
    value, point = np.ravel(kreiss.value), np.ravel(kreiss.point)
    reached = np.isfinite(value) & np.isfinite(point)
    ax = axes(ax, SQUARE)
    _plane(ax, np.empty(0, complex), kreiss.kind)
    if reached.any():
        z = point[reached]
        ax.plot(z.real, z.imag, "o", color=colour(index), markersize=5, label="where $K$ is reached")
        if reached.sum() <= 12:
            for k, at in zip(value[reached], z, strict=True):
                ax.annotate(
                    f"$K = {k:.3g}$",
                    (at.real, at.imag),
                    (0, 6),
                    textcoords="offset points",
                    color=INK,
                    fontsize=8,
                    ha="center",
                )
    others = (
        (np.isinf(value), r"$K = \infty$: unstable"),
        (np.isfinite(value) & ~reached, r"$K = 1$: for $z \to \infty$"),
    )
    for chosen, words in others:
        if chosen.any():
            ax.plot([], [], "x", color=GREY, label=f"{words} ({chosen.sum()})" if value.size > 1 else words)
    ax.margins(0.15)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _levels(logs: np.ndarray) -> np.ndarray:
    """Round exponents between the fifth percentile and the largest: a point beside an eigenvalue is no scale."""
    low, high = np.quantile(logs, 0.02), logs.max()
    step = next(s for s in (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 50) if (high - low) / s <= 9 or s == 50)
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _plane(ax: Axes, eigenvalues: np.ndarray, kind: str) -> None:
    if kind == "map":
        ax.add_patch(
            Circle((0, 0), 1, fill=False, color=GREY, linestyle="--", linewidth=1, label="unit circle")
        )
    else:
        ax.axvline(0, color=GREY, linestyle="--", linewidth=1, label="imaginary axis")
    if eigenvalues.size:
        ax.plot(eigenvalues.real, eigenvalues.imag, "o", color=INK, markersize=3, label="eigenvalues")
    ax.set_aspect("equal")
    ax.set_xlabel(r"$\mathrm{Re}\,z$")
    ax.set_ylabel(r"$\mathrm{Im}\,z$")
