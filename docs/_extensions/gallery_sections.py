"""The gallery in order of subject and level: ``gallery-section`` shows the pages of one section.

The generated index of sphinx-gallery knows no sections within one folder. ``examples/index.rst`` is therefore written
by hand, and takes the pages of each section from `SECTIONS`.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# Scripts `examples/plot_NAME.py` by section; within a section from first steps to research.
SECTIONS = {
    "train": (
        "sequence_classification",
        "forecasting",
        "character_model",
        "lengths_and_padding",
        "clipping",
        "truncated_bptt",
        "dropout_in_time",
        "batch_normalization",
        "either_backend",
    ),
    "sequences": (
        "ctc",
        "beam_search",
        "four_shapes",
        "teacher_forcing",
        "attention",
        "captions",
        "questions",
        "trees",
    ),
    "gradients": ("vanishing_and_exploding", "not_learning"),
    "memory": ("alpha_gates", "neurons_that_remember", "orthogonal_memory"),
    "dynamics": ("flip_flop", "decision_task", "edge_of_chaos", "flossing"),
    "solvers": ("euler_solver", "unstable_step", "stiff"),
}
ORDER = tuple(name for names in SECTIONS.values() for name in names)


def position(path: str) -> int:
    """The place of a script in the gallery, by which thumbnails are sorted."""
    return ORDER.index(Path(path).stem.removeprefix("plot_"))


class GallerySection(SphinxDirective):
    """``.. gallery-section:: NAME``: thumbnails, and a hidden toctree, which links each page to the next one."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Hand the pages to ``minigallery`` and ``toctree``."""
        names = SECTIONS[self.arguments[0]]
        lines = [".. minigallery::", "", *(f"   ../examples/plot_{name}.py" for name in names), ""]
        lines += [".. toctree::", "   :hidden:", "", *(f"   plot_{name}" for name in names), ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("gallery-section", GallerySection)
    return {"parallel_read_safe": True}
