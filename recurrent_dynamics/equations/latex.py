"""The equations of a cell as LaTeX, read off its graph.

The local variables of `update` and the slots of the state have lines of their own, in the order of computation. Any
other value is written where it is used. If it is used in several places, it has a line too.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from .graph import Graph, Node
from .nonlinearities import NONLINEARITIES
from .schedule import OVER_POSITIONS, OVER_UNITS, SHIFT, Product, Schedule

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)

# How tightly a formula holds together: a sum, a product, a fraction or symbol.
SUM, PRODUCT, ATOM = range(3)
Formula = tuple[str, int]
SUMS = {OVER_UNITS: r"\mathrm{units}", OVER_POSITIONS: "s"}  # what a contraction is summed over


def latex(cell: Any) -> str:
    r"""The equations of a cell, one line each, as a displayed formula.

    Parameters
    ----------
    cell
        A `recurrent_dynamics.cells.Cell`.

    Returns
    -------
    str
        An `aligned` environment between double dollar signs. Elementwise products are ``\odot``, ``LN`` is layer
        normalization.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> print(latex(rd.cells.elman()))
    $$
    \begin{aligned}
    h_t &= \tanh\left(W x_t + U h_{t-1} + b\right)
    \end{aligned}
    $$
    """
    lines = " \\\\\n".join(f"{left} &= {right}" for left, right in equations(cell))
    return f"$$\n\\begin{{aligned}}\n{lines}\n\\end{{aligned}}\n$$"


def equations(cell: Any) -> list[tuple[str, str]]:
    """(left-hand side, right-hand side) of every line, in the order of the computation."""
    return _Writer(cell).lines()


def symbol(name: str, time: str = "") -> str:
    """A name as LaTeX, its parts after underscores and its last digits as indices: "alpha_in", "h0"."""
    base, *indices = re.sub(r"(?<=[A-Za-z])(\d+)$", r"_\1", name).split("_")
    return _word(base) + _index(",".join([*map(_word, indices), *([time] if time else [])]))


def _word(text: str) -> str:
    if text in GREEK:
        return f"\\{text}"
    return text if len(text) < 2 or text.isdigit() else f"\\mathrm{{{text}}}"


def _index(text: str) -> str:
    if not text:
        return ""
    return f"_{text}" if len(text) == 1 else f"_{{{text}}}"


class _Writer:
    """The formulas of the nodes of one cell's graph."""

    def __init__(self, cell: Any) -> None:
        self.cell, self.schedule = cell, cell.schedule
        schedule: Schedule = cell.schedule
        self.graph, self.nodes = schedule.graph, schedule.graph.nodes
        self.preactivations = {p.name: p for p in schedule.preactivations}
        self.products: dict[str, list[Product]] = {}
        for product in schedule.products:
            self.products.setdefault(product.target, []).append(product)
        self.constrained = _constrained(cell, self.graph)
        self.normalized = {i: inside for i in range(len(self.nodes)) if (inside := self._inside(i))}
        self.left = self._named_lines()

    def lines(self) -> list[tuple[str, str]]:
        lines = [(name, self._compute(i)[0]) for i, name in sorted(self.left.items())]
        for slot in self.cell.slots:  # those that are another slot, a state or a parameter as it is
            name = symbol(slot.name, "t")
            if name not in (left for left, _ in lines):
                lines.append((name, self.formula(self.schedule.outputs[slot.name])[0]))
        return lines

    def _named_lines(self) -> dict[int, str]:
        """Node -> left-hand side, for those that stand on lines of their own."""
        lines: dict[int, str] = {}
        for slot in self.cell.slots:
            index = self.schedule.outputs[slot.name]
            if self._is_computed(index):
                lines.setdefault(index, symbol(slot.name, "t"))
        uses = self._uses()
        slots, taken = set(self.cell.state), set(lines.values())
        for index, name in self.graph.names.items():
            if index in uses and index not in lines and self._is_computed(index):
                text = symbol(name, "t")
                if name in slots or text in taken:
                    text = f"\\tilde{{{_word(name)}}}_t"
                lines[index] = text
                taken.add(text)
        number = 0
        for index in sorted(uses):
            if uses[index] > 1 and index not in lines and self._is_computed(index):
                drive = (
                    self.preactivations[self.nodes[index].arguments[0]].drive
                    if self._is_preactivation(index)
                    else ""
                )
                number += not drive
                lines[index] = symbol(f"a_{drive}" if drive and len(self.cell.drives) > 1 else "a", "t")
                if not drive:
                    lines[index] = symbol(f"v_{number}", "t")
        return lines

    def _is_preactivation(self, index: int) -> bool:
        return self.nodes[index].kind == "preactivation"

    def _is_computed(self, index: int) -> bool:
        """Whether a node is more than a symbol or a number."""
        node = self.nodes[index]
        return index not in self.constrained and node.kind not in (
            "state",
            "param",
            "signal",
            "constant",
            "memory",
        )

    def _uses(self) -> Counter[int]:
        """How often each node is written, were every node with one use written in its place."""
        uses: Counter[int] = Counter()
        todo = list(dict.fromkeys(self.schedule.outputs.values()))
        uses.update(todo)
        seen = set(todo)
        while todo:
            inner = self._inner(todo.pop())
            uses.update(inner)
            todo += [i for i in dict.fromkeys(inner) if i not in seen]
            seen.update(inner)
        return uses

    def _inner(self, index: int) -> list[int]:
        """The nodes that the formula of a node shows."""
        node = self.nodes[index]
        if index in self.constrained:
            return []
        if index in self.normalized:
            return self._inner(self.normalized[index])
        if node.kind == "preactivation":
            inner = [
                i
                for p in self.products.get(node.arguments[0], ())
                for i in (p.operand if p.value is None else [p.value])
            ]
            return [j for i in inner for j in (self._inner(i) if self._is_factor(i) else [i])]
        return [a for a in node.arguments if isinstance(a, int)]

    def _is_factor(self, index: int) -> bool:
        """Whether a node is the inner product of a low-rank matrix."""
        return self._is_preactivation(index) and self.nodes[index].arguments[0].endswith("__right")

    def _inside(self, index: int) -> int | None:
        """The node that is layer-normalized to give this one, gain * (v - mean) / deviation + offset; or None."""
        node = self.nodes[index]
        if node.kind != "add" or not all(isinstance(a, int) for a in node.arguments):
            return None
        shift = self.nodes[node.arguments[1]]
        part = str(shift.arguments[0]).removeprefix("offset_")
        if (
            shift.kind != "param"
            or part not in self.preactivations
            or self.preactivations[part].drive not in self.cell.normalized
        ):
            return None
        quotient = self.nodes[self.nodes[node.arguments[0]].arguments[1]]
        return self.nodes[quotient.arguments[0]].arguments[0]

    def formula(self, index: int) -> Formula:
        """How a node is written where it is used."""
        return (self.left[index], ATOM) if index in self.left else self._compute(index)

    def _compute(self, index: int) -> Formula:
        node = self.nodes[index]
        if index in self.constrained:
            return symbol(self.constrained[index]), ATOM
        if index in self.normalized:
            inside = self._compute(self.normalized[index])[0]
            return (
                f"\\operatorname{{LN}}{self._subscript(self._drive_of(index))}\\left({inside}\\right)",
                ATOM,
            )
        if node.kind == "preactivation":
            return self._preactivation(node.arguments[0])
        if node.kind == "state":
            return symbol(node.arguments[0], "t-1"), ATOM
        if node.kind == "signal":
            return symbol(node.arguments[0], "t"), ATOM
        if node.kind == "param" and node.arguments[0].startswith("U__"):
            return f"u{self._subscript(node.arguments[0][3:])}", ATOM
        if node.kind == "memory":
            return f"{symbol(node.arguments[0], 's')}", ATOM
        if node.kind in ("param", "constant"):
            return symbol(node.arguments[0]), ATOM
        values = [self.formula(a) if isinstance(a, int) else _number(a) for a in node.arguments]
        if node.kind in NONLINEARITIES:
            return NONLINEARITIES[node.kind].latex.format(*(text for text, _ in values)), ATOM
        return self._operation(node, values)

    def _operation(self, node: Node, values: list[Formula]) -> Formula:
        texts = [text for text, _ in values]
        if node.kind == "add":
            if self._is_diagonal(node.arguments[1]):
                return self._preactivation(self.nodes[node.arguments[0]].arguments[0], texts[1])
            if "0" in texts:
                return values[1 - texts.index("0")]
            a, b = texts
            return (f"{a} - {b[1:].lstrip()}" if b.startswith("-") else f"{a} + {b}"), SUM
        if node.kind == "sub":
            return f"{texts[0]} - {_grouped(values[1], PRODUCT)}", SUM
        if node.kind == "neg":
            return f"-{_grouped(values[0], PRODUCT)}", SUM
        if node.kind == "truediv":
            return f"\\frac{{{texts[0]}}}{{{texts[1]}}}", PRODUCT
        if node.kind == "pow":
            return f"{{{_grouped(values[0], ATOM)}}}^{{{texts[1]}}}", PRODUCT
        if "0" in texts:
            return "0", ATOM
        if "1" in texts:
            return values[1 - texts.index("1")]
        scalar = any(not isinstance(a, int) or self.nodes[a].width is None for a in node.arguments)
        return (" \\, " if scalar else " \\odot ").join(_grouped(v, PRODUCT) for v in values), PRODUCT

    def _is_diagonal(self, argument: int | float) -> bool:
        """Whether an argument of a sum is the product of a diagonal U with its operand."""
        node = self.nodes[argument] if isinstance(argument, int) else None
        if node is None or node.kind != "mul" or not isinstance(node.arguments[0], int):
            return False
        return str(self.nodes[node.arguments[0]].arguments[0]).startswith("U__")

    def _drive_of(self, index: int) -> str:
        node = self.nodes[self.nodes[index].arguments[1]]
        return str(node.arguments[0]).removeprefix("offset_")

    def _subscript(self, part: str) -> str:
        """The drive as an index, left out where there is only one; the recurrent side of one kept apart has an h."""
        drive = self.preactivations[part].drive
        names = [_word(drive)] if len(self.cell.drives) > 1 else []
        return _index(",".join(names + ["h"] * (part == f"{drive}_h")))

    def _preactivation(self, name: str, diagonal: str = "") -> Formula:
        """`W x + U v + b` of a pre-activation, as far as it has them."""
        summed, terms = self.preactivations[name], []
        products = self.products.get(name, [])
        if not summed.drive:
            return self._sum_or_softmax(products[0])
        index = _index(_word(summed.drive)) if len(self.cell.drives) > 1 else ""
        if summed.input:
            terms.append(f"W{index} x_t")
        for product in products:
            terms.append(f"{self._matrix(product, index)} {self._operand(product)}")
        if diagonal:
            terms.append(diagonal)
        if summed.bias:
            terms.append(f"b{self._subscript(name)}")
        return (" + ".join(terms) or "0"), SUM if len(terms) > 1 else PRODUCT

    def _sum_or_softmax(self, product: Product) -> Formula:
        """A mean over the units, or a read of a memory."""
        read = self.formula(product.operand[0] if product.value is None else product.value)
        if product.kind in SUMS:
            return f"\\sum_{{{SUMS[product.kind]}}} {_grouped(read, PRODUCT)}", PRODUCT
        given = [self.formula(i)[0] for i in product.operand] if product.value is None else [read[0]]
        given += [str(product.by)] if product.kind == SHIFT else []
        return f"\\operatorname{{{product.kind}}}\\left({', '.join(given)}\\right)", ATOM

    def _matrix(self, product: Product, index: str) -> str:
        if self._is_factor(product.operand[0]):
            return f"U{index} V{index}"
        return f"U{index}"

    def _operand(self, product: Product) -> str:
        if self._is_factor(product.operand[0]):
            return self._operand(self.products[self.nodes[product.operand[0]].arguments[0]][0])
        values = [self.formula(i) for i in product.operand]
        if len(values) == 1:
            return _grouped(values[0], ATOM)
        side_by_side = " ;\\; ".join(text for text, _ in values)
        return f"\\left[{side_by_side}\\right]"


def _constrained(cell: Any, graph: Graph) -> dict[int, str]:
    """Node -> unit, for the values in the equations of units whose stored number is constrained."""
    nodes: dict[int, str] = {}
    for unit in cell.units:
        scratch = Graph()
        value = unit.constrain(scratch.leaf("param", unit.name, unit.width))
        leaf = graph.nodes.index(scratch.nodes[0])
        nodes |= {leaf + i: unit.name for i in range(value.index + 1)}
    return nodes


def _number(value: float) -> Formula:
    text = f"{value:.6g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        text = f"{mantissa} \\cdot 10^{{{int(exponent)}}}"
    return text, SUM if value < 0 else PRODUCT if exponent else ATOM


def _grouped(value: Formula, at_least: int) -> str:
    text, binding = value
    return text if binding >= at_least else f"\\left({text}\\right)"
