"""Nested dicts of arrays by the paths of their leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError


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


def check_tree(params: Any, names: Sequence[str] = ()) -> None:
    """Refuse what is not the parameters of a model, such as a `FitResult`, and what lacks some of them."""
    if not isinstance(params, Mapping):
        hint = ": pass its params" if hasattr(params, "params") else ""
        raise ArgumentTypeError(
            "params", "be nested as model.init nests them", f"{type(params).__name__}{hint}"
        )
    if lacking := [name for name in names if name not in params]:
        came = ", ".join(map(str, params)) or "nothing"
        raise ArgumentError("params", f"hold {lacking[0]!r}, as model.init makes it", came)
