"""The sparsity of the local Jacobian: which values of a step depend directly on which.

Read off the graph, so that a program found on disk needs no SymPy to be used.
"""

from __future__ import annotations

from typing import Any

from .schedule import Schedule
from .variables import Target, Variable, leaf_variable, targets


def jacobian_sparsity(schedule: Schedule, cell: Any) -> list[tuple[Target, Variable]]:
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
