"""Penalties of activations, which a chain takes where they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...checks import number
from ...engine.run import within_lengths
from ..streaming import Memory, Streamed, of_identity
from .base import Back, Layer, Tree, Value
from .context import Inputs
from .pointwise import named, sized


def activation_penalty(size: float = 0.0, change: float = 0.0) -> Layer:
    """Hand on what comes, and penalize its size and its change from step to step (Merity et al. 2018).

    The penalty is ``size * mean(x_t^2) + change * mean((x_{t+1} - x_t)^2)``: the means of all units and valid steps,
    and of all pairs of steps of one sequence, which no reset parts. The paper's activation regularization (AR) is that
    of the size behind dropout, its temporal one (TAR) that of the change before it.

    Parameters
    ----------
    size, change : float

    Returns
    -------
    Layer
        It has no parameters. In training, where `Context.rng` is given, `Pull.penalty` has the value, and
        ``pull(d_y, d_penalty=1.0)`` adds its derivative. An `Objective` adds it to the gradient; the losses that it
        shows do not contain the penalty, so that they compare with those of evaluation, where there is none.

    References
    ----------
    Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models", ICLR 2018.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> x = np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    >>> y, pull = activation_penalty(size=1.0, change=2.0)({}, x, rd.nn.Context(rng=0))
    >>> pull.penalty                                          # 21 / 3 + 2 (1 + 4) / 2
    12.0
    >>> pull(np.zeros_like(y), d_penalty=1.0)[1].ravel()
    array([-1.33333333, -0.66666667,  6.66666667])
    """
    return Penalty(number("size", size, at_least=0), number("change", change, at_least=0))


class Penalty(Layer):
    """What `activation_penalty` returns."""

    has_params = False

    def __init__(self, of_size: float, of_change: float, size: int | None = None) -> None:
        self.of_size, self.of_change = of_size, of_change
        self.input_size = self.output_size = size

    def __repr__(self) -> str:
        return f"activation_penalty(size={self.of_size:g}, change={self.of_change:g})"

    def with_input(self, size: int) -> Layer:
        sized(self, size)
        return Penalty(self.of_size, self.of_change, size)

    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        return {}

    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        named(params)
        if inputs.rng is None:
            return Value(x, {}, lambda d_y, d_final: Back({}, d_y, {}, {}))
        T, B, N = x.shape
        counted = np.ones((T, B), bool)
        if inputs.lengths is not None and inputs.lengths.size:
            counted = within_lengths(T, inputs.lengths)
        pairs = counted[1:] if inputs.reset is None else counted[1:] & ~inputs.reset[1:]
        # The weight of one square; 0 where there is none to take the mean of.
        one = self.of_size / max(1, int(counted.sum()) * N)
        other = self.of_change / max(1, int(pairs.sum()) * N)
        kept = np.where(counted[..., None], x, 0)
        steps = np.where(pairs[..., None], np.diff(x, axis=0), 0)
        value = one * _squares(kept) + other * _squares(steps)

        def back(d_y: NDArray[Any], d_final: Any) -> Back:
            weight = d_final.get("", {}).get("penalty", 0.0)
            if not weight:
                return Back({}, d_y, {}, {})
            d = d_y + x.dtype.type(2 * weight * one) * kept
            change = x.dtype.type(2 * weight * other) * steps
            d[1:] += change
            d[:-1] -= change
            return Back({}, d, {}, {})

        return Value(x, {}, back, penalties={"": value})

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        return of_identity()


def _squares(a: NDArray[Any]) -> float:
    return float(np.square(a, dtype=np.float64).sum())
