"""Figures of fixed points among the trajectories they organize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, instance, integer, listed, numbers, texts
from .phase_plane import name_components
from .phase_plane import phase_portrait as draw_portrait
from .style import GREY, INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import FixedPoints, PhasePortrait

# kind -> marker, colour, size: they differ in shape too.
MARKERS = {
    "stable": ("o", 0, 42),
    "saddle": ("X", 1, 46),
    "unstable": ("^", 3, 46),
    "centre-like": ("s", 4, 34),
}


def fixed_points(
    points: FixedPoints,
    *,
    portrait: PhasePortrait | None = None,
    conditions: Sequence[object] | np.ndarray | None = None,
    trajectories: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Draw fixed points by class over trajectories, in the plane of the trajectories' two first principal components.

    The number beside a saddle is that of its unstable directions. The states of a cycle are joined.

    Parameters
    ----------
    points
        What `recurrent_dynamics.dynamics.fixed_points` found.
    portrait
        Another plane and other trajectories, of `recurrent_dynamics.dynamics.phase_portrait`; by default
        ``points.portrait()``.
    conditions
        Of each trajectory, for its colour, where no portrait is given.
    trajectories
        How many of the trajectories are drawn; where they are single states, all are.
    ax
        Where to draw; a new figure if None.
    """
    from ..dynamics import FixedPoints, PhasePortrait

    instance("points", points, FixedPoints)
    integer("trajectories", trajectories, at_least=0)
    if portrait is not None:
        instance("portrait", portrait, PhasePortrait)
    if portrait is not None and conditions is not None:
        raise ArgumentError("conditions", "be None with a portrait, which has its own", "both")
    plane = points.portrait(conditions) if portrait is None else portrait
    ax = axes(ax)
    single = len(plane.trajectories) == 1  # states, all of which are drawn
    if plane.conditions is not None and (trajectories or single):
        draw_portrait(plane, most=None if single else trajectories, ax=ax)
    elif single:
        x, y = _two(plane.trajectories[0])
        ax.scatter(x, y, s=3, color=GREY, alpha=0.4, linewidths=0, zorder=1)
    else:
        ax.plot(*_two(plane.trajectories[:, :trajectories]), color=GREY, linewidth=0.5, alpha=0.4, zorder=1)
    if len(points.slow.q):
        x, y = _project(plane, points.slow.points)
        ax.scatter(x, y, s=14, marker="D", color=GREY, label="slow point", zorder=2)
    for kind, (marker, index, size) in MARKERS.items():
        chosen = np.flatnonzero(points.kind == kind)
        if not chosen.size:
            continue
        orbits = _project(plane, points.orbits[chosen])
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
    name_components(ax, plane, (0, 1))
    if ax.get_legend_handles_labels()[1]:
        beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1, 1)}
        ax.legend(frameon=False, fontsize="small", **(beside if plane.conditions is not None else {}))
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
    from ..dynamics import FixedPoints, phase_portrait

    trajectories = numbers("trajectories", trajectories)
    if trajectories.ndim not in (2, 3) or not trajectories.size or not np.isfinite(trajectories).all():
        raise ArgumentError("trajectories", "be finite numbers (T, B, S)", f"shape {trajectories.shape}")
    paths = [numbers("paths", path) for path in listed("paths", paths, "of arrays (T, B, S)")]
    points = listed("points", points, "of fixed points, or None")
    labels = None if labels is None else texts("labels", labels)
    if len(points) != len(paths) or (labels is not None and len(labels) != len(paths)):
        raise ArgumentError(
            "points and labels",
            f"be {len(paths)}, one for each of paths",
            f"{len(points)}" + ("" if labels is None else f" and {len(labels)}"),
        )
    plane = phase_portrait(trajectories, count=2)
    size = trajectories.shape[-1]
    for path, found in zip(paths, points, strict=True):
        if path.ndim != 3 or path.shape[-1] != size or not path.size:
            raise ArgumentError(
                "paths", f"have shapes (T, B, {size}), as trajectories", f"shape {path.shape}"
            )
        if found is not None:
            instance("points", found, FixedPoints)
            if found.points.shape[-1] != size:
                raise ArgumentError(
                    "points", f"be of states of size {size}, as trajectories", found.points.shape[-1]
                )
    ax = axes(ax)
    flat = trajectories.reshape(-1, trajectories.shape[-1])
    x, y = _project(plane, trajectories)
    ax.plot(x, y, color=GREY, linewidth=0.5, alpha=0.35, zorder=1)
    low, high = np.array([[a.min(), a.max()] for a in (x, y)]).T
    spread = np.maximum(high - low, 1e-9)
    frame = np.array([low - 0.35 * spread, high + 0.35 * spread])
    radius = max(float(np.linalg.norm(flat - plane.mean, axis=1).max()), np.finfo(float).tiny)
    named: list[np.ndarray] = []  # where labels stand already
    for index, (path, found) in enumerate(zip(paths, points, strict=True)):
        label = None if labels is None else labels[index]
        px, py = _project(plane, path)
        ax.plot(px[:, 0], py[:, 0], color=colour(index), linewidth=1.1, alpha=0.9, label=label, zorder=2)
        ax.plot(px[:, 1:], py[:, 1:], color=colour(index), linewidth=0.6, alpha=0.5, zorder=2)
        if found is None:
            continue
        for k in range(len(found)):
            place = _project(plane, found.points[k])
            factor = float(np.linalg.norm(found.points[k] - plane.mean)) / radius
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
                    f"×{factor:.2g}" if factor < 10 else f"×{factor:.0f}", (shown[0], shown[1]),
                    (0, (6 + 8 * near) * (1 if upwards else -1)), textcoords="offset points", fontsize=7,
                    color=colour(index), ha=aligned, va="bottom" if upwards else "top", zorder=5,
                )  # fmt: skip
    ax.set(xlim=frame[:, 0], ylim=frame[:, 1])
    name_components(ax, plane, (0, 1))
    if labels is not None:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _project(plane: PhasePortrait, states: np.ndarray) -> np.ndarray:
    """The two first coordinates of states (..., S), shape (2, ...)."""
    return _two(plane.project(states))


def _two(coordinates: np.ndarray) -> np.ndarray:
    """The two first of coordinates (..., k), shape (2, ...); states of one number lie on a line."""
    found = np.zeros((2, *coordinates.shape[:-1]))
    known = np.moveaxis(coordinates[..., :2], -1, 0)
    found[: len(known)] = known
    return found
