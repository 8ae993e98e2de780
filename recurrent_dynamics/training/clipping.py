"""Clipping of gradients (Pascanu et al. 2013) and L2 regularization."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import callable_, is_finite, number
from .tree import Select, Tree, check_real, global_norm, map_leaves, map_named, named_leaves, nest


def clip_by_global_norm(grads: Mapping[str, Any], max_norm: float) -> tuple[Tree, float]:
    """Scale all gradients by one factor, so that their norm together is at most `max_norm`.

    Parameters
    ----------
    grads : nested dict of arrays
    max_norm : float

    Returns
    -------
    clipped : nested dict
        The same arrays when nothing had to be scaled.
    norm : float
        Before clipping.

    Raises
    ------
    FloatingPointError
        A gradient is NaN or infinite: which, and where.

    Examples
    --------
    >>> clipped, norm = clip_by_global_norm({"W": np.array([3.0, 4.0])}, 1.0)
    >>> norm, clipped["W"]
    (5.0, array([0.6, 0.8]))
    """
    number("max_norm", max_norm, above=0)
    check_real("grads", grads)
    norm = global_norm(grads)
    if not math.isfinite(norm):
        refuse_not_finite(grads)
        raise FloatingPointError(f"the norm of the gradients became {norm}")
    return scaled_to(grads, norm, max_norm), norm


def scaled_to(grads: Mapping[str, Any], norm: float, max_norm: float) -> Tree:
    """Gradients of a known norm scaled by one factor, so that it is at most `max_norm`."""
    if not norm > max_norm:
        return dict(grads)
    return map_leaves(lambda g: g * g.dtype.type(max_norm / norm), grads)


def refuse_not_finite(grads: Mapping[str, Any]) -> None:
    """A FloatingPointError that names the first gradient with NaN or infinity; the norm of finite ones may overflow."""
    for name, g in named_leaves(grads):
        if not is_finite(g):
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(g))[0])
            raise FloatingPointError(
                f"the gradient of {name} must be finite; came {g[where]} at index {where}"
            )


def clip_by_value(grads: Mapping[str, Any], limit: float) -> Tree:
    """Cut every entry of the gradients to [-limit, limit]; NaN and infinity are a FloatingPointError.

    Examples
    --------
    >>> clip_by_value({"W": np.array([3.0, -0.5])}, 1.0)
    {'W': array([ 1. , -0.5])}
    """
    number("limit", limit, above=0)
    check_real("grads", grads)
    refuse_not_finite(grads)
    return map_leaves(lambda g: np.clip(g, -limit, limit), grads)


def l2_penalty(params: Mapping[str, Any], strength: float, only: Select | None = None) -> tuple[float, Tree]:
    """`strength / 2 * |w|^2` and its gradient `strength * w`.

    Parameters
    ----------
    params : nested dict of arrays
    strength : float
    only : callable, optional
        ``only(path, array)`` says which parameters are penalized, with paths such as "layers/0/W". All of them by
        default, as in PyTorch; ``lambda path, array: array.ndim > 1`` spares the biases.

    Returns
    -------
    penalty : float
    grads : nested dict

    Examples
    --------
    >>> l2_penalty({"W": np.array([[3.0]]), "b": np.array([1.0])}, 0.1, only=lambda path, array: array.ndim > 1)
    (0.45, {'W': array([[0.3]]), 'b': array([0.])})
    """
    number("strength", strength, at_least=0)
    if only is not None:
        callable_("only", only, "of a path and an array")
    nested = nest(check_real("params", params))
    kept = (
        dict(named_leaves(params)) if only is None else {k: a for k, a in named_leaves(params) if only(k, a)}
    )
    penalty = 0.5 * strength * sum(float(np.vdot(a, a)) for a in kept.values())
    return penalty, map_named(lambda k, a: a * a.dtype.type(strength if k in kept else 0), nested)
