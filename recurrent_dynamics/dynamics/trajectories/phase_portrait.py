"""Trajectories in the plane of their principal components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...checks import ArgumentError, integer, numbers, unmasked
from ...engine import Run, check
from ...results import Tabular, grid_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class PhasePortrait(Tabular):
    """Trajectories, their principal components, and what condition each belongs to.

    Attributes
    ----------
    trajectories
        The states in the coordinates of the components, shape (T, B, k); nan beyond the length of a sequence.
    components
        Orthonormal directions in the space of states, the one of the largest variance first, shape (k, S). The largest
        entry of each is positive.
    mean
        Of the states, shape (S,).
    explained_variance
        The variance of the states along each component, shape (k,).
    explained_ratio
        The same over the variance along all directions, shape (k,); 0 where no state differs from another.
    conditions
        Of each sequence, shape (B,): numbers or names; None without.
    """

    trajectories: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    explained_variance: np.ndarray
    explained_ratio: np.ndarray
    conditions: np.ndarray | None = None

    def project(self, states: ArrayLike) -> np.ndarray:
        """The coordinates of states (..., S), such as fixed points: shape (..., k)."""
        return (_states("states", states, len(self.mean)) - self.mean) @ self.components.T

    def restore(self, coordinates: ArrayLike) -> np.ndarray:
        """The states (..., S) in the span of the components that have these coordinates (..., k)."""
        return self.mean + _states("coordinates", coordinates, len(self.components)) @ self.components

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the trajectories, coloured by condition; see `recurrent_dynamics.plot.phase_portrait`."""
        from ...plot import phase_portrait

        return phase_portrait(self, ax=ax, **options)

    def _columns(self) -> Mapping[str, Any]:
        steps, sequences, count = self.trajectories.shape
        places = {"step": np.arange(1, steps + 1), "sequence": np.arange(sequences)}
        columns = grid_columns(places, **{f"pc{k + 1}": self.trajectories[..., k] for k in range(count)})
        return (
            columns if self.conditions is None else columns | {"condition": np.tile(self.conditions, steps)}
        )


def phase_portrait(
    states: Run | ArrayLike, conditions: Sequence[Any] | np.ndarray | None = None, *, count: int = 3
) -> PhasePortrait:
    """Principal components of trajectories, and the trajectories in their coordinates.

    Parameters
    ----------
    states : Run or array_like (T, B, S)
        A run, whose whole state is read (of an LSTM h and c), within the lengths of its sequences; or states such as
        ``run.states["h"]``. (T, S) is one sequence. The run of a model will do if it has one layer.
    conditions : sequence, optional
        What each of the B sequences stands for, numbers or names: kept for colours.
    count
        How many components; of a state of fewer numbers all.

    Returns
    -------
    PhasePortrait
        In float64.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Mante, Sussillo, Shenoy and Newsome, Context-dependent computation by recurrent dynamics in prefrontal cortex,
    Nature 503 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> turn = np.exp(1j * np.arange(8) * np.pi / 4)
    >>> circle = np.stack([2 * turn.real, np.zeros(8), turn.imag], axis=-1)
    >>> portrait = phase_portrait(circle, count=2)
    >>> np.abs(portrait.components).round(6).tolist(), portrait.explained_ratio.round(3).tolist()
    ([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [0.8, 0.2])
    """
    count = integer("count", count, at_least=1)
    values, known = _trajectories(states)
    named = None if conditions is None else _conditions(conditions, values.shape[1])
    cloud = values[known]
    mean = cloud.mean(axis=0)
    _, singular, directions = np.linalg.svd(cloud - mean, full_matrices=len(cloud) < values.shape[2])
    chosen = directions[: min(count, values.shape[2])]
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=1)[:, None], axis=1)
    components = chosen * np.where(largest < 0, -1.0, 1.0)
    variance = np.zeros(len(components))
    kept = min(len(components), len(singular))
    variance[:kept] = singular[:kept] ** 2 / len(cloud)
    total = float(np.sum(singular**2)) / len(cloud)
    projected = np.where(known[..., None], (values - mean) @ components.T, np.nan)
    ratio = variance / total if total > 0 else np.zeros_like(variance)
    return PhasePortrait(projected, components, mean, variance, ratio, named)


def _trajectories(states: Any) -> tuple[np.ndarray, np.ndarray]:
    """States (T, B, S) in float64, and which steps of which sequence are within its length, (T, B)."""
    states = check.of_layer(states)
    if isinstance(states, Run):
        values = states.tape.after.astype(np.float64)
        mask = states.mask
        known = np.ones(values.shape[:2], bool) if mask is None else np.reshape(mask, values.shape[:2])
        return check.finite("states", values), known
    values = numbers("states", states)
    values = values[:, None] if values.ndim == 2 else values
    if values.ndim != 3 or not values.size:
        raise ArgumentError("states", "have shape (T, B, S) or (T, S)", values.shape)
    return check.finite("states", values), np.ones(values.shape[:2], bool)


def _conditions(conditions: Any, count: int) -> np.ndarray:
    unmasked("conditions", conditions)
    try:
        found = np.asarray(conditions)
    except ValueError as error:  # lists of different lengths
        raise ArgumentError(
            "conditions", f"be {count} numbers or names, one for each sequence", error
        ) from None
    if found.shape != (count,) or found.dtype.kind not in "biufU":
        raise ArgumentError(
            "conditions",
            f"be {count} numbers or names, one for each sequence",
            f"shape {found.shape} of {found.dtype}",
        )
    return found


def _states(name: str, values: ArrayLike, width: int) -> np.ndarray:
    found = numbers(name, values)
    if not found.ndim or found.shape[-1] != width:
        raise ArgumentError(name, f"have shape (..., {width})", found.shape)
    return found
