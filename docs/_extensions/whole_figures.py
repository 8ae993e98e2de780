"""Warn of figures of the gallery that are cut off: a label that leaves its figure has ink on the border."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

INK = 200  # grey levels below this one, of 255, are ink


def cut_sides(picture: Path) -> list[str]:
    """Return the sides of a picture on which there is ink."""
    with Image.open(picture) as image:
        grey = np.asarray(image.convert("L"))
    sides = {"left": grey[:, 0], "right": grey[:, -1], "top": grey[0], "bottom": grey[-1]}
    return [side for side, line in sides.items() if (line < INK).any()]


def warn(app: Sphinx, *_: object) -> list[str]:
    """Look at every figure that the gallery has drawn. No page has to be read again."""
    for picture in sorted((Path(app.srcdir) / "gallery" / "images").glob("sphx_glr_plot_*.png")):
        if sides := cut_sides(picture):
            logging.getLogger(__name__).warning("%s is cut off: %s", picture.name, ", ".join(sides))
    return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Look when all pages were read, and their scripts have run."""
    app.connect("env-updated", warn)
    return {"parallel_read_safe": True}
