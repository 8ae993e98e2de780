"""Figures of fixed points among the trajectories they organize."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import Branch, FixedPoints

# kind -> marker, colour, size: they differ in shape too.
MARKERS = {
    "stable": ("o", 0, 42),
    "saddle": ("X", 1, 46),
    "unstable": ("^", 3, 46),
    "centre-like": ("s", 4, 34),
}


def fixed_points(points: FixedPoints, *, trajectories: int = 20, ax: Axes | None = None) -> Axes:
    """Draw fixed points by class over trajectories, in the plane of the trajectories' two first principal components.

    The number beside a saddle is that of its unstable directions. The states of a cycle are joined.

    Parameters
    ----------
    points
        What `recurrent_dynamics.dynamics.fixed_points` found.
    trajectories
        How many of the trajectories are drawn; where they are single states, all are.
    ax
        Where to draw; a new figure if None.
    """
    ax = axes(ax)
    cloud = points.trajectories.reshape(-1, points.trajectories.shape[2])
    middle = cloud.mean(axis=0)
    _, singular, directions = np.linalg.svd(cloud - middle, full_matrices=False)
    plane = np.zeros((2, cloud.shape[1]))
    plane[: min(2, len(directions))] = directions[:2]
    total = max(float(np.sum(singular**2)), np.finfo(float).tiny)
    shares = [*(singular[:2] ** 2 / total), 0.0][:2]

    def project(z: np.ndarray) -> np.ndarray:
        return np.moveaxis((z - middle) @ plane.T, -1, 0)

    if len(points.trajectories) > 1:
        ax.plot(
            *project(points.trajectories[:, :trajectories]), color=GREY, linewidth=0.5, alpha=0.4, zorder=1
        )
    else:
        x, y = project(cloud)
        ax.scatter(x, y, s=3, color=GREY, alpha=0.4, linewidths=0, zorder=1)
    if len(points.slow.q):
        x, y = project(points.slow.points)
        ax.scatter(x, y, s=14, marker="D", color=GREY, label="slow point", zorder=2)
    for kind, (marker, index, size) in MARKERS.items():
        chosen = np.flatnonzero(points.kind == kind)
        if not chosen.size:
            continue
        orbits = project(points.orbits[chosen])
        if points.period > 1:
            closed = np.concatenate([orbits, orbits[:, :, :1]], axis=2)
            ax.plot(*np.swapaxes(closed, 1, 2), color=colour(index), linewidth=0.8, zorder=3)
        x, y = orbits.reshape(2, -1)
        label = f"{kind} ({chosen.size})"
        ax.scatter(
            x, y, s=size, marker=marker, color=colour(index), edgecolors="white", linewidths=0.7, label=label, zorder=4
        )  # fmt: skip
        if kind == "saddle":
            for k, px, py in zip(chosen, *orbits[:, :, 0]):
                text = str(points.unstable[k])
                ax.annotate(
                    text, (px, py), (4, 3), textcoords="offset points", color=INK, fontsize=7, zorder=5
                )
    ax.set_xlabel(f"first principal component ({shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"second principal component ({shares[1]:.0%})")
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def branch(
    branch: Branch,
    *,
    slot: str | None = None,
    unit: int | None = None,
    index: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw a branch of fixed points over its parameter: solid where stable, dashed where not, bifurcations marked.

    Parameters
    ----------
    branch
        What `recurrent_dynamics.dynamics.continuation` followed.
    slot, unit
        Which entry of the state is drawn: the first slot by default; without a unit, the mean over its units.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    ax = axes(ax)
    slot = next(iter(branch.states)) if slot is None else slot
    span = next(s for s in branch.slots if s.name == slot)

    def entry(z: np.ndarray) -> np.ndarray:
        chosen = z[..., span.offset : span.offset + span.width]
        return chosen.mean(axis=-1) if unit is None else chosen[..., unit]

    y = entry(branch.points)
    stable = branch.unstable == 0
    changes = np.flatnonzero(np.diff(stable)) + 1
    for piece in np.split(np.arange(len(branch)), changes):
        longer = np.append(piece, piece[-1] + 1) if piece[-1] + 1 < len(branch) else piece
        style = "-" if stable[piece[0]] else "--"
        ax.plot(branch.parameter[longer], y[longer], style, color=colour(index))
    markers = {"fold": "o", "branch point": "D", "flip": "s", "Neimark-Sacker": "^"}
    known = ax.get_legend_handles_labels()[1]
    for found in branch.bifurcations:
        label = None if found.kind in known else found.kind
        known.append(found.kind)
        ax.plot(
            found.parameter, entry(found.point), markers[found.kind], color=INK, markersize=5, label=label
        )
    ax.set_xlabel(r"parameter $\lambda$")
    ax.set_ylabel(f"mean of {slot}" if unit is None else f"{slot}, unit {unit}")
    if known:
        ax.legend(frameon=False, fontsize="small")
    return ax
