"""The source of the reads of a memory, as part of a row function; see `equations.source`.

An additive score is, forward,

    if stage == 1:
        for p in positions(0, length):
            sum0 = k0
            for j in range(0, w0):
                memory_keys = get(M, m + p * w0 + j, 0)
                ...
                sum0 = plus(sum0, r0, j)
            put(E, e + 2 * w0 + p, sum0, 4)
        for p in positions(length, w1):
            put(E, e + 2 * w0 + p, k0, 4)

`positions` counts as `range` does. `plus(sum, value, j)` adds a number, in an order that the compiler chooses.
"""

from __future__ import annotations

from .axes import SOURCE
from .derive import Derivation
from .program import symbols_of
from .reads import Along, Contraction, Place, is_of_positions, reads_of
from .schedule import SHIFT
from .source import Places, Printer, computed


def read_lines(
    derivation: Derivation, verb: str, places: Places, printer: Printer
) -> list[tuple[int, list[str]]]:
    """(stage, lines inside of its branch) of all reads of a verb."""
    return [
        (
            read.stage,
            along_lines(read, verb, places)
            if isinstance(read, Along)
            else _contraction(read, places, printer),
        )
        for read in reads_of(derivation, verb)
    ]


def along_lines(read: Along, verb: str, places: Places, *more: str) -> list[str]:
    """The call of the function of a softmax, shift or scan, with `more` arguments at its end."""
    arrays = {"forward": "E", "tangent": "E, tE", "adjoint": "E, dE", "second": "E, tE, dE, uE"}[verb]
    given = [" + ".join(places.start("E", v)) for v in (*read.sources, read.target)]
    given += ["length", places.width(SOURCE), *([str(read.by)] if read.kind == SHIFT else []), *more]
    return [f"        {read.kind}_{verb}({arrays}, {', '.join(given)})"]


class Lines:
    """The lines of a contraction by where they may stand: once, at a position, at a unit, or at both.

    `inside` computes the results r0, r1, ... at a position and a unit.
    """

    def __init__(self, read: Contraction, places: Places, printer: Printer) -> None:
        self._places, self.units = places, places.width(read.units)
        self.once: list[str] = []
        self.of_position: list[str] = []
        self.of_unit: list[str] = []
        self.of_both: list[str] = []
        needed = symbols_of(read.program)
        for symbol, place in read.reads.items():
            if symbol in needed:
                self._lines_for(place).append(f"{symbol} = get({self.entry(place)})")
        self.inside = computed(read.program, printer)

    def _lines_for(self, place: Place) -> list[str]:
        if place.array == "C":
            return self.once
        if place.variable.row == "memory":
            return self.of_both
        return self.of_position if is_of_positions(place.variable) else self.of_unit

    def entry(self, place: Place) -> str:
        """Array, index and stream of a place at position p and unit j."""
        v = place.variable
        if v.row == "memory":
            return self._places(place.array, v, f"p * {self.units}", "j")
        return self._places(place.array, v, "p" if is_of_positions(v) else "j")

    def put(self, place: Place, value: str) -> str:
        """The line that writes a value."""
        array, index, stream = self.entry(place).split(", ")
        return f"put({array}, {index}, {value}, {stream})"

    def add(self, place: Place, value: str) -> str:
        """The line that adds a value."""
        return self.put(place, f"get({self.entry(place)}) + {value}")


def _contraction(read: Contraction, places: Places, printer: Printer) -> list[str]:
    zero, lines = printer.constant(0), Lines(read, places, printer)
    inside, after = [*lines.of_unit, *lines.of_both, *lines.inside], []
    summed: list[int] = []
    for i, place in enumerate(read.adds):
        if is_of_positions(place.variable):
            summed.append(i)
            after.append(lines.add(place, f"sum{i}"))
        else:
            inside.append(lines.add(place, f"r{i}"))
    if not read.adds and read.over_units:
        summed.append(0)
        after.append(lines.put(read.target, "sum0"))
    elif not read.adds:
        inside.append(lines.add(read.target, "r0"))
    inside += [f"sum{i} = plus(sum{i}, r{i}, j)" for i in summed]
    found = [f"        {line}" for line in lines.once]
    if not read.adds and not read.over_units:
        found += [f"        for j in range(0, {lines.units}):", f"            {lines.put(read.target, zero)}"]
    found += ["        for p in positions(0, length):"]
    found += [f"            {line}" for line in (*lines.of_position, *(f"sum{i} = {zero}" for i in summed))]
    found += [f"            for j in range(0, {lines.units}):"]
    found += [f"                {line}" for line in inside]
    found += [f"            {line}" for line in after]
    if not read.adds and read.over_units:
        found += [f"        for p in positions(length, {places.width(SOURCE)}):"]
        found += [f"            {lines.put(read.target, zero)}"]
    return found
