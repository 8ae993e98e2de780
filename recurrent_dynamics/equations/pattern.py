"""The variables of a step, and which of its values depend directly on which: the sparsity of the local Jacobian.

Read off the graph, so that a program found on disk needs no SymPy to be used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .nonlinearities import NONLINEARITIES
from .schedule import HIDDEN, Schedule, operand_name

ROW_OF_LEAF = {
    "part": "values",
    "signal": "values",
    "state": "state",
    "param": "vectors",
    "constant": "constants",
}


@dataclass(frozen=True)
class Variable:
    """A stretch of one of the rows that programs read: which row, which name, which width."""

    row: str  # "values", "state", "vectors", "constants"; "new" for the state after the step
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
    """What the programs of a step compute, by stage."""
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


def pattern(schedule: Schedule, cell: Any) -> list[tuple[Target, Variable]]:
    """(target, drive or operand or slot) for every diagonal of the local Jacobian that may be nonzero."""
    entries = []
    for target in targets(schedule, cell):
        used: dict[Variable, None] = {}
        todo, seen = [target.node], set()
        while todo:
            index = todo.pop()
            if index in seen:
                continue
            seen.add(index)
            variable = leaf_variable(schedule, target.stage, index)
            if variable is not None:
                used[variable] = None
            else:
                todo += [a for a in schedule.graph.nodes[index].arguments if isinstance(a, int)]
        moving = [v for v in used if v.row == "state" or (v.row == "values" and v.name not in cell.signals)]
        entries += [(target, v) for v in sorted(moving, key=lambda v: v.symbol)]
    return entries


def single_numbers(schedule: Schedule, cell: Any) -> tuple[frozenset[str], frozenset[str]]:
    """What is one number for all units: means, by their part; operands that only a mean reads, by their cotangent.

    A mean that is itself an operand of a product is not among them, as products read all units.
    """
    of_means = [p for p in schedule.products if p.parameter is None]
    nodes = schedule.graph.nodes
    operands = [i for p in schedule.products for i in p.operand]
    read = {v.name for _, v in pattern(schedule, cell) if v.row == "values"}
    multiplied = {nodes[i].arguments[0] for i in operands if nodes[i].kind == "part"}
    means = frozenset(p.target for p in of_means if p.target not in multiplied)
    alone = frozenset(
        operand_name(p.operand[0])
        for p in of_means
        if p.operand[0] in schedule.stored
        and operands.count(p.operand[0]) == 1
        and operand_name(p.operand[0]) not in read
    )
    return means, alone


def activations(schedule: Schedule, cell: Any) -> dict[str, tuple[str, int]]:
    """Drives that are read through one nonlinearity only, whose derivative needs nothing but its value.

    Such a drive may be overwritten with that value: part -> (nonlinearity, the stage whose program computes it first).
    """
    nodes = schedule.graph.nodes
    readers: dict[str, set[str]] = {}
    first: dict[str, int] = {}
    for p in schedule.products:
        for i in p.operand:
            if nodes[i].kind == "part":
                readers.setdefault(nodes[i].arguments[0], set()).add("a product")
    for target in targets(schedule, cell):
        todo, seen = [(target.node, "a slot")], set()
        while todo:
            index, reader = todo.pop()
            if (index, reader) in seen:
                continue
            seen.add((index, reader))
            node = nodes[index]
            if node.kind == "part":
                readers.setdefault(node.arguments[0], set()).add(reader)
                first.setdefault(node.arguments[0], target.stage)
            elif leaf_variable(schedule, target.stage, index) is None:
                todo += [(a, node.kind) for a in node.arguments if isinstance(a, int)]
    of_drives = {part.name for part in schedule.parts if part.drive}
    return {
        part: (next(iter(kinds)), first[part])
        for part, kinds in readers.items()
        if part in of_drives and len(kinds) == 1 and _differentiable_by_value(next(iter(kinds)))
    }


def _differentiable_by_value(kind: str) -> bool:
    return kind in NONLINEARITIES and NONLINEARITIES[kind].derivative_uses == "value"
