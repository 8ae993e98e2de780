"""Passes over all arrays of a training run: compiled where there is much to do, by NumPy where there is little."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..kernels.tuning import current
from .rules import Rule, in_dtype

Leaf = tuple[Any, ...]  # arrays that stand at one place of several nested dicts
New = list[list[Any]]  # the parameters or the steps of all leaves, then each average

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


class LeafGroup(Protocol):
    """Leaves of one dtype that one kernel call updates."""

    def squares(self) -> float:
        """Sum of the squares of the first array of every leaf, in float64."""

    def advance(self, rule: Rule, scale: float, decays: Sequence[float], added: bool) -> tuple[New, float]:
        """As the function below, by gradients that are first scaled, with the squares of the steps."""


def squares(arrays: Sequence[NDArray[Any]]) -> float:
    """Sum of the squares of all entries, in float64."""
    return sum(part.squares() for _, part in _parts([(a,) for a in arrays]))


def advance(
    rule: Rule,
    decays: Sequence[float],
    leaves: Sequence[Leaf],
    averages: int,
    added: bool = True,
    max_norm: float | None = None,
) -> tuple[New | None, float, float]:
    """An update of all parameters by a rule, in new arrays.

    Parameters
    ----------
    rule : Rule
        With its numbers as Python has them.
    decays : sequence of float
        For each leaf, what share of the parameter is subtracted on top of the step.
    leaves : sequence of tuple
        Gradient, parameter, and as many `averages` as the rule keeps.
    averages : int
    added : bool
        Whether to give the parameters with the steps added, or the steps.
    max_norm : float, optional
        All gradients are scaled so that their norm is at most this.

    Returns
    -------
    new : list of list
        The parameters or the steps of all leaves, then each average; None where the norm was asked for and is not
        finite.
    norm : float
        Of the gradients before they are scaled; NaN without `max_norm`.
    length : float
        The norm of all steps.
    """
    parts = _parts(leaves)
    norm, scale = float("nan"), 1.0
    if max_norm is not None:
        norm = math.sqrt(sum(part.squares() for _, part in parts))
        if not math.isfinite(norm):
            return None, norm, norm
        scale = min(1.0, max_norm / norm) if norm else 1.0
    new: New = [[None] * len(leaves) for _ in range(1 + averages)]
    total = 0.0
    for own, part in parts:
        results, squared = part.advance(rule, scale, [decays[i] for i in own], added)
        total += squared
        for kept, result in zip(new, results, strict=True):
            for i, array in zip(own, result, strict=True):
                kept[i] = array
    return new, norm, math.sqrt(total)


def _parts(leaves: Sequence[Leaf]) -> list[tuple[list[int], LeafGroup]]:
    """Leaves that go together, with their numbers: those whose arrays have one shape, and one dtype throughout."""
    together: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        dtype, shape = leaf[0].dtype, leaf[0].shape
        alike = dtype in DTYPES
        for a in leaf:
            alike = alike and type(a) is np.ndarray and a.dtype == dtype and a.shape == shape
        together.setdefault(dtype if alike else None, []).append(i)
    return [(own, _part(dtype, [leaves[i] for i in own])) for dtype, own in together.items()]


def _part(dtype: Any, leaves: list[Leaf]) -> LeafGroup:
    large = dtype is not None and sum([leaf[0].size for leaf in leaves]) >= current().min_compiled_update
    return (_compiled() if large else _ByNumpy)(leaves)


@lru_cache(maxsize=1)
def _compiled() -> Callable[[list[Leaf]], LeafGroup]:
    """What does the passes where there is much to do; imported when first asked for, as Numba takes long."""
    from ..kernels.access import INTERPRETED

    if INTERPRETED:
        return _ByNumpy
    from .compiled import Compiled

    return Compiled


class _ByNumpy:
    """Leaf by leaf, whatever NumPy makes of their dtypes."""

    def __init__(self, leaves: list[Leaf]) -> None:
        self.leaves = leaves

    def squares(self) -> float:
        return _squares([leaf[0] for leaf in self.leaves])

    def advance(self, rule: Rule, scale: float, decays: Sequence[float], added: bool) -> tuple[New, float]:
        moved, steps = [], []
        for (g, w, *averages), decay in zip(self.leaves, decays, strict=True):
            kind = g.dtype.type
            step, *averages = in_dtype(rule, kind).step(g * kind(scale) if scale != 1 else g, *averages)
            steps.append(step - w * kind(decay) if decay else step)
            moved.append([w + steps[-1] if added else steps[-1], *averages])
        return [list(arrays) for arrays in zip(*moved, strict=True)], _squares(steps)


def _squares(arrays: list[Any]) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return sum(float(np.square(a.astype(np.float64)).sum()) for a in arrays)
