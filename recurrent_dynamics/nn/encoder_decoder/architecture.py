"""Sizes and layers of an encoder and a decoder."""

from __future__ import annotations

import copy
from typing import Self

from ...checks import ArgumentError, boolean, instance, integer
from ..layers import Layer, chain, dense, embedding
from .conditioned import Conditioned
from .feeding import Feeding, as_feeding, teacher_forcing
from .pairs import Alphabet


class Architecture(Conditioned):
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
        super().__init__(encoder, start, summary)
        instance("decoder", decoder, Layer)
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
        self.output_size, self.every_step = width, boolean("every_step", every_step)
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
        self._behind("decoder", self.decoder, self.every_step)
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
    def _layers(self) -> dict[str, Layer]:
        layers = self._of_source
        if self.alphabet is not None:
            layers["embedding"] = embedding(self.alphabet.classes, self.embedding_size)
        return layers | {"decoder": self.decoder, "readout": self.readout}

    def at(self, update: int) -> Self:
        """The same network at the number of an update from 0, which tells how often the target is read in training."""
        there = copy.copy(self)
        there.update = integer("update", update, at_least=0)
        return there


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
