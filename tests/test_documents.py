"""Every example in a docstring, in the README and on a page of the documentation runs as it stands."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

PACKAGE = Path(importlib.util.find_spec("recurrent_dynamics").origin).parent
ROOT = Path(__file__).parent.parent
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

# Modules whose examples compile more than the three cells of the quick tier.
COMPILES_MORE = {f"recurrent_dynamics.ode.{name}" for name in ("discretize", "field", "implicit", "network")}


def modules_with_examples() -> list[object]:
    """Return the names of all modules that hold a doctest, with the marker of their tier."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if ">>> " in path.read_text("utf-8"):
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(pytest.param(name, marks=[pytest.mark.full] if name in COMPILES_MORE else []))
    return found


def run_examples(tests: list[doctest.DocTest]) -> None:
    """Run doctests and fail with the report of those that went wrong."""
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    report: list[str] = []
    failed = sum(runner.run(test, out=report.append).failed for test in tests)
    if failed:
        pytest.fail("".join(report), pytrace=False)


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstrings(name):
    module = importlib.import_module(name)
    run_examples(doctest.DocTestFinder(exclude_empty=True).find(module, name))


PAGES = [
    "start",
    "train",
    "data",
    "layers",
    "regularization",
    "decoding",
    "trees",
    "encoder_decoder",
    *(pytest.param(page, marks=pytest.mark.full) for page in ("adding_a_cell", "analyse", "ode")),
]


@pytest.mark.parametrize("page", PAGES)
def test_pages(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / f"{page}.rst").read_text("utf-8")
    run_examples([doctest.DocTestParser().get_doctest(text, {}, page, f"{page}.rst", 0)])


def test_gallery_has_every_example_in_one_section(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    from gallery_sections import ORDER

    scripts = [path.stem.removeprefix("plot_") for path in (ROOT / "examples").glob("plot_*.py")]
    assert sorted(ORDER) == sorted(scripts)


def test_a_figure_that_is_cut_off_is_noticed(monkeypatch, tmp_path):
    pytest.importorskip("sphinx")
    image = pytest.importorskip("PIL.Image")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    from whole_figures import cut_sides

    pixels = np.full((20, 30), 255, np.uint8)
    pixels[5, 5] = 0
    image.fromarray(pixels).save(tmp_path / "whole.png")
    pixels[10, 0] = pixels[-1, 7] = 90
    image.fromarray(pixels).save(tmp_path / "cut.png")
    assert cut_sides(tmp_path / "whole.png") == []
    assert cut_sides(tmp_path / "cut.png") == ["left", "bottom"]


def test_means_are_lines_of_a_table_of_peers_and_differences_stand_below_it(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    from measured_tables import table_of

    records = [
        {"table": "t", "case": case, "quantity": quantity, "value": value}
        for case, quantity, value in (
            ("lstm; 1, 2, 3, 4", "ours", "2.0"),
            ("lstm; 1, 2, 3, 4", "PyTorch", "3.0"),
            ("lstm, PyTorch", "geometric mean", "1.5"),
            ("PyTorch", "largest relative difference", "5e-03"),
        )
    ]
    lines, below = table_of(records, "t")
    assert lines == [
        ["cell", "T, B, N, H", "ours", "PyTorch"],
        ["lstm", "1, 2, 3, 4", "2.00", "3.00"],
        ["lstm", "geometric mean", "", "1.50"],
    ]
    assert below == ["PyTorch: largest relative difference 5e-03."]


class TrainedElsewhere:
    """Stands for a ``torch.nn.LSTM`` with two inputs and four units, of which only the arrays are used."""

    def state_dict(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(0)
        shapes = {"weight_ih_l0": (16, 2), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}
        return {name: rng.standard_normal(shape).astype("float32") for name, shape in shapes.items()}


@pytest.mark.full
def test_readme():
    import recurrent_dynamics as rd

    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    assert len(blocks) >= 2
    x = np.random.default_rng(0).standard_normal((20, 3, 2)).astype("float32")
    names = {"rd": rd, "model": TrainedElsewhere(), "x": x}
    for block in blocks:
        exec(block, names)
    assert names["jacobians"].shape == (20, 3, 8, 8)
