"""What `fixed_points` returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cells import Cell
from ...engine.run import Views
from ...results import Result, Tabular
from ..trajectories.phase_portrait import PhasePortrait, phase_portrait
from .kantorovich import Certificate
from .modes import Modes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class SlowPoints(Modes, Result):
    """Local minima of q above the tolerance: where the state nearly stands still, such as the ghost of a fold.

    Attributes
    ----------
    points
        Shape (M, S), slots side by side.
    q
        ``|F(x) - x|^2 / 2``, shape (M,).
    eigenvalues
        Of the Jacobian, largest modulus first, shape (M, S), complex.
    hits
        How many starts ended there, shape (M,).
    """

    points: np.ndarray
    q: np.ndarray
    eigenvalues: np.ndarray
    hits: np.ndarray


@dataclass(frozen=True, eq=False)
class Unfinished(Result):
    """Starts that reached neither a fixed nor a slow point.

    Attributes
    ----------
    starts
        Shape (n, S).
    points
        Where they were left, shape (n, S).
    q
        ``|F(x) - x|^2 / 2`` there, shape (n,); inf where it is no number.
    reason
        "diverged" or "iterations", shape (n,).
    """

    starts: np.ndarray
    points: np.ndarray
    q: np.ndarray
    reason: np.ndarray


@dataclass(frozen=True, eq=False)
class FixedPoints(Modes, Tabular):
    """Fixed points of a network under constant input; for a period above 1, cycles.

    K of them, most often reached first, each a state of S numbers. With a period p, q, Jacobian and eigenvalues are
    those of the p-fold map.

    Attributes
    ----------
    cell
        The cell.
    period
        1 for fixed points.
    points
        Shape (K, S), slots side by side.
    orbits
        The states of every cycle in the order in which they follow each other, shape (K, period, S).
    q
        ``|F(x) - x|^2 / 2``, shape (K,).
    newton_step
        Length of the Newton step that remains, an estimate of the distance to the exact point, shape (K,).
    condition
        Condition number of I - J in the 2-norm, shape (K,); inf if it is singular.
    eigenvalues
        Of the Jacobian, largest modulus first, shape (K, S), complex.
    unstable
        How many eigenvalues lie outside the unit circle, shape (K,).
    kind
        "stable", "saddle", "unstable" (in every direction), or "centre-like" (an eigenvalue on the unit circle within
        the tolerance: the linearization does not decide), shape (K,).
    sign
        Sign of det(I - J), shape (K,); 0 where I - J is singular to rounding.
    hits
        How many starts ended there, shape (K,).
    certificate
        What the Newton-Kantorovich theorem proves about every point; None for a cell without a Lipschitz bound of the
        Jacobian, and for cycles.
    slow
        Slow points.
    unfinished
        Starts that led nowhere.
    trajectories
        The states that `starts` were taken from, shape (T, B, S); (1, n, S) for rows.
    """

    cell: Cell
    period: int
    points: np.ndarray
    orbits: np.ndarray
    q: np.ndarray
    newton_step: np.ndarray
    condition: np.ndarray
    eigenvalues: np.ndarray
    unstable: np.ndarray
    kind: np.ndarray
    sign: np.ndarray
    hits: np.ndarray
    certificate: Certificate | None
    slow: SlowPoints
    unfinished: Unfinished
    trajectories: np.ndarray
    slots: Any

    _shown = ("points", "q", "eigenvalues", "kind", "unstable", "hits", "slow", "cell", "period")

    def __len__(self) -> int:
        return len(self.points)

    @property
    def states(self) -> Views:
        """The points by slot, (K, width)."""
        return Views(self.points, self.slots)

    @property
    def residual(self) -> np.ndarray:
        """``|F(x) - x|``, shape (K,)."""
        return np.sqrt(2 * self.q)

    @property
    def index_sum(self) -> int:
        """The sum of sign det(I - J) over all points (of all cycles).

        For a smooth map of a ball into its interior, such as a tanh Elman network's, it is 1 over all fixed points if
        none is degenerate (Lefschetz, Hopf): another value shows that points are missing. The same holds for the whole
        state of an LSTM: with forget gates f <= F < 1 on the bounded set ``|h| < 1`` the box ``|c| <= 1 / (1 - F)`` is
        mapped into itself. It does not hold for a linear network or an unbounded cell. Fixed points of a p-fold map are
        those of all periods that divide p: sum over these, each cycle counted with its period.
        """
        return int(self.sign.sum())

    def portrait(self, conditions: Sequence[Any] | np.ndarray | None = None) -> PhasePortrait:
        """The principal components of the trajectories; see `recurrent_dynamics.dynamics.phase_portrait`.

        Parameters
        ----------
        conditions
            Of each of the B sequences, for colours.
        """
        return phase_portrait(self.trajectories, conditions)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "unstable": self.unstable,
            "hits": self.hits,
            "q": self.q,
            "newton_step": self.newton_step,
            "condition": self.condition,
            "sign": self.sign,
            "modulus": np.abs(self.eigenvalues[:, 0]),
            "time_constant": self.time_constants()[:, 0],
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the points over the trajectories; see `recurrent_dynamics.plot.fixed_points`."""
        from ...plot import fixed_points

        return fixed_points(self, ax=ax, **options)

    def __repr__(self) -> str:
        counts = {kind: int(np.sum(self.kind == kind)) for kind in dict.fromkeys(self.kind.tolist())}
        named = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "none"
        what = "fixed points" if self.period == 1 else f"cycles of period {self.period}"
        return f"FixedPoints({what} of {self.cell!r}: {named}; {len(self.slow.q)} slow points)"
