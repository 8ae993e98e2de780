"""Recursive networks over syntax trees: child-sum Tree-LSTM, forward and backward."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, differences

if PYTORCH:
    import torch

MODULES = (
    "argparse",
    "ast",
    "dataclasses",
    "inspect",
    "logging",
    "pathlib",
    "subprocess",
    "tarfile",
    "typing",
)
BATCHES, UNITS = (25, 100), 150
TOLERANCE = 2e-4

Arrays = dict[str, np.ndarray]


@dataclass
class Problem:
    """Trees of functions, an input for each node, parameters, and a loss: the sum of the outputs of the roots."""

    forest: rd.trees.Forest
    x: np.ndarray
    params: Arrays

    @classmethod
    def of(cls, batch: int, units: int) -> Problem:
        """Functions of modules of the standard library, drawn at random."""
        sources = {name: inspect.getsource(import_module(name)) for name in MODULES}
        found = rd.data.syntax_trees(sources, "function")
        rng = np.random.default_rng(0)
        forest, nodes = found.forest.part(rng.choice(found.forest.trees, batch, replace=False))
        vectors = rng.standard_normal((len(found.names), units)).astype("float32")
        params = rd.trees.child_sum_lstm().init(units, units)
        return cls(forest, vectors[found.kinds[nodes]], params)


def trees(comparison: Comparison) -> None:
    """Output of the roots and all gradients, against PyTorch node by node and level by level."""
    ways = ["ours", *(["PyTorch, levels", "PyTorch, nodes"] if PYTORCH else [])]
    ratios = ["levels over ours", "nodes over ours"] if PYTORCH else []
    title = f"Child-sum Tree-LSTM over syntax trees, {UNITS} units: forward and backward, milliseconds"
    comparison.table("trees", title, ["functions", "nodes", "levels"], [*ways, *ratios])
    worst: dict[str, float] = {}
    for batch in (3,) if comparison.quick else BATCHES:
        problem = Problem.of(batch, 8 if comparison.quick else UNITS)
        runs: dict[str, Callable[[], Arrays]] = {"ours": ours(problem)}
        if PYTORCH:
            runs |= {"PyTorch, levels": by_levels(problem), "PyTorch, nodes": by_nodes(problem)}
        numbers = {way: run() for way, run in runs.items()}
        for peer, error in differences(f"trees: {batch}", numbers, TOLERANCE).items():
            worst[peer] = max(worst.get(peer, 0.0), error)
        times = comparison.medians(runs)
        forest = problem.forest
        comparison.row(
            [batch, forest.nodes, forest.depth],
            [*times.values(), *(times[way] / times["ours"] for way in ways[1:])],
        )
    comparison.agreement(worst, TOLERANCE)


def ours(problem: Problem) -> Callable[[], Arrays]:
    """Forward and backward pass."""
    cell, roots = rd.trees.child_sum_lstm(), problem.forest.roots

    def run() -> Arrays:
        found = rd.trees.forward(cell, problem.params, problem.forest, problem.x)
        d_output = np.zeros_like(found.output)
        d_output[roots] = 1
        grads = rd.trees.backward(found, d_output)
        assert grads.x is not None
        return {"output": found.output[roots], "x": grads.x, **grads.params}

    return run


def _leaves(problem: Problem) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    params = {name: torch.tensor(a, requires_grad=True) for name, a in problem.params.items()}
    return params, torch.tensor(problem.x, requires_grad=True)


def _way_back(params: dict[str, torch.Tensor], x: torch.Tensor, roots: torch.Tensor) -> Arrays:
    for a in (x, *params.values()):
        a.grad = None
    roots.sum().backward()
    gradients = {name: a.grad.numpy() for name, a in params.items()}
    return {"output": roots.detach().numpy(), "x": x.grad.numpy(), **gradients}


def by_levels(problem: Problem) -> Callable[[], Arrays]:
    """Nodes of one distance from their roots at once: the children of these are all nodes of the next distance.

    So no state is gathered but from the level before. The products of all inputs with W stand before the loop.
    """
    forest = problem.forest
    params, x = _leaves(problem)
    levels = [np.flatnonzero(forest.distance == d) for d in range(int(forest.distance.max()) + 1)]
    place = np.empty(forest.nodes, int)
    for nodes in levels:
        place[nodes] = np.arange(len(nodes))
    index = [torch.tensor(nodes) for nodes in levels]
    parents = [torch.tensor(place[forest.parents[nodes]]) for nodes in levels[1:]]
    units = problem.params["arc_U"].shape[0]

    def run() -> Arrays:
        gates = torch.addmm(params["b"], x, params["W"].T)
        forget = torch.addmm(params["arc_b"], x, params["arc_W"].T)
        h = c = None
        for d in range(len(levels) - 1, -1, -1):
            iou = gates[index[d]]
            if h is None:
                i, o, u = iou.split(units, 1)
                c = torch.sigmoid(i) * torch.tanh(u)
            else:
                to = parents[d]
                zeros = torch.zeros(len(levels[d]), units)
                i, o, u = torch.addmm(iou, zeros.index_add(0, to, h), params["U"].T).split(units, 1)
                f = torch.sigmoid(torch.addmm(forget[index[d]][to], h, params["arc_U"].T))
                c = (torch.sigmoid(i) * torch.tanh(u)).index_add(0, to, f * c)
            h = torch.sigmoid(o) * torch.tanh(c)
        return _way_back(params, x, h)

    return run


def by_nodes(problem: Problem) -> Callable[[], Arrays]:
    """One node after the other, the children of a node at once."""
    forest = problem.forest
    params, x = _leaves(problem)
    order = np.argsort(forest.level, kind="stable").tolist()
    children = [forest.children(node) for node in range(forest.nodes)]
    units = problem.params["arc_U"].shape[0]

    def run() -> Arrays:
        gates = torch.addmm(params["b"], x, params["W"].T)
        forget = torch.addmm(params["arc_b"], x, params["arc_W"].T)
        h, c = [None] * forest.nodes, [None] * forest.nodes
        for node in order:
            below = children[node]
            if below:
                states = torch.stack([h[k] for k in below])
                i, o, u = (gates[node] + params["U"] @ states.sum(0)).split(units)
                f = torch.sigmoid(torch.addmm(forget[node], states, params["arc_U"].T))
                c[node] = torch.sigmoid(i) * torch.tanh(u) + (f * torch.stack([c[k] for k in below])).sum(0)
            else:
                i, o, u = gates[node].split(units)
                c[node] = torch.sigmoid(i) * torch.tanh(u)
            h[node] = torch.sigmoid(o) * torch.tanh(c[node])
        return _way_back(params, x, torch.stack([h[root] for root in forest.roots]))

    return run
