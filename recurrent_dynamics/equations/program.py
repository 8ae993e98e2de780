"""Straight-line programs, and the two transformations that make every derivative: adjoint and tangent.

A program is a list of statements `symbol = expression` and its results. Each nonlinearity has a statement of its own,
so that its derivative can use its value. Reverse and forward mode work statement by statement (Griewank and Walther,
Evaluating Derivatives, 2008, chapter 3); the second order is the tangent of the adjoint. SymPy is imported by
`program`, `symbolic`, `derive` and `source` only. Import none of them at start-up: they are needed only when something
has to be compiled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from .nonlinearities import NONLINEARITIES
from .symbolic import symbolic_function

NONLINEAR = tuple(symbolic_function(n) for n in NONLINEARITIES.values())


@dataclass(frozen=True)
class Program:
    """Statements in the order of their execution, and result expressions in terms of their symbols and the inputs."""

    statements: tuple[tuple[sp.Symbol, sp.Expr], ...]
    results: tuple[sp.Expr, ...]

    @staticmethod
    def of(expressions: Sequence[sp.Expr], prefix: str = "v") -> Program:
        """The expressions with shared subexpressions and nonlinearities as statements."""
        names = sp.numbered_symbols(prefix, real=True)
        shared, results = sp.cse(list(expressions), symbols=names, order="canonical")
        statements: list[tuple[sp.Symbol, sp.Expr]] = []
        known: dict[sp.Expr, sp.Symbol] = {}

        def separate(e: sp.Expr, top: bool = False) -> sp.Expr:
            if e.args:
                e = e.func(*[separate(a) for a in e.args])
            if isinstance(e, NONLINEAR) and not top:
                if e not in known:
                    known[e] = next(names)
                    statements.append((known[e], e))
                return known[e]
            return e

        for symbol, e in shared:
            e = separate(e, top=True)
            if isinstance(e, NONLINEAR):
                known[e] = symbol
            statements.append((symbol, e))
        separated = tuple(separate(r) for r in results)  # may add statements
        return Program(tuple(statements), separated)

    def substitute_known(self, known: Mapping[sp.Expr, sp.Symbol]) -> Program:
        """The program that reads the values of some of its statements as inputs instead of computing them."""
        symbols = {symbol: known[e] for symbol, e in self.statements if e in known}
        if not symbols:
            return self
        return Program(
            tuple((s, e.xreplace(symbols)) for s, e in self.statements if s not in symbols),
            tuple(r.xreplace(symbols) for r in self.results),
        )

    def optimized(self, prefix: str = "t") -> Program:
        """The program with common subexpressions computed once, without statements that no result needs."""
        keys = [s for s, _ in self.statements]
        names = sp.numbered_symbols(prefix, real=True)
        shared, new = sp.cse(
            [e for _, e in self.statements] + list(self.results), symbols=names, order="canonical"
        )
        definition = dict(shared) | dict(zip(keys, new, strict=False))
        results = tuple(new[len(keys) :])
        ordered: list[tuple[sp.Symbol, sp.Expr]] = []
        done: set[sp.Symbol] = set()

        def need(symbol: sp.Symbol) -> None:
            if symbol in definition and symbol not in done:
                done.add(symbol)
                for inner in _symbols(definition[symbol]):
                    need(inner)
                ordered.append((symbol, definition[symbol]))

        for r in results:
            for symbol in _symbols(r):
                need(symbol)
        return Program(tuple(ordered), results)


def symbols_of(program: Program) -> set[sp.Symbol]:
    """All symbols of a program."""
    needed: set[sp.Symbol] = set()
    for e in [e for _, e in program.statements] + list(program.results):
        needed |= e.free_symbols
    return needed


def _symbols(e: sp.Expr) -> list[sp.Symbol]:
    """Free symbols in an order that does not depend on the process."""
    return sorted(e.free_symbols, key=str)


def _partial(symbol: sp.Symbol, e: sp.Expr, variable: sp.Symbol) -> sp.Expr:
    """d e / d variable for a statement `symbol = e`, with e itself replaced by the symbol that holds its value."""
    return sp.diff(e, variable).xreplace({e: symbol})


def adjoint(program: Program, cotangents: Sequence[sp.Symbol], variables: Sequence[sp.Symbol]) -> Program:
    """Reverse mode: results are sum_i cotangent_i d result_i / d variable, for each variable."""
    bar: dict[sp.Symbol, sp.Expr] = {}

    def add(variable: sp.Symbol, e: sp.Expr) -> None:
        bar[variable] = bar.get(variable, sp.S.Zero) + e

    for c, r in zip(cotangents, program.results, strict=True):
        for v in _symbols(r):
            add(v, c * sp.diff(r, v))
    backward: list[tuple[sp.Symbol, sp.Expr]] = []
    for symbol, e in reversed(program.statements):
        if symbol in bar:
            own = sp.Symbol(f"bar_{symbol}", real=True)
            backward.append((own, bar[symbol]))
            for v in _symbols(e):
                add(v, own * _partial(symbol, e, v))
    return Program(program.statements + tuple(backward), tuple(bar.get(v, sp.S.Zero) for v in variables))


def tangent(program: Program, tangents: Mapping[sp.Symbol, sp.Symbol]) -> Program:
    """Forward mode: results are sum_v tangent_v d result / d v."""
    dot: dict[sp.Symbol, sp.Symbol] = dict(tangents)
    forward: list[tuple[sp.Symbol, sp.Expr]] = []

    def directional(symbol: sp.Symbol | None, e: sp.Expr) -> sp.Expr:
        terms = [
            dot[v] * (sp.diff(e, v) if symbol is None else _partial(symbol, e, v))
            for v in _symbols(e)
            if v in dot
        ]
        return sp.Add(*terms)

    for symbol, e in program.statements:
        forward.append((symbol, e))
        change = directional(symbol, e)
        if change != 0:
            dot[symbol] = sp.Symbol(f"dot_{symbol}", real=True)
            forward.append((dot[symbol], change))
    return Program(tuple(forward), tuple(directional(None, r) for r in program.results))
