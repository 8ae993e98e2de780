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

from .axes import SOURCE, axes
from .graph import Graph

HIDDEN = "hidden"
# Kinds of products. The reads of a memory belong to one instance; row kernels compute them, other products are those
# of matrices that all instances share.
LINEAR, MEAN, OVER_UNITS, OVER_POSITIONS, SOFTMAX = (
    "linear",
    "mean",
    "over_units",
    "over_positions",
    "softmax",
)
SHIFT, SCAN = "shift", "scan"
ALONG_POSITIONS = {
    SOFTMAX: 1,
    SHIFT: 1,
    SCAN: 2,
}  # from one number a position to one: how many operands each has
READS = (OVER_UNITS, OVER_POSITIONS, *ALONG_POSITIONS)
LEAVES = ("preactivation", "state", "param", "signal", "constant", "memory")
NORMALIZATION_EPSILON = 1e-5


@dataclass(frozen=True)
class Preactivation:
    """One pre-activation, of one width: `W x + U v + b`, one side of it, or a mean over the units."""

    name: str
    width: str
    input: bool = False  # has a block of W
    bias: str | None = None  # the parameter that holds its bias, "b" or "b_h"
    drive: str = ""  # the drive that it belongs to; none for a mean and for reads of a memory


@dataclass(frozen=True)
class Product:
    """A step's operation that is not pointwise: a linear map, target += M operand, or a read of a memory.

    M is a block of U or the mean over the units. A contraction of a read sums the node `value`, which has positions
    and units; its operands are the values of fewer axes that `value` is computed of.
    """

    stage: int
    operand: tuple[int, ...]  # nodes, side by side
    target: str  # name of a preactivation
    parameter: str | None  # "U", "U_<drive>", ...; None for all but linear maps with a block of U
    heads: int = 1  # the blocks of a block-diagonal M
    kind: str = LINEAR
    value: int | None = None  # the node that a contraction sums
    by: int = 0  # how many positions a shift moves by

    @property
    def is_read(self) -> bool:
        return self.kind in READS


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
            "memory": [(m.name, m.width) for m in cell.memory],
        }

    @property
    def reads(self) -> tuple[Product, ...]:
        """The reads of a memory, by stage."""
        return tuple(p for p in self.products if p.is_read)

    @property
    def joined(self) -> tuple[int, ...]:
        """For each stage the first one from which reads alone part it: a row kernel computes these one after another.

        A row then finds its memory in cache: all stages of a row come before the next row.
        """
        parts = {p.stage + 1 for p in self.products if not p.is_read}
        found = [0]
        for stage in range(1, self.stages + 1):
            found.append(stage if stage in parts else found[-1])
        return tuple(found)


def operand_name(node: int) -> str:
    """The name of a stored operand among the values of a step."""
    return f"operand__{node}"


def boundary(graph: Graph, value: int) -> tuple[int, ...]:
    """The values without positions and units at once that such a value is computed of, in the order of their making."""
    found, seen, todo = set(), set(), [value]
    while todo:
        index = todo.pop()
        if index in seen:
            continue
        seen.add(index)
        node = graph.nodes[index]
        positions, units = axes(node.width)
        inner = [a for a in node.arguments if isinstance(a, int)]
        if (positions and units) or (node.width is None and node.kind not in LEAVES):
            todo += inner
        else:
            found.add(index)
    return tuple(sorted(found))


def computed_operands(graph: Graph, cell: Any, product: Product) -> tuple[int, ...]:
    """The operands of a product that a program computes, and that are stored among the values of a step."""
    if product.is_read:
        return tuple(i for i in product.operand if graph.nodes[i].kind not in LEAVES)
    return () if is_direct(graph, cell, product.operand) else product.operand


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
    """Labels of the widths of a cell: "hidden" first, then others in the order of their appearance.

    Where there is a memory, the number of its positions is the width "source".
    """
    used = [width for row in cell.schedule.rows(cell).values() for _, width in row]
    return tuple(dict.fromkeys([HIDDEN, *used, *([SOURCE] if cell.memory else [])]))


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
            [(m.name, m.width) for m in cell.memory],
        )
    )
