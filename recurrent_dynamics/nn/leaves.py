"""Nested dicts of arrays by the paths of their leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError
from ..engine import check


def named_leaves(
    tree: Mapping[str, Any], prefix: str = "", name: str = "params"
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Pairs (path, array) of a nested dict, the path's keys joined by slashes; errors call it by the name."""
    if not isinstance(tree, Mapping):
        raise ArgumentTypeError(name, "be a nested dict of arrays", type(tree).__name__)
    for key, value in tree.items():
        if not isinstance(key, str) or "/" in key:
            raise ArgumentError(name, "have texts without a slash for keys", repr(key))
        if isinstance(value, Mapping):
            yield from named_leaves(value, f"{prefix}{key}/", name)
        else:
            yield f"{prefix}{key}", check.array(f"{name} {prefix + key!r}", value)


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


def arrays(
    name: str, tree: Any, shapes: Mapping[str, tuple[int, ...] | None], dtype: np.dtype[Any] | None = None
) -> list[NDArray[Any]]:
    """The arrays of a dict that has these keys and shapes, and no other keys; all of the dtype, if there is one."""
    if not isinstance(tree, Mapping) or set(tree) != set(shapes):
        came = ", ".join(map(str, tree)) if isinstance(tree, Mapping) else type(tree).__name__
        raise ArgumentError(name, f"be a dict of {' and '.join(shapes) or 'nothing'}", came or "none")
    found = [check.real(f"{name}[{key!r}]", tree[key], dtype) for key in shapes]
    for (key, shape), a in zip(shapes.items(), found, strict=True):
        if shape is not None:
            check.shape(f"{name}[{key!r}]", a, shape)
    return found


def check_states(name: str, given: Any, count: int) -> None:
    """Refuse what is no sequence of a state for each recurrent layer."""
    if not isinstance(given, list | tuple):
        raise ArgumentTypeError(name, "be a list of states, one a recurrent layer", type(given).__name__)
    if len(given) != count:
        raise ArgumentError(name, f"hold the states of {count} layers", f"those of {len(given)}")


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
