"""Lyapunov spectra against exact values, identities and other ways to find them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from refusals import refused, wrong_type
from scipy.special import digamma

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import Flow, Map, jacobian_products, lyapunov
from recurrent_dynamics.dynamics.lyapunov.statistics import MeanErrors, mean_errors, stationary_from


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def lorenz_field(s):
    x, y, z = s.T
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)


def lorenz_jacobian(s):
    J = np.zeros((len(s), 3, 3))
    J[:] = [[-10, 10, 0], [0, -1, 0], [0, 0, -8 / 3]]
    J[:, 1, 0], J[:, 1, 2] = 28 - s[:, 2], -s[:, 0]
    J[:, 2, 0], J[:, 2, 1] = s[:, 1], s[:, 0]
    return J


def linear_map(A):
    return Map(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), *A.shape)))


def gaussian_elman(size, gain, rng):
    """(cell, params) of h' = tanh(U h), U_ij ~ N(0, gain^2 / size)."""
    cell = rd.cells.elman()
    params = cell.init(input_size=0, hidden_size=size, dtype="float64")
    params["U"] = gain * rng.standard_normal((size, size)) / np.sqrt(size)
    params["b"] = np.zeros(size)
    return cell, params


@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_a_run_agrees_with_determinants_a_tangent_and_a_nearby_trajectory(name, rng):
    cell = getattr(rd.cells, name)()
    params = cell.init(input_size=3, hidden_size=8, rng=rng, dtype="float64")
    params["U"] *= 1.5
    run = rd.forward(cell, params, rng.standard_normal((600, 3, 3)))
    spectrum = lyapunov(run, check=True)
    size = sum(v.shape[-1] for v in run.states.values())
    assert spectrum.exponents.shape == (size,)
    assert spectrum.size == size
    assert (np.diff(spectrum.exponents) <= 0).all()
    assert spectrum.transient + spectrum.steps == 600
    assert spectrum.window_steps.sum() == spectrum.steps
    assert spectrum.sum == pytest.approx(spectrum.checks.log_det, rel=1e-9)
    # A tangent and the first vector of the frame differ by a bounded factor, so by O(1 / steps).
    assert spectrum.checks.tangent == pytest.approx(spectrum.exponents[0], abs=5 / spectrum.steps)
    assert spectrum.checks.nearby == pytest.approx(spectrum.checks.tangent, abs=1e-5)


@pytest.mark.parametrize("name", ["lstm", "elman"])
def test_the_leading_exponents_are_the_same_by_tangents_and_by_formed_jacobians(name, rng):
    cell = getattr(rd.cells, name)()
    params = cell.init(input_size=2, hidden_size=26, rng=rng, dtype="float64")
    run = rd.forward(cell, params, rng.standard_normal((300, 2, 2)))
    # One frame, grown by vectors behind the first: R_00 and R_11 depend on the first two alone.
    few, all_ = lyapunov(run, count=2, transient=100), lyapunov(run, transient=100)
    assert few.exponents.shape == (2,)
    np.testing.assert_allclose(few.exponents, all_.exponents[:2], atol=0.03)
    np.testing.assert_allclose(
        few.exponents[0],
        lyapunov(run, count=2, transient=100, check=True).checks.tangent,
        atol=0.03,
    )


def test_lorenz_has_its_spectrum_sum_and_dimension(rng):
    flow = Flow(lorenz_field, lorenz_jacobian, step=0.005)
    start = rng.standard_normal((64, 3)) + [1, 1, 20]
    spectrum = lyapunov(flow, initial=start, steps=12_000, check=True, transient=1000)
    assert spectrum.unit == "nats per unit time"
    assert spectrum.sum == pytest.approx(spectrum.checks.log_det, rel=1e-9)
    assert spectrum.sum == pytest.approx(-41 / 3, abs=1e-5)
    assert spectrum.exponents == pytest.approx([0.906, 0, -14.572], abs=0.01)
    assert (np.abs(spectrum.exponents - [0.906, 0, -14.572]) < 4 * spectrum.standard_errors + 2e-3).all()
    assert spectrum.kaplan_yorke_dimension == pytest.approx(2.062, abs=1e-3)
    assert spectrum.entropy_rate == spectrum.exponents[spectrum.exponents > 0].sum()
    assert spectrum.checks.nearby == pytest.approx(spectrum.checks.tangent, abs=1e-5)
    assert spectrum.checks.tangent == pytest.approx(spectrum.exponents[0], abs=0.01)


def test_scipy_integrates_a_flow_with_its_tangent(rng):
    flow = Flow(lorenz_field, lorenz_jacobian, step=0.1, method="DOP853", tolerance=1e-10)
    spectrum = lyapunov(flow, initial=[1.0, 1.0, 20.0], steps=100, transient=10, check=True, tolerance=1.0)
    assert spectrum.sum == pytest.approx(-41 / 3, abs=1e-7)
    assert spectrum.checks.nearby == pytest.approx(
        spectrum.checks.tangent, abs=3e-3
    )  # the integrator chooses other steps


def test_a_linear_orthogonal_system_has_exponents_zero(rng):
    Q, _ = np.linalg.qr(rng.standard_normal((6, 6)))
    spectrum = lyapunov(linear_map(Q), initial=rng.standard_normal(6), steps=1000)
    np.testing.assert_allclose(spectrum.exponents, 0, atol=1e-14)
    logs = jacobian_products(np.broadcast_to(Q, (64, 6, 6))).log_singular_values
    np.testing.assert_allclose(logs, 0, atol=1e-13)


def test_a_linear_system_has_the_logarithms_of_its_eigenvalues(rng):
    V = rng.standard_normal((5, 5)) + 3 * np.eye(5)
    moduli = np.array([1.1, 0.8, 0.5, 0.1, 1e-3])
    A = V @ np.diag(moduli) @ np.linalg.inv(V)
    spectrum = lyapunov(linear_map(A), initial=np.zeros(5), steps=400)
    np.testing.assert_allclose(spectrum.exponents, np.log(moduli), atol=1e-9)
    assert spectrum.interval < 2  # ln(1.1 / 1e-3) = 7 a step, ln(1e5) = 11.5 between orthonormalizations


def test_the_origin_below_the_critical_gain_has_the_eigenvalues_of_the_matrix(rng):
    cell, params = gaussian_elman(20, 0.7, rng)
    mu = np.sort(np.log(np.abs(np.linalg.eigvals(params["U"]))))[::-1]
    spectrum = lyapunov(cell, params, initial={"h": np.zeros(20)}, steps=6000, transient=2000)
    # A complex pair shares its mean, which comes about only over many turns of its plane.
    np.testing.assert_allclose(spectrum.exponents, mu, atol=0.01)


@pytest.mark.parametrize("count", [8, 3])
def test_an_lstm_without_weights_forgets_at_the_rate_of_its_gates_or_at_once(count):
    cell = rd.cells.lstm()
    params = {k: np.zeros_like(v) for k, v in cell.init(0, 4, dtype="float64").items()}
    biases = np.array([2.0, 1.0, 0.0, -1.0])
    params = rd.cells.with_bias(cell, params, f=biases)
    spectrum = lyapunov(cell, params, initial={"h": np.ones(4), "c": np.ones(4)}, steps=400, count=count)
    finite = min(count, 4)
    np.testing.assert_allclose(spectrum.exponents[:finite], np.log(sigmoid(biases[:finite])), atol=1e-10)
    assert (spectrum.exponents[finite:] == -np.inf).all()
    assert (spectrum.standard_errors[finite:] == 0).all()
    assert not np.isnan(spectrum.finite_time).any()
    assert not np.isnan(spectrum.per_trajectory).any()
    assert spectrum.kaplan_yorke_dimension == 0
    assert spectrum.entropy_rate == 0


def test_a_gru_without_weights_has_the_rate_of_its_update_gate():
    cell = rd.cells.gru()
    params = {k: np.zeros_like(v) for k, v in cell.init(0, 3, dtype="float64").items()}
    params = rd.cells.with_bias(cell, params, z=1.5)
    spectrum = lyapunov(cell, params, initial={"h": np.ones((2, 3))}, steps=50)
    np.testing.assert_allclose(spectrum.exponents, np.log(sigmoid(1.5)), atol=1e-13)


def test_products_of_gaussian_matrices_have_the_spectrum_of_newman(rng):
    size, gain = 6, 1.7
    draws = np.random.default_rng(5)
    random = Map(lambda s: s, lambda s: gain * draws.standard_normal((len(s), size, size)) / np.sqrt(size))
    spectrum = lyapunov(random, initial=np.zeros((50, size)), steps=400)
    i = np.arange(1, size + 1)
    exact = np.log(gain) + (np.log(2 / size) + digamma((size - i + 1) / 2)) / 2
    assert (np.abs(spectrum.exponents - exact) < 4 * spectrum.standard_errors).all()
    # Their variances per step are known too: ln chi^2 has the variance psi'.
    exact_error = np.sqrt([np.pi**2 / 8, *[0] * 5])[0] / np.sqrt(50 * spectrum.steps)
    assert spectrum.standard_errors[-1] == pytest.approx(exact_error, rel=0.35)


def windows_of_known_error(kind, windows, count, rng):
    """(series (M, 1, count), the variance of the sums over all M windows)."""
    noise = rng.standard_normal((windows + 101, count))
    if kind == "alike":  # neighbours are alike: an autoregressive series
        for t in range(1, len(noise)):
            noise[t] += 0.7 * noise[t - 1]
        return noise[101:, None], windows / 0.3**2
    bounded = np.diff(noise[: windows + 1], axis=0)  # of a sum that only fluctuates
    if kind == "bounded":
        return bounded[:, None], 2.0
    if kind == "independent":
        return noise[:windows, None], float(windows)
    return (3 * bounded + rng.standard_normal(bounded.shape))[:, None], windows + 18.0


@pytest.mark.parametrize("kind", ["independent", "alike", "bounded", "both"])
def test_the_errors_are_those_of_series_whose_error_is_known(kind, rng):
    rates, variance = windows_of_known_error(kind, 200, 400, rng)
    found = mean_errors(rates, np.ones(200)).standard_errors
    exact = np.sqrt(variance) / 200
    assert np.sqrt(np.mean(found**2)) == pytest.approx(exact, rel=0.15)
    assert np.median(found) == pytest.approx(exact, rel=0.15)
    assert np.mean(np.abs(rates.mean(axis=(0, 1))) < 2 * found) > 0.85


def test_windows_of_other_lengths_are_weighed_by_them(rng):
    lengths = np.tile([1, 2], 100)
    bounded = np.diff(rng.standard_normal(201), axis=0)
    found = mean_errors((0.7 + bounded / lengths)[:, None, None], lengths).standard_errors[0]
    assert found == pytest.approx(np.sqrt(2) / 300, rel=0.4)


@pytest.mark.parametrize("kind", ["independent", "bounded"])
def test_so_many_steps_more_bring_the_error_to_the_tolerance(kind, rng):
    rates, variance = windows_of_known_error(kind, 200, 400, rng)
    found = mean_errors(rates, np.ones(200))
    needed = [
        MeanErrors(error[None], part[None]).longer(np.sqrt(variance) / 200 / 3)
        for error, part in zip(found.standard_errors, found.lasting)
    ]
    assert np.median(needed) == pytest.approx({"independent": 9, "bounded": 3}[kind], rel=0.2)


def test_the_spread_between_trajectories_counts(rng):
    rates = np.broadcast_to(np.array([0.0, 1.0, 0.0, 1.0])[:, None], (50, 4, 1))
    assert mean_errors(rates, np.ones(50)).standard_errors[0] == pytest.approx(np.sqrt(1 / 3) / 2)


def test_what_trajectories_share_counts(rng):
    rates = np.repeat(rng.standard_normal((200, 1, 1)), 32, axis=1) + 0.01 * rng.standard_normal((200, 32, 1))
    assert mean_errors(rates, np.ones(200)).standard_errors[0] == pytest.approx(200**-0.5, rel=0.5)


def logistic():
    return Map(lambda s: 4 * s * (1 - s), lambda s: (4 - 8 * s)[:, :, None])


def henon():
    def jacobian(s):
        J = np.zeros((len(s), 2, 2))
        J[:, 0, 0], J[:, 0, 1], J[:, 1, 0] = -2.8 * s[:, 0], 1, 0.3
        return J

    return Map(lambda s: np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1), jacobian)


def rossler():
    def field(s):
        x, y, z = s.T
        return np.stack([-y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)], axis=1)

    def jacobian(s):
        J = np.zeros((len(s), 3, 3))
        J[:] = [[0, -1, -1], [1, 0.2, 0], [0, 0, 0]]
        J[:, 2, 0], J[:, 2, 2] = s[:, 2], s[:, 0] - 5.7
        return J

    return Flow(field, jacobian, step=0.05)


def starts(name, rng, batch=32):
    """States on independent trajectories."""
    if name == "logistic":
        return rng.uniform(0.1, 0.9, (batch, 1))
    if name == "henon":
        return rng.uniform(-0.1, 0.1, (batch, 2))
    if name == "lorenz":
        return rng.standard_normal((batch, 3)) + [1, 1, 20]
    phase = rng.uniform(0, 2 * np.pi, batch)
    radius = rng.uniform(3, 9, batch)
    return np.stack([radius * np.cos(phase), radius * np.sin(phase), 0 * phase], axis=1)


SYSTEMS = {
    "logistic": logistic, "henon": henon, "rossler": rossler,
    "lorenz": lambda: Flow(lorenz_field, lorenz_jacobian),
}  # fmt: skip


def errors_beside_the_spread(spectrum):
    """Standard errors in units of the spread over trajectories: those given, and the typical one of a single one."""
    spread = spectrum.per_trajectory.std(axis=0, ddof=1)
    single = [
        mean_errors(spectrum.finite_time[:, [b]], spectrum.window_steps).standard_errors
        for b in range(len(spectrum.per_trajectory))
    ]
    given = spectrum.standard_errors * np.sqrt(len(spectrum.per_trajectory)) / spread
    return given, np.median(single, axis=0) / spread


@pytest.mark.parametrize(
    ("name", "steps", "exact"),
    [
        ("logistic", 3000, [np.log(2)]),
        ("henon", 3000, [0.41922, -1.62319]),
        ("lorenz", 5000, [0.9056, 0, -14.5723]),
        pytest.param("logistic", 20_000, [np.log(2)], marks=pytest.mark.full),
        pytest.param("henon", 20_000, [0.41922, -1.62319], marks=pytest.mark.full),
        pytest.param("lorenz", 20_000, [0.9056, 0, -14.5723], marks=pytest.mark.full),
        pytest.param("rossler", 20_000, [0.0714, 0, -5.3943], marks=pytest.mark.full),
    ],
)
def test_errors_are_those_of_the_spread_over_independent_trajectories(name, steps, exact, rng):
    spectrum = lyapunov(SYSTEMS[name](), initial=starts(name, rng), steps=steps, transient=steps // 10)
    assert (np.abs(spectrum.exponents - exact) < 5 * spectrum.standard_errors + 3e-4).all()
    for ratio in errors_beside_the_spread(spectrum):
        assert (ratio > 1 / 1.5).all()
        assert (ratio < 1.5).all()


@pytest.mark.full
@pytest.mark.parametrize("gain", [3.0, 0.8])
def test_errors_of_a_random_network_are_those_of_the_spread(gain, rng):
    cell, params = gaussian_elman(50, gain, rng)
    initial = {"h": rng.standard_normal((32, 50))}
    spectrum = lyapunov(cell, params, initial=initial, steps=4000, transient=500, count=4)
    if gain < 1:  # a fixed point: every trajectory has the same exponents, those of the matrix
        mu = np.sort(np.log(np.abs(np.linalg.eigvals(params["U"]))))[::-1][:4]
        assert (np.abs(spectrum.exponents - mu) < 5 * spectrum.standard_errors + 1e-3).all()
        return
    for ratio in errors_beside_the_spread(spectrum):
        assert (ratio > 1 / 1.5).all()
        assert (ratio < 1.5).all()


@pytest.mark.parametrize("count", [1, None])
def test_a_trajectory_nearby_is_set_back_before_it_is_far(count, rng):
    """With one vector nothing asks for orthonormalization, while a displacement grows to the size of the attractor."""
    for name in ("logistic", "henon"):
        spectrum = lyapunov(
            SYSTEMS[name](), initial=starts(name, rng, 4), steps=2000, transient=100, count=count, check=True
        )
        assert spectrum.checks.nearby == pytest.approx(spectrum.checks.tangent, abs=1e-3)
        assert spectrum.checks.tangent == pytest.approx(spectrum.exponents[0], abs=5e-3)


def test_the_transient_is_dropped(rng):
    noise = 0.01 * rng.standard_normal((200, 2))
    noise[:, 1] += 3 * np.exp(-np.arange(200) / 5)
    assert 15 <= stationary_from(noise) <= 60
    assert stationary_from(noise[:, :1]) <= 100


@pytest.mark.full
def test_a_run_in_single_precision_gives_the_same_exponents(rng):
    cell = rd.cells.elman()
    params = cell.init(2, 30, dtype="float64", rng=rng)
    x = rng.standard_normal((400, 2, 2))
    double = lyapunov(rd.forward(cell, params, x), transient=100)
    low = {k: v.astype("float32") for k, v in params.items()}
    run = rd.forward(cell, low, x.astype("float32"))
    single = lyapunov(run, transient=100, check=True)
    np.testing.assert_allclose(single.exponents[:20], double.exponents[:20], atol=1e-3)
    assert single.exponents.dtype == np.float64
    assert single.checks.nearby is None
    few = lyapunov(run, count=2, transient=100)
    np.testing.assert_allclose(few.exponents, double.exponents[:2], atol=0.03)


def test_a_constant_input_is_the_same_as_a_run_with_it(rng):
    cell = rd.cells.gru()
    params = cell.init(2, 5, dtype="float64", rng=rng)
    x, h = rng.standard_normal((3, 2)), rng.standard_normal((3, 5))
    run = rd.forward(cell, params, np.broadcast_to(x, (300, 3, 2)).copy(), initial={"h": h})
    for count in (5, 1):
        alone = lyapunov(cell, params, x, initial={"h": h}, steps=300, count=count)
        np.testing.assert_allclose(alone.exponents, lyapunov(run, count=count).exponents, rtol=1e-10)
    one = lyapunov(cell, params, x[0], initial={"h": h[0]}, steps=300)
    np.testing.assert_allclose(one.exponents, one.per_trajectory[0])
    assert one.per_trajectory.shape == (1, 5)


def test_plot_draws_the_exponents_with_their_errors(rng):
    cell, params = gaussian_elman(6, 0.5, rng)
    spectrum = lyapunov(cell, params, initial={"h": np.zeros(6)}, steps=300, transient=100, tolerance=1.0)
    ax = spectrum.plot(label="one")
    spectrum.plot(ax=ax, index=1)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), spectrum.exponents)
    assert ax.get_ylabel().endswith("(nats per step)")
    assert len([line for line in ax.get_lines() if line.get_gid() == "zero"]) == 1


def test_bad_input_says_what_is_wrong(rng):
    cell, params = gaussian_elman(3, 0.5, rng)
    start = {"h": np.zeros(3)}
    run = rd.forward(cell, params, steps=30, initial=start)
    with refused(wrong_type("system", came="int")):
        lyapunov(3)
    with refused("steps", "16", "3"):
        lyapunov(cell, params, initial=start, steps=3)
    with refused("initial", came="None"):
        lyapunov(cell, params, steps=30)
    with refused("steps", "30", "4"):
        lyapunov(run, steps=4)
    with refused("params", "Run"):
        lyapunov(run, params)
    with refused("count", ("1", "3"), "4"):
        lyapunov(run, count=4)
    with refused("transient", ("0", "14")):
        lyapunov(run, transient=20)
    ragged = rd.forward(cell, params, steps=30, initial={"h": np.zeros((2, 3))}, lengths=[20, 30])
    with refused("run", "30", "[20, 30]"):
        lyapunov(ragged)
    reset = np.zeros((30, 1), bool)
    reset[5] = True
    broken = rd.forward(cell, params, steps=30, initial={"h": np.zeros((1, 3))}, reset=reset)
    with refused("run", "reset"):
        lyapunov(broken)
    with refused("jacobian", "(1, 2, 2)", "(2,)"):
        lyapunov(Map(lambda s: s, lambda s: s[0]), initial=[0.0, 0.0], steps=30)
    with refused("count", "entropy rate", "1, the last of them 0.6931"):
        _ = lyapunov(linear_map(np.diag([2.0, 1.5])), initial=[0.0, 0], steps=30, count=1).entropy_rate
    with refused("count", "dimension", "1, with the sum 0.6931"):
        _ = lyapunov(
            linear_map(np.diag([2.0, 0.1])), initial=[0.0, 0], steps=30, count=1
        ).kaplan_yorke_dimension


def test_a_trajectory_that_diverges_is_named():
    square = Map(lambda s: s**2, lambda s: 2 * s[:, :, None])
    with pytest.raises(FloatingPointError, match="state or Jacobian at step 8 is not finite"):
        lyapunov(square, initial=[4.0], steps=100)


def test_a_network_that_diverges_is_named_with_the_step_of_the_whole_trajectory():
    cell = rd.cells.linear()
    params = {"U": np.diag([3.0, 0.5]), "b": np.zeros(2)}
    with pytest.raises(FloatingPointError, match="diverged: its state after step 646 is not finite"):
        lyapunov(cell, params, initial={"h": np.ones(2)}, steps=3000)  # 3^647 > 1.8e308


def test_a_system_that_forgets_all_at_once_has_no_finite_exponent():
    zero = Map(lambda s: 0 * s, lambda s: np.zeros((len(s), 2, 2)))
    spectrum = lyapunov(zero, initial=np.ones(2), steps=40, check=True)
    assert (spectrum.exponents == -np.inf).all()
    found = (spectrum.checks.log_det, spectrum.checks.tangent, spectrum.checks.nearby)
    assert found == (-np.inf, -np.inf, -np.inf)


def test_too_few_steps_for_the_precision_asked_for_warn(rng):
    flow = Flow(lorenz_field, lorenz_jacobian)
    with pytest.warns(UserWarning, match=r"above the tolerance of 1e-05: \d+ steps were averaged, about"):
        lyapunov(flow, initial=[1.0, 2.0, 20.0], steps=4000, tolerance=1e-5, transient=1000)


def test_a_system_that_changes_slowly_warns():
    slow = Map(lambda s: s + 1, lambda s: np.exp(-1e-3 * s)[:, :, None])
    with pytest.warns(UserWarning, match="exponent 0 has not converged"):
        lyapunov(slow, initial=[0.0], steps=1000)


def test_exponents_lost_in_rounding_warn_and_singular_jacobians_do_not():
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    steep = np.diag([1.0, 1.0, 1e-25]) @ rotation
    with pytest.warns(UserWarning, match="1 of 3 exponents are lost in rounding"):
        lyapunov(linear_map(steep), initial=np.zeros(3), steps=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        singular = lyapunov(linear_map(np.diag([1.0, 1.0, 0]) @ rotation), initial=np.zeros(3), steps=30)
    assert singular.exponents[2] == -np.inf
    assert np.isfinite(singular.exponents[:2]).all()
