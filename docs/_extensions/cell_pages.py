"""Write the equations of every cell of the library, as the cells give them, for the page "Cells"."""

from __future__ import annotations

import inspect
from pathlib import Path

from sphinx.application import Sphinx

from recurrent_dynamics import cells


def describe(name: str) -> str:
    """Return a section with the signature, the first sentence and the equations of one cell."""
    make = cells.NAMED[name]
    summary = " ".join((inspect.getdoc(make) or "").split("\n\n")[0].split())
    equations = make()._repr_latex_().strip().strip("$").strip()
    head = [name, "-" * len(name), "", f":func:`recurrent_dynamics.cells.{name}`: {summary}", ""]
    return "\n".join([*head, ".. math::", "", *(f"   {line}" for line in equations.splitlines()), ""])


def write_page(app: Sphinx) -> None:
    """Write ``generated/cells.inc``, which ``cells.rst`` includes, if it is not so already."""
    page = Path(app.srcdir) / "generated" / "cells.inc"
    text = "\n".join(describe(name) for name in cells.NAMED)
    page.parent.mkdir(exist_ok=True)
    if not page.exists() or page.read_text("utf-8") != text:
        page.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before Sphinx reads its sources."""
    app.connect("builder-inited", write_page, priority=100)
    return {"parallel_read_safe": True}
