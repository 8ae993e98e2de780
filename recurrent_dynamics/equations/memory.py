"""The operations of the equations on a memory: contractions over units and positions, softmax, shift and scan.

On arrays, positions are the first axis: a memory is (S, B, units), values of the units are (B, units), and values of
the positions are (S, B, 1), so that NumPy broadcasts one with another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from ..checks import integer
from .graph import Recorded

__all__ = ["over_positions", "over_units", "scan", "shift", "softmax"]

# (S, B, 1): whether a position lies within the source of an instance. None: all do.
_WITHIN: ContextVar[np.ndarray | None] = ContextVar("_WITHIN", default=None)


@contextmanager
def within_source(mask: np.ndarray | None) -> Iterator[None]:
    """Let the operations below leave out the positions (S, B, 1) where the mask is false."""
    token = _WITHIN.set(mask)
    try:
        yield
    finally:
        _WITHIN.reset(token)


def _inside(value: np.ndarray) -> np.ndarray:
    mask = _WITHIN.get()
    return value if mask is None else np.where(mask, value, value.dtype.type(0))


def over_units(value: Any) -> Any:
    """Sum over the units: from a value at every position and unit to one number a position.

    A score of additive attention is ``over_units(param.v * tanh(memory.keys + drive.q))``, of dot-product attention
    ``over_units(memory.keys * drive.q)``. On arrays (S, B, units) gives (S, B, 1).

    Examples
    --------
    >>> import numpy as np
    >>> over_units(np.ones((2, 1, 3)))[:, 0, 0]
    array([3., 3.])
    """
    if isinstance(value, Recorded):
        return value.graph.read("over_units", value)
    return _inside(np.asarray(value).sum(axis=-1, keepdims=True))


def over_positions(value: Any) -> Any:
    """Sum over the positions within the source: from a value at every position and unit to one number a unit.

    What attention reads is ``over_positions(a * memory.values)`` with the weights ``a``. On arrays (S, B, units)
    gives (B, units).

    Examples
    --------
    >>> import numpy as np
    >>> over_positions(np.ones((2, 1, 3)))
    array([[2., 2., 2.]])
    """
    if isinstance(value, Recorded):
        return value.graph.read("over_positions", value)
    return _inside(np.asarray(value)).sum(axis=0)


def shift(value: Any, by: int) -> Any:
    """Move one number a position by some positions: entry s is that of position s - by, 0 where there is none.

    Location-sensitive scores are sums of shifts of the weights before. On arrays (S, B, 1) gives the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> shift(np.array([1.0, 2.0, 3.0])[:, None, None], 1)[:, 0, 0]
    array([0., 1., 2.])
    """
    by = integer("by", by)
    if isinstance(value, Recorded):
        return value.graph.read("shift", value, by=by)
    value = _inside(np.asarray(value))
    moved = np.zeros_like(value)
    if by >= 0:
        moved[by:] = value[: max(0, len(value) - by)]
    else:
        moved[:by] = value[-by:]
    return _inside(moved)


def scan(decay: Any, value: Any) -> Any:
    """Sum along the positions, each sum decaying on its way: y_s = decay_s y_{s-1} + value_s.

    Monotonic attention is one. On arrays (S, B, 1) gives the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> scan(np.full((3, 1, 1), 0.5), np.ones((3, 1, 1)))[:, 0, 0]
    array([1.  , 1.5 , 1.75])
    """
    for of_positions in (decay, value):
        if isinstance(of_positions, Recorded):
            return of_positions.graph.read("scan", decay, value)
    decay, value = np.asarray(decay), _inside(np.asarray(value))
    sums = np.zeros_like(value * decay)
    for s in range(len(value)):
        sums[s] = value[s] + (decay[s] * sums[s - 1] if s else 0)
    return _inside(sums)


def softmax(value: Any) -> Any:
    """Softmax over the positions within the source of each instance: the weights sum to 1, those of padding are 0.

    An empty source has weights 0, with gradient 0. On arrays (S, B, 1) gives the same shape; a complex value keeps
    the shift by the largest real part.

    Examples
    --------
    >>> import numpy as np
    >>> softmax(np.zeros((2, 1, 1)))[:, 0, 0]
    array([0.5, 0.5])
    """
    if isinstance(value, Recorded):
        return value.graph.read("softmax", value)
    value = np.asarray(value)
    mask = _WITHIN.get()
    inside = np.ones(value.shape, bool) if mask is None else np.broadcast_to(mask, value.shape)
    largest = np.max(np.where(inside, value.real, -np.inf), axis=0, initial=-np.inf)
    shift = np.where(np.isfinite(largest), largest, 0).astype(value.real.dtype)
    weights = np.where(inside, np.exp(np.where(inside, value - shift, 0)), value.dtype.type(0))
    total = weights.sum(axis=0)
    return weights / np.where(inside.any(axis=0), total, total.dtype.type(1))
