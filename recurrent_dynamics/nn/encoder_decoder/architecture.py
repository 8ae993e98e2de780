"""Sizes and layers of an encoder and a decoder."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np

from ...checks import ArgumentError, boolean, generator, instance, integer, one_of
from ..layers import Layer, chain, dense, embedding
from ..layers.context import above
from ..trainable import Trainable
from .bridge import STARTS, SUMMARIES, Start, summary_size
from .feeding import Feeding, as_feeding, teacher_forcing
from .memory import VALUES, MemoryMaps
from .pairs import Alphabet


class Architecture(Trainable):
    """Sizes and layers of `EncoderDecoder`; `encoder_decoder` describes the arguments."""

    def __init__(
        self,
        encoder: Layer,
        decoder: Layer,
        classes: int | None,
        output_size: int | None,
        begin: int | None,
        end: int | None,
        embedding_size: int | None,
        start: str,
        summary: str | None,
        every_step: bool,
        feeding: Feeding | None,
    ) -> None:
        instance("encoder", encoder, Layer)
        instance("decoder", decoder, Layer)
        encoder._closed()
        if (classes is None) == (output_size is None):
            raise ArgumentError(
                "either classes or output_size", "be given", "none" if classes is None else "both"
            )
        self.alphabet = None
        width = integer("output_size", output_size, at_least=1) if classes is None else 0
        if classes is not None:
            width = integer("classes", classes, at_least=1)
            named = [
                None if s is None else integer(name, s, at_least=0, at_most=width - 1)
                for name, s in (("begin", begin), ("end", end))
            ]
            self.alphabet = Alphabet(width, *named)
        elif begin is not None or end is not None or embedding_size is not None:
            raise ArgumentError("begin, end and embedding_size", "be None for real targets", "one of them")
        self.encoder, self.output_size = encoder, width
        self.start, self.every_step = one_of("start", start, STARTS), boolean("every_step", every_step)
        has_states = bool(encoder.cells)
        if summary is None:
            summary = "states" if has_states else "last"
        self.summary = one_of("summary", summary, SUMMARIES)
        if self.summary == "states" and not has_states:
            raise ArgumentError("summary", "be 'last' or 'mean' for an encoder without states", "'states'")
        self.summary_size = summary_size(self.summary, encoder)
        if self.alphabet is not None:
            size = min(width, decoder.output_size or width) if embedding_size is None else embedding_size
            self.embedding_size = integer("embedding_size", size, at_least=1)
        read = (width if self.alphabet is None else self.embedding_size) + (
            self.summary_size if self.every_step else 0
        )
        self.decoder = _forward_layer(decoder).with_input(read)
        # From what is read to the logits; and from symbols, where the embedding can be folded into the decoder.
        self.readout = dense(self.decoder.output_size, width)
        self.rest, self.whole = chain(self.decoder, self.readout), None
        if self.alphabet is not None and not self.every_step:
            self.whole = chain(embedding(width, self.embedding_size), self.decoder, self.readout)
        self._bridge = Start(self.start, encoder, self.decoder, self.summary_size)
        self.memory = _memory(self.decoder, encoder)
        if self.start == "zero" and not self.every_step and not self.memory:
            raise ArgumentError(
                "start", "not be 'zero', or the decoder knows nothing of the source", "'zero'"
            )
        self.feeding = teacher_forcing() if feeding is None else as_feeding(feeding)
        self.update = 0
        self.cells = [*encoder.cells.values(), *self.decoder.cells.values()]
        self.loss_name = "mean_squared_error" if classes is None else "cross_entropy"

    def __repr__(self) -> str:
        s = self.alphabet
        target = (
            f"{self.output_size} outputs"
            if s is None
            else f"{s.classes} classes, begin {s.begin}, end {s.end}"
        )
        more = [self.start, self.summary, *(["every step"] if self.every_step else []), repr(self.feeding)]
        return f"encoder_decoder({self.encoder!r} -> {self.decoder!r}, {target}, {', '.join(more)})"

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        return self._bridge.widths

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """The shape of each parameter by its path, such as "decoder/W"; None where free parameters stand."""
        found: dict[str, tuple[int, ...] | None] = {}
        for name, layer in self._layers.items():
            found |= above(layer.shapes, name)
        return found

    @property
    def statistics(self) -> tuple[str, ...]:
        parts = (("encoder", self.encoder), ("decoder", self.decoder))
        return tuple(f"{name}/{path}" for name, layer in parts for path in layer.statistics)

    @property
    def _layers(self) -> dict[str, Layer]:
        """The layers that have parameters, by the names of these."""
        layers = {"encoder": self.encoder} if self.encoder.has_params else {}
        if self._bridge.layer is not None:
            layers["start"] = self._bridge.layer
        if self.memory and self.memory.layers:
            layers["memory"] = self.memory
        if self.alphabet is not None:
            layers["embedding"] = embedding(self.alphabet.classes, self.embedding_size)
        return layers | {"decoder": self.decoder, "readout": self.readout}

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters.

        Parameters
        ----------
        rng : int or Generator
        dtype : {"float32", "float64"}

        Returns
        -------
        dict
        """
        draws = generator("rng", rng)
        return {name: layer.init(draws, dtype) for name, layer in self._layers.items()}

    def at(self, update: int) -> Self:
        """The same network at the number of an update from 0, which tells how often the target is read in training."""
        there = copy.copy(self)
        there.update = integer("update", update, at_least=0)
        return there


def _memory(decoder: Layer, encoder: Layer) -> MemoryMaps | None:
    """How the memory comes from the encoder's outputs; None for a decoder without attention."""
    widths = decoder.memory_widths
    if not widths:
        return None
    if encoder.output_size is None:
        raise ArgumentError("encoder", "have a width at its output", repr(encoder))
    given = widths.get(VALUES, encoder.output_size)
    if given != encoder.output_size:
        raise ArgumentError(
            "decoder",
            f"read values of {encoder.output_size} numbers, as the encoder gives them",
            f"{given}: the cell takes values={str(encoder.output_size)!r}",
        )
    return MemoryMaps(widths, encoder.output_size)


def _forward_layer(decoder: Layer) -> Layer:
    """A layer that can go on by itself, from states."""
    if not decoder.cells:
        raise ArgumentError("decoder", "have a recurrent layer", repr(decoder))
    if decoder.has_reversed:
        raise ArgumentError("decoder", "go in one direction, as it reads what it has said", repr(decoder))
    if decoder.classes is not None:
        raise ArgumentError(
            "decoder", "have no embedding of its own: the symbols before have one", repr(decoder)
        )
    return decoder
