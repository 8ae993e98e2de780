"""Write the equations of every cell of the library, as the cells give them, for the page "Cells"."""

from __future__ import annotations

import inspect
from pathlib import Path

from sphinx.application import Sphinx

from recurrent_dynamics.cells import NAMED

# Cells whose equations depend on an option: its name and the values to show.
VARIANTS = {"leaky": ("gate", ("fixed", "learnt", "input"))}


def equations(name: str, **options: str) -> list[str]:
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


def write_page(app: Sphinx) -> None:
    """Write ``generated/cells.inc``, which ``cells.rst`` includes, if it is not so already."""
    page = Path(app.srcdir) / "generated" / "cells.inc"
    text = "\n".join(describe(name) for name in NAMED)
    page.parent.mkdir(exist_ok=True)
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx reads its sources."""
    app.connect("builder-inited", write_page, priority=100)
    return {"parallel_read_safe": True}
