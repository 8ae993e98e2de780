"""What the runs and gradients of an encoder and a layer behind it share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...checks import ArgumentError
from ...engine.run import Run
from ...results import Result
from ..layers.context import State
from ..layers.pull import LayerGradients, Pull

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RunOfTwo(Result):
    """Runs of an encoder and of the layer behind it."""

    @property
    @abstractmethod
    def _parts(self) -> dict[str, Pull]:
        """The ways back by name, that of the encoder first."""

    @property
    def runs(self) -> list[Run]:
        """The run of each recurrent layer, those of the encoder first."""
        return [run for pull in self._parts.values() for run in pull.runs.values()]

    @property
    def attention(self) -> NDArray[Any]:
        """The weights (T, B, S) of the attention: which positions of the source each step has read."""
        name, behind = list(self._parts.items())[-1]
        reading = [run for run in behind.runs.values() if run.cell.memory]
        if len(reading) != 1:
            raise ArgumentError(name, "have one layer with attention", f"{len(reading)}")
        return reading[0].attention

    @property
    def final(self) -> list[State]:
        """The state of each recurrent layer after its last step."""
        return [dict(run.final) for run in self.runs]

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the states of every recurrent layer, an array of axes; see `recurrent_dynamics.plot.states`."""
        from ...plot import given_or_panels, states

        named = self._parts.items()
        layers = [(f"{part} {path}".strip(), run) for part, pull in named for path, run in pull.runs.items()]
        drawn = given_or_panels(axes, len(layers))
        for (name, run), ax in zip(layers, drawn, strict=True):
            states(run, ax=ax, **options).set_title(name, fontsize="medium")
        return drawn


class GradientsOfTwo(Result):
    """Derivatives of a loss by all that went into an encoder and into the layer behind it."""

    @property
    @abstractmethod
    def _parts(self) -> dict[str, LayerGradients]:
        """Those of the two layers by name, those of the encoder first."""

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the norm of the gradient by each layer's states over the steps, a panel for each of the two layers."""
        from ...plot import given_or_panels

        parts = [(name, part) for name, part in self._parts.items() if part.runs]
        if not parts:
            raise ArgumentError(
                " or ".join(self._parts), "have a recurrent layer, whose states are drawn", "none"
            )
        drawn = given_or_panels(axes, len(parts))
        for (name, part), ax in zip(parts, drawn, strict=True):
            part.plot(ax=ax, **options).set_title(name, fontsize="medium")
        return drawn
