"""A verb's loops as the source of one Python function, which is compiled and which NumPy can run.

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

from sympy.printing.pycode import PythonCodePrinter

from .axes import SOURCE
from .derive import Derivation, Loop
from .program import NONLINEAR, Program, symbols_of
from .schedule import width_labels
from .signatures import OFFSETS, signature
from .split_loops import split
from .variables import Variable


class Printer(PythonCodePrinter):
    """Every number becomes a local constant in the dtype of the arrays: a literal would promote float32 to float64."""

    def __init__(self) -> None:
        super().__init__({"fully_qualified_modules": False})
        self.constants: dict[float, str] = {}

    def constant(self, e: Any) -> str:
        return self.constants.setdefault(float(e), f"k{len(self.constants)}")

    def defined(self) -> list[str]:
        """The lines that define the constants."""
        return [f"    {name} = E.dtype.type({value!r})" for value, name in self.constants.items()]

    _print_Integer = _print_Rational = _print_Float = constant
    _print_One = _print_Zero = _print_Half = _print_NegativeOne = constant

    def _print_Mul(self, expr: Any) -> str:
        """Products and quotients; a factor -1 becomes a sign."""
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient == -1:
            return f"(-{self.parenthesize(rest, 60)})"
        numerator = [f for f in expr.args if not (f.is_Pow and f.exp.is_negative)]
        denominator = [1 / f for f in expr.args if f.is_Pow and f.exp.is_negative]
        text = "*".join(self.parenthesize(f, 60) for f in numerator) or self.constant(1)
        for f in denominator:
            text += f"/{self.parenthesize(f, 100)}"
        return f"({text})"

    def _print_Pow(self, expr: Any, **_: Any) -> str:
        exponent = int(expr.exp)
        base = self.parenthesize(expr.base, 100)
        power = f"({'*'.join([base] * abs(exponent))})"
        return power if exponent > 0 else f"({self.constant(1)}/{power})"

    def _print_Function(self, expr: Any) -> str:
        if not isinstance(expr, NONLINEAR):
            raise TypeError(f"no compiled form of {expr}")
        return f"{type(expr).__name__}({', '.join(map(self._print, expr.args))})"


for _kind in NONLINEAR:
    setattr(Printer, f"_print_{_kind.__name__}", Printer._print_Function)


@dataclass(frozen=True)
class Source:
    """The source of a row function, and its streams: stretches of rows, "array.variable", that it reads or writes."""

    text: str
    streams: tuple[str, ...]


class Places:
    """Where the variables of a cell stand: their indices as text, and the numbers of their streams."""

    def __init__(self, derivation: Derivation) -> None:
        self._derivation = derivation
        self.labels = width_labels(derivation.cell)
        self.streams: dict[str, int] = {}

    def width(self, label: str) -> str:
        """The variable that holds the width of a label."""
        return f"w{self.labels.index(label)}"

    def is_uniform(self, array: str, variable: Variable) -> bool:
        """Whether a variable is stored at unit 0 only."""
        return variable.row == "values" and variable.name in self._derivation.uniform.get(array, ())

    def start(self, array: str, variable: Variable) -> list[str]:
        """The terms of the index at which a variable begins."""
        row = self._derivation.variables["state" if variable.row == "new" else variable.row]
        names = [v.name for v in row]
        terms = [OFFSETS[array]] if array in OFFSETS else []
        if array == "C":
            return [*terms, str(names.index(variable.name))]
        before = [v.width for v in row[: names.index(variable.name)]]
        times = f" * {self.width(SOURCE)}" if variable.row == "memory" else ""
        for i, label in enumerate(self.labels):
            count = before.count(label)
            if count:
                terms.append((f"w{i}" if count == 1 else f"{count} * w{i}") + times)
        return terms

    def stream(self, array: str, variable: Variable) -> int:
        """The number of a variable's stream."""
        return self.streams.setdefault(f"{array}.{variable.name}", len(self.streams))

    def __call__(self, array: str, variable: Variable, *index: str) -> str:
        """Array, index and stream of an entry of a variable, as arguments of `get`."""
        terms = self.start(array, variable)
        if array != "C" and not self.is_uniform(array, variable):
            terms += index
        return f"{array}, {' + '.join(terms) or '0'}, {self.stream(array, variable)}"


def source(derivation: Derivation, verb: str, with_reads: bool = True, splits: bool = False) -> Source:
    """The function of one verb; see the module. The last argument of `get` and `put` is the number of the stream.

    Without its reads the function is that of a cell that reads no memory; `block_source` has them then. `splits` says
    whether loops are split where this is faster on a processor with vectors, see `split_loops`.
    """
    from .read_source import read_lines

    places, printer = Places(derivation), Printer()
    # A stage ends with its reads, whose operands its loops compute; cotangents go the other way.
    loops = [part for loop in derivation.loops(verb) for part in (split(loop) if splits else [loop])]
    stages = [(loop.stage, _loop(loop, places, printer)) for loop in loops]
    joined = tuple(range(derivation.schedule.stages + 1))
    if with_reads:
        stages += read_lines(derivation, verb, places, printer)
        stages.sort(key=lambda of_stage: of_stage[0])
        joined = (*derivation.schedule.joined, derivation.schedule.stages + 1)
    body = []
    for stage, lines in stages[::-1] if verb in ("adjoint", "second") else stages:
        body += [f"    if stage == {joined[stage]}:", *lines]
    given = signature(verb, with_reads and bool(derivation.cell.memory))
    head = [f"def {verb}(cell, stage, sizes, {given}):"]
    # Sizes are all widths, then the first units that are to be computed, then the units where they end.
    n = len(places.labels)
    head += [f"    w{i}, a{i}, b{i} = sizes[{i}], sizes[{n + i}], sizes[{2 * n + i}]" for i in range(n)]
    head += printer.defined()
    return Source("\n".join(head + body) + "\n", tuple(places.streams))


def computed(program: Program, printer: Printer) -> list[str]:
    """The lines of a program: its statements, then its results as r0, r1, ..."""
    lines = [f"{symbol} = {printer.doprint(e)}" for symbol, e in program.statements]
    return lines + [f"r{i} = {printer.doprint(e)}" for i, e in enumerate(program.results)]


def _loop(loop: Loop, places: Places, printer: Printer) -> list[str]:
    """The lines of a loop, inside of the branch of its stage."""
    needed = symbols_of(loop.program)
    label = places.labels.index(loop.width)
    inside, before = [], []
    for symbol, (array, variable) in loop.reads.items():
        if symbol in needed:
            line = f"{symbol} = get({places(array, variable, 'j')})"
            if array == "C" or places.is_uniform(array, variable):
                before.append(f"        {line}")
            else:
                inside.append(line)
    inside += computed(loop.program, printer)
    for i, write in enumerate(loop.writes):
        array, index, stream = places(write.array, write.variable, "j").split(", ")
        old = f"get({array}, {index}, {stream}) + " if write.accumulate else ""
        inside.append(f"put({array}, {index}, {old}r{i}, {stream})")
    return [
        *before,
        f"        for j in range(a{label}, b{label}):",
        *(f"            {line}" for line in inside),
    ]
