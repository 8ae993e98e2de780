"""Forests of what users have: parents, children, nested tuples; and sequences with skip connections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer, listed
from .forest import ROOT, Forest, Graph, integers


def forest(parents: Any, positions: ArrayLike | None = None) -> Forest:
    """A forest from the parent of each node.

    Parameters
    ----------
    parents : array_like of int (nodes,), or a list of such arrays
        The parent of each node, -1 for a root. Of a list, each array counts its nodes from 0, and they are put side by
        side: node i of the second array is node ``len(first) + i``.
    positions : array_like of int (nodes,), optional
        The place of each node among the children of its parent, for cells that tell places apart. By default children
        are counted in the order of their numbers.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError, TypeError
        For a cycle, a parent that is no node, two children at one place, no node at all.

    Examples
    --------
    A root with a leaf and an inner node, which has two leaves:

    >>> tree = forest([-1, 0, 0, 2, 2])
    >>> tree.level, tree.distance
    (array([2, 0, 1, 0, 0]), array([0, 1, 1, 2, 2]))
    """
    several = isinstance(parents, (list, tuple)) and any(np.ndim(p) for p in parents)
    named = {f"parents[{i}]": p for i, p in enumerate(parents)} if several else {"parents": parents}
    parts = [integers(name, p) for name, p in named.items()]
    sizes = np.cumsum([0] + [len(p) for p in parts])
    for name, p in zip(named, parts):
        if not p.size:
            raise ArgumentError(name, "have at least one node", "none")
        wrong = np.flatnonzero((p < ROOT) | (p >= len(p)))
        if wrong.size:
            raise ArgumentError(
                name, f"be -1 or one of the nodes 0..{len(p) - 1}", f"{p[wrong[0]]} for node {wrong[0]}"
            )
    whole = np.concatenate([np.where(p == ROOT, ROOT, p + start) for p, start in zip(parts, sizes)])
    if positions is None:
        return Forest(whole, _counted(whole), "parents")
    at = integers("positions", positions)
    if at.shape != whole.shape:
        raise ArgumentError("positions", f"have shape {whole.shape}, one for each node", at.shape)
    if at.min() < 0:
        raise ArgumentError("positions", "be at least 0", at.min())
    at = np.where(whole == ROOT, 0, at)
    made = Forest(whole, at, "parents")
    order = np.lexsort((at, whole))
    same = (np.diff(whole[order]) == 0) & (np.diff(at[order]) == 0) & (whole[order][1:] != ROOT)
    if same.any():
        first = order[:-1][same][0]
        raise ArgumentError(
            "positions", "differ among the children of a node", f"{at[first]} twice for node {whole[first]}"
        )
    return made


def _counted(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each node among the children of its parent, in the order of their numbers."""
    order = np.argsort(parents, kind="stable")
    of = parents[order]
    at = np.empty_like(parents)
    at[order] = np.arange(len(parents)) - np.searchsorted(of, of)
    at[parents == ROOT] = 0
    return at


def from_children(children: Iterable[Sequence[int | None]]) -> Forest:
    """A forest from the children of each node.

    Parameters
    ----------
    children : iterable of (sequence of int or None)
        For each node the numbers of its children by place; None where a place is empty.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError, TypeError
        For a node with two parents, a cycle, a child that is no node.

    Examples
    --------
    A root that has only a right child:

    >>> from_children([[None, 1], []]).positions
    array([0, 1])
    """
    of_nodes = listed("children", children, "of the children of each node")
    lists = [listed(f"children[{i}]", c, "of nodes or None") for i, c in enumerate(of_nodes)]
    n = len(lists)
    if not n:
        raise ArgumentError("children", "have at least one node", "none")
    parents, positions = np.full(n, ROOT), np.zeros(n, np.int64)
    for node, below in enumerate(lists):
        for place, child in enumerate(below):
            if child is None:
                continue
            if not isinstance(child, (int, np.integer)) or isinstance(child, bool) or not 0 <= child < n:
                raise ArgumentError(
                    f"children[{node}]", f"have nodes 0..{n - 1} or None as entries", repr(child)
                )
            if parents[child] != ROOT:
                raise ArgumentError(
                    "children",
                    "give each node at most one parent",
                    f"nodes {parents[child]} and {node} for node {child}",
                )
            parents[child], positions[child] = node, place
    return Forest(parents, positions, "children")


def from_nested(*trees: Any) -> Forest:
    """A forest from nested tuples: a node is the tuple of its children, a leaf is ``()``.

    Parameters
    ----------
    *trees : nested tuple or list
        The trees. None stands for a child that is absent from its place. Nodes are numbered as they open: a root
        first, then its first child with all below, and so on.

    Returns
    -------
    Forest

    Raises
    ------
    ValueError, TypeError
        For no tree at all, or entries that are no tuples.

    Examples
    --------
    >>> from_nested(((), ((), ()))).parents
    array([-1,  0,  0,  2,  2])
    """
    if not trees:
        raise ArgumentError("trees", "be at least one", "none")
    parents: list[int] = []
    positions: list[int] = []
    todo = [(tree, ROOT, 0) for tree in reversed(trees)]
    while todo:
        node, parent, place = todo.pop()
        if not isinstance(node, (tuple, list)):
            raise ArgumentTypeError(
                "trees",
                "be nested tuples, with () for leaves and None for absent children",
                type(node).__name__,
            )
        number = len(parents)
        parents.append(parent)
        positions.append(place)
        below = [(child, number, i) for i, child in enumerate(node) if child is not None]
        todo.extend(reversed(below))
    return Forest(np.array(parents), np.array(positions), "trees")


def skip_connections(steps: int, lags: Sequence[int], batch: int = 1) -> Graph:
    """Sequences whose state comes from several earlier steps (skip connections in time, Lin et al. 1996).

    Parameters
    ----------
    steps : int
        The number T of steps.
    lags : sequence of int
        How many steps back each place of the state before a step lies: (1, 8) for the step before and the eighth.
        Where a sequence has not run so long, the initial state stands in that place.
    batch : int
        The number B of sequences.

    Returns
    -------
    Graph
        Node ``t * B + b`` is step t of sequence b: its input is ``x.reshape(T * B, N)`` for x (T, B, N). A cell over
        ``len(lags)`` children reads the earlier states, such as `n_ary_lstm`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Lin, Horne, Tino, Giles, "Learning long-term dependencies in NARX recurrent neural networks", IEEE Transactions on
    Neural Networks 7, 1996.

    Examples
    --------
    >>> graph = skip_connections(4, (1, 3))
    >>> graph.source.tolist(), graph.target.tolist(), graph.position.tolist()
    ([0, 1, 2, 0], [1, 2, 3, 3], [0, 0, 0, 1])
    """
    T, B = integer("steps", steps, at_least=1), integer("batch", batch, at_least=1)
    back = [
        integer(f"lags[{i}]", lag, at_least=1)
        for i, lag in enumerate(listed("lags", lags, "of numbers of steps"))
    ]
    if not back or len(set(back)) < len(back):
        raise ArgumentError("lags", "be different numbers of steps, at least one", repr(lags))
    of = [np.arange(lag * B, T * B) for lag in back]
    source = [target - lag * B for target, lag in zip(of, back)]
    place = [np.full(len(target), i) for i, target in enumerate(of)]
    arcs = [np.concatenate(parts) for parts in (source, of, place)]
    return Graph("lags", np.arange(T * B) % B, B, *arcs)
