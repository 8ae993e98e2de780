"""The variables that the programs of a step read and write, and the values that each program computes.

Read off the graph, so that a program found on disk needs no SymPy to be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .schedule import HIDDEN, Schedule, operand_name

ROW_OF_LEAF = {
    "preactivation": "values",
    "signal": "values",
    "state": "state",
    "param": "vectors",
    "constant": "constants",
}


@dataclass(frozen=True)
class Variable:
    """A stretch of one of the rows that programs read: which row, which name, which width."""

    row: str  # "values", "state", "vectors", "constants", "memory"; "new" for the state after the step
    name: str
    width: str

    @property
    def symbol(self) -> str:
        return f"{self.row}_{self.name}"


@dataclass(frozen=True)
class Target:
    """A value that program `stage` computes: an operand of the products that follow, or a slot of the new state."""

    stage: int
    variable: Variable
    node: int


def targets(schedule: Schedule, cell: Any) -> list[Target]:
    """The values that the programs of a step compute, by stage."""
    stage_of = {i: p.stage for p in reversed(schedule.products) for i in p.operand if i in schedule.stored}
    nodes = schedule.graph.nodes
    operands = [
        Target(stage_of[i], Variable("values", operand_name(i), nodes[i].width or HIDDEN), i)
        for i in schedule.stored
    ]
    new = [
        Target(schedule.stages, Variable("new", s.name, s.width), schedule.outputs[s.name])
        for s in cell.slots
    ]
    return sorted(operands, key=lambda t: t.stage) + new


def leaf_variable(schedule: Schedule, stage: int, index: int) -> Variable | None:
    """The variable that program `stage` loads for a node, or None if it computes the node itself."""
    node = schedule.graph.nodes[index]
    if node.kind in ROW_OF_LEAF:
        return Variable(ROW_OF_LEAF[node.kind], node.arguments[0], node.width or HIDDEN)
    if index in schedule.stored and any(index in p.operand and p.stage < stage for p in schedule.products):
        return Variable("values", operand_name(index), node.width or HIDDEN)
    return None
