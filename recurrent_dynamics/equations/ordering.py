"""The order of a step: which products wait for which, and the parameters that hold their matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .axes import SOURCE
from .graph import DefinitionError, Graph, Recorded
from .schedule import LINEAR, MEAN, READS, Product, Schedule, Vector, computed_operands, is_direct

if TYPE_CHECKING:
    from .record import Drives


@dataclass(frozen=True)
class Pending:
    """A product before its stage and its parameter's name are known."""

    operand: tuple[int, ...]
    target: str
    family: str | None  # "U", "U_left", "U_right"; None for the mean and for reads
    heads: int
    drive: str
    kind: str = LINEAR
    value: int | None = None
    by: int = 0


def ordered(cell: Any, graph: Graph, drives: Drives, outputs: dict[str, int]) -> Schedule:
    """The schedule of the recorded equations of a cell."""
    order = {d.name: i for i, d in enumerate(cell.drives)}
    pending = sorted(
        _side_by_side(cell, graph, drives.products), key=lambda p: order.get(p.drive, len(order))
    )
    stage_of: dict[str, int] = {}
    missing = {p.target for p in pending}
    while missing:  # ends: operands only depend on values computed before them
        for p in pending:
            if p.target in missing and not _waits(graph, p.operand, missing):
                stage_of[p.target] = max((_level(graph, stage_of, i, {}) for i in p.operand), default=0)
                missing.remove(p.target)
    diagonal = sorted(drives.diagonal, key=lambda d: order[d[0]])
    names = _parameter_names(graph, pending, diagonal, order)
    products = sorted(
        (
            Product(
                stage_of[p.target],
                p.operand,
                p.target,
                names.get((p.family, p.drive)),
                p.heads,
                p.kind,
                p.value,
                p.by,
            )
            for p in pending
        ),
        key=lambda p: p.stage,
    )
    vectors = drives.vectors + [Vector(v.name, v.width, names["U", d]) for d, v in diagonal]
    return Schedule(
        graph=graph,
        preactivations=tuple(
            sorted(
                drives.preactivations.values(),
                # Values of the units before those of the positions, whose number may be odd: so they begin at lines.
                key=lambda p: (not p.input, order.get(p.drive, len(order)), p.width == SOURCE),
            )
        ),
        products=tuple(products),
        outputs=outputs,
        stored=tuple(dict.fromkeys(i for p in products for i in computed_operands(graph, cell, p))),
        stages=max((p.stage for p in products), default=-1) + 1,
        usage=dict(drives.usage),
        vectors=tuple(vectors),
    )


def _side_by_side(cell: Any, graph: Graph, pending: list[Pending]) -> list[Pending]:
    """The products with copies of operands that could not lie beside others in one place: those used elsewhere too."""
    stored = {
        p.operand for p in pending if p.kind in (LINEAR, MEAN) and not is_direct(graph, cell, p.operand)
    }
    stored |= {(i,) for p in pending if p.kind in READS for i in p.operand}
    copies: dict[tuple[int, ...], tuple[int, ...]] = {}
    for operand in sorted(o for o in stored if len(o) > 1):
        others = {i for other in stored if other != operand for i in other}
        copies[operand] = tuple(
            graph.apply("mul", Recorded(graph, i), 1.0).index if i in others else i for i in operand
        )
    return [
        replace(p, operand=copies[p.operand]) if p.operand in copies and p.kind not in READS else p
        for p in pending
    ]


def _parameter_names(
    graph: Graph, pending: list[Pending], diagonal: list[tuple[str, Vector]], order: Mapping[str, int]
) -> dict[tuple[str | None, str], str]:
    """(family, drive) -> parameter: U stacks all blocks of the shape of the first drive; others have their own."""
    shapes: list[tuple[str, str, Any]] = [("U", drive, "diagonal") for drive, _ in diagonal]
    for p in pending:
        if p.family is not None:
            shapes.append((p.family, p.drive, (tuple(graph.nodes[i].width for i in p.operand), p.heads)))
    first: dict[str, Any] = {}
    names: dict[tuple[str | None, str], str] = {}
    for family, drive, shape in sorted(shapes, key=lambda s: order[s[1]]):
        stacked = first.setdefault(family, shape) == shape
        names[family, drive] = family if stacked else f"{family}_{drive}"
    for (own, drive), name in names.items():
        if any(other != own and name == taken for (other, _), taken in names.items()):
            raise DefinitionError(
                f"line 8 of the contract: a block of drive {drive} has the name of others of another shape, {name}"
            )
    return names


def _waits(graph: Graph, operand: tuple[int, ...], missing: set[str]) -> bool:
    """Whether the operand reads a pre-activation whose product has no stage yet."""
    seen: set[int] = set()
    todo = list(operand)
    while todo:
        index = todo.pop()
        if index not in seen:
            seen.add(index)
            node = graph.nodes[index]
            if node.kind == "preactivation" and node.arguments[0] in missing:
                return True
            todo += [a for a in node.arguments if isinstance(a, int)]
    return False


def _level(graph: Graph, stage_of: Mapping[str, int], index: int, known: dict[int, int]) -> int:
    if index not in known:
        node = graph.nodes[index]
        if node.kind == "preactivation":
            known[index] = stage_of.get(node.arguments[0], -1) + 1
        elif node.arguments and isinstance(node.arguments[0], str):
            known[index] = 0
        else:
            inner = [_level(graph, stage_of, a, known) for a in node.arguments if isinstance(a, int)]
            known[index] = max(inner, default=0)
    return known[index]
