"""From the schedule of a cell to the programs of its step: forward, adjoint, tangent, second order, local Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from .graph import Node
from .jacobian_sparsity import jacobian_sparsity
from .nonlinearities import NONLINEARITIES
from .program import Program, adjoint, tangent
from .schedule import Schedule
from .storage import overwritable_drives, uniform_over_units
from .symbolic import symbolic_function
from .variables import Target, Variable, leaf_variable, targets


@dataclass(frozen=True)
class Write:
    """A program's effect: array[variable] = or += expression."""

    array: str
    variable: Variable
    accumulate: bool


@dataclass(frozen=True)
class Loop:
    """One loop over the units of one width: its reads (symbol -> array and variable), its program and its writes."""

    stage: int
    width: str
    reads: dict[sp.Symbol, tuple[str, Variable]]
    program: Program
    writes: tuple[Write, ...]


class Derivation:
    """All programs of a cell; each verb gives the loops of its stages.

    With `store_activations` the forward program overwrites a drive with its sigmoid or tanh where nothing else of it is
    used (see `overwritable_drives`), and all other programs read that value: the backward pass of an LSTM computes one
    tanh instead of three sigmoids and two tanh. Values that are the same for all units are stored at unit 0 only (see
    `uniform_over_units`): a layer-normalized cell computes one square root a step, not one a unit.
    """

    def __init__(self, cell: Any, store_activations: bool = False) -> None:
        self.cell = cell
        self.schedule: Schedule = cell.schedule
        rows = self.schedule.rows(cell)
        self.variables = {kind: [Variable(kind, n, w) for n, w in items] for kind, items in rows.items()}
        self.differentiable = self.variables["values"] + self.variables["state"] + self.variables["vectors"]
        self.variables["diagonals"] = [
            diagonal(t.variable, v) for t, v in jacobian_sparsity(self.schedule, cell)
        ]
        found = overwritable_drives(self.schedule, cell) if store_activations else {}
        means, operands = (
            uniform_over_units(self.schedule, cell) if store_activations else (frozenset(), frozenset())
        )
        # By array, the values in it that are the same for all units and stored at unit 0 only.
        self.uniform: dict[str, frozenset[str]] = {"E": means, "tE": means, "dE": operands, "uE": operands}
        # Overwritten drives: the expression that overwrites each, and the stage at which it does.
        self.overwritten: dict[Variable, tuple[sp.Expr, int]] = {
            v: (symbolic_function(NONLINEARITIES[found[v.name][0]])(symbol_of(v)), found[v.name][1])
            for v in self.variables["values"]
            if v.name in found
        }

    def _expressions(self, stage: int) -> list[tuple[Target, sp.Expr]]:
        def leaf(index: int, node: Node) -> sp.Symbol | None:
            variable = leaf_variable(self.schedule, stage, index)
            return None if variable is None else symbol_of(variable)

        mine = [t for t in targets(self.schedule, self.cell) if t.stage == stage]
        values = self.schedule.graph.replay([t.node for t in mine], leaf, to_number)
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
        return {symbol_of(v, prefix): (array, v) for prefix, array, variables in rows for v in variables}

    def _base(self) -> dict[sp.Symbol, tuple[str, Variable]]:
        v = self.variables
        return self._reads(
            ("", "E", v["values"]), ("", "S", v["state"]), ("", "P", v["vectors"]), ("", "C", v["constants"])
        )

    def _tangents(self) -> dict[sp.Symbol, tuple[str, Variable]]:
        v = self.variables
        return self._reads(("t_", "tE", v["values"]), ("t_", "tS", v["state"]), ("t_", "tP", v["vectors"]))

    def _cotangents(self, prefix: str, of: list[Variable]) -> dict[sp.Symbol, tuple[str, Variable]]:
        """The reads of cotangents: of the new state in dN, of operands in dE."""
        new = [v for v in of if v.row == "new"]
        operands = [v for v in of if v.row != "new"]
        return self._reads((f"{prefix}_", f"{prefix}N", new), (f"{prefix}_", f"{prefix}E", operands))

    def _with_stored_activations(self, program: Program, before: int | None = None) -> Program:
        """A program that reads the stored activations of drives that were overwritten, before a stage or at any."""
        known = {
            value: symbol_of(v)
            for v, (value, stage) in self.overwritten.items()
            if before is None or stage < before
        }
        return program.substitute_known(known)

    def _forward(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        here = {v: value for v, (value, at) in self.overwritten.items() if at == stage and v.width == width}
        program = self._with_stored_activations(Program.of([*expressions, *here.values()]), before=stage)
        writes = tuple(Write("N" if v.row == "new" else "E", v, False) for v in [*of, *here])
        return Loop(stage, width, self._base(), program.optimized(), writes)

    def _tangent(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        program = tangent(
            Program.of(expressions), {symbol_of(v): symbol_of(v, "t_") for v in self.differentiable}
        )
        writes = tuple(Write("tN" if v.row == "new" else "tE", v, False) for v in of)
        program = self._with_stored_activations(program).optimized()
        return Loop(stage, width, self._base() | self._tangents(), program, writes)

    def _adjoint(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        program = self._adjoint_program(width, of, expressions)
        return self._cotangent_loop(stage, width, self._base() | self._cotangents("d", of), program, "d")

    def _second(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        """The tangent of the adjoint, whose cotangents d move by u."""
        moves = {symbol_of(v): symbol_of(v, "t_") for v in self.differentiable}
        moves |= {symbol_of(v, "d_"): symbol_of(v, "u_") for v in of}
        program = tangent(self._adjoint_program(width, of, expressions), moves)
        reads = self._base() | self._tangents() | self._cotangents("d", of) | self._cotangents("u", of)
        return self._cotangent_loop(stage, width, reads, program, "u")

    def _adjoint_program(self, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Program:
        variables = [symbol_of(v) for v in self.differentiable if v.width == width]
        return adjoint(Program.of(expressions), [symbol_of(v, "d_") for v in of], variables)

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
            written_by_mean = v.row == "values" and v.name in self.uniform[f"{prefix}E"]
            if not (result == 0 and (accumulate or written_by_mean)):
                kept.append((Write(array[v.row], v, accumulate), result))
        program = self._with_stored_activations(
            Program(program.statements, tuple(r for _, r in kept))
        ).optimized()
        return Loop(stage, width, reads, program, tuple(w for w, _ in kept))

    def _jacobian(self, stage: int, width: str, of: list[Variable], expressions: list[sp.Expr]) -> Loop:
        """The diagonals d target / d variable, one after the other in the order of `jacobian_sparsity`."""
        expression = dict(zip(of, expressions, strict=True))
        entries = [
            (t.variable, v)
            for t, v in jacobian_sparsity(self.schedule, self.cell)
            if t.variable in expression
        ]
        program = self._with_stored_activations(
            Program.of([sp.diff(expression[t], symbol_of(v)) for t, v in entries])
        ).optimized()
        writes = tuple(Write("J", diagonal(t, v), False) for t, v in entries)
        return Loop(stage, width, self._base(), program, writes)


def diagonal(target: Variable, variable: Variable) -> Variable:
    """The place of d target / d variable in the buffer of local diagonals."""
    return Variable("diagonals", f"{target.symbol}__by__{variable.symbol}", target.width)


def symbol_of(variable: Variable, prefix: str = "") -> sp.Symbol:
    """The symbol of a variable in programs."""
    return sp.Symbol(prefix + variable.symbol, real=True)


def to_number(value: float) -> sp.Expr:
    """A plain number in programs."""
    return sp.Integer(int(value)) if value.is_integer() else sp.Float(value)
