"""Objectives and their layers as JSON: each layer by the function that makes it, with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...cells import Cell
from ...checks import ArgumentTypeError
from ...parametrize import Parametrization
from ..described import cell_again, cell_described, choice_again, choice_described, for_layers
from ..files import FileError
from .around import Residual, residual
from .base import Layer
from .composition import Chain, Concatenate, chain, concatenate
from .directions import Bidirectional, Reversed, bidirectional
from .normalization import BatchNorm, LayerNorm, batch_norm, layer_norm
from .objective import Objective
from .penalty import Penalty, activation_penalty
from .pointwise import Dense, Dropout, Embedding, dense, dropout, embedding
from .recurrence import Recurrent, recurrent

Maker = Callable[..., Layer]
COMPOSED: dict[str, Maker] = {
    "chain": chain,
    "concatenate": concatenate,
    "bidirectional": bidirectional,
    "residual": residual,
}
POINTWISE: dict[str, Maker] = {
    make.__name__: make for make in (activation_penalty, batch_norm, dense, dropout, embedding, layer_norm)
}


def describe(objective: Objective) -> dict[str, Any]:
    """An objective as what JSON can hold."""
    layer = layer_described(objective.layer)
    return {"layer": layer, "loss": objective.loss_name, "pool": objective.pool}


def rebuild(described: Mapping[str, Any], cells: Any, choices: Any) -> Objective:
    """The objective of a description, with cells and parametrizations of the caller's own where it names none."""
    (layer,) = layers_again([described["layer"]], cells, choices)
    return Objective(layer, described["loss"], described["pool"])


def layers_again(described: Sequence[Mapping[str, Any]], cells: Any, choices: Any) -> list[Layer]:
    """Layers of their descriptions; cells and parametrizations are given for all recurrent ones in their order."""
    count = sum(map(_recurrent_layers, described))
    own = iter(enumerate(for_layers("cells", cells, Cell, count)))
    given = iter(for_layers("parametrize", choices, (Parametrization, Mapping), count))

    def again(layer: Mapping[str, Any]) -> Layer:
        kind, arguments = layer["kind"], layer["arguments"]
        if kind == "recurrent":
            i, cell = next(own)
            choice = choice_again(layer["parametrize"], next(given), i)
            return recurrent(cell_again(layer["cell"], cell, i), **arguments, parametrize=choice)
        if kind in COMPOSED:
            return COMPOSED[kind](*map(again, layer["layers"]))
        if kind not in POINTWISE:
            raise FileError(f"a layer must be one of the library; came {kind!r}")
        return POINTWISE[kind](**arguments)

    return list(map(again, described))


def _recurrent_layers(layer: Mapping[str, Any]) -> int:
    return (layer["kind"] == "recurrent") + sum(map(_recurrent_layers, layer.get("layers", ())))


def layer_described(layer: Layer) -> dict[str, Any]:
    """A layer as what JSON can hold."""
    if isinstance(layer, Embedding):
        return _of("embedding", classes=layer.classes, size=layer.output_size)
    if isinstance(layer, Dense):
        return _of("dense", inputs=layer.input_size, outputs=layer.output_size, bias=layer.bias)
    if isinstance(layer, Dropout):
        return _of("dropout", rate=layer.rate, per_sequence=layer.per_sequence)
    if isinstance(layer, BatchNorm):
        return _of("batch_norm", size=layer.input_size, momentum=layer.momentum, eps=layer.eps)
    if isinstance(layer, LayerNorm):
        return _of("layer_norm", size=layer.input_size, eps=layer.eps)
    if isinstance(layer, Penalty):
        return _of("activation_penalty", size=layer.of_size, change=layer.of_change)
    if isinstance(layer, Recurrent):
        made = {
            "cell": cell_described(layer.cell),
            "parametrize": choice_described(layer.cell, layer.constraint.made_by),
        }
        return (
            _of(
                "recurrent",
                hidden_size=layer.hidden_size,
                input_size=layer.input_size,
                weight_drop=layer.weight_drop,
            )
            | made
        )
    if isinstance(layer, Residual):
        return _of("residual") | {"layers": [layer_described(layer.layer)]}
    names = {Chain: "chain", Concatenate: "concatenate", Bidirectional: "bidirectional"}
    if isinstance(layer, Chain | Concatenate) and type(layer) in names:
        inner = [part.layer if isinstance(part, Reversed) else part for part in layer.layers.values()]
        return _of(names[type(layer)]) | {"layers": list(map(layer_described, inner))}
    raise ArgumentTypeError("model", "be made of layers of the library", type(layer).__name__)


def _of(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"kind": kind, "arguments": arguments}
