"""What an encoder and a decoder compute, and the gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...checks import ArgumentError
from ...engine.run import Run
from ...results import Result
from ..layers.context import State
from ..layers.pull import LayerGradients, Pull

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class EncoderDecoderRun(Result):
    """What `EncoderDecoder.run` computed.

    Attributes
    ----------
    output : ndarray (T, B, V)
        The decoder's logits, or predicted numbers; 0 beyond the lengths.
    fed : ndarray (T, B) or (T, B, K)
        What the decoder read before each prediction.
    own : ndarray of bool (T, B) or None
        Where that was its own output rather than the target; None for nowhere.
    summary : ndarray (B, F)
        The vector that the decoder knows of each source.
    encoder, decoder : Pull
        The ways back, with the runs of the recurrent layers.
    """

    output: NDArray[Any]
    fed: NDArray[Any]
    own: NDArray[Any] | None
    summary: NDArray[Any]
    encoder: Pull
    decoder: Pull
    _back: Callable[[NDArray[Any]], EncoderDecoderGradients]

    _shown = ("output", "fed", "own", "summary", "encoder", "decoder")

    @property
    def runs(self) -> list[Run]:
        """The run of each recurrent layer, those of the encoder first."""
        return [*self.encoder.runs.values(), *self.decoder.runs.values()]

    @property
    def statistics(self) -> dict[str, Any]:
        """The running statistics after a run of training, nested as the parameters; see `batch_norm`."""
        # Beside the decoder stand an embedding and a readout, which have none.
        decoder: dict[str, Any] = next(iter(self.decoder.statistics.values()), {})
        found = {"encoder": self.encoder.statistics, "decoder": decoder}
        return {name: statistics for name, statistics in found.items() if statistics}

    @property
    def attention(self) -> NDArray[Any]:
        """The weights (T, B, S) of the decoder's attention: which positions of the source each step has read."""
        reading = [run for run in self.decoder.runs.values() if run.cell.memory]
        if len(reading) != 1:
            raise ArgumentError("decoder", "have one layer with attention", f"{len(reading)}")
        return reading[0].attention

    @property
    def final(self) -> list[State]:
        """The state of each recurrent layer after its last step."""
        return [dict(run.final) for run in self.runs]

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the states of every recurrent layer, an array of axes; see `recurrent_dynamics.plot.states`."""
        from ...plot import given_or_panels, states

        named = [("encoder", self.encoder), ("decoder", self.decoder)]
        layers = [(f"{part} {path}".strip(), run) for part, pull in named for path, run in pull.runs.items()]
        drawn = given_or_panels(axes, len(layers))
        for (name, run), ax in zip(layers, drawn, strict=True):
            states(run, ax=ax, **options).set_title(name, fontsize="medium")
        return drawn


@dataclass(frozen=True)
class EncoderDecoderGradients(Result):
    """What `EncoderDecoder.backward` computed.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    source : ndarray or None
        By real sources, with time first; None for class indices.
    summary : ndarray (B, F) or None
        By the vector that the decoder knows of each source; None where it knows the source otherwise alone.
    encoder, decoder : LayerGradients
        Those of the two layers, by every state too.
    """

    params: dict[str, Any]
    source: NDArray[Any] | None
    summary: NDArray[Any] | None
    encoder: LayerGradients
    decoder: LayerGradients

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the norm of the gradient by each layer's states over the steps of the encoder and of the decoder."""
        from ...plot import given_or_panels

        parts = [(name, part) for name, part in self._parts if part.runs]
        if not parts:
            raise ArgumentError(
                "encoder or decoder", "have a recurrent layer, whose states are drawn", "none"
            )
        drawn = given_or_panels(axes, len(parts))
        for (name, part), ax in zip(parts, drawn, strict=True):
            part.plot(ax=ax, **options).set_title(name, fontsize="medium")
        return drawn

    @property
    def _parts(self) -> list[tuple[str, LayerGradients]]:
        return [("encoder", self.encoder), ("decoder", self.decoder)]
