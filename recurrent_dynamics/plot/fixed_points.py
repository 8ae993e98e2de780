"""Figures of fixed points among the trajectories they organize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentError, instance, integer, one_of
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
    from ..dynamics import FixedPoints

    instance("points", points, FixedPoints)
    integer("trajectories", trajectories, at_least=0)
    ax = axes(ax)
    project, shares = _plane(points.trajectories)
    if len(points.trajectories) > 1:
        ax.plot(
            *project(points.trajectories[:, :trajectories]), color=GREY, linewidth=0.5, alpha=0.4, zorder=1
        )
    else:
        x, y = project(points.trajectories[0])
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
    _name_axes(ax, shares)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def held_inputs(
    trajectories: np.ndarray,
    paths: Sequence[np.ndarray],
    points: Sequence[FixedPoints | None],
    *,
    labels: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw where a network drifts while its input is held constant, and its fixed points there, around trajectories.

    The plane is that of the two first principal components of the trajectories. A fixed point outside of the frame is
    drawn hollow at its edge. A point further than the farthest state of the trajectories (in the whole space, from
    their mean) has the factor beside it.

    Parameters
    ----------
    trajectories
        States under the real input, (T, B, S).
    paths
        For each of the inputs the states while it is held, (T, B, S).
    points
        For each of them its fixed points; None for none.
    labels
        Of the inputs.
    ax
        Where to draw; a new figure if None.
    """
    if len(points) != len(paths) or (labels is not None and len(labels) != len(paths)):
        raise ArgumentError(
            "points and labels",
            f"be {len(paths)}, one for each path",
            f"{len(points)}" + ("" if labels is None else f" and {len(labels)}"),
        )
    ax = axes(ax)
    project, shares = _plane(trajectories)
    flat = trajectories.reshape(-1, trajectories.shape[-1])
    x, y = project(trajectories)
    ax.plot(x, y, color=GREY, linewidth=0.5, alpha=0.35, zorder=1)
    low, high = np.array([[a.min(), a.max()] for a in (x, y)]).T
    spread = np.maximum(high - low, 1e-9)
    frame = np.array([low - 0.35 * spread, high + 0.35 * spread])
    radius = max(float(np.linalg.norm(flat - flat.mean(axis=0), axis=1).max()), np.finfo(float).tiny)
    named: list[np.ndarray] = []  # where labels stand already
    for index, (path, found) in enumerate(zip(paths, points, strict=True)):
        label = None if labels is None else labels[index]
        px, py = project(path)
        ax.plot(px[:, 0], py[:, 0], color=colour(index), linewidth=1.1, alpha=0.9, label=label, zorder=2)
        ax.plot(px[:, 1:], py[:, 1:], color=colour(index), linewidth=0.6, alpha=0.5, zorder=2)
        if found is None:
            continue
        for k in range(len(found)):
            place = project(found.points[k])
            factor = float(np.linalg.norm(found.points[k] - flat.mean(axis=0))) / radius
            shown = np.clip(place, frame[0] + 0.04 * spread, frame[1] - 0.04 * spread)
            marker, _, size = MARKERS[str(found.kind[k])]
            inside = np.array_equal(shown, place)
            ax.scatter(
                shown[0], shown[1], s=size, marker=marker, color=colour(index) if inside else "white",
                edgecolors=INK if inside else colour(index), linewidths=0.7 if inside else 1.3, zorder=4,
            )  # fmt: skip
            if factor > 1:
                near = sum(bool((np.abs(shown - other) < (0.12, 0.08) * spread).all()) for other in named)
                named.append(shown)
                side = (shown[0] - frame[0, 0]) / (frame[1, 0] - frame[0, 0])
                aligned = "left" if side < 0.08 else "right" if side > 0.92 else "center"
                upwards = shown[1] < frame.mean(axis=0)[1]  # labels of points that lie together are stacked
                ax.annotate(
                    f"×{factor:.2g}" if factor < 10 else f"×{factor:.0f}", shown,
                    (0, (6 + 8 * near) * (1 if upwards else -1)), textcoords="offset points", fontsize=7,
                    color=colour(index), ha=aligned, va="bottom" if upwards else "top", zorder=5,
                )  # fmt: skip
    ax.set(xlim=frame[:, 0], ylim=frame[:, 1])
    _name_axes(ax, shares)
    if labels is not None:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _plane(trajectories: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], list[float]]:
    """The projection of states (..., S) onto the two first principal components, and their shares of the variance."""
    cloud = trajectories.reshape(-1, trajectories.shape[-1])
    middle = cloud.mean(axis=0)
    _, singular, directions = np.linalg.svd(cloud - middle, full_matrices=False)
    plane = np.zeros((2, cloud.shape[1]))
    plane[: min(2, len(directions))] = directions[:2]
    total = max(float(np.sum(singular**2)), np.finfo(float).tiny)
    shares = [*(singular[:2] ** 2 / total), 0.0][:2]
    return lambda z: np.moveaxis((z - middle) @ plane.T, -1, 0), shares


def _name_axes(ax: Axes, shares: Sequence[float]) -> None:
    ax.set_xlabel(f"first principal component ({100 * shares[0]:.0f} % of the variance)")
    ax.set_ylabel(f"second principal component ({100 * shares[1]:.0f} %)")


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
    from ..dynamics import Branch

    instance("branch", branch, Branch)
    ax = axes(ax)
    slot = one_of("slot", next(iter(branch.states)) if slot is None else slot, tuple(branch.states))
    span = next(s for s in branch.slots if s.name == slot)

    if unit is not None:
        integer("unit", unit, at_least=0, below=span.width)

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
