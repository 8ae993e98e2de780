"""The memory of a decoder with attention: what it reads, and its keys, from the outputs of the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError
from ...engine.linear import contiguous
from ..layers.base import Layer, Tree, Value
from ..layers.composition import Concatenate
from ..layers.pointwise import dense
from .bridge import PLAIN

VALUES = "values"


class MemoryMaps:
    """Linear maps of the encoder's outputs (S, B, M), one for each array of the memory but the values.

    These are the outputs themselves.

    Attributes
    ----------
    names : tuple of str
        The arrays of the memory.
    maps : Concatenate or None
        The maps, by the name of their array; None where the values alone are read.
    """

    def __init__(self, widths: Mapping[str, int], size: int) -> None:
        made: dict[str, Layer] = {
            name: dense(size, width, bias=False) for name, width in widths.items() if name != VALUES
        }
        self.names, self.maps = tuple(widths), Concatenate(made) if made else None

    def __repr__(self) -> str:
        return f"memory({', '.join(self.names)})"

    def made(self, params: Mapping[str, Any], y: NDArray[Any]) -> Made:
        """The arrays by name."""
        if self.maps is None:
            return Made(self, y, {})
        parts, read = self.maps.parts(params), contiguous(y)
        return Made(
            self, y, {key: layer.apply(parts[key], read, PLAIN) for key, layer in self.maps.layers.items()}
        )


def memory_maps(encoder: Layer, reading: Layer, name: str) -> MemoryMaps | None:
    """How the memory of a layer comes from an encoder's outputs; None for one without attention.

    Errors call the layer by its name.
    """
    widths = reading.memory_widths
    if not widths:
        return None
    if encoder.output_size is None:
        raise ArgumentError("encoder", "have a width at its output", repr(encoder))
    given = widths.get(VALUES, encoder.output_size)
    if given != encoder.output_size:
        raise ArgumentError(
            name,
            f"read values of {encoder.output_size} numbers, as the encoder gives them",
            f"{given}: the cell takes values={str(encoder.output_size)!r}",
        )
    return MemoryMaps(widths, encoder.output_size)


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
