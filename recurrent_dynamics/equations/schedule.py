"""The schedule of one step: its pre-activations, the products that complete them, and their order.

A step alternates between pointwise programs and matrix products:

    program 0 -> products 0 -> program 1 -> products 1 -> ... -> program n   (writes the new state)

Program k computes the operands of products k. These complete pre-activations, which the programs after k read.
An LSTM has an empty program 0 (its operand is the state `h` itself), one product `U h` and the program that writes h
and c. A GRU with its reset gate before the product has one stage more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .graph import Graph

HIDDEN = "hidden"
NORMALIZATION_EPSILON = 1e-5


@dataclass(frozen=True)
class Preactivation:
    """One pre-activation, of one width: `W x + U v + b`, one side of it, or a mean over the units."""

    name: str
    width: str
    input: bool = False  # has a block of W
    bias: str | None = None  # the parameter that holds its bias, "b" or "b_h"
    drive: str = ""  # the drive that it belongs to; none for a mean


@dataclass(frozen=True)
class Product:
    """A linear map adds to a preactivation: target += M operand, with M a block of U or the mean over the units."""

    stage: int
    operand: tuple[int, ...]  # nodes, side by side
    target: str  # name of a preactivation
    parameter: str | None  # "U", "U_<drive>", ...; None for the mean
    heads: int = 1  # the blocks of a block-diagonal M


@dataclass(frozen=True)
class Vector:
    """Numbers that the programs read unit by unit: a per-unit parameter, a gain or offset, a diagonal of U."""

    name: str
    width: str
    parameter: str  # its name in `params`; vectors of one parameter are stacked


@dataclass(frozen=True)
class Schedule:
    """All that an engine must know of a cell; its programs are derived from it."""

    graph: Graph
    preactivations: tuple[Preactivation, ...]  # those with an input first, in the order of the drives
    products: tuple[Product, ...]  # by stage
    outputs: dict[str, int]  # slot -> node of its new value
    stored: tuple[int, ...]  # nodes of computed operands, kept for the adjoint
    stages: int  # programs 0 .. stages
    usage: dict[str, str]  # drive -> "value", "apart" or "called"
    vectors: tuple[Vector, ...]

    def rows(self, cell: Any) -> dict[str, list[tuple[str, str]]]:
        """The variables of each row of a step, (name, label of the width), in their order in memory."""
        operands = [(operand_name(i), self.graph.nodes[i].width or HIDDEN) for i in self.stored]
        return {
            "values": [(p.name, p.width) for p in self.preactivations]
            + operands
            + [(s, HIDDEN) for s in cell.signals],
            "state": [(s.name, s.width) for s in cell.slots],
            "vectors": [(v.name, v.width) for v in self.vectors],
            "constants": [(k, HIDDEN) for k in cell.constants],
        }


def operand_name(node: int) -> str:
    """The name of a stored operand among the values of a step."""
    return f"operand__{node}"


def is_direct(graph: Graph, cell: Any, operand: tuple[int, ...]) -> bool:
    """Whether the operand is contiguous in memory already: neighbouring slots of the state, or one pre-activation."""
    nodes = [graph.nodes[i] for i in operand]
    if len(nodes) == 1 and nodes[0].kind == "preactivation":
        return True
    slots = [s.name for s in cell.slots]
    if not all(n.kind == "state" for n in nodes):
        return False
    first = slots.index(nodes[0].arguments[0])
    return [n.arguments[0] for n in nodes] == slots[first : first + len(nodes)]


def width_labels(cell: Any) -> tuple[str, ...]:
    """Labels of the widths of a cell: "hidden" first, then fixed numbers in the order of their appearance."""
    used = [width for row in cell.schedule.rows(cell).values() for _, width in row]
    return tuple(dict.fromkeys([HIDDEN, *used]))


def fingerprint_text(cell: Any, schedule: Schedule) -> str:
    """Everything about a cell that its compiled code depends on, as text; values of constants are not part of it."""
    return repr(
        (
            [(n.kind, n.arguments, n.width) for n in schedule.graph.nodes],
            schedule.preactivations,
            schedule.products,
            schedule.outputs,
            schedule.vectors,
            [(s.name, s.width) for s in cell.slots],
            cell.signals,
            tuple(cell.constants),
        )
    )
