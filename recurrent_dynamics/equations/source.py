"""A verb's loops as the source of one Python function, which Numba compiles and NumPy can run.

The function reads and writes flat arrays through `get` and `put`, at the offset of a row plus that of a variable:

    def forward(cell, stage, sizes, E, e, S, s, P, C, N, n):
        w0, a0, b0 = sizes[0], sizes[1], sizes[2]
        k0 = E.dtype.type(1.0)
        if stage == 1:
            for j in range(a0, b0):
                values_f = get(E, e + w0 + j, 0)
                ...
                put(N, n + j, r0, 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy as sp
from sympy.printing.pycode import PythonCodePrinter

from .derive import Derivation, Loop
from .program import NONLINEAR
from .schedule import width_labels
from .signatures import OFFSETS, SIGNATURES
from .variables import Variable


class _Printer(PythonCodePrinter):
    """Every number becomes a local constant in the dtype of the arrays: a literal would promote float32 to float64."""

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False})
        self.constants: dict[float, str] = {}

    def _constant(self, e: Any) -> str:
        return self.constants.setdefault(float(e), f"k{len(self.constants)}")

    _print_Integer = _print_Rational = _print_Float = _constant
    _print_One = _print_Zero = _print_Half = _print_NegativeOne = _constant

    def _print_Mul(self, expr: Any) -> str:
        """Products and quotients; a factor -1 becomes a sign."""
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient == -1:
            return f"(-{self.parenthesize(rest, 60)})"
        numerator = [f for f in expr.args if not (f.is_Pow and f.exp.is_negative)]
        denominator = [1 / f for f in expr.args if f.is_Pow and f.exp.is_negative]
        text = "*".join(self.parenthesize(f, 60) for f in numerator) or self._constant(1)
        for f in denominator:
            text += f"/{self.parenthesize(f, 100)}"
        return f"({text})"

    def _print_Pow(self, expr: Any, **_: Any) -> str:
        exponent = int(expr.exp)
        base = self.parenthesize(expr.base, 100)
        power = f"({'*'.join([base] * abs(exponent))})"
        return power if exponent > 0 else f"({self._constant(1)}/{power})"

    def _print_Function(self, expr: Any) -> str:
        if not isinstance(expr, NONLINEAR):
            raise TypeError(f"no compiled form of {expr}")
        return f"{type(expr).__name__}({', '.join(map(self._print, expr.args))})"


for _kind in NONLINEAR:
    setattr(_Printer, f"_print_{_kind.__name__}", _Printer._print_Function)


@dataclass(frozen=True)
class Source:
    """The source of a row function, and its streams: stretches of rows, "array.variable", that it reads or writes."""

    text: str
    streams: tuple[str, ...]


def source(derivation: Derivation, verb: str) -> Source:
    """The function of one verb; see the module. The last argument of `get` and `put` is the number of the stream."""
    labels = width_labels(derivation.cell)
    printer = _Printer()
    streams: dict[str, int] = {}
    body = []
    for loop in derivation.loops(verb):
        body += _loop(loop, derivation, labels, printer, streams)
    head = [f"def {verb}(cell, stage, sizes, {SIGNATURES[verb]}):"]
    # Sizes are all widths, then the first units that are to be computed, then the units where they end.
    n = len(labels)
    head += [f"    w{i}, a{i}, b{i} = sizes[{i}], sizes[{n + i}], sizes[{2 * n + i}]" for i in range(n)]
    head += [f"    {name} = E.dtype.type({value!r})" for value, name in printer.constants.items()]
    return Source("\n".join(head + body) + "\n", tuple(streams))


def _loop(
    loop: Loop, derivation: Derivation, labels: tuple[str, ...], printer: _Printer, streams: dict[str, int]
) -> list[str]:
    def is_uniform(array: str, variable: Variable) -> bool:
        return variable.row == "values" and variable.name in derivation.uniform.get(array, ())

    def place(array: str, variable: Variable) -> tuple[str, int]:
        """(array and index, stream) of a variable."""
        row = derivation.variables["state" if variable.row == "new" else variable.row]
        names = [v.name for v in row]
        terms = [OFFSETS[array]] if array in OFFSETS else []
        if array == "C":
            terms.append(str(names.index(variable.name)))
        else:
            before = [v.width for v in row[: names.index(variable.name)]]
            for i, label in enumerate(labels):
                count = before.count(label)
                if count:
                    terms.append(f"w{i}" if count == 1 else f"{count} * w{i}")
            if not is_uniform(array, variable):
                terms.append("j")
        stream = streams.setdefault(f"{array}.{variable.name}", len(streams))
        return f"{array}, {' + '.join(terms)}", stream

    needed: set[sp.Symbol] = set()
    for e in [e for _, e in loop.program.statements] + list(loop.program.results):
        needed |= e.free_symbols
    label = labels.index(loop.width)
    inside = []
    before = [f"    if stage == {loop.stage}:"]
    for symbol, (array, variable) in loop.reads.items():
        if symbol in needed:
            where, stream = place(array, variable)
            if array == "C" or is_uniform(array, variable):
                before.append(f"        {symbol} = get({where}, {stream})")
            else:
                inside.append(f"{symbol} = get({where}, {stream})")
    inside += [f"{symbol} = {printer.doprint(e)}" for symbol, e in loop.program.statements]
    inside += [f"r{i} = {printer.doprint(e)}" for i, e in enumerate(loop.program.results)]
    for i, write in enumerate(loop.writes):
        where, stream = place(write.array, write.variable)
        old = f"get({where}, {stream}) + " if write.accumulate else ""
        inside.append(f"put({where}, {old}r{i}, {stream})")
    return [
        *before,
        f"        for j in range(a{label}, b{label}):",
        *(f"            {line}" for line in inside),
    ]
