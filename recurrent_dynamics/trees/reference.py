"""The reference: one node after the other on NumPy arrays, real or complex, with the cells' own equations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine import reference
from .cells import TreeCell
from .forest import Graph

Arrays = Mapping[str, np.ndarray]


def forward(
    cell: TreeCell,
    params: Arrays,
    graph: Graph,
    x: np.ndarray | None,
    initial: Arrays,
    signals: Arrays | None = None,
) -> dict[str, np.ndarray]:
    """Every slot of every node, (nodes, width); x (nodes, N), initial (trees, width), signals (nodes, H)."""
    of_node, of_arc = cell.apart(params)
    states: list[dict[str, Any]] = [{}] * graph.nodes
    for node in np.argsort(graph.level, kind="stable"):
        arcs = np.flatnonzero(graph.target == node)
        arcs = arcs[np.argsort(graph.position[arcs], kind="stable")]
        mine = None if x is None else x[node, None]
        absent = {slot: initial[slot][graph.tree[node], None] for slot in cell.state}
        if cell.children is None:
            brought = [states[graph.source[a]] for a in arcs]
            if cell.arc is not None:
                brought = [reference.step(cell.arc, of_arc, mine, state) for state in brought]
            before = {slot: sum(b[slot] for b in brought) for slot in cell.state} if brought else absent
        else:
            at = {int(graph.position[a]): states[graph.source[a]] for a in arcs}
            before = {
                f"{slot}_{q + 1}": at.get(q, absent)[slot]
                for slot in cell.state
                for q in range(cell.children)
            }
        inputs = {name: value[node, None] for name, value in (signals or {}).items()}
        new = reference.step(cell.node, of_node, mine, before, inputs)
        states[node] = {slot: new[slot if cell.children is None else f"{slot}_1"] for slot in cell.state}
    return {slot: np.concatenate([s[slot] for s in states]) for slot in cell.state}
