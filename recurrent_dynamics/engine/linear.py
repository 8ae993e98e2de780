"""A linear map of all steps at once, on the engine's own threads.

NumPy's product runs on the threads of its BLAS, which compete with the engine's threads for the cores. In training
with two layers of 128 units, a readout through the BLAS took as long as the recurrence itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError
from . import check

Array = NDArray[Any]


def linear(x: Array, weights: Array, bias: Array) -> Array:
    """x W^T + b for x (T, B, H), W (V, H), b (V,): (T, B, V).

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.ones((1, 1, 2)), np.array([[1.0, 2.0]]), np.array([0.5]))
    array([[[3.5]]])
    """
    g, n = weights.shape
    return _cpu().linear(*_checked(x=(x, (*x.shape[:2], n)), weights=(weights, (g, n)), bias=(bias, (g,))))


def packed_linear(weights: Array, bias: Array) -> Callable[[Array], Array]:
    """The function x W^T + b of rows x (m, n), for many calls with W (V, n) and b (V,), which are copied.

    Examples
    --------
    >>> import numpy as np
    >>> readout = packed_linear(np.array([[1.0, 2.0]]), np.array([0.5]))
    >>> readout(np.ones((2, 2)))
    array([[3.5],
           [3.5]])
    """
    g, n = weights.shape
    a, b = _checked(weights=(weights, (g, n)), bias=(bias, (g,)))
    made = _cpu().PackedLinear(a, b)

    def apply(x: Array) -> Array:
        if x.dtype != a.dtype:
            raise ArgumentTypeError("x", f"have dtype {a.dtype}, as the weights have", x.dtype)
        return np.asarray(made(*_checked(x=(x, (len(x), n)))))

    return apply


def contiguous(x: Array) -> Array:
    """x (..., n) itself if it is contiguous, or a copy that is, by all threads if it is large.

    Examples
    --------
    >>> import numpy as np
    >>> contiguous(np.arange(4.0).reshape(1, 2, 2)[..., 1:])
    array([[[1.],
            [3.]]])
    """
    if x.flags.c_contiguous or x.dtype not in check.DTYPES:
        return np.ascontiguousarray(x)
    return _cpu().copied(x)


def linear_adjoint(d_out: Array, x: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Derivatives by x (T, B, H), by the weights (V, H) and by the bias (V,), from d_out (T, B, V).

    Examples
    --------
    >>> import numpy as np
    >>> d_x, d_weights, d_bias = linear_adjoint(np.ones((1, 1, 1)), np.full((1, 1, 2), 3.0), np.array([[1.0, 2.0]]))
    >>> d_x, d_weights, d_bias
    (array([[[1., 2.]]]), array([[3., 3.]]), array([1.]))
    """
    g, n = weights.shape
    return _cpu().linear_adjoint(
        *_checked(d_out=(d_out, (*x.shape[:2], g)), x=(x, (*x.shape[:2], n)), weights=(weights, (g, n)))
    )


@lru_cache(maxsize=1)
def _cpu() -> Any:
    """Imported at the first call, because importing Numba takes long."""
    from .cpu import linear as cpu

    return cpu


def _checked(**arrays: tuple[Array, tuple[int, ...]]) -> list[Array]:
    """The arrays, checked for one dtype and for the shapes given with them: compiled code checks no index."""
    dtype = check.real(*next((name, a) for name, (a, _) in arrays.items())).dtype
    for name, (a, shape) in arrays.items():
        if a.dtype != dtype:
            raise ArgumentTypeError(name, f"have dtype {dtype}, as the others have", a.dtype)
        if a.shape != shape:
            raise ArgumentError(name, f"have shape {shape}", a.shape)
    return [a for a, _ in arrays.values()]
