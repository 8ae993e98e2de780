"""Nested dicts of arrays as one vector, for optimizers that take one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError
from . import check


def ravel(tree: Mapping[str, Any]) -> tuple[NDArray[Any], Callable[[ArrayLike], dict[str, Any]]]:
    """Put the arrays of a nested dict into one vector.

    Parameters
    ----------
    tree : mapping
        Arrays of one dtype, or further mappings of them.

    Returns
    -------
    vector : ndarray (n,)
        A copy, in the order of the dict, in its dtype.
    unravel : callable
        Takes a vector (n,) of any real dtype back to a new nested dict of the same keys, shapes and dtype.

    Raises
    ------
    TypeError
        When the dtypes differ or a leaf is not a floating-point array.

    Examples
    --------
    >>> vector, unravel = ravel({"W": np.eye(2), "inner": {"b": np.zeros(1)}})
    >>> vector
    array([1., 0., 0., 1., 0.])
    >>> unravel(vector + 1)["inner"]["b"]
    array([1.])
    """
    if not isinstance(tree, Mapping):
        raise ArgumentTypeError("tree", "be a dict of arrays", type(tree).__name__)
    named = list(_leaves(tree, ""))
    dtypes = {a.dtype for _, a in named}
    if len(dtypes) > 1:
        listing = ", ".join(f"{name} {a.dtype}" for name, a in named)
        raise ArgumentTypeError("tree", "hold arrays of one dtype", listing)
    dtype = dtypes.pop() if dtypes else np.dtype(np.float64)
    size = sum(a.size for _, a in named)
    vector = np.empty(size, dtype)
    start = 0
    for _, a in named:
        vector[start : start + a.size] = a.reshape(-1)
        start += a.size
    shapes = _shapes(tree)

    def unravel(values: ArrayLike) -> dict[str, Any]:
        """Take a vector back to the nested dict."""
        flat = np.asarray(values)
        if flat.shape != (size,):
            raise ArgumentError("vector", f"have shape ({size},)", flat.shape)
        return _fill(shapes, flat.astype(dtype), 0)[0]  # `astype` copies

    return vector, unravel


def _leaves(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}/")
        else:
            array = check.array(f"tree[{path + str(key)!r}]", value)
            if array.dtype.kind not in "fc":
                raise ArgumentTypeError("tree", "hold floating-point arrays", f"{array.dtype} at {path}{key}")
            yield f"{path}{key}", array


def _shapes(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _shapes(v) if isinstance(v, Mapping) else np.shape(v) for k, v in tree.items()}


def _fill(shapes: dict[str, Any], flat: NDArray[Any], start: int) -> tuple[dict[str, Any], int]:
    out: dict[str, Any] = {}
    for key, shape in shapes.items():
        if isinstance(shape, dict):
            out[key], start = _fill(shape, flat, start)
        else:
            size = int(np.prod(shape))
            out[key] = flat[start : start + size].reshape(shape)
            start += size
    return out, start
