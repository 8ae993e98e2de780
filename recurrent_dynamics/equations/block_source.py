"""The source of the reads of a memory by the threads of one block of a GPU; see `read_source` for one thread.

Positions and units are shared by the threads, in one of two ways. A sum over positions belongs to a unit: the thread
that has the unit goes along the positions. A sum over units belongs to a position: LANES threads have the units of a
position and leave a part of the sum each in `scratch`, from where one thread adds them up. The order of a sum depends
neither on the number of threads nor on their schedule.

An additive score is, forward,

    if stage == 1:
        for first in range(0, length, group):
            for i in range(tid, group * LANES, threads):
                p = first + i // LANES
                sum0 = k0
                if p < length:
                    for j in range(i % LANES, w0, LANES):
                        memory_keys = get(M, m + p * w0 + j, 0)
                        ...
                        sum0 = sum0 + r0
                put(scratch, i, sum0, 0)
            wait()
            for p in range(first + tid, min(first + group, length), threads):
                put(E, e + 2 * w0 + p, total(scratch, (p - first) * LANES), 4)
            wait()
        for p in range(length + tid, w1, threads):
            put(E, e + 2 * w0 + p, k0, 4)
        wait()

`group` is the number of positions at a time, `wait` the barrier of the block, `total` the sum of LANES numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .axes import SOURCE
from .derive import Derivation
from .program import Program
from .read_source import Lines, along_lines
from .reads import Along, Contraction, Place, is_of_positions, reads_of
from .signatures import signature
from .source import Places, Printer

THREAD = ("scratch", "tid", "threads")


def block_source(derivation: Derivation, verb: str) -> str:
    """The function of the reads of a verb: the arguments of a row function, scratch memory, thread and threads."""
    places, printer = Places(derivation), Printer()
    body = []
    for read in reads_of(derivation, verb, after_steps=False):
        lines = (
            along_lines(read, verb, places, *THREAD)
            if isinstance(read, Along)
            else _contraction(read, places, printer)
        )
        body += [f"    if stage == {read.stage}:", *lines]
    head = [f"def {verb}(stage, widths, {signature(verb, True)}, {', '.join(THREAD)}):"]
    head += ["    group = max(1, threads // LANES)"]
    head += [f"    w{i} = widths[{i}]" for i in range(len(places.labels))]
    return "\n".join([*head, *printer.defined(), *body]) + "\n"


def _contraction(read: Contraction, places: Places, printer: Printer) -> list[str]:
    if not read.adds:
        lines = Lines(read, places, printer)
        after = [lines.put(read.target, "sum0")]
        if not read.over_units:
            return _by_units(lines, after, [], printer)
        beyond = [
            f"for p in range(length + tid, {places.width(SOURCE)}, threads):",
            f"    {lines.put(read.target, printer.constant(0))}",
            "wait()",
        ]
        return [*_by_positions(lines, after, [], printer), *(f"        {line}" for line in beyond)]
    of_units, of_memory, of_positions = _parted(read.adds)
    found = []
    if of_units or not of_positions:
        found += _adding(_by_units, read, of_units, of_memory, places, printer)
        of_memory = []
    if of_positions:
        found += _adding(_by_positions, read, of_positions, of_memory, places, printer)
    return found


def _parted(adds: Sequence[Place]) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the results that are added to values of the units, to memories, and to values of positions."""
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for i, place in enumerate(adds):
        parts[1 if place.variable.row == "memory" else 2 if is_of_positions(place.variable) else 0].append(i)
    return parts


def _adding(
    loops: Callable[..., list[str]],
    read: Contraction,
    summed: list[int],
    of_memory: list[int],
    places: Places,
    printer: Printer,
) -> list[str]:
    """The loops of some results of a contraction: those that are summed, and those of a memory, which are not."""
    chosen = [*summed, *of_memory]
    program = Program(read.program.statements, tuple(read.program.results[i] for i in chosen)).optimized()
    adds = tuple(read.adds[i] for i in chosen)
    lines = Lines(replace(read, adds=adds, program=program), places, printer)
    after = [lines.add(place, f"sum{i}") for i, place in enumerate(adds[: len(summed)])]
    inside = [lines.add(place, f"r{i}") for i, place in enumerate(adds) if i >= len(summed)]
    return loops(lines, after, inside, printer)


def _by_units(lines: Lines, after: list[str], inside: list[str], printer: Printer) -> list[str]:
    """A thread for each unit; its sums over the positions, one for each line of `after`, are sum0, sum1, ..."""
    sums, zero = range(len(after)), printer.constant(0)
    return _indented(2, lines.once) + [
        f"        for j in range(tid, {lines.units}, threads):",
        *_indented(3, lines.of_unit),
        *_indented(3, [f"sum{i} = {zero}" for i in sums]),
        "            for p in range(0, length):",
        *_indented(4, [*lines.of_position, *lines.of_both, *lines.inside]),
        *_indented(4, [f"sum{i} = sum{i} + r{i}" for i in sums]),
        *_indented(4, inside),
        *_indented(3, after),
        "        wait()",
    ]


def _by_positions(lines: Lines, after: list[str], inside: list[str], printer: Printer) -> list[str]:
    """LANES threads for each position; its sums over the units, one for each line of `after`, are sum0, sum1, ..."""
    sums, zero = range(len(after)), printer.constant(0)
    place = [f"{i} * group * LANES + " if i else "" for i in sums]
    return _indented(2, lines.once) + [
        "        for first in range(0, length, group):",
        "            for i in range(tid, group * LANES, threads):",
        "                p = first + i // LANES",
        *_indented(4, [f"sum{i} = {zero}" for i in sums]),
        "                if p < length:",
        *_indented(5, lines.of_position),
        f"                    for j in range(i % LANES, {lines.units}, LANES):",
        *_indented(6, [*lines.of_unit, *lines.of_both, *lines.inside]),
        *_indented(6, [f"sum{i} = sum{i} + r{i}" for i in sums]),
        *_indented(6, inside),
        *_indented(4, [f"put(scratch, {place[i]}i, sum{i}, 0)" for i in sums]),
        "            wait()",
        "            for p in range(first + tid, min(first + group, length), threads):",
        *_indented(4, [f"sum{i} = total(scratch, {place[i]}(p - first) * LANES)" for i in sums]),
        *_indented(4, after),
        "            wait()",
    ]


def _indented(times: int, lines: list[str]) -> list[str]:
    return ["    " * times + line for line in lines]
