"""Properties of the results of `recurrent_dynamics.dynamics` that follow from plain arrays."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import Refusal, refused

from recurrent_dynamics.dynamics import (
    diagnose,
    gradient_flow,
    jacobian_products,
    path_norms,
    powers_of_two,
    saturation,
    time_scales,
)


def normal_matrix(rng, moduli):
    """A normal matrix with eigenvalues of the given moduli: its powers have the singular values moduli**k."""
    q, _ = np.linalg.qr(rng.standard_normal((len(moduli), len(moduli))))
    return q @ np.diag(moduli) @ q.T


def exact_log_singular_values(factors):
    with mpmath.workdps(400):
        product = mpmath.eye(factors.shape[1])
        for factor in factors:
            product = mpmath.matrix(factor.tolist()) * product
        return np.array([float(mpmath.log(s)) for s in mpmath.svd_r(product, compute_uv=False)])


def test_powers_of_a_normal_matrix_have_the_powers_of_its_singular_values(rng):
    moduli = np.array([1.3, 0.9, 0.2, 0.001])
    jacobians = np.broadcast_to(normal_matrix(rng, moduli), (64, 4, 4))
    products = jacobian_products(jacobians)
    assert products.steps.tolist() == [1, 2, 4, 8, 16, 32, 64]
    expected = products.steps[:, None] * np.log(moduli)
    # The factor itself is known to rounding, so its smallest singular value only to 1e-16 / 1e-3.
    np.testing.assert_allclose(products.log_singular_values[:, 0], expected, rtol=1e-11, atol=1e-13)
    assert products.rate() == pytest.approx(1.3)


def test_powers_of_a_linear_recurrence_match_powers_of_its_matrix(rng):
    w = rng.standard_normal((5, 5)) / np.sqrt(5)
    products = jacobian_products(np.broadcast_to(w, (8, 5, 5)), steps=[1, 3, 8])
    for k, logs in zip(products.steps, products.log_singular_values[:, 0], strict=True):
        expected = np.linalg.svd(np.linalg.matrix_power(w, int(k)), compute_uv=False)
        np.testing.assert_allclose(np.exp(logs), expected, atol=1e-12 * expected[0])


@pytest.mark.parametrize("kind", ["gaussian", "powers", "gates", "graded upwards"])
def test_small_singular_values_of_long_products_are_accurate(rng, kind):
    n, steps = 6, 48
    gates = rng.permutation(np.linspace(0.01, 0.99, n))
    jacobians = {
        "gaussian": rng.standard_normal((steps, n, n)) / np.sqrt(n),
        "powers": np.broadcast_to(rng.standard_normal((n, n)) / np.sqrt(n), (steps, n, n)),
        "gates": np.diag(gates) + 0.01 * rng.standard_normal((steps, n, n)),
        "graded upwards": np.diag(10.0 ** -np.arange(n)[::-1]) + 1e-7 * rng.standard_normal((steps, n, n)),
    }[kind]
    expected = exact_log_singular_values(jacobians)
    assert expected[0] - expected[-1] > 50  # far below rounding error times the largest one
    found = jacobian_products(jacobians, steps=[steps]).log_singular_values[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-8)


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 6), st.just(3), st.just(3)), elements=st.floats(-3, 3, width=16)
    ),
    st.floats(-300, 300),
)
def test_scaling_every_factor_adds_its_logarithm(jacobians, exponent):
    scale = np.exp(exponent)
    one, scaled = jacobian_products(jacobians), jacobian_products(scale * jacobians)
    shift = exponent * one.steps[:, None, None]
    largest = one.log_singular_values[:, :, :1]
    finite = np.isfinite(largest)
    assert (np.isfinite(scaled.log_singular_values[:, :, :1]) == finite).all()
    difference = scaled.log_singular_values[:, :, :1][finite] - (largest + shift)[finite]
    assert (np.abs(difference) < 1e-9).all()


def test_the_volume_of_a_product_is_the_product_of_volumes(rng):
    jacobians = rng.standard_normal((20, 3, 4, 4))
    logs = jacobian_products(jacobians, steps=[20]).log_singular_values[0]
    expected = np.linalg.slogdet(jacobians)[1].sum(axis=0)
    np.testing.assert_allclose(logs.sum(axis=1), expected, atol=1e-9)


def test_a_singular_factor_gives_minus_infinity():
    jacobians = np.array([np.diag([1.0, 0.0]), np.eye(2), np.zeros((2, 2))])
    logs = jacobian_products(jacobians, steps=[1, 2, 3]).log_singular_values[:, 0]
    assert logs.tolist() == [[0.0, -np.inf], [0.0, -np.inf], [-np.inf, -np.inf]]


@pytest.mark.parametrize(
    ("jacobians", "steps", "message"),
    [
        (np.ones((2, 3, 4)), None, Refusal("jacobians", "have shape (T, S, S)")),
        (np.full((2, 3, 3), np.nan), None, Refusal("jacobians", "be finite", "step 0")),
        (np.ones((4, 2, 2)), [2, 1], Refusal("steps", "increase")),
        (np.ones((4, 2, 2)), [5], Refusal("steps", "increase and lie in 1..4")),
        (np.ones((4, 2, 2)), [1.5], Refusal("steps", "be a sequence of integers")),
    ],
)
def test_wrong_products_are_refused(jacobians, steps, message):
    with refused(message):
        jacobian_products(jacobians, steps)


def test_paths_of_a_diagonal_recurrence_are_all_direct(rng):
    factors = rng.uniform(0.5, 1, (9, 2, 3))
    jacobians = factors[..., None] * np.eye(3)
    paths = path_norms(jacobians, factors, slot="c")
    np.testing.assert_allclose(paths.direct[1], np.sqrt(np.mean((factors[0] * factors[1]) ** 2, axis=-1)))
    assert np.abs(paths.rest).max() < 1e-15


def test_direct_path_and_rest_add_up_to_the_block_of_the_slot(rng):
    jacobians, factors = rng.standard_normal((3, 1, 4, 4)), rng.uniform(0, 1, (3, 1, 2))
    paths = path_norms(jacobians, factors, offset=2, steps=[3])
    whole = (jacobians[2, 0] @ jacobians[1, 0] @ jacobians[0, 0])[2:, 2:]
    rest = whole - np.diag(factors.prod(axis=0)[0])
    assert paths.rest[0, 0] == pytest.approx(np.sqrt((rest**2).sum() / 2))


def test_paths_of_the_wrong_width_are_refused():
    with refused("direct", ("(T, B, H)", "1..2"), "(2, 1, 3)"):
        path_norms(np.ones((2, 1, 4, 4)), np.ones((2, 1, 3)), offset=2)


def test_gradients_of_a_scaled_orthogonal_recurrence_shrink_by_the_scale(rng):
    q, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    gradient, history = rng.standard_normal((3, 5)), []
    for _ in range(20):
        history.insert(0, gradient)
        gradient = 0.8 * gradient @ q
    flow = gradient_flow(np.array(history))
    np.testing.assert_allclose(flow.relative, 0.8**flow.lags)
    assert flow.rate() == pytest.approx(0.8)
    assert flow.reach(0.1) == 11  # 0.8**11 < 0.1 < 0.8**10


def test_a_gradient_that_stays_has_no_reach():
    assert gradient_flow(np.ones((4, 2, 3))).reach() is None


def test_no_gradient_at_all_reaches_nowhere():
    flow = gradient_flow(np.zeros((4, 2, 3)))
    assert (flow.entry, flow.reach(), flow.relative.tolist()) == (0, 0, [0, 0, 0, 0])
    assert np.isnan(flow.rate())
    with refused("the windows", "be known, at least two", "1"):
        gradient_flow(np.ones((4, 1, 3))).growth()


def test_a_spike_far_back_does_not_lengthen_the_reach():
    norms = 0.5 ** np.arange(20.0)
    norms[15] = 0.02
    assert gradient_flow(norms[::-1].reshape(20, 1, 1)).reach() == 7  # 0.5**7 < 0.01 < 0.5**6


def test_a_mean_that_one_window_carries_is_told_from_a_typical_window():
    flow = gradient_flow(np.exp(-np.outer(np.arange(9.0), [0.0] + 9 * [2.0]))[::-1, :, None])
    assert flow.windows == 10
    assert flow.relative[8] == pytest.approx(0.1, rel=1e-5)
    assert flow.typical[8] == pytest.approx(np.exp(-16))
    assert flow.carried(8) == pytest.approx(1, abs=1e-5)
    assert flow.carried(0) == pytest.approx(0.1)
    assert flow.standard_error(8) == pytest.approx(0.1, rel=1e-3)  # one window of ten
    assert flow.standard_error(0) == 0
    assert flow.growth().rate == pytest.approx(-1.8)


def test_the_error_of_a_relative_norm_is_the_scatter_over_many_draws(rng):
    steps = np.exp(rng.normal(-0.1, 0.2, (6, 400, 50)).cumsum(axis=0))
    flows = [gradient_flow(steps[::-1, k, :, None]) for k in range(400)]
    found = np.mean([flow.standard_error(5) for flow in flows])
    assert found == pytest.approx(np.std([flow.relative[5] for flow in flows]), rel=0.15)


def test_lags_before_the_gradient_enters_do_not_count():
    flow = gradient_flow(np.array([0.125, 0.25, 0.5, 2.0, 0.0, 0.0]).reshape(6, 1, 1))
    assert flow.entry == 2
    assert flow.relative.tolist() == [0, 0, 1, 0.25, 0.125, 0.0625]
    assert (flow.reach(0.2), flow.reach(0.1), flow.reach(0.05)) == (4, 5, None)
    assert flow.rate() ** 3 == pytest.approx(0.0625)  # three steps from the entry on
    assert flow.rate(4) ** 2 == pytest.approx(0.125)
    assert np.isnan(flow.rate(2))


@pytest.mark.parametrize("share", [0.0, -1.0, np.nan])
def test_a_share_is_above_zero(share):
    with refused("share", "0", str(share)):
        gradient_flow(np.ones((4, 2, 3))).reach(share)


def test_a_gradient_that_is_not_finite_is_refused():
    with refused("d_states", "finite", "step 1"):
        gradient_flow(np.array([1.0, np.inf]).reshape(2, 1, 1))


@given(hnp.arrays(np.float64, (4, 2, 3), elements=st.floats(-1, 1)))
def test_shares_of_saturated_steps_are_shares(values):
    found = saturation(values, (-0.9, 0.9))
    assert ((found.low >= 0) & (found.high >= 0) & (found.low + found.high <= 1)).all()
    mirrored = saturation(-values, (-0.9, 0.9))
    assert mirrored.low.tolist() == found.high.tolist()


def test_a_unit_that_never_changes_is_dead(rng):
    values = rng.uniform(-1, 1, (50, 4, 3))
    values[..., 1] = 0.999
    assert saturation(values, (-0.9, 0.9)).dead.tolist() == [False, True, False]
    values[..., 1] = 0
    assert saturation(10 * values, None).dead.tolist() == [False, True, False]
    assert saturation(np.zeros((2, 1, 2)), None).dead.all()


def test_a_stuck_unit_is_dead_or_nearly_always_at_an_end():
    values = np.zeros((20, 1, 4))
    values[:, 0, 0] = np.where(np.arange(20) % 2, 0.95, -0.95)  # a switch
    values[:, 0, 1] = 0.3
    values[:, 0, 2] = np.where(np.arange(20) < 17, 0.95, 0.0)
    values[:, 0, 3] = np.linspace(-0.5, 0.5, 20)
    found = saturation(values, (-0.9, 0.9))
    assert found.stuck.tolist() == [True, True, False, False]
    assert found.dead.tolist() == [False, True, False, False]


@given(st.floats(0.1, 1e6))
def test_a_constant_gate_has_its_time_scale(tau):
    found = time_scales(np.full((3, 2, 1), np.exp(-1 / tau)))
    assert found.steps[0] == pytest.approx(tau, rel=1e-8)


def test_open_and_closed_gates_have_the_limits_as_time_scales():
    factors = np.array([[[1.0, 0.0]], [[1.0, 0.5]]])
    assert time_scales(factors).steps.tolist() == [np.inf, 0.0]


def test_growing_factors_have_no_time_scale():
    with refused("factors", ("0", "1")):
        time_scales(np.full((2, 1, 1), 1.1))


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "vanishing"), (0.95, "healthy"), (1.1, "exploding")])
def test_the_verdict_follows_the_growth_of_the_gradient(factor, verdict):
    flow = gradient_flow(factor ** np.arange(60.0)[::-1].reshape(60, 1, 1))
    found = diagnose([flow], truncation=50)
    assert found.verdict == verdict
    assert found.rate == pytest.approx(factor)
    assert f"{factor:.3f}" in found.sentences[0] or verdict == "exploding"


def test_one_layer_that_carries_the_gradient_is_enough():
    fades, stays = (gradient_flow(f ** np.arange(60.0)[::-1].reshape(60, 1, 1)) for f in (0.5, 0.99))
    assert diagnose([fades, stays], truncation=50).verdict == "healthy"
    assert diagnose([fades, stays], truncation=50).reach is None


def test_a_late_spike_of_the_gradient_norm_is_an_explosion():
    flow = gradient_flow(0.95 ** np.arange(60.0)[::-1].reshape(60, 1, 1))
    norms = np.ones(100)
    assert diagnose([flow], 50, norms).verdict == "healthy"
    norms[3] = 1e4  # early: training recovered from it
    assert diagnose([flow], 50, norms).verdict == "healthy"
    norms[80] = 1e4
    found = diagnose([flow], 50, norms)
    assert found.verdict == "unsure"  # the flow that was measured does not show why
    assert "The gradient exploded in training: at update 81 its norm was 10000 times its median" in str(found)


def test_lengths_are_powers_of_two():
    assert powers_of_two(1) == (1,)
    assert powers_of_two(64) == (1, 2, 4, 8, 16, 32, 64)
