"""Optimizers as pairs (init, update) of pure functions over nested dicts of arrays.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params, learning_rate)
    params = apply_updates(params, updates)

Formulas and defaults are those of PyTorch; moments are kept in the dtype of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import number
from .tree import Select, Tree, map_leaves, map_named

Array = NDArray[Any]


class Optimizer(NamedTuple):
    """A pair of pure functions.

    Attributes
    ----------
    init : callable
        ``init(params) -> state``, a nested dict of arrays that a checkpoint can hold.
    update : callable
        ``update(grads, state, params, learning_rate) -> (updates, state)``; the updates are added to the parameters.
    """

    init: Callable[[Mapping[str, Any]], Tree]
    update: Callable[[Mapping[str, Any], Tree, Mapping[str, Any], float], tuple[Tree, Tree]]


def apply_updates(params: Mapping[str, Any], updates: Mapping[str, Any]) -> Tree:
    """Parameters plus updates, in new arrays."""
    return map_leaves(np.add, params, updates)


def sgd(momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Stochastic gradient descent: v' = momentum v + g, update -rate v', or -rate (g + momentum v') with Nesterov.

    Parameters
    ----------
    momentum : float
        In [0, 1).
    nesterov : bool
        Nesterov's momentum, which needs a momentum.

    Examples
    --------
    >>> optimizer = sgd(momentum=0.9)
    >>> params = {"w": np.array([1.0])}
    >>> updates, state = optimizer.update({"w": np.array([2.0])}, optimizer.init(params), params, 0.1)
    >>> updates["w"], state["velocity"]["w"]
    (array([-0.2]), array([2.]))
    """
    number("momentum", momentum, at_least=0, below=1)
    if nesterov and not momentum:
        raise ValueError(f"momentum must be above 0 with nesterov; came {momentum}")

    def init(params: Mapping[str, Any]) -> Tree:
        return {"velocity": map_leaves(np.zeros_like, params)} if momentum else {}

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        if not momentum:
            return map_leaves(lambda g: g * _as(g, -learning_rate), grads), state
        velocity = map_leaves(lambda g, v: _decayed(v, momentum, g), grads, state["velocity"])
        steps = map_leaves(lambda g, v: _decayed(v, momentum, g), grads, velocity) if nesterov else velocity
        return map_leaves(lambda v: v * _as(v, -learning_rate), steps), {"velocity": velocity}

    return Optimizer(init, update)


def rmsprop(decay: float = 0.99, eps: float = 1e-8, momentum: float = 0.0) -> Optimizer:
    """RMSprop (Tieleman and Hinton 2012): s' = decay s + (1 - decay) g^2, update -rate g / (sqrt(s') + eps).

    `eps` stands outside the root, as in PyTorch and Torch. char-rnn (Karpathy 2015) uses decay 0.95.

    Parameters
    ----------
    decay, eps, momentum : float
    """
    number("decay", decay, at_least=0, below=1)
    number("momentum", momentum, at_least=0, below=1)
    number("eps", eps, above=0)

    def init(params: Mapping[str, Any]) -> Tree:
        state = {"square": map_leaves(np.zeros_like, params)}
        return state | {"velocity": map_leaves(np.zeros_like, params)} if momentum else state

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        square = map_leaves(lambda g, s: _averaged_square(s, decay, g), grads, state["square"])
        steps = map_leaves(
            lambda g, s: _scaled(g, s, 1.0, eps, 1.0 if momentum else -learning_rate), grads, square
        )
        if not momentum:
            return steps, {"square": square}
        velocity = map_leaves(lambda g, v: _decayed(v, momentum, g), steps, state["velocity"])
        updates = map_leaves(lambda v: v * _as(v, -learning_rate), velocity)
        return updates, {"square": square, "velocity": velocity}

    return Optimizer(init, update)


def adam(beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam (Kingma and Ba 2015), with its bias corrections.

    Parameters
    ----------
    beta1, beta2 : float
        Decay of the averages of g and g^2.
    eps : float
        Added to the root of the corrected average of g^2.
    """
    number("beta1", beta1, at_least=0, below=1)
    number("beta2", beta2, at_least=0, below=1)
    number("eps", eps, above=0)

    def init(params: Mapping[str, Any]) -> Tree:
        return {
            "count": np.zeros((), np.int64),
            "mean": map_leaves(np.zeros_like, params),
            "square": map_leaves(np.zeros_like, params),
        }

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        count = int(state["count"]) + 1
        mean = map_leaves(lambda g, m: _averaged(m, beta1, g), grads, state["mean"])
        square = map_leaves(lambda g, s: _averaged_square(s, beta2, g), grads, state["square"])
        root = 1 / np.sqrt(1 - beta2**count)
        rate = -learning_rate / (1 - beta1**count)
        updates = map_leaves(lambda m, s: _scaled(m, s, root, eps, rate), mean, square)
        return updates, {"count": np.array(count), "mean": mean, "square": square}

    return Optimizer(init, update)


def adamw(
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    only: Select | None = None,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): -rate * weight_decay * w on top of Adam's step.

    Parameters
    ----------
    beta1, beta2, eps : float
        As in `adam`.
    weight_decay : float
    only : callable, optional
        ``only(path, array)`` says which parameters decay, with paths such as "layers/0/W"; all by default.
    """
    inner = adam(beta1, beta2, eps)
    number("weight_decay", weight_decay, at_least=0)

    def update(
        grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        updates, state = inner.update(grads, state, params, learning_rate)

        def decay(path: str, step: Array, weights: Array) -> Array:
            if only is None or only(path, weights):
                step -= weights * _as(weights, learning_rate * weight_decay)
            return step

        return map_named(decay, updates, params), state

    return Optimizer(inner.init, update)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def _as(array: Array, number: float) -> Any:
    return array.dtype.type(number)


def _decayed(average: Array, decay: float, values: Array) -> Array:
    """decay * average + values."""
    out = average * _as(average, decay)
    out += values
    return out


def _averaged(average: Array, decay: float, values: Array) -> Array:
    """decay * average + (1 - decay) * values."""
    out = values * _as(values, 1 - decay)
    out += average * _as(average, decay)
    return out


def _averaged_square(average: Array, decay: float, values: Array) -> Array:
    """decay * average + (1 - decay) * values^2."""
    out = values * values
    out *= _as(values, 1 - decay)
    out += average * _as(average, decay)
    return out


def _scaled(numerator: Array, square: Array, root_factor: float, eps: float, factor: float) -> Array:
    """factor * numerator / (root_factor * sqrt(square) + eps)."""
    out = np.sqrt(square)
    if root_factor != 1:
        out *= _as(square, root_factor)
    out += _as(square, eps)
    np.divide(numerator, out, out=out)
    if factor != 1:
        out *= _as(square, factor)
    return out
