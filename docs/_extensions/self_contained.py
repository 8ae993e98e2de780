"""Refuse pages that load a script or a style sheet from another host: they must be whole without a network."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(r"<(?:script|link)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]*)\"")


def check_pages(app: Sphinx, error: Exception | None) -> None:
    """Raise for the first page that is not whole."""
    if error is not None or app.builder.format != "html":
        return
    for page in sorted(Path(app.outdir).rglob("*.html")):
        if "_static" not in page.relative_to(app.outdir).parts:
            for address in LOADED.findall(page.read_text("utf-8")):
                raise ExtensionError(f"{page} loads {address}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the pages when all are written."""
    app.connect("build-finished", check_pages)
    return {"parallel_read_safe": True}
