"""Layers around another one, with its parameters; `residual` adds the input to the output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cells import Cell
from ...checks import ArgumentError
from ..streaming import Memory, Streamed, around
from .base import Back, Layer, Tree, Value
from .composition import all_layers
from .context import Inputs, States
from .pointwise import sized


def residual(layer: Layer) -> Layer:
    """The input added to the output of a layer, ``y = x + layer(x)``.

    Parameters
    ----------
    layer : Layer
        As wide at its output as at its input.

    Returns
    -------
    Layer
        Its parameters are those of the layer.

    Raises
    ------
    ValueError, TypeError
        When the widths differ.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = residual(rd.nn.recurrent(rd.cells.gru(), 3))
    >>> rd.nn.chain(rd.nn.dense(2, 3), layer).output_size
    3
    """
    return Residual(all_layers((layer,), ("layer",))[0])


class Around(Layer):
    """A layer whose parameters, cells and states are those of the layer inside."""

    def __init__(self, layer: Layer) -> None:
        self.layer, self.has_params, self.has_reversed = layer, layer.has_params, layer.has_reversed
        self.input_size, self.output_size = layer.input_size, layer.output_size

    @property
    def cells(self) -> dict[str, Cell]:
        return self.layer.cells

    @property
    def from_end(self) -> frozenset[str]:
        return self.layer.from_end

    def cell_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return self.layer.cell_params(params)

    @property
    def statistics(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.statistics

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        return self.layer.shapes

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        return self.layer.state_widths

    @property
    def memory_widths(self) -> dict[str, int]:
        return self.layer.memory_widths

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        return self.layer.draw(rng, dtype)


class Residual(Around):
    """What `residual` returns."""

    def __init__(self, layer: Layer) -> None:
        if layer.input_size is None and layer.classes is None and layer.output_size is not None:
            layer = layer.with_input(layer.output_size)
        super().__init__(layer)
        if layer.classes is not None or self.input_size != self.output_size:
            came = f"{self.input_size if layer.classes is None else 'class indices'} and {self.output_size}"
            raise ArgumentError("layer", "be as wide at its output as at its input", came)

    def __repr__(self) -> str:
        return f"residual({self.layer!r})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return Residual(self.layer.with_input(size))

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return around(self.layer.streamed(params, memory))

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        value = self.layer.apply(params, x, inputs)

        def back(d_y: NDArray[Any], d_final: States) -> Back:
            found = value.back(d_y, d_final)
            return found._replace(x=d_y + found.x)

        return value._replace(y=x + value.y, back=back)
