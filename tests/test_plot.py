"""Every figure of a result has labelled axes, draws where it is told, and leaves no state behind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type
from result_examples import examples

from recurrent_dynamics import plot
from recurrent_dynamics.dynamics import (
    FixedPoints,
    Gate,
    TimeScales,
    Trial,
    diagnose,
    direct_products,
    gradient_flow,
    jacobian_products,
    kreiss_constant,
    measured_time_scales,
    path_norms,
    saturation,
    time_scales,
)
from recurrent_dynamics.plot.history import NAMES
from recurrent_dynamics.training import History


@pytest.fixture
def results(rng):
    jacobians = rng.standard_normal((8, 2, 3, 3)) / 2
    values = rng.uniform(-1, 1, (20, 2, 5))
    values[..., 0] = 0.5
    return {
        "gradient_flow": gradient_flow(rng.standard_normal((8, 4, 3))),
        "jacobian_products": jacobian_products(jacobians),
        "direct_products": direct_products(rng.uniform(0, 1, (8, 2, 3)), slot="c"),
        "path_norms": path_norms(jacobians, rng.uniform(0, 1, (8, 2, 3)), slot="c"),
        "saturation": saturation(values, (-0.9, 0.9), name="o"),
        "time_scales": time_scales(rng.uniform(0.1, 1, (8, 2, 3)), slot="c"),
    }


def draw_history(ax=None):
    updates = np.arange(1, 101)
    loss = 4 / np.sqrt(updates)
    yield plot.learning_curve(updates, loss, updates[::20], loss[::20] + 0.1, ax=ax)
    yield plot.learning_curve(updates, loss, np.array([]), np.array([]), ax=ax)
    yield plot.clipping(updates, 10 * loss, np.minimum(10 * loss, 5), limit=5.0, ax=ax)
    yield plot.step_lengths(updates, loss, ax=ax)


@pytest.mark.parametrize(
    "name",
    ["direct_products", "gradient_flow", "jacobian_products", "path_norms", "saturation", "time_scales"],
)
def test_every_result_plots_itself_with_labelled_axes(results, name):
    ax = results[name].plot()
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert results[name].plot(ax=ax) is ax


def test_every_figure_of_training_has_labelled_axes():
    for ax in draw_history():
        assert ax.get_xlabel() == "update"
        assert ax.get_ylabel()
    _, (given,) = plot.panels(1)
    for ax in draw_history(given):
        assert ax is given


def test_a_result_with_zeros_and_infinities_is_drawn():
    plot.svg(jacobian_products(np.zeros((4, 2, 2))).plot().figure)
    plot.svg(time_scales(np.ones((2, 1, 3))).plot().figure)
    plot.svg(gradient_flow(np.zeros((4, 1, 2))).plot().figure)


def test_labels_of_many_products_do_not_run_into_each_other():
    few, many = (
        jacobian_products(0.5 * np.ones((2 ** (n - 1), 1, 1, 1)), 2 ** np.arange(n)).plot() for n in (6, 11)
    )
    assert [label.get_text() for label in few.get_xticklabels()] == ["1", "2", "4", "8", "16", "32"]
    shown = [label.get_text() for label in many.get_xticklabels() if label.get_text()]
    assert shown == ["1", "4", "16", "64", "256", "1024"]


def test_the_line_of_a_gradient_ends_where_it_underflows():
    norms = np.array([1.0, 1e-19, 1e-21, 0.0])  # by lag
    lines = gradient_flow(np.stack([norms, norms], axis=1)[::-1, :, None]).plot().get_lines()
    assert len(lines) == 2  # mean and median
    for line in lines:
        np.testing.assert_array_equal(np.isnan(line.get_ydata()), [False, False, True, True])


def test_a_gradient_flow_begins_where_it_enters_and_names_the_training_window_once():
    flow = gradient_flow(np.array([0.1, 0.2, 0.5, 0.0]).reshape(4, 1, 1))
    ax = flow.plot(label="layer 1", truncation=2)
    flow.plot(ax=ax, label="layer 2", index=1, truncation=2)
    first, *_ = ax.get_lines()
    assert first.get_xdata().tolist() == [1, 2, 3]
    assert first.get_ydata().tolist() == [0.5, 0.2, 0.1]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["layer 1", "layer 2", "training window"]
    assert flow.plot().get_legend() is None


def test_the_median_window_is_drawn_beside_the_mean(rng):
    flow = gradient_flow(np.exp(rng.standard_normal((8, 5, 1)).cumsum(axis=0))[::-1])
    ax = flow.plot(label="layer 1")
    flow.plot(ax=ax, label="layer 2", index=1, truncation=4)
    mean, median, *_ = ax.get_lines()
    np.testing.assert_allclose(mean.get_ydata(), flow.norms)
    np.testing.assert_allclose(median.get_ydata(), np.median(flow.per_window, axis=1))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["layer 1", "layer 2", "median window", "training window"]


def test_a_learning_curve_hides_neither_its_start_nor_what_it_is_compared_with():
    updates = np.arange(1, 301)
    loss = 6.5 * updates**-0.2
    ax = plot.learning_curve(updates, loss, np.array([300]), np.array([2.2]), levels={"uniform": 6.58})
    low, high = ax.get_ylim()
    assert low < min(loss) < 6.58 < high
    assert "uniform: 6.58" in [text.get_text() for text in ax.texts]
    ax.figure.canvas.draw()
    shown = [text.get_text() for text in ax.get_yticklabels()]
    assert {"3", "4", "5"} <= set(shown)


def test_gradients_that_were_never_clipped_are_one_line():
    norms, updates = np.geomspace(0.4, 2.0, 50), np.arange(50)
    (line,) = plot.clipping(updates, norms, norms).get_lines()
    assert line.get_label() == "never clipped"
    below, above = plot.clipping(updates, norms, np.minimum(norms, 1.0)).get_lines()
    assert below.get_linewidth() > 2 * above.get_linewidth()  # both are seen where they are one


def test_labels_of_points_at_one_place_of_the_frame_are_stacked(rng):
    two = np.array([[30.0, 31.0], [33.0, 34.0]])
    points = replace(examples()[FixedPoints], points=two, q=np.zeros(2), kind=np.array(["saddle", "saddle"]))
    ax = plot.held_inputs(
        rng.standard_normal((50, 2, 2)), [rng.standard_normal((5, 2, 2))], [points], labels=["x"]
    )
    first, second = (text for text in ax.texts if text.get_text().startswith("×"))
    assert first.xyann != second.xyann


def test_a_result_has_the_colour_that_it_is_given(results):
    for name in ("gradient_flow", "jacobian_products"):
        ax = results[name].plot(index=2)
        lines = [line for line in ax.get_lines() if len(line.get_xdata()) > 2]
        assert {line.get_color() for line in lines} == {plot.colour(2)}


def test_medians_of_time_scales_are_named(results):
    ax = plot.time_scales([results["time_scales"]], labels=["LSTM"])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["LSTM", "median"]


def test_time_scales_are_compared_unit_by_unit():
    implied, measured = (
        TimeScales(np.array(v), "c") for v in ([2.0, 5.0, 9.0, 1.0], [2.0, np.inf, 3.0, np.nan])
    )
    ax = plot.compared_time_scales(implied, measured, longest=100.0)
    _, points, cut = ax.get_lines()
    assert points.get_xydata().tolist() == [[2, 2], [9, 3]]
    assert cut.get_xydata().tolist() == [[5, 100]]
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    with refused("measured", "4", "1"):
        plot.compared_time_scales(implied, TimeScales(np.ones(1), "c"))
    still = TimeScales(np.full(4, np.nan), "c")
    with refused("measured", came="nan for all"):
        plot.compared_time_scales(implied, still)
    with refused("scales", came="a result of nan alone"):
        plot.time_scales(still)
    plot.svg(plot.time_scales([implied, measured]).figure)


def test_the_same_figure_is_the_same_svg(results):
    first, second = (plot.svg(results["path_norms"].plot().figure) for _ in range(2))
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_plotting_leaves_pyplot_alone():
    program = (
        "import sys, numpy as np; from recurrent_dynamics import plot\n"
        "plot.svg(plot.step_lengths(np.arange(3), np.ones(3)).figure)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_running_mean_skips_what_is_not_a_number():
    assert plot.smooth(np.array([np.nan, 1.0, np.nan, 3.0]), 2).tolist()[1:] == [1.0, 1.0, 3.0]
    assert np.isnan(plot.smooth(np.array([np.nan, 1.0]), 2)[0])


def test_measured_time_scales_are_not_called_those_of_gates(rng):
    implied = time_scales(rng.uniform(0.1, 1, (8, 2, 3)))
    measured = measured_time_scales(rng.standard_normal((50, 2, 3)))
    assert r"-1/\ln f" in implied.plot().get_xlabel()
    assert measured.plot().get_xlabel() == "time scale of the autocorrelation (steps)"
    assert plot.time_scales([implied, measured]).get_xlabel() == "time scale (steps)"


def test_every_column_of_a_history_is_drawn():
    history = History()
    for update in range(1, 4):
        row = dict.fromkeys(history.training.columns, 0.5)
        history.training.append(**row | {"update": update, "grad_norm": 10.0**update})
    assert history.plot(unit="nats").get_ylabel() == "loss (nats)"
    assert history.plot().get_ylabel() == "loss"
    for column in NAMES:
        ax = history.plot(column=column, label="first")
        assert ax.get_xlabel() == "update"
        assert len(ax.get_lines()[0].get_xdata()) == 3
    assert history.plot(column="grad_norm").get_yscale() == "log"
    with refused("column", "be one of loss"):
        history.plot(column="accuracy")
    with refused("history", "have an update"):
        History().plot()


def test_a_diagnosis_without_a_curve_has_nothing_to_draw():
    with refused("found", "rest on a number that can be drawn"):
        diagnose(flows=None, gradient_norms=None, trial=Trial(10, 0.1, 1.0, 1.0)).plot()


def test_the_thresholds_of_a_diagnosis_are_named_once():
    (ax,) = diagnose(0.8 ** np.arange(60), truncation=60).plot()
    dotted = [line for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert {float(line.get_ydata()[0]) for line in dotted} == {1e-3, 10.0}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["threshold"]


def test_norms_have_a_logarithmic_scale_where_they_span_more_than_a_decade():
    values = np.ones((4, 2, 3))
    assert plot.norms({"h": values}).get_yscale() == "linear"
    assert plot.norms({"h": 0 * values}).get_yscale() == "linear"
    ax = plot.norms({"h": values * np.array([0, 1, 10, 100])[:, None, None]}, first=5)
    assert ax.get_yscale() == "log"
    (line,) = ax.get_lines()
    assert line.get_xdata().tolist() == [5, 6, 7, 8]
    np.testing.assert_allclose(line.get_ydata(), np.sqrt(3) * np.array([np.nan, 1, 10, 100]))


def test_kreiss_constants_that_have_no_place_are_in_the_legend():
    batch = np.array([[[0.5, 4.0], [0.0, 0.6]], [[2.0, 0.0], [0.0, 0.1]], np.diag([0.5, 0.1])])
    ax = kreiss_constant(batch).plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(ax.texts) == 1
    assert sum("unstable (1)" in label for label in labels) == 1
    assert sum("infty$ (1)" in label for label in labels) == 1


def test_a_picture_is_coloured_where_it_is_read():
    """A panel for each word, each patch with an opacity that grows with its weight."""
    weights = np.array([[0.1, 0.2, 0.3, 0.4, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [1 / 6] * 6])
    drawn = plot.attended_picture(weights, np.ones((4, 6)), ["a", "seven"])
    assert [ax.get_title() for ax in drawn] == ["a", "seven"]
    for ax, step in zip(drawn, weights, strict=False):
        picture, patches = ax.get_images()
        assert picture.get_extent() == patches.get_extent()
        opacity = patches.get_array()[..., 3]
        assert opacity.shape == (2, 3)
        np.testing.assert_allclose(opacity.ravel() / 0.7, step, atol=1e-12)
    for call, refusal in (
        (
            lambda: plot.attended_picture(weights, np.ones((4, 5)), ["a"]),
            Refusal("weights", "(4, 5)", "6 patches"),
        ),
        (
            lambda: plot.attended_picture(2 * weights, np.ones((4, 6)), ["a"]),
            Refusal("weights", "between 0 and 1"),
        ),
        (lambda: plot.attended_picture(weights[0], np.ones((4, 6)), ["a"]), Refusal("weights", "(T, P)")),
        (
            lambda: plot.attended_picture(np.nan * weights, np.ones((4, 6)), ["a"]),
            Refusal("weights", "between 0 and 1"),
        ),
        (lambda: plot.attended_picture(weights, np.ones(24), ["a"]), Refusal("picture", "(height, width)")),
        (lambda: plot.attended_picture(weights, np.ones((4, 6)), ["a"] * 4), Refusal("words", "1 to 3", "4")),
        (lambda: plot.attended_picture(weights, np.ones((4, 6)), [3]), wrong_type("words[0]", "a str")),
    ):
        with refused(refusal):
            call()


def test_what_cannot_be_drawn_is_named():
    gate = examples()[Gate]
    for call, refusal in (
        (lambda: plot.gate(3), wrong_type("gate", "a Gate", "int")),
        (lambda: plot.gate(gate, index=0.5), Refusal("index", "an integer", "0.5")),
        (lambda: plot.gate(gate, label=1), wrong_type("label", "a str or None", "int")),
        (lambda: plot.gate(gate, ax=gate), wrong_type("ax", "Axes", "Gate")),
        (lambda: plot.states(gate), wrong_type("run", "states", "Gate")),
        (lambda: plot.norms({}), Refusal("arrays")),
        (lambda: plot.norms({"h": np.ones(3)}), Refusal("arrays['h']", "(T, B, H)", "(3,)")),
        (lambda: plot.step_lengths([1, 2], [1]), Refusal("updates and steps", "one length", "2 and 1")),
        (lambda: plot.given_or_panels([plot.axes(None), 1], 2), wrong_type("axes[1]", "Axes", "int")),
        (lambda: plot.panels(0), Refusal("columns", "at least 1", "0")),
        (lambda: plot.panels(1, size=(1, 2, 3)), Refusal("size", "a width and a height", "3")),
        (lambda: plot.stability_region("rk4", [np.inf]), Refusal("modes", "finite", "inf")),
    ):  # fmt: skip
        with refused(refusal):
            call()
