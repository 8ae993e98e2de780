"""How values are stored: drives overwritten with their nonlinearity, and values that are the same for all units.

Read off the graph, so that a program found on disk needs no SymPy to be used.
"""

from __future__ import annotations

from typing import Any

from .jacobian_sparsity import jacobian_sparsity
from .nonlinearities import NONLINEARITIES
from .schedule import MEAN, Schedule, operand_name
from .variables import leaf_variable, targets


def uniform_over_units(schedule: Schedule, cell: Any) -> tuple[frozenset[str], frozenset[str]]:
    """(means, operands that only a mean reads): names of values, or of cotangents, that are the same for all units.

    A mean's value is the same for all units, and so is the cotangent of its operand. A mean that is itself an operand
    of a product is left out, because products read all units.
    """
    of_means = [p for p in schedule.products if p.kind == MEAN]
    nodes = schedule.graph.nodes
    operands = [i for p in schedule.products for i in p.operand]
    read = {v.name for _, v in jacobian_sparsity(schedule, cell) if v.row == "values"}
    multiplied = {nodes[i].arguments[0] for i in operands if nodes[i].kind == "preactivation"}
    means = frozenset(p.target for p in of_means if p.target not in multiplied)
    operands_of_means = frozenset(
        operand_name(p.operand[0])
        for p in of_means
        if p.operand[0] in schedule.stored
        and operands.count(p.operand[0]) == 1
        and operand_name(p.operand[0]) not in read
    )
    return means, operands_of_means


def overwritable_drives(schedule: Schedule, cell: Any) -> dict[str, tuple[str, int]]:
    """Drives that are used only through one nonlinearity, whose derivative can be computed from its value.

    Such a drive may be overwritten with that value: name -> (nonlinearity, the stage whose program computes it first).
    """
    nodes = schedule.graph.nodes
    readers: dict[str, set[str]] = {}
    first: dict[str, int] = {}
    for p in schedule.products:
        for i in p.operand:
            if nodes[i].kind == "preactivation":
                readers.setdefault(nodes[i].arguments[0], set()).add("a product")
    for target in targets(schedule, cell):
        todo, seen = [(target.node, "a slot")], set()
        while todo:
            index, reader = todo.pop()
            if (index, reader) in seen:
                continue
            seen.add((index, reader))
            node = nodes[index]
            if node.kind == "preactivation":
                readers.setdefault(node.arguments[0], set()).add(reader)
                first.setdefault(node.arguments[0], target.stage)
            elif leaf_variable(schedule, target.stage, index) is None:
                todo += [(a, node.kind) for a in node.arguments if isinstance(a, int)]
    of_drives = {p.name for p in schedule.preactivations if p.drive}
    return {
        name: (next(iter(kinds)), first[name])
        for name, kinds in readers.items()
        if name in of_drives and len(kinds) == 1 and _has_derivative_of_value(next(iter(kinds)))
    }


def _has_derivative_of_value(kind: str) -> bool:
    function = NONLINEARITIES.get(kind)
    return function is not None and function.arity == 1 and function.derivative_uses == "value"
