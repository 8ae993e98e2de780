"""Write what pages include from the library itself: the cells, a table and their equations, and the nonlinearities."""

from __future__ import annotations

import csv
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from recurrent_dynamics import equations as library
from recurrent_dynamics.cells import NAMED

WHICH = "which_cell.csv"  # rows (cell, name, paper, when), from the folder of the pages
WIDTH = 128  # inputs and units of a cell whose parameters are counted
# Cells whose equations depend on an option: its name and the values to show.
VARIANTS = {
    "leaky": ("gate", ("fixed", "learnt", "input")),
    "antisymmetric_rnn": ("gated", (False, True)),
    "shplrnn": ("clipped", (False, True)),
}


def read_cells(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the table, which must hold every cell of the library once."""
    with (folder / WHICH).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if [row["cell"] for row in rows] != list(NAMED):
        raise ExtensionError(f"docs/{WHICH} must hold the cells {', '.join(NAMED)}, in this order")
    return rows


def count(name: str) -> str:
    """Return the number of parameters in thousands."""
    arrays = NAMED[name]().init(input_size=WIDTH, hidden_size=WIDTH)
    return f"{sum(array.size for array in arrays.values()) / 1e3:.0f}"


def table(rows: list[dict[str, str]]) -> str:
    """Return a list-table: which cell when."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 50 10 20", ""]
    cells = [
        (f":ref:`{r['name']} <cell-{r['cell']}>`, ``{r['cell']}``", r["when"], count(r["cell"]), r["paper"])
        for r in rows
    ]
    for line in [("cell", "use it when", "parameters", "paper"), *cells]:
        lines += [f"   {' ' if k else '*'} - {text}".rstrip() for k, text in enumerate(line)]
    return "\n".join(lines)


def equations(name: str, **options: object) -> list[str]:
    """Return the lines of a math directive with the equations of a cell."""
    latex = NAMED[name](**options)._repr_latex_().strip().strip("$").strip()
    return [".. math::", "", *(f"   {line}" for line in latex.splitlines()), ""]


def describe(row: dict[str, str]) -> str:
    """Return a section with the name, the paper, the use and the equations of one cell."""
    cell, name = row["cell"], row["name"]
    paper = f" ({row['paper']})" if row["paper"] else ""
    lines = [f".. _cell-{cell}:", "", name, "-" * len(name), ""]
    lines += [f":func:`recurrent_dynamics.cells.{cell}`{paper}. {row['when']}", ""]
    option, values = VARIANTS.get(cell, ("", ()))
    for value in values:
        lines += [f"With ``{option}={value!r}``:", "", *equations(cell, **{option: value})]
    return "\n".join(lines if values else [*lines, *equations(cell)])


def nonlinearities() -> str:
    """Return the names of the elementary nonlinearities; functions made of them have docstrings of their own."""
    names = [n for n in library.__all__ if isinstance(getattr(library, n), library.Nonlinearity)]
    return ", ".join(f"``{name}``" for name in names)


def write_pages(app: Sphinx) -> None:
    """Write ``generated/*.inc``, which pages include, where they are not so already."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    rows = read_cells(Path(app.srcdir))
    texts = {
        "which_cell": table(rows),
        "cells": "\n".join(describe(row) for row in rows),
        "nonlinearities": nonlinearities(),
    }
    for name, text in texts.items():
        page = folder / f"{name}.inc"
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx reads its sources."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True}
