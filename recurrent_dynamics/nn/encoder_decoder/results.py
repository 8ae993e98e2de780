"""What an encoder and a decoder compute, and the gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..layers.pull import LayerGradients, Pull
from .parts import GradientsOfTwo, RunOfTwo


@dataclass(frozen=True)
class EncoderDecoderRun(RunOfTwo):
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
    _back: Callable[[NDArray[Any], str], EncoderDecoderGradients]

    _shown = ("output", "fed", "own", "summary", "encoder", "decoder")

    @property
    def _parts(self) -> dict[str, Pull]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def statistics(self) -> dict[str, Any]:
        """The running statistics after a run of training, nested as the parameters; see `batch_norm`."""
        # Beside the decoder stand an embedding and a readout, which have none.
        decoder: dict[str, Any] = next(iter(self.decoder.statistics.values()), {})
        found = {"encoder": self.encoder.statistics, "decoder": decoder}
        return {name: statistics for name, statistics in found.items() if statistics}


@dataclass(frozen=True)
class EncoderDecoderGradients(GradientsOfTwo):
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

    @property
    def _parts(self) -> dict[str, LayerGradients]:
        return {"encoder": self.encoder, "decoder": self.decoder}
