"""Figures in a plane of the state space: trajectories by condition, and flow fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_hex

from ..checks import ArgumentError, instance, integer, listed, number
from .options import text
from .style import COLOURS, GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import FlowField, PhasePortrait

FEW = len(COLOURS)  # conditions, each of its own colour; more numbers get a scale


def phase_portrait(
    portrait: PhasePortrait,
    *,
    plane: tuple[int, int] = (0, 1),
    most: int | None = None,
    title: str = "condition",
    ax: Axes | None = None,
) -> Axes:
    """Draw trajectories in the plane of two principal components, coloured by condition; a dot is where each begins.

    Up to six conditions have a colour each and a legend, more numbers a scale of colours, more names share colours.
    The colours of fractions follow their order.

    Parameters
    ----------
    portrait
        What `recurrent_dynamics.dynamics.phase_portrait` returned.
    plane
        Which two components, counted from 0.
    most
        How many of the sequences are drawn, spread evenly over all; all by default.
    title
        Above the conditions in the legend, or beside their scale.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import PhasePortrait

    instance("portrait", portrait, PhasePortrait)
    text("title", title)
    count, wanted = len(portrait.components), listed("plane", plane, "of two components")
    if len(wanted) != 2:
        raise ArgumentError("plane", "be two components", len(wanted))
    i, j = (integer(f"plane[{k}]", p, at_least=0, below=count) for k, p in enumerate(wanted))
    sequences = portrait.trajectories.shape[1]
    shown = np.arange(sequences)
    if most is not None and integer("most", most, at_least=1) < sequences:
        shown = np.linspace(0, sequences - 1, most).round().astype(int)
    ax = axes(ax, (5.2, 4.3))
    given = portrait.conditions
    names, which = (None, None) if given is None else np.unique(given, return_inverse=True)
    scale = None
    if names is not None and len(names) > FEW and names.dtype.kind in "iuf":
        scale = ScalarMappable(Normalize(names.min(), names.max()), "viridis")
    shades = [] if names is None else _shades(names)
    for b in shown:
        x, y = portrait.trajectories[:, b, i], portrait.trajectories[:, b, j]
        if given is None or which is None or names is None:
            ink = GREY
        elif scale is not None:
            shade: Any = scale.to_rgba(given[b])
            ink = to_hex(shade)
        else:
            ink = shades[int(which[b])]
        ax.plot(x, y, color=ink, linewidth=0.8, alpha=0.7, zorder=1)
        ax.plot(x[:1], y[:1], "o", color=ink, markersize=3, zorder=2)
    if scale is not None:
        ax.figure.colorbar(scale, ax=ax, label=title)
    elif names is not None and which is not None:
        for k in np.unique(which[shown]):  # in the order of the conditions, whatever came first
            ax.plot([], [], color=shades[k], linewidth=0.8, label=_words(names[k]))
        ax.legend(frameon=False, fontsize="small", title=title, loc="upper left", bbox_to_anchor=(1, 1))
    name_components(ax, portrait, (i, j))
    return ax


def _shades(names: np.ndarray) -> list[str]:
    """A colour for each condition: of fractions along a scale, of names and whole numbers unlike each other."""
    if names.dtype.kind != "f":
        return [colour(k) for k in range(len(names))]
    return [to_hex(shade) for shade in colormaps["viridis"](np.linspace(0, 0.9, len(names)))]


def _words(condition: Any) -> str:
    text = str(condition)
    return text if condition.dtype.kind == "U" else text.replace("-", "\N{MINUS SIGN}")


def flow_field(
    field: FlowField, *, trajectories: int = 12, density: float = 1.0, ax: Axes | None = None
) -> Axes:
    """Draw streamlines of the motion in the plane over the speed of the whole state, and some trajectories.

    Parameters
    ----------
    field
        What `recurrent_dynamics.dynamics.flow_field` returned.
    trajectories
        How many of the plane's own trajectories are drawn.
    density
        Of the streamlines.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import FlowField

    instance("field", field, FlowField)
    integer("trajectories", trajectories, at_least=0)
    number("density", density, at_least=0.1, at_most=100)
    ax = axes(ax, (5.6, 4.3))
    ax.grid(False)
    fastest = float(field.speed.max())
    speed = np.maximum(field.speed, 1e-4 * fastest)  # a fixed point on the grid would take all colours
    wide = fastest > 10 * speed.min()
    scale = LogNorm(speed.min(), fastest) if wide else Normalize(0, fastest or 1.0)
    (left, right), (bottom, top) = ((line[0], line[-1]) for line in (field.x, field.y))
    beside_x, beside_y = (right - left) / (len(field.x) - 1) / 2, (top - bottom) / (len(field.y) - 1) / 2
    image = ax.imshow(
        speed, extent=(left - beside_x, right + beside_x, bottom - beside_y, top + beside_y), origin="lower",
        interpolation="bilinear", aspect="auto", cmap="Blues", norm=scale, alpha=0.7,
    )  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label=f"speed of the whole state ({field.unit})")
    u, v = np.moveaxis(field.velocity, -1, 0)
    ax.streamplot(field.x, field.y, u, v, color=INK, linewidth=0.6, density=density, arrowsize=0.7)
    if field.portrait is not None and trajectories:
        paths = field.portrait.trajectories
        chosen = np.linspace(0, paths.shape[1] - 1, min(trajectories, paths.shape[1])).round().astype(int)
        ax.plot(
            *np.moveaxis(paths[:, chosen, :2], -1, 0), color=colour(1), linewidth=1.0, alpha=0.8, zorder=3
        )
    ax.set_xlim(field.x[0], field.x[-1])
    ax.set_ylim(field.y[0], field.y[-1])
    if field.portrait is None:
        ax.set_xlabel("first number of the state")
        ax.set_ylabel("second number of the state")
    else:
        name_components(ax, field.portrait, (0, 1))
    return ax


def name_components(ax: Axes, portrait: PhasePortrait, plane: tuple[int, int]) -> None:
    """Label the axes with the numbers of the components and their shares of the variance."""
    shares = dict(enumerate(portrait.explained_ratio))
    words = [f"principal component {k + 1} ({100 * shares.get(k, 0.0):.0f} %" for k in plane]
    ax.set_xlabel(f"{words[0]} of the variance)")
    ax.set_ylabel(f"{words[1]})")
