"""The figure of a branch of fixed points: a bifurcation diagram."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..checks import instance, integer, one_of
from .style import INK, axes, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..dynamics import Branch

MARKERS = {"fold": "o", "branch point": "D", "flip": "s", "Neimark-Sacker": "^"}
ON_CIRCLE = 1e-4  # how far the largest modulus at a bifurcation may be from 1 that changes the stability


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
    integer("index", index)
    ax = axes(ax)
    slot = one_of("slot", next(iter(branch.states)) if slot is None else slot, tuple(branch.states))
    span = next(s for s in branch.slots if s.name == slot)

    if unit is not None:
        integer("unit", unit, at_least=0, below=span.width)

    def entry(z: np.ndarray) -> np.ndarray:
        chosen = z[..., span.offset : span.offset + span.width]
        return chosen.mean(axis=-1) if unit is None else chosen[..., unit]

    for parameters, values, stable in _pieces(branch, entry):
        ax.plot(parameters, values, "-" if stable else "--", color=colour(index))
    known = ax.get_legend_handles_labels()[1]
    for found in branch.bifurcations:
        label = None if found.kind in known else found.kind
        known.append(found.kind)
        ax.plot(
            found.parameter, entry(found.point), MARKERS[found.kind], color=INK, markersize=5, label=label
        )
    ax.set_xlabel(r"parameter $\lambda$")
    ax.set_ylabel(f"mean of {slot}" if unit is None else f"{slot}, unit {unit}")
    if known:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _pieces(
    branch: Branch, entry: Callable[[np.ndarray], np.ndarray]
) -> list[tuple[list[float], list[float], bool]]:
    """Stretches of one stability, by parameter and entry: they meet at the points where the stability changes.

    These are bifurcations where the largest modulus is 1. Where two neighbours differ and no such bifurcation was found
    between them, the change lies where the logarithm of the largest modulus, interpolated, passes 0.
    """
    y, stable = entry(branch.points), branch.unstable == 0
    logs = np.log(np.maximum(np.abs(branch.eigenvalues[:, 0]), np.finfo(float).tiny))
    now = bool(stable[0])
    pieces = [([float(branch.parameter[0])], [float(y[0])], now)]

    def add(parameter: float, value: float, turns: bool) -> None:
        pieces[-1][0].append(float(parameter))
        pieces[-1][1].append(float(value))
        if turns:
            pieces.append(([float(parameter)], [float(value)], not pieces[-1][2]))

    for k in range(len(branch) - 1):
        for found in (b for b in branch.bifurcations if b.segment == k):
            turns = abs(abs(found.eigenvalues[0]) - 1) <= ON_CIRCLE
            add(found.parameter, float(entry(found.point)), turns)
        if pieces[-1][2] != stable[k + 1]:
            share = logs[k] / (logs[k] - logs[k + 1])
            ends = np.array([branch.parameter[k : k + 2], y[k : k + 2]])
            parameter, value = ends[:, 0] + share * (ends[:, 1] - ends[:, 0])
            add(parameter, value, turns=True)
        add(branch.parameter[k + 1], y[k + 1], turns=False)
    return pieces
