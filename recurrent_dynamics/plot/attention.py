"""What attention reads, and which way its gradient takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..checks import ArgumentError, instance, integer
from .options import texts
from .style import axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import Alignment, AttentionPaths


def alignment(
    alignment: Alignment,
    sequence: int = 0,
    *,
    source: Sequence[str] | None = None,
    target: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the weights of one sequence as an image: steps downwards, positions of the source to the right.

    Parameters
    ----------
    alignment
        What `recurrent_dynamics.dynamics.alignment` found.
    sequence
        Which one of the batch.
    source, target
        Names of the positions and of the steps, such as symbols; only so many are drawn.
    ax
        Axes to draw into.
    """
    from ..dynamics import Alignment

    instance("alignment", alignment, Alignment)
    sequence = integer("sequence", sequence, at_least=0, at_most=alignment.weights.shape[1] - 1)
    weights = alignment.weights[:, sequence]
    for name, given, axis in (("target", target, 0), ("source", source, 1)):
        if given is not None:
            given = texts(name, given)
            if len(given) > weights.shape[axis]:
                raise ArgumentError(name, f"have at most {weights.shape[axis]} names", len(given))
            weights = weights[: len(given)] if axis == 0 else weights[:, : len(given)]
    ax = axes(ax)
    image = ax.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="weight")
    ax.grid(False)
    ax.set_xlabel("position of the source")
    ax.set_ylabel("step")
    whole(ax.xaxis, ax.yaxis)
    if source is not None:
        ax.set_xticks(range(len(source)), list(source))
    if target is not None:
        ax.set_yticks(range(len(target)), list(target))
    return ax


def attention_paths(paths: AttentionPaths, sequence: int | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw the norms of the gradient's two parts over the steps.

    Parameters
    ----------
    paths
        What `recurrent_dynamics.dynamics.attention_paths` found.
    sequence
        Which one of the batch; the mean over all of them by default.
    ax
        Axes to draw into.
    """
    from ..dynamics import AttentionPaths

    instance("paths", paths, AttentionPaths)
    if sequence is not None:
        sequence = integer("sequence", sequence, at_least=0, at_most=paths.whole.shape[1] - 1)
    ax = axes(ax)
    lines = (
        (paths.whole, "-", "all paths"),
        (paths.past_weights, "--", "past the weights"),
        (paths.through_weights, ":", "through the weights"),
    )
    for index, (part, style, label) in enumerate(lines):
        norms = np.linalg.norm(part, axis=-1)
        shown = norms.mean(axis=1) if sequence is None else norms[:, sequence]
        ax.plot(np.where(shown > 0, shown, np.nan), style, color=colour(index), label=label)
    ax.set_yscale("log")
    ax.set_xlabel("step")
    ax.set_ylabel(rf"$\Vert\,\partial L / \partial {paths.slot}_t\,\Vert$")
    ax.legend(frameon=False)
    return ax
