"""The programs of a cell as device functions: the text that the CPU engine compiles, with other scalars around it.

A row function loops over the units from `a` to `b` that its argument `sizes` names; on a device a thread has one unit
j, so a = j and b = j + 1. Where threads own a unit through all time steps (`column_kernels`), its numbers stand in
small arrays of the thread, which the compiler turns into registers: there every width is 1 and j = 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ...cells import Cell
from ...equations.schedule import width_labels
from .driver import device
from .scalars import scalars

ROWS = ("values", "state", "vectors")
_PROGRAMS: dict[tuple[str, str, str], Callable[..., None]] = {}
unsigned = np.uint64  # an index that may be negative costs a comparison and an addition


@device
def get(array, index, stream):
    """array[index]; the number of the stream tells nothing here."""
    return array[unsigned(index)]


@device
def put(array, index, value, stream):
    """array[index] = value."""
    array[unsigned(index)] = value


def program(cell: Cell, verb: str, dtype: str) -> Callable[..., None]:
    """The row function of one verb of a cell, as `equations.source` writes it; without reads, see `block_reads`."""
    key = (cell.fingerprint, verb, dtype)
    if key not in _PROGRAMS:
        from ...equations.derive import Derivation
        from ...equations.source import source

        text = source(Derivation(cell), verb, with_reads=False).text
        _PROGRAMS[key] = compiled(text, verb, {"get": get, "put": put, **scalars(dtype)})
    return _PROGRAMS[key]


def moving(cell: Cell, verb: str, dtype: str) -> Callable[..., None]:
    """The row functions "forward" and "tangent" with the same arguments: what moves is in tE, tS, tP, N.

    Along the point E, S, P, which a forward walk does not have.
    """
    function = program(cell, verb, dtype)

    def forward(stage, sizes, E, e, S, s, P, C, tE, tS, tP, N):
        function(0, stage, sizes, tE, e, tS, s, P, C, N, s)

    def tangent(stage, sizes, E, e, S, s, P, C, tE, tS, tP, N):
        function(0, stage, sizes, E, e, S, s, P, C, tE, tS, tP, N, s)

    return device(forward if verb == "forward" else tangent)


def compiled(text: str, name: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """The device function of a text that defines one of this name, with the functions that it calls."""
    exec(compile(text, f"<{name} on a device>", "exec"), namespace)
    return device(namespace[name])


@cache
def unit_sizes(labels: int) -> Callable[..., Any]:
    """`sizes(widths, j)`: what makes a row function compute unit j alone, of every width that has so many."""
    every = range(labels)
    width = ", ".join(f"widths[{i}]" for i in every)
    start = ", ".join("j" for _ in every)
    end = ", ".join(f"min(j + 1, widths[{i}])" for i in every)
    return compiled(f"def sizes(widths, j):\n    return ({width}, {start}, {end})\n", "sizes", {})


@cache
def column_sizes(labels: int) -> Callable[..., Any]:
    """`sizes(widths, j)`: the same for rows of one unit each, in the arrays of a thread."""
    every = range(labels)
    one, zero = ", ".join("1" for _ in every), ", ".join("0" for _ in every)
    # Of one width every thread has a unit: with a loop that surely runs once, all indices are constants.
    end = ", ".join(f"1 if j < widths[{i}] else 0" for i in every) if labels > 1 else "1"
    return compiled(f"def sizes(widths, j):\n    return ({one}, {zero}, {end})\n", "sizes", {})


@cache
def each(size: int, statement: str) -> Callable[..., Any]:
    """`each(a, b, zero)`: a statement for every number i of two arrays of a thread.

    Written out, as a loop over them can keep them out of the registers: the compiler makes it a copy of memory.
    """
    lines = "".join(f"    {statement.format(i=i)}\n" for i in range(size))
    return compiled(f"def each(a, b, zero):\n{lines}", "each", {})


_COLUMNS: dict[tuple[str, str], tuple[Callable[..., None], Callable[..., None]]] = {}


def columns(cell: Cell, row: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """(load, store) of unit j of all stretches of a row: `load(array, start of the row, j, widths, out)`."""
    key = (cell.fingerprint, row)
    if key not in _COLUMNS:
        labels = width_labels(cell)
        widths = [label for _, label in cell.schedule.rows(cell)[row]]
        lines: dict[str, list[list[str]]] = {"load": [], "store": []}
        for label in labels:
            places = [i for i, width in enumerate(widths) if width == label]
            for name, found in lines.items():
                found.append([_move(name, i, widths[:i], labels) for i in places])
        made = []
        for name, found in lines.items():
            text = f"def {name}(array, at, j, widths, out):\n"
            for number, moves in enumerate(found):
                if moves:
                    text += f"    if j < widths[{number}]:\n" + "".join(f"        {m}\n" for m in moves)
                if moves and name == "load" and len(labels) > 1:  # a unit that this width does not have
                    text += "    else:\n" + "".join(f"        {m.partition(' = ')[0]} = 0\n" for m in moves)
            made.append(compiled(text + "    return\n", name, {"get": get, "put": put}))
        _COLUMNS[key] = (made[0], made[1])
    return _COLUMNS[key]


def _move(name: str, i: int, before: list[str], labels: tuple[str, ...]) -> str:
    terms = [f"{before.count(label)} * widths[{n}]" for n, label in enumerate(labels) if label in before]
    place = " + ".join(["at", *terms, "j"])
    return f"out[{i}] = get(array, {place}, 0)" if name == "load" else f"put(array, {place}, out[{i}], 0)"


def sizes_of_rows(cell: Cell) -> tuple[int, int, int]:
    """How many stretches the rows of values, state and vectors have; at least 1, as no array of a thread is empty."""
    rows = cell.schedule.rows(cell)
    a, b, c = (max(1, len(rows[name])) for name in ROWS)
    return a, b, c
