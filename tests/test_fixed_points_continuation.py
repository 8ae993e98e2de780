"""Branches and bifurcations whose parameters are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell, Unit
from recurrent_dynamics.dynamics import continuation

ELMAN = rd.cells.elman()


def elman(U, b=None):
    U = np.atleast_2d(np.asarray(U, float))
    return {"U": U, "b": np.zeros(len(U)) if b is None else np.atleast_1d(np.asarray(b, float))}


def kinds(branch):
    return [(found.kind, pytest.approx(found.parameter, abs=1e-9)) for found in branch.bifurcations]


def test_a_hysteresis_has_two_folds():
    """h = tanh(w h + b) turns where w (1 - h^2) = 1, at b = artanh(h) - w h."""
    w = 2.0
    h = np.sqrt(1 - 1 / w)
    fold = w * h - np.arctanh(h)
    branch = continuation(ELMAN, elman(w), [-0.99], {"b": np.ones(1)}, (-1, 1), begin=-1)
    assert kinds(branch) == [("fold", fold), ("fold", -fold)]
    for found, x in zip(branch.bifurcations, (-h, h)):
        assert found.point[0] == pytest.approx(x, abs=1e-6)
        assert found.eigenvalues[0] == pytest.approx(1, abs=1e-5)
    assert branch.ended == "bounds"
    assert branch.parameter[[0, -1]].tolist() == [-1, 1]
    np.testing.assert_allclose(
        np.tanh(w * branch.points[:, 0] + branch.parameter), branch.points[:, 0], atol=1e-14
    )
    np.testing.assert_allclose(branch.eigenvalues[:, 0], w * (1 - branch.points[:, 0] ** 2), rtol=1e-12)
    inner = np.abs(branch.points[:, 0]) < h - 0.02
    assert branch.unstable[inner].tolist() == [1] * inner.sum()
    outer = np.abs(branch.points[:, 0]) > h + 0.02
    assert branch.unstable[outer].tolist() == [0] * outer.sum()
    back = continuation(ELMAN, elman(w), [0.99], {"b": np.ones(1)}, (-1, 1), begin=1, increase=False)
    assert kinds(back) == [("fold", -fold), ("fold", fold)]


def test_a_pitchfork_and_a_flip_stand_where_the_weight_is_one():
    assert kinds(continuation(ELMAN, elman(1.0), [0.0], "U", (0.5, 2), begin=0.5)) == [("branch point", 1.0)]
    assert kinds(continuation(ELMAN, elman(-1.0), [0.0], "U", (0.5, 2), begin=0.5)) == [("flip", 1.0)]


def test_a_rotation_loses_stability_in_a_neimark_sacker_point():
    c, s = np.cos(1.0), np.sin(1.0)
    branch = continuation(ELMAN, elman([[c, -s], [s, c]]), [0.0, 0.0], "U", (0.5, 1.5), begin=0.5)
    assert kinds(branch) == [("Neimark-Sacker", 1.0)]
    np.testing.assert_allclose(
        np.sort_complex(branch.bifurcations[0].eigenvalues), [c - 1j * s, c + 1j * s], atol=1e-9
    )
    assert branch.unstable[[0, -1]].tolist() == [0, 2]


def test_real_eigenvalues_with_product_one_are_no_bifurcation():
    branch = continuation(ELMAN, elman(np.diag([4.0, 0.5])), [0.0, 0.0], "U", (0.5, 1.5), begin=0.5)
    assert kinds(branch) == []  # their product is 1 at 0.7071
    assert branch.unstable.tolist() == [1] * len(branch)


def test_the_input_is_followed_as_the_bias_is():
    params = elman(2.0) | {"W": np.array([[0.5]])}
    fold = 2 * np.sqrt(0.5) - np.arctanh(np.sqrt(0.5))
    branch = continuation(ELMAN, params, [-0.99], "input", (-3, 3), np.ones(1), begin=-3)
    assert kinds(branch) == [("fold", 2 * fold), ("fold", -2 * fold)]
    np.testing.assert_allclose(
        np.tanh(2 * branch.points[:, 0] + 0.5 * branch.parameter), branch.points[:, 0], atol=1e-14
    )


def test_gated_cells_are_followed_too():
    cell = rd.cells.lstm()
    params = cell.init(input_size=1, hidden_size=4, rng=0, dtype="float64")
    branch = continuation(cell, params, np.zeros(8), "U", (0.0, 2.0), np.ones(1), begin=0.0)
    assert branch.ended == "bounds"
    last = {slot: value[-1:] for slot, value in branch.states.items()}
    moved = rd.forward(cell, params | {"U": 2 * params["U"]}, np.ones((1, 1, 1)), initial=last)
    np.testing.assert_allclose(moved.final["c"], last["c"], atol=1e-13)


def test_a_branch_that_does_not_reach_its_bounds_says_so():
    with pytest.warns(
        RuntimeWarning, match=r"ends at the parameter .* after 3 steps, within its bounds 0.5 to 2"
    ):
        branch = continuation(ELMAN, elman(1.0), [0.0], "U", (0.5, 2), begin=0.5, steps=3)
    assert (branch.ended, len(branch)) == ("steps", 4)


@pytest.mark.parametrize(
    ("along", "options", "refusal"),
    [
        ("V", {}, Refusal("along", came="'V'")),
        ("b", {}, Refusal("along", "0")),
        ({"b": np.ones(2)}, {}, Refusal("along['b']", "(1,)")),
        ("U", {"begin": 3.0}, Refusal("bounds", "3", "0.5 to 2")),
        ("U", {"step": 0.0}, Refusal("step", "0")),
        ("U", {"longest": 0.01}, Refusal("longest", "0.05")),
    ],
)
def test_wrong_arguments_are_refused(along, options, refusal):
    with refused(refusal):
        continuation(ELMAN, elman(1.0), [0.0], along, (0.5, 2), **options)


@pytest.mark.parametrize(
    ("start", "along", "bounds", "options", "message"),
    [
        ("a", "U", (0.5, 2), {}, wrong_type("start", "hold real numbers", "'a'")),
        ([[0.0], [1.0]], "U", (0.5, 2), {}, Refusal("start", "be one state", "2")),
        ([np.inf], "U", (0.5, 2), {}, Refusal("start", "be finite", "inf")),
        (
            [0.0],
            None,
            (0.5, 2),
            {},
            wrong_type("along", "be the name of a parameter or a dict", "None"),
        ),
        ([0.0], {"b": "a"}, (0.5, 2), {}, wrong_type("along['b']", "hold real numbers", "'a'")),
        ([0.0], "U", 3, {}, wrong_type("bounds", "two numbers, (low, high)", "3")),
        ([0.0], "U", (0.5, 1, 2), {}, Refusal("bounds", "be (low, high)", "(0.5, 1, 2)")),
        ([0.0], "U", (0.5, "a"), {}, Refusal("bounds[1]", "be a finite number", "'a'")),
        ([0.0], "U", (0.5, 2), {"increase": "yes"}, wrong_type("increase", "be True or False", "'yes'")),
        ([0.0], "U", (0.5, 2), {"steps": 0}, Refusal("steps", "be an integer of at least 1", "0")),
    ],
)
def test_each_argument_is_named_in_its_error(start, along, bounds, options, message):
    with refused(message):
        continuation(ELMAN, elman(1.0), start, along, bounds, **options)


def test_the_plot_marks_stability_and_bifurcations():
    branch = continuation(ELMAN, elman(2.0), [-0.99], {"b": np.ones(1)}, (-1, 1), begin=-1)
    ax = branch.plot()
    assert ax.get_legend_handles_labels()[1] == ["fold"]
    assert [line.get_linestyle() for line in ax.lines[:3]] == ["-", "--", "-"]
    with refused("slot", "h", "'c'"):
        branch.plot(slot="c")
    with refused("unit", ("0", "1"), "1"):
        branch.plot(unit=1)


@pytest.mark.full
def test_the_henon_map_folds_and_flips_where_the_formulas_say():
    def update(state, param):
        return {"x": 1 - param.a * state.x**2 + state.y, "y": param.beta * state.x}

    cell = Cell("Hénon map", state=("x", "y"), drives=(), units=(Unit("a"), Unit("beta")), update=update)
    b = 0.3
    params, along = {"a": np.zeros(1), "beta": np.array([b])}, {"a": np.ones(1)}
    flip, fold = 3 * (1 - b) ** 2 / 4, -((1 - b) ** 2) / 4
    stable = continuation(cell, params, [2.0, 0.6], along, (-0.2, 1), begin=-0.1, longest=0.1)
    assert kinds(stable) == [("flip", flip)]
    # Beyond the fold the branch goes to infinity as a comes back to 0.
    turning = continuation(cell, params, [1.7, 0.5], along, (-0.2, -0.05), begin=-0.06, increase=False)
    assert kinds(turning) == [("fold", fold)]
    assert turning.parameter[-1] == -0.05


@pytest.mark.full
def test_the_delayed_logistic_map_has_its_neimark_sacker_point_at_two():
    def update(state, param):
        return {"x": param.r * state.x * (1 - state.y), "y": 1.0 * state.x}

    cell = Cell("delayed logistic map", state=("x", "y"), drives=(), units=(Unit("r"),), update=update)
    branch = continuation(cell, {"r": np.zeros(1)}, [1 / 3, 1 / 3], {"r": np.ones(1)}, (1.5, 2.3), begin=1.5)
    assert kinds(branch) == [("Neimark-Sacker", 2.0)]
    np.testing.assert_allclose(branch.bifurcations[0].point, [0.5, 0.5], atol=1e-9)
    np.testing.assert_allclose(
        np.angle(branch.bifurcations[0].eigenvalues), [np.pi / 3, -np.pi / 3], atol=1e-8
    )


def pieces(ax):
    """The drawn stretches of the branch: their ends, and whether they are solid."""
    lines = [line for line in ax.get_lines() if line.get_marker() == "None"]
    return [(line.get_xydata()[0], line.get_xydata()[-1], line.get_linestyle() == "-") for line in lines]


def test_the_line_changes_its_style_at_the_bifurcation_and_passes_through_the_mark():
    branch = continuation(ELMAN, elman(2.0), [-0.99], {"b": np.ones(1)}, (-1, 1), begin=-1)
    assert [found.segment for found in branch.bifurcations] == sorted(f.segment for f in branch.bifurcations)
    for found in branch.bifurcations:  # the stability differs between its two neighbours
        assert branch.unstable[found.segment] != branch.unstable[found.segment + 1]
    drawn = pieces(branch.plot())
    assert [solid for _, _, solid in drawn] == [True, False, True]
    for (_, end, _), (start, _, _), found in zip(drawn, drawn[1:], branch.bifurcations):
        assert end.tolist() == start.tolist() == [found.parameter, found.point[0]]


def test_a_change_of_stability_without_a_bifurcation_is_interpolated():
    branch = continuation(ELMAN, elman(1.0), [0.0], "U", (0.5, 2), begin=0.5)
    drawn = pieces(dataclasses.replace(branch, bifurcations=()).plot())
    assert [solid for _, _, solid in drawn] == [True, False]
    assert drawn[0][1].tolist() == drawn[1][0].tolist()
    # ln of the weight is interpolated between two points, at most 0.2 apart.
    assert abs(drawn[0][1][0] - 1) < 0.2**2 / 8
