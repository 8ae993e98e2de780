"""Figures of a training run: learning curve, gradient norms, step lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentTypeError, integer, number
from .options import curve, curves, optional_number, text
from .style import GREY, axes, colour, plain_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Running mean over the last `window` values (fewer at the start); NaN where none is a number.

    Examples
    --------
    >>> import numpy as np
    >>> smooth(np.array([1.0, 3.0, 5.0, 7.0]), 2).tolist()
    [1.0, 2.0, 4.0, 6.0]
    """
    values, window = curve("values", values), integer("window", window, at_least=1)
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    several = counts[last] - counts[first]
    return np.where(several > 0, (sums[last] - sums[first]) / np.maximum(several, 1), np.nan)


def _window(count: int) -> int:
    return max(1, count // 60)


def learning_curve(
    updates: np.ndarray,
    train: np.ndarray,
    validation_updates: np.ndarray,
    validation: np.ndarray,
    *,
    unit: str = "bits per character",
    levels: Mapping[str, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss of training and validation over the updates, from the first to the last, on logarithmic axes.

    Parameters
    ----------
    updates, train
        Number of the update and its loss; the loss is drawn as it is, faintly, and smoothed.
    validation_updates, validation
        The same for the validation part; empty arrays if it was not measured.
    unit
        Of the loss.
    levels
        Losses to compare with, by name: each is a dotted line with its name and value.
    ax
        Where to draw; a new figure if None.
    """
    updates, train = curves(updates=updates, train=train)
    validation_updates, validation = curves(validation_updates=validation_updates, validation=validation)
    text("unit", unit)
    if levels is not None and not isinstance(levels, Mapping):
        raise ArgumentTypeError("levels", "be a dict of numbers", type(levels).__name__)
    for name, value in (levels or {}).items():
        number(f"levels[{name!r}]", value)
    ax = axes(ax, (7.5, 3.6))
    ax.plot(updates, train, color=colour(0), alpha=0.25, linewidth=0.6)
    ax.plot(updates, smooth(train, _window(len(train))), color=colour(0), label="training (running mean)")
    if len(validation):
        ax.plot(validation_updates, validation, "o-", color=colour(1), markersize=4, label="validation")
        best = int(np.argmin(validation))
        at, lowest = validation_updates[best], validation[best]
        beside = np.interp(at, updates, smooth(train, _window(len(train))))
        ax.annotate(
            f"{lowest:.3f}",
            (at, lowest),
            xytext=(0, 7 if lowest > beside else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if lowest > beside else "top",
            color=colour(1),
        )
    known = list((levels or {}).values())
    for name, value in (levels or {}).items():
        ax.axhline(value, color=GREY, linestyle=":", linewidth=1)
        ax.annotate(
            f"{name}: {value:.2f}",
            (0, value),
            (3, 1),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
            color=GREY,
            va="bottom",
        )
    drawn = np.concatenate([np.asarray(v, dtype=np.float64) for v in (train, validation, updates, known)])
    if (drawn[np.isfinite(drawn)] > 0).all():
        ax.set_xscale("log")  # most of the fall is within the first updates
        ax.set_yscale("log")
        plain_ticks(ax.xaxis)
        plain_ticks(ax.yaxis)
    ax.set_xlabel("update")
    ax.set_ylabel(f"loss ({unit})")
    ax.legend(framealpha=0.8, edgecolor="none")  # it may stand on the line of a level
    return ax


def clipping(
    updates: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    *,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the global norm of the gradient over the updates, before and after clipping: one line if they are equal."""
    updates, before, after = curves(updates=updates, before=before, after=after)
    optional_number("limit", limit)
    ax = axes(ax)
    if np.array_equal(before, after, equal_nan=True):
        ax.plot(updates, before, color=colour(0), linewidth=0.7, label="never clipped")
    else:
        # The wider line lies below, so that both are seen where they are one.
        ax.plot(updates, after, color=colour(1), linewidth=2.2, alpha=0.6, label="after clipping")
        ax.plot(updates, before, color=colour(0), linewidth=0.7, label="before clipping")
    if limit is not None and (before > 0.5 * limit).any():
        ax.axhline(limit, color=GREY, linestyle=":", linewidth=1)
        ax.annotate(
            f"limit {limit:g}",
            (1, limit),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color=GREY,
        )
    ax.set_yscale("log")
    plain_ticks(ax.yaxis)
    ax.set_xlabel("update")
    ax.set_ylabel("global norm of the gradient")
    ax.legend(frameon=False)
    return ax


def step_lengths(updates: np.ndarray, steps: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Draw the length of every step in weight space over the updates."""
    updates, steps = curves(updates=updates, steps=steps)
    ax = axes(ax)
    ax.plot(updates, steps, color=colour(2), alpha=0.35, linewidth=0.6)
    ax.plot(updates, smooth(steps, _window(len(steps))), color=colour(2), label="running mean")
    positive = steps[steps > 0]
    if positive.size and positive.max() > 20 * positive.min():
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    ax.set_xlabel("update")
    ax.set_ylabel(r"step length $\Vert\,\Delta w\,\Vert$")
    ax.legend(frameon=False)
    return ax
