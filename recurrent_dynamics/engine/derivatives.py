"""What is computed from a run: derivatives of a loss, and directional derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import Result
from .run import Views

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Gradients(Result):
    """Derivatives of a loss.

    Attributes
    ----------
    params : dict of ndarray
        By every parameter, shaped as the parameters.
    x : ndarray (T, B, N), or None
        By the input; None for an autonomous run and for class indices.
    initial : mapping of ndarray (B, width)
        By the initial state.
    states : mapping of ndarray (T, B, width)
        By the state after each step, along every path that starts there.
    signals : dict of ndarray
        By the signals, shaped as the signals.
    memory : dict of ndarray (S, B, width)
        By the memories, shaped as the memories; 0 beyond the length of a source.
    """

    params: dict[str, np.ndarray]
    x: np.ndarray | None
    initial: Views
    states: Views
    signals: dict[str, np.ndarray]
    memory: dict[str, np.ndarray] = field(default_factory=dict)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by the state over the steps; see `recurrent_dynamics.plot.norms`."""
        from ..plot import norms

        return norms(
            self.states, what=r"$\Vert\,\partial L / \partial\, \mathrm{state}_t\,\Vert$", ax=ax, **options
        )


@dataclass(frozen=True, eq=False)
class Tangent(Result):
    """Directional derivatives of a run.

    Attributes
    ----------
    output : ndarray (T, B, H)
        Of the output.
    states : mapping of ndarray (T, B, width)
        Of every slot after every step.
    final : mapping of ndarray (B, width)
        Of the state after the last step.
    """

    output: np.ndarray
    states: Views
    final: Views

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the state's derivative over the steps; see `recurrent_dynamics.plot.norms`."""
        from ..plot import norms

        return norms(self.states, what=r"$\Vert\,d\, \mathrm{state}_t\,\Vert$", ax=ax, **options)
