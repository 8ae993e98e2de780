"""What attention reads, and which way its gradient takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb

from ..checks import ArgumentError, instance, integer, numbers, texts
from .style import axes as axes_of
from .style import colour, given_or_panels, whole

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
    ax = axes_of(ax)
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


def attended_picture(
    weights: np.ndarray, picture: np.ndarray, words: Sequence[str], *, axes: Sequence[Axes] | None = None
) -> np.ndarray:
    """Draw a picture once for each word, with the patches coloured that were read as the word was written.

    Parameters
    ----------
    weights : array_like (T, P)
        The weights of each step, of P square patches from left to right and from top to bottom, as
        `recurrent_dynamics.data.patches` cuts them.
    picture : array_like (height, width)
    words
        What each step wrote; only so many steps are drawn.
    axes
        Axes to draw into, one for each word.

    Returns
    -------
    ndarray of Axes
    """
    read, image = numbers("weights", weights), numbers("picture", picture)
    if read.ndim != 2 or not read.size or not ((read >= 0) & (read <= 1.001)).all():
        raise ArgumentError("weights", "be weights between 0 and 1 of shape (T, P)", f"shape {read.shape}")
    if image.ndim != 2 or not image.size:
        raise ArgumentError("picture", "have shape (height, width)", image.shape)
    side = round((image.size / read.shape[1]) ** 0.5)
    height, width = image.shape
    if not side or height % side or width % side or height // side * (width // side) != read.shape[1]:
        raise ArgumentError(
            "weights",
            f"be of square patches that cover a picture of {image.shape}",
            f"{read.shape[1]} patches",
        )
    words = texts("words", words)
    if not 1 <= len(words) <= len(read):
        raise ArgumentError("words", f"be 1 to {len(read)}, one for each step", len(words))
    drawn = given_or_panels(axes, len(words), (1.2, 1.4))
    grid = np.empty((height // side, width // side, 4))
    grid[..., :3] = to_rgb(colour(1))
    whole_picture = (0, width, height, 0)
    for ax, word, step in zip(drawn, words, read[: len(words)], strict=True):
        ax.imshow(image, cmap="Greys", extent=whole_picture, interpolation="nearest")
        grid[..., 3] = 0.7 * np.minimum(step, 1).reshape(grid.shape[:2])
        ax.imshow(grid, extent=whole_picture, interpolation="nearest")
        ax.set_title(word, fontsize="small")
        ax.set_axis_off()
    return drawn


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
    ax = axes_of(ax)
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
