"""Layers made of layers: one behind another, and side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...cells import Cell
from ...checks import ArgumentError, ArgumentTypeError
from ...kernels.copying import concatenated
from ...kernels.lazy import cached_property
from ..streaming import Memory, Streamed, in_a_chain, side_by_side
from .base import Back, Layer, Tree, Value
from .context import Inputs, States, above, below
from .pointwise import Embedding


def chain(*layers: Layer) -> Layer:
    """One layer behind another.

    Each finds the width of its input from the one before it.

    Parameters
    ----------
    *layers : Layer
        At least one. The first has a width, or is an embedding, unless the chain itself finds it in another one.

    Returns
    -------
    Layer
        Its parameters are those of the layers under "0", "1", ...

    Raises
    ------
    ValueError, TypeError
        When the width of a layer is another, or an embedding is not the first.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = chain(
    ...     rd.nn.embedding(5, 3),
    ...     rd.nn.bidirectional(rd.nn.recurrent(rd.cells.gru(), 4), rd.nn.recurrent(rd.cells.gru(), 4)),
    ...     rd.nn.dropout(0.1),
    ...     rd.nn.dense(None, 2),
    ... )
    >>> params = layer.init(rng=0)
    >>> params["1"]["forward"]["W"].shape, params["3"]["W"].shape
    ((12, 3), (2, 8))
    >>> y, pull = layer(params, np.array([[0, 1], [4, 2], [3, 3]]))
    >>> y.shape, list(pull.runs)
    ((3, 2, 2), ['1/forward', '1/backward'])
    """
    return Chain(all_layers(layers))


def concatenate(*layers: Layer) -> Layer:
    """Layers side by side: all read the same input, and their outputs stand beside each other on the last axis.

    Parameters
    ----------
    *layers : Layer
        At least one.

    Returns
    -------
    Layer
        Its parameters are those of the layers under "0", "1", ...

    Raises
    ------
    ValueError, TypeError
        When they do not read the same.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> layer = concatenate(rd.nn.dense(2, 3), rd.nn.dense(2, 4))
    >>> layer(layer.init(rng=0), np.ones((5, 1, 2), "float32"))[0].shape
    (5, 1, 7)
    """
    given = all_layers(layers)
    return Concatenate({str(i): layer for i, layer in enumerate(given)})


def all_layers(layers: tuple[Any, ...], names: tuple[str, ...] = ()) -> list[Layer]:
    """Refuse what is no layer."""
    if not layers:
        raise ArgumentError("layers", "be at least one", "none")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            made = ": pass nn.recurrent(cell, hidden_size)" if isinstance(layer, Cell) else ""
            name = names[i] if names else f"layers[{i}]"
            raise ArgumentTypeError(name, "be a Layer", f"{type(layer).__name__}{made}")
    return list(layers)


class Composed(Layer):
    """Layers under keys."""

    layers: dict[str, Layer]

    @cached_property
    def has_params(self) -> bool:  # type: ignore[override]
        return any(layer.has_params for layer in self.layers.values())

    @cached_property
    def has_reversed(self) -> bool:  # type: ignore[override]
        return any(layer.has_reversed for layer in self.layers.values())

    @property
    def cells(self) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for key, layer in self.layers.items():
            found |= above(layer.cells, key)
        return found

    @property
    def from_end(self) -> frozenset[str]:
        parts = (above(dict.fromkeys(layer.from_end), key) for key, layer in self.layers.items())
        return frozenset(path for part in parts for path in part)

    def cell_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        own = self.parts(params)
        found: dict[str, Any] = {}
        for key, layer in self.layers.items():
            found |= above(layer.cell_params(own[key]), key)
        return found

    @property
    def statistics(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"{key}/{path}" for key, layer in self.layers.items() for path in layer.statistics)

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        found: dict[str, tuple[int, ...] | None] = {}
        for key, layer in self.layers.items():
            found |= above(layer.shapes, key)
        return found

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for key, layer in self.layers.items():
            found |= above(layer.state_widths, key)
        return found

    @property
    def memory_widths(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for layer in self.layers.values():
            for name, width in layer.memory_widths.items():
                if found.setdefault(name, width) != width:
                    raise ArgumentError(f"memory[{name!r}]", "have one width for all layers", repr(self))
        return found

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        drawn = {key: layer.draw(rng, dtype) for key, layer in self.layers.items()}
        return {key: value for key, value in drawn.items() if self.layers[key].has_params}

    def parts(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of every layer by its key."""
        keys = [key for key, layer in self.layers.items() if layer.has_params]
        if not isinstance(params, Mapping) or set(params) != set(keys):
            came = ", ".join(map(str, params)) if isinstance(params, Mapping) else type(params).__name__
            raise ArgumentError(
                "params",
                f"have the keys {', '.join(keys) or 'of no layer'}, those of the layers of {self!r}",
                came or "none",
            )
        return {key: params.get(key, {}) for key in self.layers}

    def parts_streamed(self, params: Mapping[str, Any], memory: Memory | None) -> list[Streamed]:
        """Each layer one step at a time."""
        own = self.parts(params)
        return [layer.streamed(own[key], memory) for key, layer in self.layers.items()]


class Chain(Composed):
    """What `chain` returns."""

    def __init__(self, layers: list[Layer]) -> None:
        width = layers[0].input_size
        found: list[Layer] = []
        for i, layer in enumerate(layers):
            if i > 0 and layer.classes is not None:
                raise ArgumentError(
                    "layers", "have an embedding in the first place alone", f"{layer!r} at {i}"
                )
            found.append(layer if width is None else layer.with_input(width))
            width = found[-1].output_size
        self.layers = {str(i): layer for i, layer in enumerate(found)}
        self.input_size, self.output_size = found[0].input_size, width
        self.classes, self.folds = found[0].classes, found[0].folds

    def __repr__(self) -> str:
        return f"chain({', '.join(map(repr, self.layers.values()))})"

    def _closed(self) -> None:
        for layer in self.layers.values():
            layer._closed()

    def with_input(self, size: int) -> Layer:
        if self.classes is not None:
            raise ArgumentError("layers", "have an embedding in the first place alone", repr(self))
        return Chain([next(iter(self.layers.values())).with_input(size), *list(self.layers.values())[1:]])

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return in_a_chain(self.parts_streamed(params, memory))

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        parts = self.parts(params)
        keys = list(self.layers)
        runs: dict[str, Any] = {}
        values: dict[str, Value] = {}
        first = self.layers["0"]
        if isinstance(first, Embedding) and len(keys) > 1:
            # As in `Model`: where there are fewer classes than entries, W is multiplied with the table once.
            if self.layers["1"].folds and first.classes <= x.size:
                keys, table = keys[1:], first.table(parts["0"])
        folded, y = table is not None and keys[0] == "1", x
        for key in keys:
            value = self.layers[key].apply(parts[key], y, inputs.below(key), table)
            values[key], y, table = value, value.y, None
            runs |= above(value.runs, key)

        def back(d_y: NDArray[Any], d_final: States) -> Back:
            d: Any = d_y
            d_params: Tree = {}
            signals: dict[str, NDArray[Any]] = {}
            memory: dict[str, NDArray[Any]] = {}
            gradients: dict[str, Any] = {}
            for key in reversed(keys):
                found = values[key].back(d, below(d_final, key))
                d, d_params[key] = found.x, found.params
                add(signals, found.signals)
                add(memory, found.memory)
                gradients = above(found.runs, key) | gradients
            if folded:
                d, d_params["0"] = None, {"table": d}
            d_params = {k: d_params[k] for k, layer in self.layers.items() if layer.has_params}
            return Back(d_params, d, signals, gradients, memory)

        return Value(y, runs, back, *_aside(values))


class Concatenate(Composed):
    """What `concatenate` returns, with keys of its own."""

    name = "concatenate"

    def __init__(self, layers: dict[str, Layer]) -> None:
        width = next((k.input_size for k in layers.values() if k.input_size is not None), None)
        self.layers = layers
        self.classes = next(iter(layers.values())).classes
        for layer in layers.values():
            if layer.classes != self.classes or (self.classes is not None and width is not None):
                raise ArgumentError(
                    "layers", "all read numbers, or all class indices of one number", repr(self)
                )
        if width is not None:
            self.layers = {key: layer.with_input(width) for key, layer in layers.items()}
        widths = [layer.output_size for layer in self.layers.values()]
        self.input_size = width
        self.output_size = None if None in widths else sum(w for w in widths if w is not None)
        self.folds = all(layer.folds for layer in self.layers.values())

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.layers.values()))})"

    def with_input(self, size: int) -> Layer:
        return type(self)({key: layer.with_input(size) for key, layer in self.layers.items()})

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return side_by_side(self.parts_streamed(params, memory))

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        parts = self.parts(params)
        runs: dict[str, Any] = {}
        values: dict[str, Value] = {}
        for key, layer in self.layers.items():
            values[key] = value = layer.apply(parts[key], x, inputs.below(key), table)
            runs |= above(value.runs, key)
        outputs = [value.y for value in values.values()]
        ends = np.cumsum([y.shape[-1] for y in outputs])[:-1]

        def back(d_y: NDArray[Any], d_final: States) -> Back:
            d_x: Any = None
            d_params: Tree = {}
            signals: dict[str, NDArray[Any]] = {}
            memory: dict[str, NDArray[Any]] = {}
            gradients: dict[str, Any] = {}
            for (key, value), d in zip(values.items(), np.split(d_y, ends, axis=-1), strict=True):
                found = value.back(d, below(d_final, key))
                d_params[key] = found.params
                d_x = found.x if d_x is None else d_x + found.x
                add(signals, found.signals)
                add(memory, found.memory)
                gradients |= above(found.runs, key)
            d_params = {k: d for k, d in d_params.items() if self.layers[k].has_params}
            return Back(d_params, d_x, signals, gradients, memory)

        return Value(concatenated(outputs), runs, back, *_aside(values))


def _aside(values: Mapping[str, Value]) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """The statistics and penalties of all layers."""
    statistics: dict[str, NDArray[Any]] = {}
    penalties: dict[str, float] = {}
    for key, value in values.items():
        statistics |= above(value.statistics, key)
        penalties |= above(value.penalties, key)
    return statistics, penalties


def add(total: dict[str, NDArray[Any]], more: Mapping[str, NDArray[Any]]) -> None:
    """Add arrays by name to a sum."""
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value
