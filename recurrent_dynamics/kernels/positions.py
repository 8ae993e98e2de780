"""Softmax, shift and scan along the positions of a memory, with their derivatives, in rows of flat arrays.

Each is over the first `length` of `size` entries that begin at `source`; its result begins at `target` and is 0 beyond
the length. The cotangent of a source is added to, that of a target is not read any more.
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


@njit(**OPTIONS)
def _shift(E, source, target, length, size, by):
    """E[target:] = E[source:] moved by some positions."""
    for s in range(size):
        at = s - by
        inside = s < length and at >= 0 and at < length
        put(E, target + s, get(E, source + at) if inside else E.dtype.type(0))


@njit(**OPTIONS)
def shift_forward(E, source, target, length, size, by):
    _shift(E, source, target, length, size, by)


@njit(**OPTIONS)
def shift_tangent(E, tE, source, target, length, size, by):
    _shift(tE, source, target, length, size, by)


@njit(**OPTIONS)
def _shift_back(dE, source, target, length, by):
    """dE[source:] += dE[target:] moved back."""
    for s in range(max(0, by), min(length, length + by)):
        put(dE, source + s - by, get(dE, source + s - by) + get(dE, target + s))


@njit(**OPTIONS)
def shift_adjoint(E, dE, source, target, length, size, by):
    _shift_back(dE, source, target, length, by)


@njit(**OPTIONS)
def shift_second(E, tE, dE, uE, source, target, length, size, by):
    _shift_back(uE, source, target, length, by)


@njit(**OPTIONS)
def scan_forward(E, decay, source, target, length, size):
    """y_s = decay_s y_{s-1} + E[source + s], in E[target:]."""
    y = E.dtype.type(0)
    for s in range(length):
        y = get(E, decay + s) * y + get(E, source + s)
        put(E, target + s, y)
    clear(E, target + length, size - length)


@njit(**OPTIONS)
def scan_tangent(E, tE, decay, source, target, length, size):
    """The tangent of `scan_forward`."""
    y, t = E.dtype.type(0), E.dtype.type(0)
    for s in range(length):
        t = get(tE, decay + s) * y + get(E, decay + s) * t + get(tE, source + s)
        y = get(E, target + s)
        put(tE, target + s, t)
    clear(tE, target + length, size - length)


@njit(**OPTIONS)
def scan_adjoint(E, dE, decay, source, target, length, size):
    """The adjoint of `scan_forward`; dE[target:] becomes the cotangent along all paths, which `scan_second` reads."""
    for s in range(length - 1, -1, -1):
        d = get(dE, target + s)
        put(dE, source + s, get(dE, source + s) + d)
        if s > 0:
            put(dE, decay + s, get(dE, decay + s) + d * get(E, target + s - 1))
            put(dE, target + s - 1, get(dE, target + s - 1) + d * get(E, decay + s))


@njit(**OPTIONS)
def scan_second(E, tE, dE, uE, decay, source, target, length, size):
    """The tangent of `scan_adjoint`."""
    for s in range(length - 1, -1, -1):
        d, u = get(dE, target + s), get(uE, target + s)
        put(uE, source + s, get(uE, source + s) + u)
        if s > 0:
            moved = u * get(E, target + s - 1) + d * get(tE, target + s - 1)
            put(uE, decay + s, get(uE, decay + s) + moved)
            back = u * get(E, decay + s) + d * get(tE, decay + s)
            put(uE, target + s - 1, get(uE, target + s - 1) + back)


_FUNCTIONS = (
    softmax_forward, softmax_tangent, softmax_adjoint, softmax_second, shift_forward, shift_tangent, shift_adjoint,
    shift_second, scan_forward, scan_tangent, scan_adjoint, scan_second,
)  # fmt: skip
READS: dict[str, Any] = {"plus": plus, "positions": range} | {f.__name__: f for f in _FUNCTIONS}
