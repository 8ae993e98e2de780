"""Gradients and Jacobians against the distance from the root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentTypeError, instance, one_of
from ..results import Tabular
from .forest import Forest, Graph
from .run import TreeGradients, TreeRun
from .verbs import jacobian, run_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOW, HIGH = 0.1, 0.9  # quantiles


@dataclass(frozen=True, eq=False)
class ByDepth(Tabular):
    """One number of each node, gathered by the distance from the root.

    Attributes
    ----------
    what : str
        The number, as a label.
    distance : ndarray (D,) of int
        Arcs to the root, 0 for roots.
    nodes : ndarray (D,) of int
        How many nodes there are at each distance.
    low, median, high : ndarray (D,)
        The 10 %, 50 % and 90 % quantiles over these nodes.
    values : ndarray (nodes,)
        The number of each node.
    """

    what: str
    distance: np.ndarray
    nodes: np.ndarray
    low: np.ndarray
    median: np.ndarray
    high: np.ndarray
    values: np.ndarray

    @property
    def factor(self) -> float:
        """The mean factor by which the median changes with one arc, from the root to the last distance that is not 0.

        NaN where the roots alone have a number.
        """
        some = np.flatnonzero(self.median > 0)
        if len(some) < 2:
            return float("nan")
        first, last = some[0], some[-1]
        logs = np.log(self.median[last]) - np.log(self.median[first])
        return float(np.exp(logs / (self.distance[last] - self.distance[first])))

    def _columns(self) -> Mapping[str, Any]:
        return {
            "distance": self.distance, "nodes": self.nodes, "low": self.low, "median": self.median, "high": self.high,
        }  # fmt: skip

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw median and quantiles; see `recurrent_dynamics.plot.by_depth`."""
        from ..plot import by_depth

        return by_depth(self, ax=ax, **options)


def _gathered(what: str, forest: Forest, values: np.ndarray) -> ByDepth:
    distance = np.arange(forest.distance.max() + 1)
    parts = [values[forest.distance == d] for d in distance]
    low, median, high = np.array([np.quantile(p, (LOW, 0.5, HIGH)) for p in parts]).T
    return ByDepth(what, distance, np.array([len(p) for p in parts]), low, median, high, values)


def _forest(graph: Graph) -> Forest:
    if not isinstance(graph, Forest):
        raise ArgumentTypeError(
            "graph", "be a Forest, whose nodes have one distance from a root", "another Graph"
        )
    return graph


def gradient_by_depth(grads: TreeGradients, slot: str | None = None) -> ByDepth:
    """The norm of the gradient by the state of each node, against its distance from the root.

    Of a loss at the roots this is the path of the error: where it falls by a factor with each arc, leaves of deep trees
    teach nothing.

    Parameters
    ----------
    grads : TreeGradients
    slot : str, optional
        One slot of the state; the whole state by default.

    Returns
    -------
    ByDepth

    Raises
    ------
    ValueError, TypeError
        For an unknown slot, or a graph that is no forest.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.recursive(2)
    >>> tree = rd.trees.from_nested((((), ()), ()))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((5, 3), "float32"))
    >>> d_output = np.zeros_like(run.output)
    >>> d_output[tree.roots] = 1
    >>> gradient_by_depth(rd.trees.backward(run, d_output)).nodes
    array([1, 2, 2])
    """
    instance("grads", grads, TreeGradients)
    forest = _forest(grads.graph)
    names = tuple(grads.states) if slot is None else (one_of("slot", slot, tuple(grads.states)),)
    squares = sum((grads.states[s].astype(np.float64) ** 2).sum(axis=1) for s in names)
    of = "state" if slot is None else slot
    return _gathered(rf"$\Vert\,\partial L / \partial\,\mathrm{{{of}}}\,\Vert$", forest, np.sqrt(squares))


def jacobian_by_depth(run: TreeRun) -> ByDepth:
    """The largest singular value of d state(root) / d state(node), against the distance of the node from the root.

    The product of the Jacobians along the path bounds every gradient that comes from the root.

    Parameters
    ----------
    run : TreeRun
        Of a `Forest`.

    Returns
    -------
    ByDepth

    Raises
    ------
    ValueError, TypeError
        For another graph.

    Notes
    -----
    It goes from one distance to the next and keeps the products of one distance: S * S numbers for each of its nodes,
    with S the width of the state.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = rd.trees.recursive(2)
    >>> tree = rd.trees.from_nested((((), ()), ()))
    >>> run = rd.trees.forward(cell, cell.init(3, 4), tree, np.ones((5, 3), "float32"))
    >>> float(jacobian_by_depth(run).median[0])
    1.0
    """
    forest = _forest(run_of(run).graph)
    size = sum(s.width for s in run.slots)
    largest = np.ones(forest.nodes)
    arc_of = np.full(forest.nodes, -1)
    arc_of[forest.source] = np.arange(len(forest.source))
    above, products = forest.roots, np.broadcast_to(np.eye(size), (forest.trees, size, size))
    for d in range(1, int(forest.distance.max()) + 1):
        nodes = np.flatnonzero(forest.distance == d)
        place = np.searchsorted(above, forest.parents[nodes])
        products = products[place] @ jacobian(run, arc_of[nodes]).astype(np.float64)
        largest[nodes] = np.linalg.svd(products, compute_uv=False)[:, 0]
        above = nodes
    what = r"$\sigma_1(\partial\,\mathrm{root} / \partial\,\mathrm{state})$"
    return _gathered(what, forest, largest)
