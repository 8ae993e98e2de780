"""Nested dicts of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tree = dict[str, Any]
Select = Callable[[str, NDArray[Any]], bool]


def map_leaves(function: Callable[..., Any], tree: Mapping[str, Any], *others: Mapping[str, Any]) -> Tree:
    """Apply a function to the arrays that stand at the same place of nested dicts."""
    for other in others:
        if other.keys() != tree.keys():
            raise ValueError(f"nested dicts must have the same keys; came {sorted(tree)} and {sorted(other)}")
    return {
        key: map_leaves(function, value, *(o[key] for o in others))
        if isinstance(value, Mapping)
        else function(value, *(o[key] for o in others))
        for key, value in tree.items()
    }


def named_leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Pairs (path, array) of a nested dict, the path's keys joined by slashes."""
    for key, value in tree.items():
        if "/" in key:
            raise ValueError(f"the keys of a nested dict must have no slash; came {key!r}")
        if isinstance(value, Mapping):
            yield from named_leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", np.asarray(value)


def map_named(function: Callable[..., Any], tree: Mapping[str, Any], *others: Mapping[str, Any]) -> Tree:
    """As `map_leaves`; the function gets the path first."""
    paths = nest({path: np.asarray(path) for path, _ in named_leaves(tree)})
    return map_leaves(lambda path, *arrays: function(str(path), *arrays), paths, tree, *others)


def nest(named: Mapping[str, NDArray[Any]]) -> Tree:
    """The inverse of `named_leaves`."""
    tree: Tree = {}
    for path, value in named.items():
        *parents, key = path.split("/")
        inner = tree
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return tree


def global_norm(tree: Mapping[str, Any]) -> float:
    """Euclidean norm of all entries together; squares that overflow float32 are taken in float64."""
    arrays = [a for _, a in named_leaves(tree)]
    # Not the BLAS product: its threads would change the order of the sum, and fight with the engine's.
    with np.errstate(over="ignore", invalid="ignore"):
        total = sum(float(np.square(a).sum()) for a in arrays)
        if not np.isfinite(total):
            total = sum(float(np.square(a.astype(np.float64)).sum()) for a in arrays)
    return float(np.sqrt(total))
