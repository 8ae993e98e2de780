"""Figures along the steps of a run: states, norms of what is carried through time, and one number a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, integer, numbers, one_of
from .options import line, optional_number, states_of, text
from .style import INK, axes, colour, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..engine import Run
    from ..ode import ImplicitRun


def states(
    run: Run | ImplicitRun, *, slot: str | None = None, sequence: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw one slot of the state as an image: units from top to bottom, steps from left to right.

    Parameters
    ----------
    run
        What was computed.
    slot
        The first slot of the state by default.
    sequence
        Which sequence of the batch.
    ax
        Where to draw; a new figure if None.
    """
    known = states_of("run", run)
    slot = one_of("slot", next(iter(known)) if slot is None else slot, tuple(known))
    values = np.asarray(known[slot])
    values = values[:, None] if values.ndim == 2 else values
    integer("sequence", sequence, at_least=0, below=values.shape[1])
    shown = values[:, sequence].T.astype(np.float64)
    ax = axes(ax)
    limit = float(np.abs(shown).max()) or 1.0
    image = ax.pcolormesh(
        np.arange(shown.shape[1] + 1) + 0.5, np.arange(len(shown) + 1) - 0.5, shown, cmap="RdBu_r", vmin=-limit,
        vmax=limit, rasterized=True,
    )  # fmt: skip
    ax.figure.colorbar(image, ax=ax, label=f"state {slot}")
    ax.grid(False)
    ax.invert_yaxis()
    whole(ax.xaxis, ax.yaxis)
    ax.set_xlabel("step")
    ax.set_ylabel("unit")
    return ax


def norms(
    arrays: Mapping[str, np.ndarray],
    *,
    what: str = r"$\Vert\,v_t\,\Vert$",
    first: int = 1,
    label: str | None = None,
    index: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the Euclidean norm over the units at every step: the mean over the sequences, and their middle 80 %.

    Parameters
    ----------
    arrays
        By name, each (T, B, H) or (T, H) for one sequence: the states of a `Gradients`, of a `Tangent`.
    what
        The label of the axis.
    first
        The number of the first step.
    label
        For the legend, before the name.
    index
        The colour of the first one.
    ax
        Where to draw; a new figure if None.
    """
    if not isinstance(arrays, Mapping):
        raise ArgumentTypeError("arrays", "be a dict of arrays", type(arrays).__name__)
    if not arrays:
        raise ArgumentError("arrays", "have an entry", "none")
    line(index, label)
    text("what", what)
    integer("first", first)
    lengths = {}
    for name, values in arrays.items():
        given = numbers(f"arrays[{name!r}]", values)
        if given.ndim not in (2, 3):
            raise ArgumentError(f"arrays[{name!r}]", "have shape (T, B, H) or (T, H)", f"shape {given.shape}")
        lengths[name] = np.linalg.norm(given[:, None] if given.ndim == 2 else given, axis=2)
    ax = axes(ax)
    positive = np.concatenate([v[v > 0] for v in lengths.values()])
    # Zeros have no place on a logarithmic scale, which within less than a decade has hardly a tick.
    logarithmic = positive.size > 0 and positive.max() > 10 * positive.min()
    for k, (name, values) in enumerate(lengths.items()):
        label_k = f"{label}, {name}" if label else name
        _band(ax, values, label_k, index + k, first=first, logarithmic=logarithmic)
    if logarithmic:
        ax.set_yscale("log")
    whole(ax.xaxis)
    ax.set_xlabel("step")
    ax.set_ylabel(what)
    ax.legend(frameon=False)
    return ax


def steps(
    values: np.ndarray,
    *,
    what: str,
    level: float | None = None,
    label: str | None = None,
    index: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw one number of every step: the mean over the sequences, and a band of their middle 80 %.

    Parameters
    ----------
    values
        Shape (T, B), or (T,) for one sequence; what is not finite is left out.
    what
        The label of the axis.
    level
        Where to draw a thin line for comparison.
    label
        For the legend.
    index
        Which colour.
    ax
        Where to draw; a new figure if None.
    """
    given = numbers("values", values)
    if given.ndim not in (1, 2):
        raise ArgumentError("values", "have shape (T, B) or (T,)", f"shape {given.shape}")
    line(index, label)
    text("what", what)
    optional_number("level", level)
    ax = axes(ax)
    _band(ax, given[:, None] if given.ndim == 1 else given, label, index)
    if level is not None:
        ax.axhline(level, color=INK, linewidth=0.8)
    whole(ax.xaxis)
    ax.set_xlabel("step")
    ax.set_ylabel(what)
    if label:
        ax.legend(frameon=False)
    return ax


def _band(
    ax: Axes, values: np.ndarray, label: str | None, index: int, *, first: int = 1, logarithmic: bool = False
) -> None:
    """The mean of (T, B) over B, with its 10 % and 90 % quantiles; steps without a number are gaps."""
    known = np.isfinite(values) & ((values > 0) if logarithmic else True)
    some = known.any(axis=1)
    places = np.arange(first, first + len(values))
    masked = np.where(known, values, np.nan)[some]
    middle = np.full(len(values), np.nan)
    middle[some] = np.nanmean(masked, axis=1)
    few: dict[str, Any] = {"marker": "o", "markersize": 3} if len(values) <= 40 else {}
    ax.plot(places, middle, color=colour(index), label=label, **few)
    if values.shape[1] > 1 and some.any():
        band = np.full((2, len(values)), np.nan)
        band[:, some] = np.nanquantile(masked, (0.1, 0.9), axis=1)
        ax.fill_between(places, *band, color=colour(index), alpha=0.15, linewidth=0)
