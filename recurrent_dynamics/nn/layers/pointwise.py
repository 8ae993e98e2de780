"""Layers without memory: an embedding, a linear map of every step, dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, boolean, integer, number
from ...engine.linear import contiguous, linear, linear_adjoint
from ..leaves import arrays
from ..streaming import Memory, Streamed, of_identity, of_linear, of_table
from ..table import scattered
from .base import Back, Layer, Tree, Value
from .context import Inputs


def embedding(classes: int, size: int) -> Layer:
    """A row of a table for every class index: the first layer of a chain.

    A recurrent layer behind it reads the class indices themselves, by the product of its W with the table, where
    there are fewer classes than entries of the input.

    Parameters
    ----------
    classes : int
        V, the number of classes.
    size : int
        E, the width of a row.

    Returns
    -------
    Layer
        Its parameters are ``{"table": (V, E)}``, at first standard normal. It reads (T, B) integers in 0..V-1.

    Examples
    --------
    >>> layer = embedding(5, 2)
    >>> y, pull = layer(layer.init(rng=0), np.array([[4], [1]]))
    >>> y.shape, pull(y)[0]["table"].shape
    ((2, 1, 2), (5, 2))
    """
    return Embedding(integer("classes", classes, at_least=1), integer("size", size, at_least=1))


def dense(inputs: int | None, outputs: int, bias: bool = True) -> Layer:
    """A linear map of every step, ``y = W x + b``.

    Parameters
    ----------
    inputs : int or None
        N; None in a chain or in another layer that tells it.
    outputs : int
        The number M of outputs.
    bias : bool

    Returns
    -------
    Layer
        Its parameters are ``{"W": (M, N), "b": (M,)}``, at first uniform in +-1/sqrt(N); without b if there is no bias.

    Examples
    --------
    >>> layer = dense(2, 3)
    >>> y, pull = layer({"W": np.ones((3, 2)), "b": np.zeros(3)}, np.ones((4, 1, 2)))
    >>> y[0, 0], pull(np.ones_like(y))[0]["b"]
    (array([2., 2., 2.]), array([4., 4., 4.]))
    """
    known = None if inputs is None else integer("inputs", inputs, at_least=1)
    return Dense(known, integer("outputs", outputs, at_least=1), boolean("bias", bias))


def dropout(rate: float, per_sequence: bool = False) -> Layer:
    """Set entries to 0 at random, and divide the others by 1 - rate, so that evaluation needs no factor.

    Parameters
    ----------
    rate : float
        In [0, 1): the probability of a 0.
    per_sequence : bool
        Whether all steps of a sequence have the same entries set to 0 (variational dropout, Gal and Ghahramani 2016).

    Returns
    -------
    Layer
        It has no parameters. It draws anew in every call, from `Context.rng`; without a generator it changes nothing.

    References
    ----------
    Gal, Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NIPS 2016.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> y, pull = dropout(0.5, per_sequence=True)({}, np.ones((3, 1, 4)), rd.nn.Context(rng=1))
    >>> bool((y[0] == y[1]).all()), np.unique(y)
    (True, array([0., 2.]))
    """
    return Dropout(number("rate", rate, at_least=0, below=1), boolean("per_sequence", per_sequence))


def sized(layer: Layer, size: int) -> None:
    """Refuse an input of another width than a layer has."""
    if layer.input_size is not None and layer.input_size != size:
        raise ArgumentError("input_size", f"be {layer.input_size} for {layer!r}", size)


def named(params: Mapping[str, Any], **shapes: tuple[int, ...] | None) -> list[NDArray[Any]]:
    """The arrays of these names and shapes, and no others."""
    return arrays("params", params, shapes)


class Embedding(Layer):
    """What `embedding` returns."""

    def __init__(self, classes: int, size: int) -> None:
        self.classes: int = classes
        self.output_size: int = size

    def __repr__(self) -> str:
        return f"embedding({self.classes}, {self.output_size})"

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        return {"table": (self.classes, self.output_size)}

    def with_input(self, size: int) -> Layer:
        raise ArgumentError("layers", "have an embedding in the first place alone", f"an input of {size}")

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return of_table(self.table(params))

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        return {"table": rng.standard_normal((self.classes, self.output_size)).astype(dtype)}

    def table(self, params: Mapping[str, Any]) -> NDArray[Any]:
        """The table of the parameters."""
        return named(params, **self.shapes)[0]

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        def back(d_y: NDArray[Any], d_final: Any) -> Back:
            return Back({"table": scattered(x, d_y, self.classes)}, None, {}, {})

        return Value(self.table(params)[x], {}, back)


class Dense(Layer):
    """What `dense` returns."""

    def __init__(self, inputs: int | None, outputs: int, bias: bool) -> None:
        self.input_size, self.bias = inputs, bias
        self.output_size: int = outputs

    def __repr__(self) -> str:
        return f"dense({self.input_size}, {self.output_size}{'' if self.bias else ', bias=False'})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return Dense(size, self.output_size, self.bias)

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        assert self.input_size is not None
        shapes: dict[str, tuple[int, ...] | None] = {"W": (self.output_size, self.input_size)}
        return shapes | ({"b": (self.output_size,)} if self.bias else {})

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        W, *rest = named(params, **self.shapes)
        return of_linear(W, rest[0] if rest else None)

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        assert self.input_size is not None
        bound = 1 / np.sqrt(self.input_size)
        return {name: rng.uniform(-bound, bound, shape).astype(dtype) for name, shape in self.shapes.items()}

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        W, *rest = named(params, **self.shapes)
        W = W.copy() if inputs.copy_params else W
        read = contiguous(x)

        def back(d_y: NDArray[Any], d_final: Any) -> Back:
            d_x, d_W, d_b = linear_adjoint(contiguous(d_y), read, W)
            return Back({"W": d_W} | ({"b": d_b} if self.bias else {}), d_x, {}, {})

        return Value(linear(read, W, rest[0] if rest else np.zeros(len(W), W.dtype)), {}, back)


class Dropout(Layer):
    """What `dropout` returns."""

    has_params = False

    def __init__(self, rate: float, per_sequence: bool, size: int | None = None) -> None:
        self.rate, self.per_sequence = rate, per_sequence
        self.input_size = self.output_size = size

    def __repr__(self) -> str:
        return f"dropout({self.rate:g}{', per_sequence=True' if self.per_sequence else ''})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return Dropout(self.rate, self.per_sequence, size)

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return of_identity()

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        return {}

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        named(params)
        if inputs.rng is None or not self.rate:
            return Value(x, {}, lambda d_y, d_final: Back({}, d_y, {}, {}))
        # Drawn in single precision for both dtypes, so that the same entries fall.
        shape = (1, *x.shape[1:]) if self.per_sequence else x.shape
        keep = inputs.rng.random(shape, dtype=np.float32) >= self.rate
        mask = keep * x.dtype.type(1 / (1 - self.rate))
        return Value(x * mask, {}, lambda d_y, d_final: Back({}, d_y * mask, {}, {}))
