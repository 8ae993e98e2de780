"""The kept character model of Python: the units that the gallery shows, on files that it was not trained on."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import recurrent_dynamics as rd

# The text is that of the Python which runs the tests: another one may have other files.
pytestmark = pytest.mark.full

DOCS = Path(__file__).parent.parent / "docs"
MODEL = DOCS / "_static" / "data" / "code_model.npz"
LIBRARY = Path(sysconfig.get_path("stdlib"))


@pytest.fixture(scope="module")
def kept():
    return rd.study.load_model(MODEL)


@pytest.fixture(scope="module")
def maker():
    """The script that made it, imported without running."""
    specification = importlib.util.spec_from_file_location("make_code_model", DOCS / "make_code_model.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_kept_model_is_that_of_the_script(kept, maker):
    assert MODEL.stat().st_size < 600_000
    assert kept.settings == maker.SETTINGS
    assert kept.facts["command"] == maker.COMMAND
    assert kept.facts["updates"] == maker.SETTINGS.updates
    assert kept.facts["validation_bits"] < 2
    for _, weights in named(kept.params):
        assert weights.dtype == np.float32
        np.testing.assert_array_equal(weights / maker.STEP, np.round(weights / maker.STEP))


def named(tree, name=""):
    for key, leaf in tree.items():
        yield from named(leaf, f"{name}/{key}") if isinstance(leaf, dict) else [(f"{name}/{key}", leaf)]


def test_its_units_track_what_a_reader_keeps_in_mind(kept):
    choice, report = (
        "".join(rd.data.read_text(LIBRARY / f"{name}.py") for name in names)
        for names in (("traceback",), ("textwrap", "tokenize"))
    )
    text = choice + report
    characters = rd.data.Vocabulary(kept.vocabulary.characters, unknown="?").encode(text)[:, None]
    signals = rd.data.text_signals(text)

    def held_out(params):
        cells = kept.model.forward(params, characters).runs[0].states["c"][:, 0]
        found = rd.dynamics.tracking(cells, signals, held_out=len(report) / len(text))
        return dict(zip(found.names, np.abs(found.held_out), strict=True))

    found, untrained = held_out(kept.params), held_out(kept.model.init(rng=0))
    for name in ("inside quotes", "open brackets", "position in line", "code depth"):
        assert found[name] >= 0.5, name
        assert untrained[name] <= found[name] - 0.1, name


def test_what_units_are_judged_on_is_not_read_in_training(maker):
    corpus = maker.corpus()
    training, validation = map(corpus.vocabulary.decode, (corpus.training, corpus.validation))
    assert len(training) > 3_000_000
    assert len(validation) > 50_000
    for name in ("textwrap", "tokenize", "traceback", "typing"):
        own = rd.data.read_text(LIBRARY / f"{name}.py")
        middle = own[len(own) // 2 :][:300]
        assert middle not in training
        assert middle not in validation
    assert rd.data.read_text(LIBRARY / "argparse.py")[:300] in training
    assert rd.data.read_text(LIBRARY / "weakref.py")[:300] in validation
