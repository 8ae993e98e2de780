"""Optimizers as pairs (init, update) of pure functions over nested dicts of arrays.

    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params, learning_rate)
    params = apply_updates(params, updates)

Formulas and defaults are those of PyTorch; moments are kept in the dtype of the parameters. What treats every entry
alike is a rule of `rules.py`; `fit` then clips, updates and adds in one pass over the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, boolean, callable_, number, one_of
from . import passes
from .clipping import scaled_to
from .rules import Adam, Descent, Momentum, Nesterov, RMSprop, RMSpropMomentum, Rule, averages_of
from .tree import Select, Tree, aligned, check_alike, global_norm, map_leaves, named_leaves, with_leaves


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

    def __repr__(self) -> str:
        if not isinstance(self.update, Elementwise):
            name = getattr(self.update, "__qualname__", type(self.update).__name__)
            return f"Optimizer({name.partition('.<locals>')[0]})"
        rule, decay = self.update.kind.__name__, self.update.weight_decay
        if not decay:
            return f"Optimizer({rule})"
        return f"Optimizer({rule}, weight decay {decay:g}{'' if self.update.only is None else ' of some parameters'})"


@dataclass(frozen=True)
class Elementwise:
    """The `update` of an optimizer that treats every entry alike, by a rule.

    Attributes
    ----------
    kind : type of Rule
    numbers : callable
        From the number of updates, this one included, and the learning rate to the numbers of the rule.
    averages : tuple of str
        What the state holds for every parameter.
    counted : bool
        Whether the state holds the number of updates.
    weight_decay : float
        Decoupled: this share of a parameter, times the learning rate, is subtracted.
    only : callable, optional
        ``only(path, array)`` says which parameters decay.
    """

    kind: type[Rule]
    numbers: Callable[[int, float], tuple[float, ...]]
    averages: tuple[str, ...]
    counted: bool = False
    weight_decay: float = 0.0
    only: Select | None = None

    def init(self, params: Mapping[str, Any]) -> Tree:
        count = {"count": np.zeros((), np.int64)} if self.counted else {}
        return {**count, **{name: map_leaves(np.zeros_like, params) for name in self.averages}}

    def __call__(
        self, grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        # Weights that nothing needs are not looked at.
        weights = params if self.weight_decay else grads
        advanced = self.advance(grads, state, weights, learning_rate, added=False)
        return advanced.params, advanced.state

    def advance(
        self,
        grads: Mapping[str, Any],
        state: Tree,
        params: Mapping[str, Any],
        learning_rate: float,
        added: bool = True,
        max_norm: float | None = None,
    ) -> Advanced:
        """The parameters after an update or, unless `added`, what is to be added to them; see `advance`."""
        count = int(state["count"]) + 1 if self.counted else 0
        rule = self.kind(*self.numbers(count, learning_rate))
        leaves = aligned(grads, params, *(state[name] for name in self.averages))
        decays = [learning_rate * self.weight_decay] * len(leaves)
        if self.only is not None and self.weight_decay:
            chosen = {path: self.only(path, array) for path, array in named_leaves(params)}
            decays = [d * chosen[path] for d, (path, _) in zip(decays, named_leaves(grads), strict=True)]
        new, norm, length = passes.advance(rule, decays, leaves, len(self.averages), added, max_norm)
        clipped = norm if max_norm is None else min(norm, max_norm)
        if new is None:
            return Advanced(dict(params), state, norm, length, clipped)
        moved, *averages = with_leaves(grads, zip(*new, strict=True), len(new))
        after: Tree = {"count": np.array(count)} if self.counted else {}
        return Advanced(moved, after | dict(zip(self.averages, averages, strict=True)), norm, length, clipped)


class Advanced(NamedTuple):
    """What an update leaves: parameters, state, the norms of the gradient, of the step, and of the clipped gradient."""

    params: Tree
    state: Tree
    norm: float
    length: float
    clipped: float


def advance(
    optimizer: Optimizer,
    grads: Mapping[str, Any],
    state: Tree,
    params: Mapping[str, Any],
    learning_rate: float,
    max_norm: float = math.inf,
) -> Advanced:
    """Clip by the global norm, update, and apply; as few passes over the memory as the optimizer allows.

    Nothing is done where the norm of the gradient is not finite. An `update` with a method `advance` does it itself.
    """
    own: Callable[..., Advanced] | None = getattr(optimizer.update, "advance", None)
    if own is not None:
        return own(grads, state, params, learning_rate, max_norm=max_norm)
    norm = global_norm(grads)
    if not math.isfinite(norm):
        return Advanced(dict(params), state, norm, norm, norm)
    steps, state = optimizer.update(scaled_to(grads, norm, max_norm), state, params, learning_rate)
    return Advanced(apply_updates(params, steps), state, norm, global_norm(steps), min(norm, max_norm))


def apply_updates(params: Mapping[str, Any], updates: Mapping[str, Any]) -> Tree:
    """Parameters plus updates, in new arrays."""
    check_alike("updates", updates, "params", params)
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
    if boolean("nesterov", nesterov) and not momentum:
        raise ArgumentError("momentum", "be above 0 with nesterov", momentum)

    if not momentum:
        return _elementwise(Descent, lambda count, rate: (rate,))
    return _elementwise(Nesterov if nesterov else Momentum, lambda count, rate: (momentum, rate))


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

    if not momentum:
        return _elementwise(RMSprop, lambda count, rate: (decay, 1 - decay, eps, rate))
    return _elementwise(RMSpropMomentum, lambda count, rate: (decay, 1 - decay, eps, momentum, rate))


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

    def numbers(count: int, rate: float) -> tuple[float, ...]:
        root = 1 / math.sqrt(1 - beta2**count)
        return beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate / (1 - beta1**count)

    return _elementwise(Adam, numbers, counted=True)


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
    if only is not None:
        callable_("only", only, "of a path and an array")
    inner = adam(beta1, beta2, eps).update
    number("weight_decay", weight_decay, at_least=0)
    assert isinstance(inner, Elementwise)
    decaying = replace(inner, weight_decay=weight_decay, only=only)
    return Optimizer(decaying.init, decaying)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def _elementwise(
    kind: type[Rule], numbers: Callable[[int, float], tuple[float, ...]], counted: bool = False
) -> Optimizer:
    update = Elementwise(kind, numbers, averages_of(kind), counted)
    return Optimizer(update.init, update)


def as_optimizer(optimizer: Any) -> Optimizer:
    """Take a name for the optimizer of this name with its default options.

    Raises
    ------
    TypeError, ValueError
        For what is no optimizer: what to write instead.

    Examples
    --------
    >>> as_optimizer("sgd").init({"w": np.zeros(2)})
    {}
    >>> as_optimizer(adam)
    Traceback (most recent call last):
    recurrent_dynamics.ArgumentTypeError: optimizer must be an Optimizer; came the function adam, which makes one: call
    it, adam()
    """
    if isinstance(optimizer, str):
        return OPTIMIZERS[one_of("optimizer", optimizer, OPTIMIZERS)]()
    if not isinstance(optimizer, type) and all(
        callable(getattr(optimizer, name, None)) for name in ("init", "update")
    ):
        return optimizer
    name = getattr(optimizer, "__name__", "")
    came = type(optimizer).__name__
    if callable(optimizer) and optimizer in OPTIMIZERS.values():
        came = f"the function {name}, which makes one: call it, {name}()"
    raise ArgumentTypeError("optimizer", "be an Optimizer", came)
