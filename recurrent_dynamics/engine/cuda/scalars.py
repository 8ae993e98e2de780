"""The nonlinearities as device functions, in float32 or float64 without a number of the other precision.

They are plain Python too, which the simulator runs: `math` raises where the device gives infinity or NaN, so the
functions ask before they call it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from .driver import device


@cache
def scalars(name: str) -> dict[str, Any]:
    """The device functions of a dtype by the names of `equations.nonlinearities`."""
    real = np.dtype(name).type
    zero, one, infinity, nan = real(0), real(1), real(np.inf), real(np.nan)
    largest = real(np.log(np.finfo(real).max))

    def tanh(x):
        return real(math.tanh(x))

    def sigmoid(x):
        z = real(math.exp(-math.fabs(x)))  # at most 1: no overflow, and full relative accuracy in both tails
        return (z if x < zero else one) / (one + z)

    def relu(x):
        return zero if x <= zero else x

    def softplus(x):
        return (zero if x <= zero else x) + real(math.log1p(real(math.exp(-math.fabs(x)))))

    def exp(x):
        return real(math.exp(x)) if x < largest else x * infinity

    def expm1(x):
        return real(math.expm1(x)) if x < largest else x * infinity

    def log(x):
        if x > zero and x < infinity:
            return real(math.log(x))
        return nan if x < zero else (-infinity if x == zero else x)

    def sqrt(x):
        return real(math.sqrt(x)) if x > zero and x < infinity else (nan if x < zero else x)

    def absolute(x):
        return real(math.fabs(x))

    def maximum(x, y):
        return x if x > y or x != x else y

    def minimum(x, y):
        return x if x <= y or x != x else y

    def sin(x):
        return real(math.sin(x)) if x - x == zero else nan

    def cos(x):
        return real(math.cos(x)) if x - x == zero else nan

    def positive(x):
        return one if x > zero else (x if x != x else zero)

    def sign(x):
        return one if x > zero else (-one if x < zero else x + zero)

    functions: tuple[Callable[..., Any], ...] = (
        tanh, sigmoid, relu, softplus, exp, expm1, log, sqrt, absolute, maximum, minimum, sin, cos, positive, sign,
    )  # fmt: skip
    return {f.__name__: device(f) for f in functions}
