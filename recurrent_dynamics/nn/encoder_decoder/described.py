"""An encoder and a decoder as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..layers.described import layer_described, layers_again
from .feeding import Feeding, TeacherRatio
from .objective import EncoderDecoder

OPTIONS = ("start", "summary", "every_step")


def describe(model: EncoderDecoder) -> dict[str, Any]:
    """An encoder and a decoder as what JSON can hold."""
    options: dict[str, Any] = {name: getattr(model, name) for name in OPTIONS}
    s = model.alphabet
    if s is None:
        options |= {"classes": None, "output_size": model.output_size, "begin": None, "end": None}
    else:
        options |= {"classes": s.classes, "output_size": None, "begin": s.begin, "end": s.end}
    options["embedding_size"] = None if s is None else model.embedding_size
    return {
        "encoder": layer_described(model.encoder),
        "decoder": layer_described(model.decoder),
        "options": options,
        "feeding": asdict(model.feeding),
    }


def rebuild(described: Mapping[str, Any], cells: Any, choices: Any) -> EncoderDecoder:
    """The model of a description, with cells and parametrizations of the caller's own where it names none."""
    encoder, decoder = layers_again([described["encoder"], described["decoder"]], cells, choices)
    feeding = Feeding(TeacherRatio(**described["feeding"]["ratio"]), described["feeding"]["draw"])
    return EncoderDecoder(encoder, decoder, **described["options"], feeding=feeding)
