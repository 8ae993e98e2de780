"""Nested dicts of arrays by the paths of their leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError


def named_leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Pairs (path, array) of a nested dict, the path's keys joined by slashes."""
    for key, value in tree.items():
        if "/" in key:
            raise ArgumentError("the keys of a nested dict", "have no slash", repr(key))
        if isinstance(value, Mapping):
            yield from named_leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", np.asarray(value)


def nest(named: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The inverse of `named_leaves`."""
    tree: dict[str, Any] = {}
    for path, value in named.items():
        *parents, key = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return tree
