"""What all public results have in common: a short text, an HTML table, a figure, a data frame."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from refusals import refused
from result_examples import examples

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics, plot
from recurrent_dynamics.results import LINES, Result, Tabular, describe

ROOMS = [room for name in rd.__all__ if inspect.ismodule(room := getattr(rd, name))]
CLASSES = {c for room in ROOMS for name in room.__all__ if inspect.isclass(c := getattr(room, name))}
RESULTS = sorted((c for c in CLASSES if issubclass(c, Result)), key=lambda c: c.__name__)
# What has no figure of its own: parts of another result, which draws them or whose parts do, and runs without states.
PARTS = {
    "Bifurcation", "Certificate", "CharacterModel", "Context", "Corpus", "Held", "Layer", "LyapunovChecks", "Measure",
    "Measurements", "Pairs", "Portrait", "ReversibleRun", "SavedModel", "SlowPoints", "Trial", "Unfinished",
}  # fmt: skip
# Systems that are functions, whose annotations speak of arrays.
FUNCTIONS = {dynamics.Map, dynamics.Flow}

every_result = pytest.mark.parametrize("kind", RESULTS, ids=lambda c: c.__name__)
every_figure = pytest.mark.parametrize(
    "kind", [c for c in RESULTS if c.__name__ not in PARTS], ids=lambda c: c.__name__
)
every_table = pytest.mark.parametrize(
    "kind", [c for c in RESULTS if issubclass(c, Tabular)], ids=lambda c: c.__name__
)


@pytest.fixture
def pyplot():
    """In use during the test, and only then: tests that come later see it as imported or not, as before."""
    before = sys.modules.get(plot.style.PYPLOT)
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")
    if before is None:
        del sys.modules[plot.style.PYPLOT]


@pytest.fixture
def no_pyplot(monkeypatch):
    monkeypatch.delitem(sys.modules, plot.style.PYPLOT, raising=False)


def test_whatever_holds_arrays_is_a_result():
    for kind in CLASSES - FUNCTIONS:
        if dataclasses.is_dataclass(kind) and any("rray" in str(f.type) for f in dataclasses.fields(kind)):
            assert issubclass(kind, Result), kind


@every_result
def test_a_result_has_a_short_text(kind):
    result = examples()[kind]
    text = repr(result)
    assert len(text) < 800
    assert 1 <= len(text.splitlines()) <= LINES
    assert kind.__name__ in text
    assert "<" not in text  # no address of an object


@every_result
def test_a_result_is_a_table_in_a_notebook(kind):
    table = ElementTree.fromstring(examples()[kind]._repr_html_())
    assert table.tag == "table"
    assert table.find("caption").text == kind.__name__
    rows = table.findall("tr")
    assert 1 <= len(rows) <= LINES
    assert all("".join(row.itertext()).strip() for row in rows)


def one_or_more(drawn) -> list[Axes]:
    """The axes that a method returned, one or an array of them."""
    if isinstance(drawn, Axes):
        return [drawn]
    assert isinstance(drawn, np.ndarray)
    assert drawn.ndim == 1
    return list(drawn)


@every_figure
def test_a_result_draws_itself_where_it_is_told(kind, no_pyplot):
    result = examples()[kind]
    drawn = one_or_more(result.plot())
    assert all(isinstance(ax, Axes) and ax.get_xlabel() for ax in drawn)
    plot.svg(drawn[0].figure)
    parameters = inspect.signature(result.plot).parameters
    if "axes" in parameters:
        _, given = plot.panels(len(drawn))
        assert list(result.plot(axes=given)) == given
        with refused("axes", f"be {len(drawn)}"):
            result.plot(axes=given + given)
    else:
        _, (ax,) = plot.panels(1)
        assert result.plot(ax=ax) is ax


@every_figure
def test_pyplot_knows_a_figure_where_it_is_in_use(kind, pyplot):
    figure = one_or_more(examples()[kind].plot())[0].figure
    assert pyplot.gcf() is figure


def test_no_figure_is_left_in_pyplot_by_a_page_that_shows_none(pyplot):
    with plot.without_pyplot():
        plot.panels(1)
    assert pyplot.get_fignums() == []
    plot.panels(1)
    assert len(pyplot.get_fignums()) == 1


def test_parts_of_results_have_no_figure():
    """None is in the list that has one by now."""
    assert {c.__name__ for c in RESULTS if not hasattr(c, "plot")} == PARTS


@every_table
def test_a_result_is_a_data_frame_where_pandas_is(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=dict))
    frame = examples()[kind].to_frame()
    assert frame
    assert len({len(column) for column in frame.values()}) == 1
    assert all(np.ndim(column) == 1 for column in frame.values())


def test_a_data_frame_needs_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="to_frame needs pandas"):
        examples()[dynamics.TimeScales].to_frame()


def test_a_data_frame_of_pandas_has_the_columns():
    pytest.importorskip("pandas")
    frame = examples()[dynamics.FixedPoints].to_frame()
    assert len(frame) == len(examples()[dynamics.FixedPoints])
    assert frame["kind"].tolist() == examples()[dynamics.FixedPoints].kind.tolist()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((0, 3)), "(0, 3) float64"),
        (np.array([], str), "(0,) str"),
        (np.full(2, np.nan), "(2,) float64, 2 not finite"),
        (np.array([3.0, 3.0]), "(2,) float64, 3"),
        (np.array([3 + 4j, 0]), "(2,) complex128, modulus 0 to 5"),
        (np.array([True, False, True]), "(3,) bool, 2 of 3 true"),
        (np.array(["stable", "saddle", "stable"]), "(3,) str, 1 saddle, 2 stable"),
        ({"layers": {"0": {"U": np.zeros((2, 2))}}, "rate": 0.5}, "layers.0.U (2, 2), rate 0.5"),
        ({}, "none"),
        ([1, 2.5, None], "(1, 2.5, None)"),
        ([{}, {}, {}], "3 dict"),
        ((), "none"),
        (("a" * 30, "b" * 30), "2 str"),
        (object(), "object"),
        (np.float32(0.25), "0.25"),
        ("x" * 100, "'" + "x" * 43 + " ..."),
    ],
)  # fmt: skip
def test_a_value_is_described_in_one_line(value, text):
    assert describe(value) == text


def test_a_text_that_would_be_longer_names_what_it_leaves_out():
    Many = dataclasses.make_dataclass(
        "Many", [(f"array_{k}", np.ndarray) for k in range(20)], bases=(Result,)
    )
    text = repr(Many(*np.zeros((20, 3))))
    assert len(text.splitlines()) == LINES
    assert text.splitlines()[1] == "  array_0  (3,) float64, 0"
    assert text.splitlines()[-1].startswith("  also     array_8, array_9")


PROTOCOLS = {"BatchSource", "Layer", "Predictor"}  # of which nobody has an instance


def test_no_public_class_shows_an_address():
    plain = {c.__name__ for c in CLASSES if c.__repr__ is object.__repr__ and not issubclass(c, Exception)}
    assert plain == PROTOCOLS


def of_other_classes():
    elman = rd.cells.elman()
    params = elman.init(2, 3)
    step = rd.stepper(elman, params)
    model = rd.nn.Model(elman, 3, vocabulary_size=4)
    batch = (np.zeros((2, 1, 2)), np.zeros((2, 1, 1)))
    return {
        "Stepper(elman, 2 inputs, 3 units, float32)": step,
        "State(h (2, 3), float32)": step.zeros(2),
        "Streams(2 of 6 symbols, window 3, stride 3)": rd.data.Streams(np.arange(13), 2, 3),
        "BatchList(2 batches, shuffled from seed 1)": rd.training.BatchList([batch, batch], shuffle=1),
        "Optimizer(Adam)": rd.training.adam(),
        "Optimizer(Adam, weight decay 0.01)": rd.training.adamw(weight_decay=0.01),
        "Optimizer(projected)": rd.training.projected(rd.training.sgd()),
        f"ModelPredictor({model!r})": rd.nn.ModelPredictor(model, model.init()),
        "FunctionPredictor(<lambda>, 3 symbols)": rd.nn.FunctionPredictor(lambda s, x: (x, s), 3),
        "StepDerivatives(4 steps, batch 1, 3 numbers of state, float32)": dynamics.StepDerivatives(
            rd.forward(elman, params, np.ones((4, 1, 2), "float32"))
        ),
    }


def test_texts_of_what_is_no_result():
    for text, value in of_other_classes().items():
        assert repr(value) == text
