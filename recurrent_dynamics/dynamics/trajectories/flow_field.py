"""Where states of a plane move in one step: a flow field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cells import Cell
from ...cells.mistaken import what_came
from ...checks import ArgumentError, ArgumentTypeError, integer, numbers, rectangle
from ...engine import check
from ...results import Tabular, grid_columns
from .phase_portrait import PhasePortrait
from .step_map import Array, StepMap, in_memory
from .systems import Flow, Map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARGIN = 0.15  # around the trajectories, of their extent


@dataclass(frozen=True, eq=False)
class FlowField(Tabular):
    """The motion of the states of a plane: its part in the plane, and how fast the whole state moves.

    Attributes
    ----------
    x, y
        Coordinates in the plane, shapes (X,) and (Y,).
    velocity
        The part of the motion that lies in the plane, shape (Y, X, 2): F(z) - z in a step, of a `Flow` d z / dt.
    speed
        The 2-norm of the whole motion, shape (Y, X): near 0 at a fixed point, which the part in the plane alone need
        not be.
    origin
        The state at (0, 0), shape (S,).
    directions
        The two directions of the plane, shape (2, S).
    unit
        Of speed: "per step" or "per unit time".
    portrait
        The trajectories that the plane was taken from; None for a plane given otherwise.
    """

    x: np.ndarray
    y: np.ndarray
    velocity: np.ndarray
    speed: np.ndarray
    origin: np.ndarray
    directions: np.ndarray
    unit: str
    portrait: PhasePortrait | None = None

    _shown = ("x", "y", "velocity", "speed", "origin", "directions", "unit")

    def project(self, states: np.ndarray) -> np.ndarray:
        """The coordinates in the plane of states (..., S), such as fixed points: shape (..., 2)."""
        return (numbers("states", states) - self.origin) @ self.directions.T

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw streamlines, coloured by speed; see `recurrent_dynamics.plot.flow_field`."""
        from ...plot import flow_field

        return flow_field(self, ax=ax, **options)

    def _columns(self) -> Mapping[str, Any]:
        u, v = np.moveaxis(self.velocity, -1, 0)
        return grid_columns({"y": self.y, "x": self.x}, u=u, v=v, speed=self.speed)


def flow_field(
    system: Cell | Map | Flow,
    params: Mapping[str, Array] | None = None,
    plane: PhasePortrait | None = None,
    input: Array | None = None,
    *,
    limits: Sequence[float] | None = None,
    points: int = 24,
    signals: Mapping[str, Any] | None = None,
) -> FlowField:
    """The motion of a network's whole state under constant input, at the points of a grid in a plane [1]_.

    Parameters
    ----------
    system
        A cell, a model of one layer, or a `Map` or `Flow` of one's own.
    params
        Of the cell or the model. Everything is computed in float64.
    plane
        The plane of the two first components of a `phase_portrait` of whole states; its limits are those of the
        trajectories. Without one the state must have two numbers, which are the coordinates.
    input : ndarray (N,), optional
        The constant input; 0 by default.
    limits : (left, right, bottom, top), optional
        Of the coordinates; needed without `plane`.
    points
        Along each axis.
    signals : dict of float or ndarray (H,), optional
        Constant values of the signals that the cell declares.

    Returns
    -------
    FlowField

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    .. [1] Sussillo and Barak, Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural
       networks, Neural Computation 25 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> turn = rd.dynamics.Flow(lambda s: s[:, ::-1] * [-1.0, 1.0], lambda s: np.zeros((len(s), 2, 2)))
    >>> field = flow_field(turn, limits=(-1, 1, -1, 1), points=3)
    >>> field.velocity[0, 2].tolist(), round(float(field.speed[0, 2]), 4), field.unit
    ([1.0, 1.0], 1.4142, 'per unit time')
    """
    points = integer("points", points, at_least=2)
    move, size, unit = _motion(system, params, input, signals)
    origin, directions, bounds = _plane(plane, limits, size)
    x, y = np.linspace(bounds[0], bounds[1], points), np.linspace(bounds[2], bounds[3], points)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    states = origin + grid.reshape(-1, 2) @ directions
    motion = np.concatenate([move(states[part]) for part in in_memory(len(states), states.shape[1])])
    velocity, speed = motion @ directions.T, np.linalg.norm(motion, axis=1)
    return FlowField(
        x, y, velocity.reshape(grid.shape), speed.reshape(grid.shape[:2]), origin, directions, unit, plane
    )  # fmt: skip


def _motion(system: Any, params: Any, input: Any, signals: Any) -> tuple[Any, int | None, str]:
    """How far states (B, S) move; S, where it is known; the unit."""
    if isinstance(system, Map | Flow):
        given = [
            name for name, v in (("params", params), ("input", input), ("signals", signals)) if v is not None
        ]
        if given:
            raise ArgumentError(
                given[0], f"be None for a {type(system).__name__}, which brings its own", "one"
            )
        if isinstance(system, Flow):
            return lambda s: np.asarray(system.field(s), np.float64), None, "per unit time"
        return lambda s: system.advance(s) - s, None, "per step"
    if params is not None:
        system, params = check.layer(system, params)
    if not isinstance(system, Cell):
        raise ArgumentTypeError("system", "be a Cell, a Map or a Flow", what_came(system))
    if params is None:
        raise ArgumentError("params", "be given for a cell", None)
    f = StepMap(system, params, input, signals)
    return lambda s: f(s) - s, f.size, "per step"


def _plane(
    plane: PhasePortrait | None, limits: Sequence[float] | None, size: int | None
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """The state at (0, 0), two directions, and the limits of the coordinates."""
    if plane is None:
        if size not in (None, 2):
            raise ArgumentError("plane", f"be a PhasePortrait for a state of {size} numbers", None)
        if limits is None:
            raise ArgumentError("limits", "be (left, right, bottom, top) without a plane", None)
        return np.zeros(2), np.eye(2), rectangle("limits", limits)
    if not isinstance(plane, PhasePortrait):
        raise ArgumentTypeError("plane", "be a PhasePortrait", type(plane).__name__)
    if len(plane.components) < 2:
        raise ArgumentError("plane", "have two components", len(plane.components))
    if size not in (None, len(plane.mean)):
        raise ArgumentError(
            "plane", f"be of whole states of {size} numbers, as that of a run", f"one of {len(plane.mean)}"
        )
    if limits is not None:
        return plane.mean, plane.components[:2], rectangle("limits", limits)
    seen = plane.trajectories[..., :2].reshape(-1, 2)
    low, high = np.nanmin(seen, axis=0), np.nanmax(seen, axis=0)
    room = MARGIN * np.maximum(high - low, 0.05 * float((high - low).max()) or 1.0)
    low, high = low - room, high + room
    return plane.mean, plane.components[:2], (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
