"""Fixed points and cycles against maps whose fixed points are known, and against `scipy.optimize.root`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.optimize
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import plot
from recurrent_dynamics.cells import Cell, Unit
from recurrent_dynamics.dynamics import fixed_points

ELMAN = rd.cells.elman()
EYE = np.eye(3)


def elman(U, b=None):
    U = np.atleast_2d(np.asarray(U, float))
    return {"U": U, "b": np.zeros(len(U)) if b is None else np.atleast_1d(np.asarray(b, float))}


def bistable(w):
    """The positive root of h = tanh(w h)."""
    return scipy.optimize.brentq(lambda h: np.tanh(w * h) - h, 1e-3, 1, xtol=1e-15)


def delayed_logistic():
    """x' = r x (1 - y), y' = x."""

    def update(state, param):
        return {"x": param.r * state.x * (1 - state.y), "y": 1.0 * state.x}

    return Cell("delayed logistic map", state=("x", "y"), drives=(), units=(Unit("r"),), update=update)


def henon():
    """x' = 1 - a x^2 + y, y' = b x."""

    def update(state, param):
        return {"x": 1 - param.bend * state.x**2 + state.y, "y": param.fold * state.x}

    return Cell("Hénon map", state=("x", "y"), drives=(), units=(Unit("bend"), Unit("fold")), update=update)


def test_a_unit_that_excites_itself_remembers_a_sign():
    found = fixed_points(ELMAN, elman(2.0), np.linspace(-1, 1, 101)[:, None])
    order = np.argsort(found.points[:, 0])
    h = bistable(2.0)
    np.testing.assert_allclose(found.points[order, 0], [-h, 0, h], atol=1e-15)
    np.testing.assert_allclose(found.eigenvalues[order, 0], [2 * (1 - h**2), 2, 2 * (1 - h**2)], rtol=1e-13)
    assert found.kind[order].tolist() == ["stable", "unstable", "stable"]
    assert found.sign[order].tolist() == [1, -1, 1]
    assert (found.index_sum, found.hits.sum(), found.q.max() < 1e-30) == (1, 101, True)
    assert not len(found.slow.q)
    assert not len(found.unfinished.q)


def test_one_that_inhibits_itself_has_a_cycle_and_each_is_found_once():
    starts = np.linspace(-1, 1, 101)[:, None]
    fixed = fixed_points(ELMAN, elman(-2.0), starts)
    assert (fixed.points.tolist(), fixed.kind.tolist()) == ([[0.0]], ["unstable"])
    two = fixed_points(ELMAN, elman(-2.0), starts, period=2)
    h = bistable(2.0)
    np.testing.assert_allclose(np.sort(two.orbits[:, :, 0]), [[-h, h]], atol=1e-15)
    np.testing.assert_allclose(two.eigenvalues, [[(2 * (1 - h**2)) ** 2]])
    assert two.kind.tolist() == ["stable"]
    assert len(fixed_points(ELMAN, elman(-2.0), starts, period=4)) == 0
    # The index of the two-fold map: the cycle's two points count +1 each, the fixed point -1.
    assert 2 * two.index_sum + np.sign(1 - (-2.0) ** 2) == 1


def test_a_rotation_in_three_units_has_a_cycle_of_three():
    U = -2.0 * np.roll(EYE, 1, axis=0)  # period 6 in general, 2 along the diagonal
    starts = np.random.default_rng(0).uniform(-1, 1, (300, 3))
    h = bistable(2.0)
    found = fixed_points(ELMAN, elman(U), starts, period=2)
    assert any(
        np.allclose(np.sort(orbit[:, 0]), [-h, h]) and np.allclose(orbit, orbit[:, :1])
        for orbit in found.orbits
    )
    three = fixed_points(ELMAN, elman(-U), starts, period=3)
    for orbit in three.orbits:
        run = rd.forward(ELMAN, elman(-U), steps=3, initial={"h": orbit[0]})
        np.testing.assert_allclose(run.states["h"], np.roll(orbit, -1, axis=0), atol=1e-14)
        assert np.linalg.norm(orbit[0] - orbit[1]) > 0.1
    # Signs and zeros that are not all equal, in classes of cyclic shifts: (27 - 3) / 3.
    assert len(three) == 8


@pytest.mark.parametrize("w", [0.5, 3.0])
def test_certificates_hold_and_their_balls_are_true(w):
    found = fixed_points(ELMAN, elman(w * EYE), np.random.default_rng(1).uniform(-1, 1, (400, 3)))
    assert len(found) == (27 if w > 1 else 1)
    certificate = found.certificate
    assert certificate.holds.all()
    assert (certificate.existence < 1e-12).all()
    # |d2 tanh(w h)| <= 0.77 w^2, and beta the inverse of the least singular value.
    np.testing.assert_allclose(certificate.lipschitz, 4 / (3 * np.sqrt(3)) * w**2)
    distances = np.linalg.norm(found.points[:, None] - found.points, axis=-1) + 10 * np.eye(len(found))
    assert (distances.min(axis=1) > certificate.uniqueness).all()


def test_no_certificate_far_from_a_fixed_point_or_for_a_singular_one():
    from recurrent_dynamics.dynamics.fixed_points.kantorovich import certify
    from recurrent_dynamics.dynamics.trajectories.step_map import StepMap

    far = certify(StepMap(ELMAN, elman(2.0), None, None), np.array([[0.5], [0.95]]))
    assert far.holds.tolist() == [False, True]
    assert abs(0.95 - bistable(2.0)) < far.existence[1] < 0.02
    with pytest.warns(RuntimeWarning, match="singular to rounding at 1 of 1"):
        found = fixed_points(ELMAN, elman(1.0), np.linspace(-1, 1, 21)[:, None])
    assert (len(found), found.kind.tolist(), found.sign.tolist()) == (1, ["centre-like"], [0])
    assert not found.certificate.holds.any()


def test_the_ghost_of_a_fold_is_a_slow_point():
    w = 1.5
    h = np.sqrt(1 - 1 / w)  # w (1 - h^2) = 1
    fold = np.arctanh(h) - w * h
    found = fixed_points(ELMAN, elman(w, fold - 1e-3), np.linspace(-1, 1, 60)[:, None])
    assert (len(found), found.kind.tolist()) == (1, ["stable"])
    np.testing.assert_allclose(found.slow.points[:, 0], [h], atol=2e-3)
    residual = np.tanh(w * found.slow.points[0, 0] + fold - 1e-3) - found.slow.points[0, 0]
    np.testing.assert_allclose(found.slow.q, [residual**2 / 2], rtol=1e-9)
    np.testing.assert_allclose(found.slow.eigenvalues, [[1.0]], atol=1e-6)
    assert found.hits.sum() + found.slow.hits.sum() == 60


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_points_are_those_of_scipy(name, rng):
    cell = getattr(rd.cells, name)()
    params = cell.init(input_size=2, hidden_size=5, rng=3, dtype="float64")
    params["U"] *= 4
    x = np.array([0.3, -0.2])
    starts = rng.uniform(-1, 1, (32, 5 * len(cell.state)))
    with warnings.catch_warnings():
        # Far out, where update gates of a GRU are 1 to rounding, every state stands still.
        warnings.filterwarnings("ignore", ".* of 32 starts", RuntimeWarning)
        found = fixed_points(cell, params, starts, x, within=4 if name == "gru" else 30)
    assert found.q.max() < 1e-28

    def residual(z):
        initial = dict(zip(cell.state, np.split(z, len(cell.state))))
        run = rd.forward(cell, params, x[None], initial=initial)
        return np.concatenate([run.final[slot] for slot in cell.state]) - z

    expected = []
    for start in starts:
        result = scipy.optimize.root(residual, start, tol=1e-12)
        known = any(np.allclose(result.x, e, atol=1e-7) for e in expected)
        near = np.linalg.norm(result.x) < 4
        if result.success and near and not known and np.linalg.norm(residual(result.x)) < 1e-10:
            expected.append(result.x)
    assert expected
    for e in expected:
        distance = np.linalg.norm(found.points - e, axis=1)
        assert np.sum(distance < 1e-8) == 1
    k = 0
    by_differences = np.stack(
        [
            (residual(found.points[k] + d) - residual(found.points[k] - d)) / 2e-6
            for d in 1e-6 * np.eye(len(starts[0]))
        ]
    ).T + np.eye(len(starts[0]))
    expected_eigenvalues = np.linalg.eigvals(by_differences)
    np.testing.assert_allclose(found.eigenvalues[k].sum(), expected_eigenvalues.sum(), atol=1e-7)
    np.testing.assert_allclose(
        np.abs(found.eigenvalues[k]).max(), np.abs(expected_eigenvalues).max(), atol=1e-6
    )
    assert found.certificate.holds.all()


def test_lipschitz_bounds_hold_between_states_in_the_ball(rng):
    from recurrent_dynamics.dynamics.fixed_points.kantorovich import lipschitz
    from recurrent_dynamics.dynamics.trajectories.step_map import StepMap

    for name in ("elman", "gru", "lstm"):
        cell = getattr(rd.cells, name)()
        f = StepMap(cell, cell.init(2, 4, rng=1, dtype="float64", recurrent="orthogonal"), np.ones(2), None)
        z = rng.uniform(-1, 1, f.size)
        directions = rng.standard_normal((2, 500, f.size))
        a, b = z + 0.99 * directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        b = a + 1e-3 * (b - a)
        change = np.linalg.norm(f.linearized(a)[1] - f.linearized(b)[1], ord=2, axis=(1, 2))
        steepest = np.max(change / np.linalg.norm(a - b, axis=1))
        bound = lipschitz(f, z, {})
        assert steepest <= bound < 100 * steepest


def test_starts_are_drawn_from_a_run_and_float32_is_computed_in_float64():
    params = {name: value.astype("float32") for name, value in elman(2.0 * EYE).items()}
    run = rd.forward(ELMAN, params, steps=4, initial={"h": np.full((5, 3), 0.1, "float32")})
    found = fixed_points(ELMAN, params, run, number=7, noise=0.5, rng=1)
    assert found.hits.sum() == 7
    assert found.trajectories.shape == (4, 5, 3)
    assert found.points.dtype == np.float64
    assert found.q.max() < 1e-30
    again = fixed_points(ELMAN, params, run, number=7, noise=0.5, rng=1)
    np.testing.assert_array_equal(found.points, again.points)
    other = fixed_points(ELMAN, params, run, number=7, noise=0.5, rng=2)
    assert found.points.tolist() != other.points.tolist()
    assert fixed_points(ELMAN, params, run).hits.sum() == 20


def test_three_groups_of_units_hold_three_bits(rng):
    """64 units in three groups that excite themselves: h = tanh(2 x mean of the group), 27 points in all."""
    group = np.arange(64) % 3
    U = 2.0 * (group[:, None] == group) / np.bincount(group)[group]
    starts = rng.uniform(-1, 1, (1024, 3))[:, group] + 0.1 * rng.standard_normal((1024, 64))
    found = fixed_points(ELMAN, elman(U), starts)
    h = bistable(2.0)
    expected = np.stack(np.meshgrid(*[[-h, 0, h]] * 3), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(found.points, found.points[:, :3][:, group], atol=1e-14)
    gaps = np.abs(found.points[:, None, :3] - expected).max(axis=2)
    assert (np.sum(gaps < 1e-13, axis=0) == 1).all()
    assert len(found) == 27
    np.testing.assert_array_equal(found.unstable, np.sum(np.abs(found.points[:, :3]) < 0.1, axis=1))
    assert (found.index_sum, found.hits.sum()) == (1, 1024)
    assert found.q.max() < 1e-26
    assert found.certificate.holds.all()


def flip_flop(cell, updates=1500):
    model = rd.nn.Model(cell, hidden_size=64, input_size=3, output_size=3, loss="mean_squared_error")
    trained = rd.training.fit(
        model,
        model.init(rng=0),
        rd.data.FlipFlop(steps=60, batch_size=32, seed=0),
        optimizer=rd.training.adam(),
        learning_rate=rd.training.cosine(3e-3, updates),
        updates=updates,
        clip_norm=1.0,
    )
    return trained.params["layers"]["0"]


@pytest.mark.full
@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_a_trained_flip_flop_network_has_eight_memories_and_saddles_between_them(name, rng):
    cell = getattr(rd.cells, name)()
    params = flip_flop(cell)
    run = rd.forward(cell, params, rd.data.FlipFlop(steps=100, batch_size=32, seed=5).batch(0).inputs)
    states = run.tape.after.reshape(-1, 64 * len(cell.state))
    a, b = states[rng.integers(len(states), size=(2, 1024))]
    found = fixed_points(cell, params, a + rng.random((1024, 1)) * (b - a))
    assert np.sum(found.kind == "stable") == 8
    assert np.sum(found.kind == "saddle") >= 12
    assert found.q.max() < 1e-20
    assert found.index_sum == 1
    np.testing.assert_array_equal(found.sign, (-1.0) ** found.unstable)
    assert found.certificate.holds.all()
    gaps = np.linalg.norm(found.points[:, None] - found.points, axis=-1) + 10 * np.eye(len(found))
    assert gaps.min() > 0.1
    # The eight memories are the eight signs of the readout's three bits; a run without input stays at each.
    stable = {slot: value[found.kind == "stable"] for slot, value in found.states.items()}
    params = {key: value.astype("float64") for key, value in params.items()}
    still = rd.forward(cell, params, steps=200, initial=stable).final["h"]
    np.testing.assert_allclose(still, stable["h"], atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "options", "refusal"),
    [
        ((ELMAN, elman(2.0), np.zeros((3, 2))), {}, Refusal("starts", "1")),
        ((ELMAN, elman(2.0), np.array([[np.nan]])), {}, Refusal("starts", came="nan")),
        ((ELMAN, elman(2.0), {"c": np.zeros((3, 1))}), {}, Refusal("starts", came="'c'")),
        ((ELMAN, elman(2.0), {}), {}, Refusal("starts", came="none")),
        ((ELMAN, elman(2.0), np.zeros((3, 1))), {"number": 4}, Refusal("number", "3")),
        ((ELMAN, elman(2.0), np.zeros((3, 1))), {"input": np.zeros(2)}, Refusal("input", "(0,)")),
        ((ELMAN, elman(2.0), np.zeros((3, 1))), {"period": 0}, Refusal("period", "1")),
        (
            (ELMAN, elman(2.0), np.zeros((3, 1))),
            {"tolerance": 0.0},
            Refusal("tolerance", "0"),
        ),
        (
            (ELMAN, elman(2.0), np.zeros((3, 1))),
            {"noise": -1.0},
            Refusal("noise", "0"),
        ),
        (
            (ELMAN, elman(2.0), np.zeros((3, 1))),
            {"signals": {"dt": 1.0}},
            Refusal("signals", came="'dt'"),
        ),
        (
            (ELMAN, elman(2.0), np.zeros((3, 1))),
            {"iterations": 0},
            Refusal("iterations", "1"),
        ),
        ((ELMAN, elman(2.0), np.zeros((3, 1))), {"within": np.nan}, Refusal("within", "0")),
        (
            (ELMAN, elman(2.0), np.zeros((3, 1))),
            {"centre": -1},
            Refusal("centre", "0"),
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, refusal):
    with refused(refusal):
        fixed_points(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "refusal"),
    [
        (("elman", elman(2.0), np.zeros(1)), {}, wrong_type("cell", came="rd.cells.by_name('elman')")),
        ((ELMAN, None, np.zeros(1)), {}, wrong_type("params", came="NoneType")),
        ((ELMAN, elman(2.0), "a"), {}, wrong_type("starts", "real numbers", "'a'")),
        (
            (ELMAN, elman(2.0), {"h": np.ones((2, 1)) * 1j}),
            {},
            wrong_type("starts['h']", came="dtype"),
        ),
        (
            (ELMAN, elman(2.0), np.zeros(1)),
            {"input": [[1.0], [2.0, 3.0]]},
            wrong_type("input", "hold real numbers"),
        ),
        ((ELMAN, elman(2.0), np.zeros(1)), {"signals": [1]}, wrong_type("signals", came="list")),
        ((ELMAN, elman(2.0), np.zeros(1)), {"rng": "a"}, wrong_type("rng", came="'a'")),
    ],
)
def test_arguments_of_another_type_are_refused(arguments, options, refusal):
    with refused(refusal):
        fixed_points(*arguments, **options)


def test_starts_that_lead_nowhere_are_listed():
    with pytest.warns(RuntimeWarning, match=r"3 of 3 starts did not converge within 1 iterations \(q from"):
        found = fixed_points(ELMAN, elman(2.0), np.array([[0.3], [0.2], [0.1]]), iterations=1)
    assert len(found) == 0
    assert found.unfinished.reason.tolist() == ["iterations"] * 3
    assert found.unfinished.starts.tolist() == [[0.3], [0.2], [0.1]]
    with pytest.warns(RuntimeWarning, match="1 of 2 starts diverged"):
        found = fixed_points(ELMAN, elman(2.0), np.array([[0.0], [0.5]]), within=0.4)
    assert found.unfinished.reason.tolist() == ["diverged"]
    assert found.points.tolist() == [[0.0]]


def test_the_plot_shows_every_class():
    found = fixed_points(ELMAN, elman(2.0 * EYE), np.random.default_rng(1).uniform(-1, 1, (400, 3)))
    ax = found.plot()
    labels = ax.get_legend_handles_labels()[1]
    assert labels == ["stable (8)", "saddle (18)", "unstable (1)"]
    assert sum(len(c.get_offsets()) for c in ax.collections) == 27 + 400
    assert sorted(t.get_text() for t in ax.texts) == ["1"] * 12 + ["2"] * 6
    with refused("trajectories", "0", "-1"):
        found.plot(trajectories=-1)
    with refused(wrong_type("points", came="NoneType")):
        plot.fixed_points(None)
    cycles = fixed_points(ELMAN, elman(-2.0), np.linspace(-1, 1, 9)[:, None], period=2)
    assert cycles.plot().get_legend_handles_labels()[1] == ["stable (1)"]


@pytest.mark.full
def test_a_linear_network_has_one_point(rng):
    cell = rd.cells.linear()
    params = cell.init(input_size=2, hidden_size=6, rng=0, dtype="float64")
    x = rng.standard_normal(2)
    found = fixed_points(cell, params, 1e3 * rng.standard_normal((50, 6)), x)
    expected = np.linalg.solve(np.eye(6) - params["U"], params["W"] @ x + params["b"])
    np.testing.assert_allclose(found.points, expected[None], rtol=1e-12)
    assert found.certificate.lipschitz.tolist() == [0.0]
    assert found.certificate.uniqueness.tolist() == [1.0]
    np.testing.assert_allclose(found.condition, np.linalg.cond(np.eye(6) - params["U"]))
    shifted = {"U": np.ones((1, 1)), "b": np.ones(1)}
    found = fixed_points(
        cell, shifted, np.zeros((1, 1))
    )  # h' = h + 1: no fixed point, and q is 1/2 everywhere
    assert (len(found), found.slow.q.tolist()) == (0, [0.5])


@pytest.mark.full
def test_points_and_cycles_of_the_henon_map(rng):
    a, b = 1.4, 0.3
    params = {"bend": np.array([a]), "fold": np.array([b])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = fixed_points(henon(), params, rng.uniform(-1.5, 1.5, (200, 2)))
        two = fixed_points(henon(), params, rng.uniform(-1.5, 1.5, (200, 2)), period=2)
    root = np.sqrt((1 - b) ** 2 + 4 * a)
    x = np.array([-(1 - b) - root, -(1 - b) + root]) / (2 * a)
    order = np.argsort(found.points[:, 0])
    np.testing.assert_allclose(found.points[order], np.stack([x, b * x], axis=1), atol=1e-14)
    np.testing.assert_allclose(np.prod(found.eigenvalues, axis=1), -b, rtol=1e-12)
    assert found.kind.tolist() == ["saddle", "saddle"]
    assert found.certificate.holds.all()
    np.testing.assert_allclose(found.certificate.lipschitz, 2 * a)
    # The cycle of two: x1 + x2 = (1 - b) / a and x1 x2 = ((1 - b)^2 - a) / a^2.
    assert len(two) == 1
    np.testing.assert_allclose(two.orbits[0, :, 0].sum(), (1 - b) / a)
    np.testing.assert_allclose(two.orbits[0, :, 0].prod(), ((1 - b) ** 2 - a) / a**2)


@pytest.mark.full
def test_a_cell_without_a_bound_has_no_certificate():
    found = fixed_points(rd.cells.elman("relu"), elman(0.5, 1.0), np.zeros((1, 1)))
    np.testing.assert_allclose(found.points, [[2.0]])
    assert found.certificate is None


@pytest.mark.full
def test_starts_at_infinity_diverge():
    params = {"bend": np.array([1.4]), "fold": np.array([0.3])}
    with pytest.warns(RuntimeWarning, match="1 of 2 starts diverged"):
        found = fixed_points(henon(), params, np.array([[1e200, 0.0], [0.6, 0.2]]))
    assert found.unfinished.q.tolist() == [np.inf]
    assert len(found) == 1


def test_points_far_from_the_trajectories_are_drawn_at_the_edge_with_their_distance():
    trajectories = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 2, 3))
    found = fixed_points(ELMAN, elman(2.0 * EYE), np.random.default_rng(1).uniform(-1, 1, (400, 3)))
    path = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 2, 3))
    ax = plot.held_inputs(trajectories, [path, path], [found, None], labels=["'a'", "'b'"])
    assert ax.get_legend_handles_labels()[1] == ["'a'", "'b'"]
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    places = np.concatenate([c.get_offsets() for c in ax.collections])
    assert len(places) == 27
    assert ((places > (left, bottom)) & (places < (right, top))).all()
    cloud = trajectories.reshape(-1, 3)
    radius = np.linalg.norm(cloud - cloud.mean(axis=0), axis=1).max()
    factors = np.linalg.norm(found.points - cloud.mean(axis=0), axis=1) / radius
    shown = sorted(round(float(t.get_text()[1:])) for t in ax.texts)
    assert shown == sorted(round(f) for f in factors[factors > 1])
    with refused("points and labels", "1", "1 and 2"):
        plot.held_inputs(trajectories, [path], [found], labels=["a", "b"])
