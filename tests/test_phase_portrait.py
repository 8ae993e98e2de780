"""Trajectories by their principal components, flow fields in a plane, and times of modes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics import dynamics, plot
from recurrent_dynamics.dynamics import FixedPoints, Flow, Map, flow_field, phase_portrait

CELL = rd.cells.elman()


@pytest.fixture
def network(rng):
    params = CELL.init(2, 5, rng=1, dtype="float64")
    return params, rd.forward(
        CELL, params, rng.standard_normal((30, 6, 2)), lengths=np.array([30, 30, 9, 30, 30, 20])
    )


def test_components_are_eigenvectors_of_the_covariance(rng):
    states = rng.standard_normal((40, 5, 4)) @ rng.standard_normal((4, 4))
    found = phase_portrait(states, count=4)
    cloud = states.reshape(-1, 4)
    covariance = np.cov(cloud.T, bias=True)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(
        covariance @ found.components.T, found.components.T * found.explained_variance, atol=1e-9
    )
    np.testing.assert_allclose(found.explained_ratio.sum(), 1)
    np.testing.assert_allclose(found.restore(found.trajectories), states)
    np.testing.assert_allclose(found.project(states), found.trajectories)
    assert (found.components.max(axis=1) == np.abs(found.components).max(axis=1)).all()


def test_steps_beyond_the_length_of_a_sequence_do_not_count(network):
    _, run = network
    found = phase_portrait(run)
    known = run.mask
    assert (np.isnan(found.trajectories).all(axis=2) == ~known).all()
    whole = phase_portrait(run.states["h"][known][:, None])
    np.testing.assert_allclose(found.mean, whole.mean)
    np.testing.assert_allclose(found.components, whole.components)


def test_fewer_states_than_dimensions_still_span_a_plane():
    found = phase_portrait(np.array([[[1.0, 2.0, 3.0, 4.0]]]), count=3)
    assert found.components.shape == (3, 4)
    np.testing.assert_allclose(found.components @ found.components.T, np.eye(3), atol=1e-12)
    assert found.explained_variance.tolist() == found.explained_ratio.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: phase_portrait(np.zeros(3)), Refusal("states", "have shape (T, B, S) or (T, S)", "(3,)")),
        (lambda: phase_portrait(np.zeros((4, 2, 3)), ["a"]), Refusal("conditions", "be 2 numbers or names")),
        (
            lambda: phase_portrait(np.zeros((4, 2, 3)), [object(), object()]),
            Refusal("conditions", "be 2 numbers or names"),
        ),
        (lambda: phase_portrait(np.zeros((4, 2, 3)), count=0), Refusal("count", "be an integer of at least 1", "0")),
        (lambda: phase_portrait(np.zeros((4, 2, 3))).project(np.zeros(2)), Refusal("states", "have shape (..., 3)")),
        (lambda: phase_portrait(np.full((4, 2, 3), np.nan)), Refusal("states", "be finite")),
    ],
)  # fmt: skip
def test_what_is_no_portrait_is_refused(call, message):
    with refused(message):
        call()


def test_conditions_have_colours_and_a_legend(network):
    _, run = network
    ax = phase_portrait(run, ["go", "stop", "go", "go", "stop", "go"]).plot(title="cue")
    paths = [line for line in ax.get_lines() if len(line.get_xdata()) > 1]
    assert [to_hex(p.get_color()) for p in paths] == [plot.colour(k).lower() for k in (0, 1, 0, 0, 1, 0)]
    legend = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["go", "stop"]
    assert legend.get_title().get_text() == "cue"
    assert "principal component 1" in ax.get_xlabel()


def test_fractions_are_named_and_coloured_in_their_order(network):
    _, run = network
    ax = phase_portrait(run, [0.5, -0.5, 0.0, 0.5, -0.5, 0.0]).plot()
    legend = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["−0.5", "0.0", "0.5"]
    luminance = [np.dot(to_rgb(line.get_color()), (0.2126, 0.7152, 0.0722)) for line in legend.get_lines()]
    assert luminance == sorted(luminance)
    assert len(set(luminance)) == 3


def test_many_numbers_have_a_scale_of_colours(rng):
    portrait = phase_portrait(rng.standard_normal((9, 12, 3)), np.linspace(-1, 1, 12))
    ax = portrait.plot(title="evidence", plane=(1, 2), most=5)
    assert ax.get_legend() is None
    assert [a.get_ylabel() for a in ax.figure.axes] == [ax.get_ylabel(), "evidence"]
    assert "principal component 2" in ax.get_xlabel()
    paths = [line for line in ax.get_lines() if len(line.get_xdata()) > 1]
    assert len({to_hex(p.get_color()) for p in paths}) == 5


def test_fixed_points_lie_in_the_plane_that_is_given_back(network):
    params, run = network
    found = dynamics.fixed_points(CELL, params, run, np.zeros(2))
    portrait = found.portrait([0, 0, 0, 1, 1, 1])
    ax = found.plot(conditions=[0, 0, 0, 1, 1, 1])
    x, y = portrait.project(found.points)[:, :2].T
    drawn = np.concatenate([c.get_offsets() for c in ax.collections])
    assert all(np.isclose(drawn, point).all(axis=1).any() for point in zip(x, y, strict=True))
    assert {"0", "1"} <= {t.get_text() for t in ax.get_legend().get_texts()}
    found.plot(portrait=portrait, ax=ax)
    with refused("conditions", "be None with a portrait"):
        found.plot(portrait=portrait, conditions=[0] * 6)


def test_the_flow_of_a_cell_is_its_step_less_its_state(network, rng):
    params, run = network
    x = rng.standard_normal(2)
    portrait = phase_portrait(run)
    field = flow_field(CELL, params, portrait, x, points=7)
    u = portrait.components[:2]
    z = portrait.mean + field.x[3] * u[0] + field.y[5] * u[1]
    motion = np.tanh(params["U"] @ z + params["W"] @ x + params["b"]) - z
    np.testing.assert_allclose(field.velocity[5, 3], u @ motion)
    np.testing.assert_allclose(field.speed[5, 3], np.linalg.norm(motion))
    np.testing.assert_allclose(field.project(z), [field.x[3], field.y[5]], atol=1e-12)
    seen = portrait.trajectories[..., :2]
    assert field.x[0] < np.nanmin(seen[..., 0]) < np.nanmax(seen[..., 0]) < field.x[-1]


def test_the_flow_of_ones_own_system():
    A = np.array([[0.5, -0.2], [0.1, 0.3]])
    jacobian = lambda s: np.broadcast_to(A, (len(s), 2, 2))
    step = flow_field(Map(lambda s: s @ A.T, jacobian), limits=(-1, 1, -2, 2), points=5)
    rate = flow_field(Flow(lambda s: s @ A.T, jacobian), limits=(-1, 1, -2, 2), points=5)
    np.testing.assert_allclose(step.velocity[4, 0], A @ [-1, 2] - [-1, 2])
    np.testing.assert_allclose(rate.velocity[4, 0], A @ [-1, 2])
    assert (step.unit, rate.unit) == ("per step", "per unit time")
    plot.svg(step.plot().figure)
    still = flow_field(Flow(lambda s: 0 * s, jacobian), limits=(-1, 1, -1, 1), points=3)
    plot.svg(still.plot().figure)


def test_what_has_no_plane_is_refused(network):
    params, run = network
    identity = Map(lambda s: s, lambda s: np.zeros((len(s), 2, 2)))
    for call, message in [
        (lambda: flow_field(CELL), Refusal("params", "be given for a cell")),
        (lambda: flow_field(CELL, params), Refusal("plane", "be a PhasePortrait for a state of 5 numbers")),
        (
            lambda: flow_field(CELL, params, phase_portrait(run, count=1)),
            Refusal("plane", "have two components", "1"),
        ),
        (
            lambda: flow_field(CELL, params, phase_portrait(np.ones((4, 3)))),
            Refusal("plane", "be of whole states of 5"),
        ),
        (lambda: flow_field(identity, params), Refusal("params", "be None for a Map")),
        (lambda: flow_field(identity), Refusal("limits", "be")),
        (lambda: flow_field(identity, limits=(1, 0, 0, 1)), Refusal("limits", "left < right")),
    ]:
        with refused(message):
            call()


def test_times_of_modes():
    mu = np.array([np.exp(-0.1 + 0.3j), np.exp(-0.1 - 0.3j), -0.5, 0.0, 1.0, np.exp(0.2)])
    tau = [-1 / -0.1, -1 / -0.1, 1 / np.log(2), 0, np.inf, -5]
    np.testing.assert_allclose(dynamics.time_constants(mu), tau)
    np.testing.assert_allclose(dynamics.time_constants(mu, 0.01), 0.01 * np.array(tau))
    np.testing.assert_allclose(dynamics.frequencies(mu, 0.1) * 2 * np.pi, [3, -3, 10 * np.pi, 0, 0, 0])
    assert not np.signbit(dynamics.time_constants(mu)[3])
    for function in (dynamics.time_constants, dynamics.frequencies):
        with refused("dt", "be a finite number above 0", "0"):
            function(mu, 0)


def test_a_cycle_takes_as_many_steps_as_it_has_states():
    found = dynamics.fixed_points(
        CELL, {"U": -2 * np.eye(1), "b": np.zeros(1)}, np.linspace(-1, 1, 9)[:, None], period=2
    )
    assert isinstance(found, FixedPoints)
    slope = 2 * (1 - found.points[0, 0] ** 2)  # of one step, the same at both states
    np.testing.assert_allclose(found.time_constants(0.1)[0], -0.1 / np.log(slope))
    np.testing.assert_allclose(found.slow.time_constants(), np.empty((0, 1)))
