"""Composed layers as PyTorch has them: recurrent ones in one or two directions, stacked or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ..cells import Cell
from ..checks import ArgumentError
from ..nn import Layer, bidirectional, chain, recurrent
from ..nn.layers.composition import Chain
from ..nn.layers.directions import Bidirectional, Reversed
from ..nn.layers.recurrence import Recurrent

Pair = tuple[Cell, dict[str, NDArray[Any]]]


def put_together(forward: list[Pair], backward: list[Pair]) -> tuple[Layer, dict[str, Any]]:
    """The layer of two directions, or the chain of such layers, with its parameters."""
    layers: list[Layer] = []
    params: dict[str, Any] = {}
    for i, pairs in enumerate(zip(forward, backward, strict=True)):
        sizes = [cell.sizes(p) for cell, p in pairs]
        if sizes[0] != sizes[1] or pairs[0][0].fingerprint != pairs[1][0].fingerprint:
            raise ArgumentError(f"layer {i}", "have the same shapes in both directions", f"N and H {sizes}")
        first, second = (recurrent(cell, h, n) for (cell, _), (n, h) in zip(pairs, sizes, strict=True))
        layers.append(bidirectional(first, second))
        params[str(i)] = {"forward": pairs[0][1], "backward": pairs[1][1]}
    return (chain(*layers), params) if len(layers) > 1 else (layers[0], params["0"])


def taken_apart(layer: Layer, params: Mapping[str, Any]) -> list[list[Pair]]:
    """The pairs (cell, params) of each direction, one a layer."""
    parts, own = [layer], [params]
    if isinstance(layer, Chain):
        parts, own = list(layer.layers.values()), list(layer.parts(params).values())
    rows = []
    for part, p in zip(parts, own, strict=True):
        directions, theirs = [part], [p]
        if isinstance(part, Bidirectional):
            directions, theirs = list(part.layers.values()), list(part.parts(p).values())
        rows.append([_pair(*both) for both in zip(directions, theirs, strict=True)])
    if len({len(row) for row in rows}) > 1:
        raise ArgumentError("layers", "all have one direction, or all two, as in PyTorch", repr(layer))
    return [list(side) for side in zip(*rows, strict=True)]


def _pair(layer: Layer, params: Mapping[str, Any]) -> Pair:
    inner = layer.layer if isinstance(layer, Reversed) else layer
    if not isinstance(inner, Recurrent):
        raise ArgumentError(
            "layers", "be recurrent ones in one or two directions, as in PyTorch", repr(layer)
        )
    return inner.cell, inner.constraint(params)[0]
