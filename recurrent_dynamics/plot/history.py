"""The figure of a training's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentError, instance, one_of
from .options import line, text
from .style import axes, colour, whole
from .training import learning_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..training import History

NAMES = {
    "grad_norm": "norm of the gradient before clipping",
    "clipped_norm": "norm of the gradient after clipping",
    "update_norm": "length of the step in the weights",
    "learning_rate": "learning rate",
    "epoch": "epoch",
    "seconds": "seconds since the start",
}
LOGARITHMIC = ("grad_norm", "clipped_norm", "update_norm", "learning_rate")


def history(
    history: History,
    *,
    column: str = "loss",
    unit: str | None = None,
    label: str | None = None,
    index: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw a column of a training's history over the updates; the loss with that of the validation.

    Parameters
    ----------
    history
        What `fit` kept.
    column
        "loss", or another column of `History`.
    unit
        Of the loss: "nats" for the mean cross-entropy.
    label
        For the legend, of another column than the loss.
    index
        Which colour, of another column than the loss.
    ax
        Where to draw; a new figure if None.
    """
    from ..training import History

    instance("history", history, History)
    line(index, label)
    text("unit", unit)
    one_of("column", column, ("loss", *NAMES))
    if not len(history):
        raise ArgumentError("history", "have an update", "one without any")
    updates, values = history["update"], history[column]
    if column == "loss":
        validation = history.validation
        ax = learning_curve(updates, values, validation["update"], validation["loss"], unit=unit or "", ax=ax)
        ax.set_ylabel(f"loss ({unit})" if unit else "loss")
        whole(ax.xaxis)
        return ax
    ax = axes(ax, (7.5, 3.6))
    shown = np.where(values > 0, values, np.nan) if column in LOGARITHMIC else values
    ax.plot(updates, shown, color=colour(index), linewidth=0.9, label=label)
    if column in LOGARITHMIC and np.isfinite(shown).any() and np.nanmax(shown) > 3 * np.nanmin(shown):
        ax.set_yscale("log")
    whole(ax.xaxis)
    ax.set_xlabel("update")
    ax.set_ylabel(NAMES[column])
    if label:
        ax.legend(frameon=False)
    return ax
