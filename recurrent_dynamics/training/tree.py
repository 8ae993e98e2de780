"""Nested dicts of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError
from ..engine.check import DTYPES
from ..nn.leaves import named_leaves, nest
from .passes import squares

__all__ = [
    "Select", "Tree", "aligned", "completed", "global_norm", "map_leaves", "map_named", "named_leaves", "nest",
    "with_leaves", "without",
]  # fmt: skip

Tree = dict[str, Any]
Select = Callable[[str, NDArray[Any]], bool]


def map_leaves(function: Callable[..., Any], tree: Mapping[str, Any], *others: Mapping[str, Any]) -> Tree:
    """Apply a function to the arrays that stand at the same place of nested dicts."""
    return with_leaves(tree, [[function(*leaves)] for leaves in aligned(tree, *others)], 1)[0]


def aligned(tree: Mapping[str, Any], *others: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What stands at the same place of nested dicts, in the order of the first."""
    rows: list[tuple[Any, ...]] = []
    _append_aligned(rows, tree, others)
    return rows


def _append_aligned(
    rows: list[tuple[Any, ...]], tree: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> None:
    for other in others:
        if other.keys() != tree.keys():
            raise ArgumentError("nested dicts", "have the same keys", f"{sorted(tree)} and {sorted(other)}")
    for key, value in tree.items():
        beside = [*map(itemgetter(key), others)]
        if _is_leaf(value):
            rows.append((value, *beside))
        else:
            _append_aligned(rows, value, beside)


def with_leaves(tree: Mapping[str, Any], rows: Iterable[Sequence[Any]], count: int) -> list[Tree]:
    """Nested dicts of the same keys, one for each of the `count` columns of the rows, which go from leaf to leaf."""
    trees: list[Tree] = [{} for _ in range(count)]
    _write_leaves(tree, iter(rows), trees)
    return trees


def _write_leaves(tree: Mapping[str, Any], rows: Iterator[Sequence[Any]], trees: list[Tree]) -> None:
    for key, value in tree.items():
        if _is_leaf(value):
            for new, leaf in zip(trees, next(rows), strict=True):
                new[key] = leaf
        else:
            for new in trees:
                new[key] = {}
            _write_leaves(value, rows, [new[key] for new in trees])


def _is_leaf(value: Any) -> bool:
    # What is sooner found out comes first.
    return isinstance(value, np.ndarray) or not isinstance(value, (dict, Mapping))


def map_named(function: Callable[..., Any], tree: Mapping[str, Any], *others: Mapping[str, Any]) -> Tree:
    """As `map_leaves`; the function gets the path first."""
    paths = nest({path: np.asarray(path) for path, _ in named_leaves(tree)})
    return map_leaves(lambda path, *arrays: function(str(path), *arrays), paths, tree, *others)


def without(tree: Mapping[str, Any], paths: Sequence[str]) -> Tree:
    """A nested dict without the leaves at some paths."""
    if not paths:
        return dict(tree)
    return nest({path: leaf for path, leaf in named_leaves(tree) if path not in paths})


def completed(tree: Mapping[str, Any], *parts: Mapping[str, Any]) -> Tree:
    """The leaves of several nested dicts together, in the order of one that has all of them."""
    found = {path: leaf for part in parts for path, leaf in named_leaves(part)}
    return nest({path: found[path] for path, _ in named_leaves(tree)})


def check_real(name: str, tree: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a nested dict by their paths, all of them of real numbers."""
    found = dict(named_leaves(tree, name=name))
    for path, a in found.items():
        if a.dtype not in DTYPES:
            raise ArgumentTypeError(f"{name} {path!r}", "be float32 or float64", a.dtype)
    return found


def check_alike(name: str, tree: Mapping[str, Any], like: str, other: Mapping[str, Any]) -> None:
    """Refuse a nested dict that has other paths or shapes than another one."""
    shapes, wanted = (
        {k: a.shape for k, a in check_real(n, t).items()} for n, t in ((name, tree), (like, other))
    )
    for path in {**wanted, **shapes}:
        if shapes.get(path) != wanted.get(path):
            came = f"{shapes.get(path, 'none')} and {wanted.get(path, 'none')}"
            raise ArgumentError(f"{name} and {like}", f"have one shape at {path!r}", came)


def global_norm(tree: Mapping[str, Any]) -> float:
    """Euclidean norm of all entries together; their squares are taken in float64."""
    # Not the BLAS product: its threads would change the order of the sum, and fight with the engine's.
    return math.sqrt(squares(list(check_real("tree", tree).values())))
