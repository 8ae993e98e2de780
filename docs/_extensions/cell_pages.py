"""Write what pages include from the library itself: the equations of every cell, and the nonlinearities."""

from __future__ import annotations

import inspect
from pathlib import Path

from sphinx.application import Sphinx

from recurrent_dynamics import equations as library
from recurrent_dynamics.cells import NAMED

# Cells whose equations depend on an option: its name and the values to show.
VARIANTS = {
    "leaky": ("gate", ("fixed", "learnt", "input")),
    "antisymmetric_rnn": ("gated", (False, True)),
    "shplrnn": ("clipped", (False, True)),
}


def equations(name: str, **options: object) -> list[str]:
    """Return the lines of a math directive with the equations of a cell."""
    latex = NAMED[name](**options)._repr_latex_().strip().strip("$").strip()
    return [".. math::", "", *(f"   {line}" for line in latex.splitlines()), ""]


def describe(name: str) -> str:
    """Return a section with the first sentence and the equations of one cell."""
    summary = " ".join((inspect.getdoc(NAMED[name]) or "").split("\n\n")[0].split())
    lines = [name, "-" * len(name), "", f":func:`recurrent_dynamics.cells.{name}`: {summary}", ""]
    option, values = VARIANTS.get(name, ("", ()))
    for value in values:
        lines += [f"With ``{option}={value!r}``:", "", *equations(name, **{option: value})]
    return "\n".join(lines if values else [*lines, *equations(name)])


def nonlinearities() -> str:
    """Return the names of the elementary nonlinearities; functions made of them have docstrings of their own."""
    names = [n for n in library.__all__ if isinstance(getattr(library, n), library.Nonlinearity)]
    return ", ".join(f"``{name}``" for name in names)


def write_pages(app: Sphinx) -> None:
    """Write ``generated/*.inc``, which pages include, where they are not so already."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    texts = {"cells": "\n".join(describe(name) for name in NAMED), "nonlinearities": nonlinearities()}
    for name, text in texts.items():
        page = folder / f"{name}.inc"
        if not page.exists() or page.read_text("utf-8") != text:
            page.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx reads its sources."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True}
