"""Forests and other graphs: which node's state comes from which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer, unmasked
from ..engine.levels import Levels, ordered
from ..kernels.lazy import cached_property
from ..results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = -1  # in `parents`


class Graph(Result):
    """Nodes, and for each node the nodes that its state comes from, by place.

    Attributes
    ----------
    nodes : int
        Their number.
    trees : int
        The number of parts that have an initial state of their own.
    tree : ndarray (nodes,) of int
        The part of each node.
    level : ndarray (nodes,) of int
        The length of the longest path that leads to a node: 0 where it begins.
    source, target, position : ndarray (arcs,) of int
        An arc leads from node `source` to node `target` and fills place `position` of the state before it.
    """

    _shown: ClassVar[tuple[str, ...]] = ("nodes", "trees", "depth")

    def __init__(
        self,
        name: str,
        tree: ArrayLike,
        trees: int,
        source: ArrayLike,
        target: ArrayLike,
        position: ArrayLike,
    ) -> None:
        arrays = [np.array(a, np.int64) for a in (tree, source, target, position)]
        self.tree, self.source, self.target, self.position = arrays
        self.trees, self.nodes = trees, len(self.tree)
        self.levels: Levels
        self.levels, self.level = ordered(name, self.tree, trees, self.source, self.target, self.position)
        for a in (*arrays, self.level):
            a.setflags(write=False)

    @property
    def depth(self) -> int:
        """The number of levels."""
        return len(self.levels.starts) - 1

    @cached_property
    def places(self) -> int:
        """The largest number of places that a node has filled."""
        return int(self.position.max(initial=-1)) + 1

    def __len__(self) -> int:
        return self.nodes

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw nodes and arcs; see `recurrent_dynamics.plot.graph`."""
        from ..plot import graph

        return graph(self, ax=ax, **options)


class Forest(Graph):
    """Trees whose nodes are numbered; `forest`, `from_children` and `from_nested` make one.

    Attributes
    ----------
    nodes, trees : int
        How many.
    parents : ndarray (nodes,) of int
        The parent of each node, -1 for roots.
    positions : ndarray (nodes,) of int
        The place of each node among its parent's children; 0 for roots.
    roots : ndarray (trees,) of int
        The root of each tree.
    tree : ndarray (nodes,) of int
        The tree of each node.
    level : ndarray (nodes,) of int
        The height of each node: 0 for leaves, else one more than that of its highest child.
    distance : ndarray (nodes,) of int
        Arcs between each node and its root.
    depth : int
        The number of levels.
    """

    _shown = ("nodes", "trees", "depth", "places")

    def __init__(self, parents: NDArray[np.int64], positions: NDArray[np.int64], argument: str) -> None:
        self.parents, self.positions = parents, positions
        self.roots = np.flatnonzero(parents == ROOT)
        children = np.flatnonzero(parents != ROOT)
        self.distance, tree = _from_roots(parents, children, self.roots, argument)
        super().__init__(argument, tree, len(self.roots), children, parents[children], positions[children])
        for a in (self.parents, self.positions, self.roots, self.distance):
            a.setflags(write=False)

    def children(self, node: int) -> list[int]:
        """The children of a node, by their positions.

        Examples
        --------
        >>> import recurrent_dynamics as rd
        >>> rd.trees.forest([-1, 0, 0]).children(0)
        [1, 2]
        """
        node = integer("node", node, at_least=0, below=self.nodes)
        a, b = (int(self.levels.begin[self.levels.rows[node] + i]) for i in (0, 1))
        return [int(self.levels.order[row]) for row in self.levels.source[a:b]]

    def of_tree(self, tree: int) -> NDArray[np.int64]:
        """The nodes of a tree, ascending."""
        tree = integer("tree", tree, at_least=0, below=self.trees)
        return np.flatnonzero(self.tree == tree)

    def part(self, trees: Sequence[int] | NDArray[Any]) -> tuple[Forest, NDArray[np.int64]]:
        """A forest of some of the trees, and the nodes of this one that it has, such as those of a batch.

        Parameters
        ----------
        trees : sequence of int
            Which trees, in their order.

        Returns
        -------
        forest : Forest
        nodes : ndarray of int
            Node i of the part is node ``nodes[i]`` of this forest: its input is ``x[nodes]``.

        Raises
        ------
        ValueError, TypeError
            For a tree that is not there, or none.

        Examples
        --------
        >>> import recurrent_dynamics as rd
        >>> pair = rd.trees.forest([[-1, 0], [-1, 0, 0]])
        >>> part, nodes = pair.part([1])
        >>> part.parents, nodes
        (array([-1,  0,  0]), array([2, 3, 4]))
        """
        chosen = integers("trees", trees, "in one row")
        if not chosen.size or chosen.min() < 0 or chosen.max() >= self.trees:
            raise ArgumentError("trees", f"be some of 0..{self.trees - 1}", trees)
        if len(np.unique(chosen)) < len(chosen):
            raise ArgumentError("trees", "differ", trees)
        place = np.full(self.trees, -1)
        place[chosen] = np.arange(len(chosen))
        nodes = np.flatnonzero(place[self.tree] >= 0)
        nodes = nodes[np.argsort(place[self.tree[nodes]], kind="stable")]
        number = np.full(self.nodes + 1, ROOT)
        number[nodes] = np.arange(len(nodes))
        return Forest(number[self.parents[nodes]], self.positions[nodes].copy(), "parents"), nodes


def _from_roots(
    parents: NDArray[np.int64], children: NDArray[np.int64], roots: NDArray[np.int64], argument: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(distance from the root, tree) of each node: from one generation to the next."""
    distance, tree = np.full(len(parents), -1), np.full(len(parents), -1)
    distance[roots], tree[roots] = 0, np.arange(len(roots))
    waiting = children
    while waiting.size:
        above = tree[parents[waiting]]
        found = waiting[above >= 0]
        if not found.size:
            node, seen = int(waiting[0]), set()
            while node not in seen:
                seen.add(node)
                node = int(parents[node])
            raise ArgumentError(argument, "have no cycle", f"one through node {node}")
        tree[found], distance[found] = tree[parents[found]], distance[parents[found]] + 1
        waiting = waiting[above < 0]
    return distance, tree


def integers(name: str, values: Any, what: str = "one for each node") -> NDArray[np.int64]:
    """Numbers of nodes, places or trees: integers (n,)."""
    unmasked(name, values)
    try:
        a = np.asarray(values)
    except ValueError as error:
        raise ArgumentTypeError(name, f"be integers, {what}", error) from None
    if a.ndim != 1 or (a.size and a.dtype.kind not in "iu"):
        raise ArgumentTypeError(name, f"be integers, {what}", f"{a.dtype} of shape {a.shape}")
    return a.astype(np.int64)
