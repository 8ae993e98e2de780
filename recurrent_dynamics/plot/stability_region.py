"""The region of stability of a method in the complex plane, and the modes of a network over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, boolean, complexes, number, rectangle
from .options import line
from .style import GREY, INK, LIGHT, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..ode import Method

SQUARE = (5.2, 4.3)  # inches
GRID = 400  # points along an axis


def stability_region(
    method: str | Method,
    modes: Any = None,
    *,
    linear: float = 0.0,
    limits: tuple[float, float, float, float] | None = None,
    label: str | None = None,
    index: int = 0,
    shade: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw where ``|R(z)| <= 1``, and modes z = dt lambda over it: those that grow filled, those that do not hollow.

    Parameters
    ----------
    method
        A name of `recurrent_dynamics.ode.METHODS`, or a method.
    modes : array of complex, optional
        z = dt lambda, of any shape.
    linear
        dt a, for methods with a stated linear part.
    limits
        (left, right, bottom, top); by default what there is to see.
    label
        For the legend, of the modes.
    index
        Which colour, of the modes.
    shade
        Whether to draw the region itself; False adds modes to axes that have it.
    ax
        Where to draw; a new figure if None.
    """
    from ..ode import stability_function
    from ..ode.methods import method_of

    m = method_of(method)
    z = np.empty(0, complex) if modes is None else complexes("modes", modes).ravel()
    if not np.isfinite(z).all():
        raise ArgumentError("modes", "be finite", "nan or inf")
    linear, shade = number("linear", linear), boolean("shade", shade)
    limits = None if limits is None else rectangle("limits", limits)
    line(index, label)
    ax = axes(ax, SQUARE)
    if shade:
        left, right, bottom, top = _around(m, z, linear) if limits is None else limits
        if m.kind == "partitioned":
            ax.plot([0, 0], [-2, 2], color=GREY, linewidth=5, alpha=0.5, solid_capstyle="butt")
        else:
            x, y = np.linspace(left, right, GRID), np.linspace(bottom, top, GRID)
            size = np.abs(stability_function(m, x + 1j * y[:, None], linear=linear))
            size = np.where(np.isfinite(size), size, 1e9)
            ax.contourf(x, y, size, levels=[0, 1], colors=[LIGHT])
            ax.contour(x, y, size, levels=[1], colors=[GREY], linewidths=1)
        for draw in (ax.axhline, ax.axvline):
            draw(0, color=INK, linewidth=0.6)
        ax.set_xlim(left, right)
        ax.set_ylim(bottom, top)
    if z.size:
        grows = np.abs(stability_function(m, z, linear=linear)) > 1 + 1e-9
        few = z.size <= 400
        for chosen, filled in ((~grows, False), (grows, True)):
            ax.plot(
                z[chosen].real, z[chosen].imag, "o", markersize=4 if few else 2, markeredgecolor=colour(index),
                markerfacecolor=colour(index) if filled else "none", markeredgewidth=0.8, linestyle="none",
                alpha=1.0 if few else 0.5, label=label if chosen.any() and filled == grows.all() else None,
            )  # fmt: skip
        if label:
            ax.legend(frameon=False)
    ax.set_aspect("equal")
    ax.set_xlabel(r"$\mathrm{Re}\, dt\, \lambda$")
    ax.set_ylabel(r"$\mathrm{Im}\, dt\, \lambda$")
    return ax


def _around(method: Method, z: np.ndarray, linear: float) -> tuple[float, float, float, float]:
    """A square that holds the modes and, where that is bounded, the region."""
    from ..ode import stability_boundary

    shown = np.append(z, [0.5, -2.5, 2j, -2j])
    if method.kind != "partitioned":
        boundary = stability_boundary(method, 90, linear=linear).ravel()
        boundary = boundary[np.isfinite(boundary)]
        shown = np.append(shown, boundary[np.abs(boundary) < 20])
    low, high = shown.real.min() + 1j * shown.imag.min(), shown.real.max() + 1j * shown.imag.max()
    centre, half = (low + high) / 2, 0.55 * max((high - low).real, (high - low).imag)
    return centre.real - half, centre.real + half, centre.imag - half, centre.imag + half
