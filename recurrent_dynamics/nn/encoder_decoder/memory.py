"""The memory of a decoder with attention: what it reads, and its keys, from the outputs of the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...engine.linear import contiguous
from ..layers.base import Layer, Tree, Value
from ..layers.composition import Composed
from ..layers.pointwise import dense
from .bridge import PLAIN

VALUES = "values"


class MemoryMaps(Composed):
    """Linear maps of the encoder's outputs (S, B, M), one for each array of the memory but the values.

    These are the outputs themselves.
    """

    def __init__(self, widths: Mapping[str, int], size: int) -> None:
        self.layers = {
            name: dense(size, width, bias=False) for name, width in widths.items() if name != VALUES
        }
        self.names, self.input_size = tuple(widths), size

    def __repr__(self) -> str:
        return f"memory({', '.join(self.names)})"

    def with_input(self, size: int) -> Layer:
        raise NotImplementedError  # it is made with its width

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Any, table: NDArray[Any] | None = None
    ) -> Value:
        raise NotImplementedError  # it has several outputs: `made`

    def made(self, params: Mapping[str, Any], y: NDArray[Any]) -> Made:
        """The arrays by name."""
        parts, read = self.parts(params), contiguous(y)
        return Made(
            self, y, {key: layer.apply(parts[key], read, PLAIN) for key, layer in self.layers.items()}
        )


class Made:
    """A memory, with the way back to (d_params, d_y)."""

    def __init__(self, maps: MemoryMaps, y: NDArray[Any], values: Mapping[str, Value]) -> None:
        self._values = values
        self.arrays = {name: y if name == VALUES else values[name].y for name in maps.names}

    def back(self, d_memory: Mapping[str, NDArray[Any]]) -> tuple[Tree, NDArray[Any]]:
        """From the derivatives by its arrays."""
        params: Tree = {}
        d_y: Any = d_memory.get(VALUES)
        for name, value in self._values.items():
            found = value.back(contiguous(np.asarray(d_memory[name])), {})
            params[name] = found.params
            d_y = found.x if d_y is None else d_y + found.x
        return params, d_y
