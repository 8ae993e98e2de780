"""The programs of the reads of a memory: contractions over units or positions, and operations along positions.

A contraction is one loop over positions with one over units inside. Its program computes, at a position and a unit,
the value that is summed, or its derivatives. What depends on the position only is read and summed outside of the inner
loop.

Of the adjoint, the cotangents of memories that the value is linear in are not needed in the step, and depend on no
memory. They have a stage of their own, which comes after all steps, so that the cotangents of one instance stay in
cache while its steps are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from .axes import SOURCE, axes
from .derive import Derivation, symbol_of, to_number
from .graph import Node
from .program import Program, adjoint, tangent
from .schedule import ALONG_POSITIONS, HIDDEN, OVER_UNITS, Product, operand_name
from .variables import ROW_OF_LEAF, Variable

# The arrays that a verb reads at the point, moves along, and takes cotangents from, by row; and those that it writes.
_POINT = {"values": "E", "state": "S", "vectors": "P", "constants": "C", "memory": "M"}
_TANGENTS = {"values": "tE", "state": "tS", "vectors": "tP", "memory": "tM"}
_TARGET = {"forward": "E", "tangent": "tE", "adjoint": "dE", "second": "uE"}
MOVING = ("values", "state", "vectors", "memory")


@dataclass(frozen=True)
class Place:
    """A number that a read touches: a variable of an array."""

    array: str
    variable: Variable


@dataclass(frozen=True)
class Contraction:
    """A verb of one contraction: the reads of its program, and where its results go.

    `adds` are results that are added to arrays. A contraction of the verbs forward and tangent has one result, the
    value that is summed, and none of `adds`.
    """

    stage: int
    over_units: bool
    units: str  # the label of the inner loop's width
    target: Place
    reads: dict[sp.Symbol, Place]
    program: Program
    adds: tuple[Place, ...]


@dataclass(frozen=True)
class Along:
    """A softmax, shift or scan along the positions: the values before and after it."""

    stage: int
    kind: str
    sources: tuple[Variable, ...]
    target: Variable
    by: int


def reads_of(derivation: Derivation, verb: str, after_steps: bool = True) -> list[Contraction | Along]:
    """The reads of a cell for a verb, by stage; the stage after the last one of a step comes after all steps.

    Without `after_steps` there is no such stage: all cotangents of memories are added within the step.
    """
    if verb not in _TARGET:
        return []
    found: list[Contraction | Along] = []
    for p in derivation.schedule.reads:
        target = next(v for v in derivation.variables["values"] if v.name == p.target)
        if p.kind in ALONG_POSITIONS:
            sources = tuple(_boundary_variable(derivation, i) for i in p.operand)
            found.append(Along(p.stage, p.kind, sources, target, p.by))
        else:
            found += _contractions(derivation, verb, p, target, after_steps)
    return found


def _boundary_variable(derivation: Derivation, index: int) -> Variable:
    """The variable that holds an operand of a read."""
    node = derivation.schedule.graph.nodes[index]
    width = node.width or HIDDEN
    if node.kind in ROW_OF_LEAF:
        return Variable(ROW_OF_LEAF[node.kind], node.arguments[0], width)
    return Variable("values", operand_name(index), width)


def _contractions(
    derivation: Derivation, verb: str, product: Product, target: Variable, after_steps: bool
) -> list[Contraction]:
    """A contraction; of the adjoint those within the step and after all steps, if they add anything."""
    graph, summed = derivation.schedule.graph, product.value or 0
    used: dict[Variable, None] = {}

    def leaf(index: int, node: Node) -> sp.Symbol | None:
        if node.kind == "memory":
            variable = Variable("memory", node.arguments[0], axes(node.width)[1] or HIDDEN)
        elif index in product.operand:
            variable = _boundary_variable(derivation, index)
        else:
            return None
        used[variable] = None
        return symbol_of(variable)

    value = sp.sympify(graph.replay([summed], leaf, to_number)[0])
    variables = sorted(used, key=lambda v: v.symbol)
    moving = [v for v in variables if v.row in MOVING]
    reads = {symbol_of(v): Place(_POINT[v.row], v) for v in variables}
    if verb in ("tangent", "second"):
        reads |= {symbol_of(v, "t_"): Place(_TANGENTS[v.row], v) for v in moving}
    d, u = symbol_of(target, "d_"), symbol_of(target, "u_")
    program = Program.of([value])

    def contraction(stage: int, program: Program, adds: Sequence[Place] = ()) -> Contraction:
        units = axes(graph.nodes[summed].width)[1] or HIDDEN
        to = Place(_TARGET[verb], target)
        over_units = product.kind == OVER_UNITS
        return Contraction(stage, over_units, units, to, reads, program.optimized(), tuple(adds))

    moves = {symbol_of(v): symbol_of(v, "t_") for v in moving}
    if verb in ("forward", "tangent"):
        return [contraction(product.stage, tangent(program, moves) if verb == "tangent" else program)]
    program = adjoint(program, [d], [symbol_of(v) for v in moving])
    reads[d] = Place("dE", target)
    if verb == "second":
        program = tangent(program, moves | {d: u})
        reads[u] = Place("uE", target)
    prefix = "d" if verb == "adjoint" else "u"
    found, apart = [], after_steps and verb == "adjoint"
    for later in (False, True):
        kept = [
            (v, r)
            for v, r in zip(moving, program.results, strict=True)
            if r != 0 and later == (apart and v.row == "memory" and not _reads_memory(program, r, moving))
        ]
        if kept:
            some = Program(program.statements, tuple(r for _, r in kept))
            stage = derivation.schedule.stages + 1 if later else product.stage
            found.append(contraction(stage, some, [Place(prefix + _POINT[v.row], v) for v, _ in kept]))
    return found


def _reads_memory(program: Program, result: sp.Expr, variables: Sequence[Variable]) -> bool:
    """Whether a result of a program depends on a memory."""
    depends = {symbol_of(v) for v in variables if v.row == "memory"}
    for symbol, e in program.statements:
        if e.free_symbols & depends:
            depends.add(symbol)
    return bool(result.free_symbols & depends)


def is_of_positions(variable: Variable) -> bool:
    """Whether a variable has one number a position."""
    return variable.width == SOURCE and variable.row != "memory"
