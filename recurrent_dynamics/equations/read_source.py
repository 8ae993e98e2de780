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
from .reads import Along, Contraction, Place, is_of_positions, reads_of
from .schedule import SHIFT
from .source import Places, Printer, computed, symbols_of


def read_lines(
    derivation: Derivation, verb: str, places: Places, printer: Printer
) -> list[tuple[int, list[str]]]:
    """(stage, lines inside of its branch) of all reads of a verb."""
    return [
        (
            read.stage,
            _along(read, verb, places) if isinstance(read, Along) else _contraction(read, places, printer),
        )
        for read in reads_of(derivation, verb)
    ]


def _along(read: Along, verb: str, places: Places) -> list[str]:
    arrays = {"forward": "E", "tangent": "E, tE", "adjoint": "E, dE", "second": "E, tE, dE, uE"}[verb]
    given = [" + ".join(places.start("E", v)) for v in (*read.sources, read.target)]
    given += ["length", places.width(SOURCE), *([str(read.by)] if read.kind == SHIFT else [])]
    return [f"        {read.kind}_{verb}({arrays}, {', '.join(given)})"]


def _contraction(read: Contraction, places: Places, printer: Printer) -> list[str]:
    units, zero = places.width(read.units), printer.constant(0)
    needed = symbols_of(read.program)
    reads = {symbol: place for symbol, place in read.reads.items() if symbol in needed}

    def entry(place: Place) -> str:
        v = place.variable
        if v.row == "memory":
            return places(place.array, v, f"p * {units}", "j")
        return places(place.array, v, "p" if is_of_positions(v) else "j")

    def added(place: Place, value: str) -> str:
        array, index, stream = entry(place).split(", ")
        return f"put({array}, {index}, get({array}, {index}, {stream}) + {value}, {stream})"

    at_start = [f"{s} = get({entry(p)})" for s, p in reads.items() if p.array == "C"]
    of_position = [
        f"{s} = get({entry(p)})" for s, p in reads.items() if p.array != "C" and is_of_positions(p.variable)
    ]
    of_unit = [
        f"{s} = get({entry(p)})"
        for s, p in reads.items()
        if p.array != "C" and not is_of_positions(p.variable)
    ]
    inside, after = computed(read.program, printer), []
    summed: list[int] = []
    for i, place in enumerate(read.adds):
        if is_of_positions(place.variable):
            summed.append(i)
            after.append(added(place, f"sum{i}"))
        else:
            inside.append(added(place, f"r{i}"))
    if not read.adds and read.over_units:
        summed.append(0)
        array, index, stream = entry(read.target).split(", ")
        after.append(f"put({array}, {index}, sum0, {stream})")
    elif not read.adds:
        inside.append(added(read.target, "r0"))
    inside += [f"sum{i} = plus(sum{i}, r{i}, j)" for i in summed]
    lines = [f"        {line}" for line in at_start]
    if not read.adds and not read.over_units:
        lines += [f"        for j in range(0, {units}):"]
        array, index, stream = entry(read.target).split(", ")
        lines += [f"            put({array}, {index}, {zero}, {stream})"]
    lines += ["        for p in positions(0, length):"]
    lines += [f"            {line}" for line in (*of_position, *(f"sum{i} = {zero}" for i in summed))]
    lines += [f"            for j in range(0, {units}):"]
    lines += [f"                {line}" for line in (*of_unit, *inside)]
    lines += [f"            {line}" for line in after]
    if not read.adds and read.over_units:
        array, index, stream = entry(read.target).split(", ")
        lines += [f"        for p in positions(length, {places.width(SOURCE)}):"]
        lines += [f"            put({array}, {index}, {zero}, {stream})"]
    return lines
