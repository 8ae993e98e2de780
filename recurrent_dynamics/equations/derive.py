"""From the schedule of a cell to the programs of its step: forward, adjoint, tangent, second order, local Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from .graph import Node
from .nonlinearities import NONLINEARITIES
from .pattern import Target, Variable, activations, leaf_variable, pattern, single_numbers, targets
from .program import Program, adjoint, tangent
from .schedule import Schedule
from .symbolic import symbolic_function


@dataclass(frozen=True)
class Write:
    """A program's effect: array[variable] = or += expression."""

    array: str
    variable: Variable
    accumulate: bool


@dataclass(frozen=True)
class Loop:
    """One loop over the units of one width: what it reads (symbol -> array and variable), computes and writes."""

    stage: int
    width: str
    reads: dict[sp.Symbol, tuple[str, Variable]]
    program: Program
    writes: tuple[Write, ...]


class Derivation:
    """All programs of a cell; each verb gives the loops of its stages.

    With `compact` the forward program writes sigmoid(drive), where that is all that is read of a drive, in place of
    the drive (see `activations`), and all others find it there: an LSTM's way back computes one tanh instead of three
    sigmoids and two tanh. And what is one number for all units stands in the first of its places only (see
    `single_numbers`): a layer-normalized cell takes a square root a step, not one a unit.
    """

    def __init__(self, cell: Any, compact: bool = False) -> None:
        self.cell = cell
        self.schedule: Schedule = cell.schedule
        rows = self.schedule.rows(cell)
        self.variables = {kind: [Variable(kind, n, w) for n, w in items] for kind, items in rows.items()}
        self.differentiable = self.variables["values"] + self.variables["state"] + self.variables["vectors"]
        self.variables["diagonals"] = [diagonal(t.variable, v) for t, v in pattern(self.schedule, cell)]
        found = activations(self.schedule, cell) if compact else {}
        means, alone = single_numbers(self.schedule, cell) if compact else (frozenset(), frozenset())
        # By array, what is one number for all units in it.
        self.single: dict[str, frozenset[str]] = {"E": means, "tE": means, "dE": alone, "uE": alone}
        # What is overwritten, with what, and at which stage.
        self.activated: dict[Variable, tuple[sp.Expr, int]] = {
            v: (symbolic_function(NONLINEARITIES[found[v.name][0]])(_symbol(v)), found[v.name][1])
            for v in self.variables["values"]
            if v.name in found
        }

    def _expressions(self, stage: int) -> list[tuple[Target, sp.Expr]]:
        def leaf(index: int, node: Node) -> sp.Symbol | None:
            variable = leaf_variable(self.schedule, stage, index)
            return None if variable is None else _symbol(variable)

        mine = [t for t in targets(self.schedule, self.cell) if t.stage == stage]
        values = self.schedule.graph.replay([t.node for t in mine], leaf, _number)
        return [(t, sp.sympify(e)) for t, e in zip(mine, values, strict=True)]

    def loops(self, verb: str) -> list[Loop]:
        """The loops of a verb (a key of `SIGNATURES`), by stage and width."""
        make: Callable[[int, str, list[Variable], list[sp.Expr]], Loop] = getattr(self, f"_{verb}")
        loops = []
        for stage in range(self.schedule.stages + 1):
            found = self._expressions(stage)
            widths = {t.variable.width: None for t, _ in found}
            # The last stage assigns the cotangents of all values, so it has loops of all widths.
            if stage == self.schedule.stages:
                widths |= {v.width: None for v in self.variables["values"]}
            for width in widths:
                mine = [(t.variable, e) for t, e in found if t.variable.width == width]
                loops.append(make(stage, width, [v for v, _ in mine], [e for _, e in mine]))
        return [loop for loop in loops if loop.writes]

    def _reads(self, *rows: tuple[str, str, list[Variable]]) -> dict[sp.Symbol, tuple[str, Variable]]:
        """Symbols of variables under a prefix, and the array they are read from."""
        return {_symbol(v, prefix): (array, v) for prefix, array, variables in rows for v in variables}

    def _base(self) -> dict[sp.Symbol, tuple[str, Variable]]:
        v = self.variables
        return self._reads(
            ("", "E", v["values"]), ("", "S", v["state"]), ("", "P", v["vectors"]), ("", "C", v["constants"])
        )

    def _tangents(self) -> dict[sp.Symbol, tuple[str, Variable]]:
        v = self.variables
        return self._reads(("t_", "tE", v["values"]), ("t_", "tS", v["state"]), ("t_", "tP", v["vectors"]))

    def _cotangents(self, prefix: str, of: list[Variable]) -> dict[sp.Symbol, tuple[str, Variable]]:
        """Those of the new state are read in dN, those of operands in dE."""
        new = [v for v in of if v.row == "new"]
        operands = [v for v in of if v.row != "new"]
        return self._reads((f"{prefix}_", f"{prefix}N", new), (f"{prefix}_", f"{prefix}E", operands))

    def _found(self, program: Program, before: int | None = None) -> Program:
        """A program that finds what drives were overwritten with (before a stage, or ever) where they were."""
        given = {
            value: _symbol(v)
            for v, (value, stage) in self.activated.items()
            if before is None or stage < before
        }
        return program.given(given)

    def _forward(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        here = {v: value for v, (value, at) in self.activated.items() if at == stage and v.width == width}
        program = self._found(Program.of([*expressions, *here.values()]), before=stage)
        writes = tuple(Write("N" if v.row == "new" else "E", v, False) for v in [*of, *here])
        return Loop(stage, width, self._base(), program.optimized(), writes)

    def _tangent(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        program = tangent(
            Program.of(expressions), {_symbol(v): _symbol(v, "t_") for v in self.differentiable}
        )
        writes = tuple(Write("tN" if v.row == "new" else "tE", v, False) for v in of)
        return Loop(stage, width, self._base() | self._tangents(), self._found(program).optimized(), writes)

    def _adjoint(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        program = self._adjoint_program(width, of, expressions)
        return self._cotangent_loop(stage, width, self._base() | self._cotangents("d", of), program, "d")

    def _second(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        """The tangent of the adjoint, whose cotangents d move by u."""
        moves = {_symbol(v): _symbol(v, "t_") for v in self.differentiable}
        moves |= {_symbol(v, "d_"): _symbol(v, "u_") for v in of}
        program = tangent(self._adjoint_program(width, of, expressions), moves)
        reads = self._base() | self._tangents() | self._cotangents("d", of) | self._cotangents("u", of)
        return self._cotangent_loop(stage, width, reads, program, "u")

    def _adjoint_program(self, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Program:
        variables = [_symbol(v) for v in self.differentiable if v.width == width]
        return adjoint(Program.of(expressions), [_symbol(v, "d_") for v in of], variables)

    def _cotangent_loop(
        self,
        stage: int,
        width: str,
        reads: dict[sp.Symbol, tuple[str, Variable]],
        program: Program,
        prefix: str,
    ) -> Loop:
        """Results go to the cotangents of values, state and vectors: the last stage assigns those of the values."""
        array = {"values": f"{prefix}E", "state": f"{prefix}S", "vectors": f"{prefix}P"}
        last = stage == self.schedule.stages
        kept = []
        for v, result in zip(
            [v for v in self.differentiable if v.width == width], program.results, strict=True
        ):
            accumulate = not (last and v.row == "values")
            written_by_mean = v.row == "values" and v.name in self.single[f"{prefix}E"]
            if not (result == 0 and (accumulate or written_by_mean)):
                kept.append((Write(array[v.row], v, accumulate), result))
        program = self._found(Program(program.statements, tuple(r for _, r in kept))).optimized()
        return Loop(stage, width, reads, program, tuple(w for w, _ in kept))

    def _jacobian(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        """The diagonals d target / d variable, one after the other in the order of `pattern`."""
        expression = dict(zip(of, expressions, strict=True))
        entries = [(t.variable, v) for t, v in pattern(self.schedule, self.cell) if t.variable in expression]
        program = self._found(
            Program.of([sp.diff(expression[t], _symbol(v)) for t, v in entries])
        ).optimized()
        writes = tuple(Write("J", diagonal(t, v), False) for t, v in entries)
        return Loop(stage, width, self._base(), program, writes)


def diagonal(target: Variable, variable: Variable) -> Variable:
    """The stretch of the buffer of local diagonals that holds d target / d variable."""
    return Variable("diagonals", f"{target.symbol}__by__{variable.symbol}", target.width)


def _symbol(variable: Variable, prefix: str = "") -> sp.Symbol:
    return sp.Symbol(prefix + variable.symbol, real=True)


def _number(value: float) -> sp.Expr:
    return sp.Integer(int(value)) if value.is_integer() else sp.Float(value)
