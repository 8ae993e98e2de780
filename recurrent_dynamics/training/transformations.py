"""Transformations of the gradient before an optimizer, and of its step after it; they compose with one in a chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..checks import ArgumentError, boolean, callable_, number
from .clipping import clip_by_value, l2_penalty, scaled_to
from .optimizers import (
    OPTIMIZERS,
    Advanced,
    Elementwise,
    Optimizer,
    advance,
    apply_updates,
    as_optimizer,
)
from .tree import Select, Tree, global_norm, map_leaves

Penalty = Callable[[Tree], tuple[float, Mapping[str, Any]]]
Function = Callable[[Tree, Tree, Mapping[str, Any], float], tuple[Tree, Tree]]


@dataclass(frozen=True)
class Transformation:
    """A function of the gradient, or of the step of an optimizer: a part of `chain`.

    Parameters
    ----------
    update : callable
        ``update(grads, state, params, learning_rate) -> (grads, state)``, nested dicts of arrays; of the step in place
        of the gradient with `of_step`.
    init : callable, optional
        ``init(params) -> state``, a nested dict of arrays that a checkpoint can hold. None for no state.
    of_step : bool
        Whether it comes after the optimizer.
    clips : bool
        Whether it clips: the history has the norm before the first such part.
    max_norm : float, optional
        Of a part that clips the global norm to this and does nothing else: as the last one before an optimizer it is
        done in the optimizer's own pass over the memory.

    Examples
    --------
    The sign of the gradient:

    >>> import recurrent_dynamics as rd
    >>> sign = Transformation(lambda grads, state, params, rate: ({k: np.sign(g) for k, g in grads.items()}, state))
    >>> optimizer = rd.training.chain(sign, rd.training.sgd())
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> optimizer.update({"w": np.array([0.3, -4.0])}, optimizer.init(params), params, 0.1)[0]
    {'w': array([-0.1,  0.1])}
    """

    update: Function
    init: Callable[[Mapping[str, Any]], Tree] | None = None
    of_step: bool = False
    clips: bool = False
    max_norm: float | None = None

    def __post_init__(self) -> None:
        callable_("update", self.update, "of grads, state, params and learning_rate")
        if self.init is not None:
            callable_("init", self.init, "of params")
        boolean("of_step", self.of_step)
        boolean("clips", self.clips)
        if self.max_norm is not None:
            number("max_norm", self.max_norm, above=0)


@dataclass(frozen=True)
class WeightDecay:
    """The `update` of `weight_decay`."""

    strength: float
    only: Select | None = None

    def __call__(
        self, steps: Tree, state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        decay = l2_penalty(params, learning_rate * self.strength, self.only)[1]
        return map_leaves(np.subtract, steps, decay), state


def clip_norm(max_norm: float) -> Transformation:
    """Scale all gradients by one factor, so that their norm together is at most `max_norm` (Pascanu et al. 2013)."""
    limit = number("max_norm", max_norm, above=0)

    def update(
        grads: Tree, state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        return scaled_to(grads, global_norm(grads), limit), state

    return Transformation(update, clips=True, max_norm=limit)


def clip_value(limit: float) -> Transformation:
    """Cut every entry of the gradient to [-limit, limit]."""
    limit = number("limit", limit, above=0)
    return Transformation(lambda grads, state, params, rate: (clip_by_value(grads, limit), state), clips=True)


def l2(strength: float, only: Select | None = None) -> Transformation:
    """Add ``strength * w`` to the gradient of every parameter w, the derivative of ``strength / 2 * |w|^2``.

    Parameters
    ----------
    strength : float
    only : callable, optional
        ``only(path, array)`` says which parameters are penalized, with paths such as "layers/0/W"; all by default.

    See Also
    --------
    weight_decay : What an adaptive optimizer does not rescale.
    """
    number("strength", strength, at_least=0)
    if only is not None:
        callable_("only", only, "of a path and an array")
    return penalty(lambda params: l2_penalty(params, strength, only))


def penalty(function: Penalty) -> Transformation:
    """Add the gradient of a function of the parameters.

    Parameters
    ----------
    function : callable
        From parameters to (value, gradients nested as they are), such as
        ``lambda params: rd.training.orthogonality_penalty(params, 0.01)``. The losses that `fit` shows do not contain
        its value.
    """
    callable_("function", function, "of the parameters")

    def update(
        grads: Tree, state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        return map_leaves(np.add, grads, function(dict(params))[1]), state

    return Transformation(update)


def weight_decay(strength: float, only: Select | None = None) -> Transformation:
    """Subtract learning_rate * strength * w from the step of every parameter w (Loshchilov and Hutter 2019).

    It comes after the optimizer, which does not rescale it. Behind `adam` it is `adamw`.

    Parameters
    ----------
    strength : float
    only : callable, optional
        ``only(path, array)`` says which parameters decay, with paths such as "layers/0/W"; all by default.
    """
    if only is not None:
        callable_("only", only, "of a path and an array")
    return Transformation(WeightDecay(number("strength", strength, at_least=0), only), of_step=True)


def chain(*parts: Transformation | Optimizer | str) -> Optimizer:
    """Transformations of the gradient, an optimizer, and transformations of its step, as one optimizer.

    Parameters
    ----------
    *parts : Transformation, Optimizer or str
        In the order in which they are done: those of the gradient, one optimizer or its name, those of its step. A
        chain may be a part, as the optimizer.

    Returns
    -------
    Optimizer
        Its state is that of the optimizer, or where a transformation has a state, a dict of them by their places "0",
        "1", ...

    Raises
    ------
    ValueError, TypeError
        When the order is another, or there is not one optimizer.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> optimizer = chain(
    ...     rd.training.l2(1e-4, only=lambda path, array: array.ndim > 1),
    ...     rd.training.clip_norm(1.0),
    ...     rd.training.adam(),
    ...     rd.training.weight_decay(1e-2),
    ... )
    >>> params = {"W": np.ones((2, 2))}
    >>> grads = {"W": np.full((2, 2), 3.0)}
    >>> steps, state = optimizer.update(grads, optimizer.init(params), params, learning_rate=0.1)
    >>> steps["W"][0]
    array([-0.101, -0.101])
    """
    flat: list[Any] = []
    for part in parts:
        if isinstance(part, Transformation):
            flat.append(part)
            continue
        if isinstance(part, str) and part not in OPTIMIZERS:
            raise ArgumentError("parts", f"name optimizers of {', '.join(OPTIMIZERS)}", repr(part))
        inner = as_optimizer(part)
        flat += inner.update.parts if isinstance(inner.update, Chained) else [inner]
    order = [1 if not isinstance(p, Transformation) else 2 if p.of_step else 0 for p in flat]
    if order.count(1) != 1 or order != sorted(order):
        names = ("a transformation of the gradient", "an optimizer", "a transformation of the step")
        raise ArgumentError(
            "parts",
            "be transformations of the gradient, one optimizer, and transformations of its step, in this order",
            ", ".join(names[kind] for kind in order) or "none",
        )
    chained = Chained(tuple(flat))
    return Optimizer(chained.init, chained)


class Chained:
    """The `update` of a chain.

    Attributes
    ----------
    parts : tuple
        Of all chains within it.
    clips : bool
    """

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        at = self._at = next(i for i, p in enumerate(parts) if not isinstance(p, Transformation))
        self.clips = any(p.clips for p in parts[:at])
        self._stateful = any(p.init is not None for p in parts if isinstance(p, Transformation))
        # What is done in the pass of the optimizer: clipping just before it, weight decay alone just after it.
        self._before, self._max_norm = list(range(at)), math.inf
        if at and parts[at - 1].max_norm is not None:
            self._max_norm = parts[self._before.pop()].max_norm
        self._optimizer, self._after = parts[at], list(range(at + 1, len(parts)))
        if len(self._after) == 1 and isinstance(parts[-1].update, WeightDecay):
            inner, decay = parts[at].update, parts[-1].update
            if isinstance(inner, Elementwise) and not inner.weight_decay:
                decaying = replace(inner, weight_decay=decay.strength, only=decay.only)
                self._optimizer, self._after = Optimizer(decaying.init, decaying), []

    def init(self, params: Mapping[str, Any]) -> Tree:
        if not self._stateful:
            return self._optimizer.init(params)
        return {str(i): {} if part.init is None else part.init(params) for i, part in enumerate(self.parts)}

    def __call__(
        self, grads: Mapping[str, Any], state: Tree, params: Mapping[str, Any], learning_rate: float
    ) -> tuple[Tree, Tree]:
        steps, states = dict(grads), self._states(state)
        for i, part in enumerate(self.parts):
            steps, states[i] = part.update(steps, states[i], params, learning_rate)
        return steps, self._together(states)

    def advance(
        self,
        grads: Mapping[str, Any],
        state: Tree,
        params: Mapping[str, Any],
        learning_rate: float,
        max_norm: float = math.inf,
    ) -> Advanced:
        """As `optimizers.advance`; the norm is that before the first clipping."""
        states = self._states(state)
        before: float | None = None
        if max_norm < math.inf:
            before = global_norm(grads)
            grads = scaled_to(grads, before, max_norm)
        for i in self._before:
            part = self.parts[i]
            if part.clips and before is None:
                before = global_norm(grads)
            if before is not None and not math.isfinite(before):
                return Advanced(dict(params), state, before, before, before)
            grads, states[i] = part.update(dict(grads), states[i], params, learning_rate)
        at = self._at
        if not self._after:
            done = advance(self._optimizer, grads, states[at], params, learning_rate, self._max_norm)
            states[at] = done.state
        else:
            norm = global_norm(grads)
            if not math.isfinite(norm):
                return Advanced(dict(params), state, norm, norm, norm)
            steps, states[at] = self._optimizer.update(
                scaled_to(grads, norm, self._max_norm), states[at], params, learning_rate
            )
            for i in self._after:
                steps, states[i] = self.parts[i].update(steps, states[i], params, learning_rate)
            moved = apply_updates(params, steps)
            done = Advanced(moved, {}, norm, global_norm(steps), min(norm, self._max_norm))
        return done._replace(state=self._together(states), norm=done.norm if before is None else before)

    def _states(self, state: Tree) -> list[Any]:
        if self._stateful:
            places = [str(i) for i in range(len(self.parts))]
            # A checkpoint holds no empty dicts.
            return [state.get(place, {}) for place in places]
        return [state if i == self._at else {} for i in range(len(self.parts))]

    def _together(self, states: list[Any]) -> Tree:
        if not self._stateful:
            own: Tree = states[self._at]
            return own
        return {str(i): state for i, state in enumerate(states)}
