"""Sums over positions of a memory, and softmax with its derivatives, in rows of flat arrays.

A softmax is over the first `length` of `size` entries that begin at `source`; its weights begin at `target`. Weights,
tangents and cotangents beyond the length are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import intrinsic

from .access import INTERPRETED, OPTIONS, get, put
from .elementary import COMPILED
from .product import clear, total

if INTERPRETED:
    exp: Any = np.exp

    def plus(a: Any, value: Any, units: np.ndarray) -> Any:
        """a + the sum of a value over units, which is one number if it is the same for all."""
        return a + np.broadcast_to(value, np.shape(units)).sum()

else:
    exp = COMPILED["exp"]

    @intrinsic
    def plus(typingctx, a, value, unit):
        """a + value; the compiler may sum in another order, so that a loop over units is vectorized."""

        def codegen(context, builder, signature, arguments):
            return builder.fadd(arguments[0], arguments[1], flags=("reassoc", "nsz", "contract"))

        return a(a, a, unit), codegen


@njit(**OPTIONS)
def _largest(a, at, n):
    largest = get(a, at)
    for s in range(1, n):
        largest = max(largest, get(a, at + s))
    return largest


@njit(**OPTIONS)
def _inner(a, at, b, to, n):
    product = a.dtype.type(0)
    for s in range(n):
        product = product + get(a, at + s) * get(b, to + s)
    return product


@njit(**OPTIONS)
def softmax_forward(E, source, target, length, size):
    """E[target:] = softmax of E[source:]."""
    clear(E, target + length, size - length)
    if length > 0:
        largest = _largest(E, source, length)
        for s in range(length):
            put(E, target + s, exp(get(E, source + s) - largest))
        sum_ = total(E, target, length)
        for s in range(length):
            put(E, target + s, get(E, target + s) / sum_)


@njit(**OPTIONS)
def softmax_tangent(E, tE, source, target, length, size):
    """tE[target:] = a (t - <a, t>) for the weights a and the tangents t of what they are computed of."""
    mean = _inner(E, target, tE, source, length)
    for s in range(length):
        put(tE, target + s, get(E, target + s) * (get(tE, source + s) - mean))
    clear(tE, target + length, size - length)


@njit(**OPTIONS)
def softmax_adjoint(E, dE, source, target, length, size):
    """dE[source:] += a (d - <a, d>) for the weights a and their cotangents d."""
    mean = _inner(E, target, dE, target, length)
    for s in range(length):
        move = get(E, target + s) * (get(dE, target + s) - mean)
        put(dE, source + s, get(dE, source + s) + move)


@njit(**OPTIONS)
def softmax_second(E, tE, dE, uE, source, target, length, size):
    """The tangent of `softmax_adjoint`, added to uE[source:]."""
    mean = _inner(E, target, dE, target, length)
    move = _inner(tE, target, dE, target, length) + _inner(E, target, uE, target, length)
    for s in range(length):
        first = get(tE, target + s) * (get(dE, target + s) - mean)
        moved = first + get(E, target + s) * (get(uE, target + s) - move)
        put(uE, source + s, get(uE, source + s) + moved)


READS: dict[str, Any] = {
    "plus": plus, "positions": range, "softmax_forward": softmax_forward, "softmax_tangent": softmax_tangent,
    "softmax_adjoint": softmax_adjoint, "softmax_second": softmax_second,
}  # fmt: skip
