"""Regions of stability against published numbers, dense scans, and the steps that the cells really make."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.engine import reference
from recurrent_dynamics.ode import (
    METHODS,
    Field,
    discretize,
    gate,
    gated_spectrum,
    largest_stable_step,
    reach,
    smallest_gate,
    stability_boundary,
    stability_function,
    stability_interval,
    step_stability,
    time_constant,
)

INTERVALS = {  # on the negative real axis, on the imaginary axis
    "euler": (2, 0),
    "heun": (2, 0),
    "midpoint": (2, 0),
    "rk3": (2.5127453, math.sqrt(3)),
    "rk4": (2.7852935634, 2 * math.sqrt(2)),
    "implicit_euler": (math.inf, math.inf),
    "implicit_midpoint": (math.inf, math.inf),
    "symplectic_euler": (0, 2),
    "leapfrog": (0, 2),
}
RATIONAL = [name for name, m in METHODS.items() if m.kind in ("explicit", "implicit")]


@pytest.mark.parametrize("method", INTERVALS)
def test_published_intervals(method: str) -> None:
    for axis, wanted in zip(("real", "imaginary"), INTERVALS[method]):
        came = stability_interval(method, axis)
        assert came == wanted or abs(came - wanted) < 1e-6 / 10, (axis, came)


@pytest.mark.parametrize("method", RATIONAL)
def test_reach_against_a_scan(method: str, rng: np.random.Generator) -> None:
    """Inside up to the reach, outside just beyond it."""
    z = rng.standard_normal(60) + 1j * rng.standard_normal(60)
    found = reach(method, z)
    assert np.isinf(found).any() == (method.startswith("implicit"))
    for direction, r in zip(z, found):
        inside = np.linspace(0, min(r, 50), 300)
        assert np.abs(stability_function(method, inside * direction)).max() <= 1 + 1e-12
        if np.isfinite(r):
            beyond = r + 1e-4 / abs(direction)
            assert abs(stability_function(method, beyond * direction)) > 1


@pytest.mark.parametrize("method", ["imex_euler", "exponential_euler"])
@pytest.mark.parametrize("a", [-1.0, -20.0, 0.0])
def test_reach_with_a_linear_part(method: str, a: float, rng: np.random.Generator) -> None:
    """z is the whole eigenvalue: where all of it is linear there is no limit, where nothing is, that of Euler."""
    z = -rng.exponential(5, 20) + 1j * rng.standard_normal(20)
    found = reach(method, z, linear=a)
    if a == 0:
        np.testing.assert_allclose(found, reach("euler", z), rtol=1e-9)
    for eigenvalue, r in zip(z, found):
        inside = np.linspace(1e-9, min(r, 50), 300)
        assert np.abs(stability_function(method, inside * eigenvalue, linear=inside * a)).max() <= 1 + 1e-9
        if np.isfinite(r):
            assert abs(stability_function(method, 1.001 * r * eigenvalue, linear=1.001 * r * a)) > 1
    assert reach(method, -5.0, linear=-5.0) == math.inf


def test_reach_does_not_depend_on_the_unit_of_time(rng: np.random.Generator) -> None:
    z = -rng.exponential(1, 30) + 1j * rng.standard_normal(30)
    for method in ("euler", "rk3", "rk4"):
        for scale in (1e-9, 1e9):
            np.testing.assert_allclose(reach(method, z * scale) * scale, reach(method, z), rtol=1e-9)


def test_limits_of_the_reach() -> None:
    assert reach("rk4", 0.0) == math.inf
    assert reach("rk4", 1e-3 + 1j) == 0
    assert reach("euler", 1j) == 0
    assert reach("leapfrog", 5j) == 0.4
    assert reach("leapfrog", -1 + 5j) == 0


def test_damped_oscillation() -> None:
    """Forward Euler grows by sqrt(1 + dt^2 omega^2) without damping; with it, dt < 2 gamma / (gamma^2 + omega^2)."""
    omega, gamma, dt = 3.0, 0.2, 0.1
    assert math.isclose(abs(stability_function("euler", 1j * omega * dt)), math.sqrt(1 + (dt * omega) ** 2))
    pair = np.array([-gamma + 1j * omega, -gamma - 1j * omega])
    assert math.isclose(largest_stable_step(pair), 2 * gamma / (gamma**2 + omega**2))


@pytest.mark.parametrize("method", RATIONAL)
def test_boundary(method: str) -> None:
    z = stability_boundary(method, 64)
    z = z[np.isfinite(z)]
    assert len(z) >= 63
    np.testing.assert_allclose(np.abs(stability_function(method, z)), 1, rtol=1e-9)


@given(
    angle=st.floats(0.5 * math.pi, 1.5 * math.pi), size=st.floats(0.01, 10), method=st.sampled_from(RATIONAL)
)
def test_reach_scales(angle: float, size: float, method: str) -> None:
    direction = np.exp(1j * angle)
    np.testing.assert_allclose(reach(method, size * direction) * size, reach(method, direction), rtol=1e-9)


LINEAR_FIELD = Field(
    "linear", ("q", "p"), ("a", "b"), lambda drive: {"q": drive.a, "p": drive.b}, recurrent=("q", "p"),
    linear=lambda: {"q": -0.7, "p": -0.7},
)  # fmt: skip
PARTITIONED = Field(
    "oscillators", ("q", "p"), (cells.Drive("a", ("p",)), cells.Drive("b", ("q",))),
    lambda drive: {"q": drive.a, "p": drive.b}, positions=("q",),
)  # fmt: skip


def step_matrix(cell: Any, params: dict[str, np.ndarray]) -> np.ndarray:
    units = np.eye(4)
    after = reference.step(cell, params, None, {"q": units[:, :2], "p": units[:, 2:]})
    return np.concatenate([after["q"], after["p"]], axis=1).T


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].kind in ("explicit", "linear")])
def test_eigenvalues_of_the_step_are_the_stability_function(method: str, rng: np.random.Generator) -> None:
    A, dt = rng.standard_normal((4, 4)), 0.3
    params = {"U": A, "b": np.zeros(4)}
    M = step_matrix(discretize(LINEAR_FIELD, method, dt), params)
    linear = -0.7 * dt if METHODS[method].kind == "linear" else 0.0
    wanted = stability_function(method, dt * np.linalg.eigvals(A), linear=linear)
    np.testing.assert_allclose(np.sort_complex(np.linalg.eigvals(M)), np.sort_complex(wanted), rtol=1e-10)


@pytest.mark.parametrize("method", ["symplectic_euler", "leapfrog"])
def test_multipliers_of_partitioned_methods(method: str, rng: np.random.Generator) -> None:
    C, dt = rng.standard_normal((2, 2)), 0.8
    A, B = np.eye(2), -C @ C.T
    params = {"U": np.concatenate([A, B]), "b": np.zeros(4)}
    M = step_matrix(discretize(PARTITIONED, method, dt), params)
    omega = np.sqrt(np.linalg.eigvalsh(-B))
    wanted = np.abs(stability_function(method, 1j * dt * omega))
    moduli = np.sort(np.abs(np.linalg.eigvals(M)))[::-1]
    assert math.isclose(wanted.max(), moduli[0], rel_tol=1e-7)
    assert (moduli.max() <= 1 + 1e-9) == (dt * omega.max() <= 2)


class TestSteps:
    """Runs as forward Euler; Elman networks only, which the quick tier has compiled."""

    def run(self, U: np.ndarray, steps: int = 1) -> rd.engine.Run:
        cell = cells.elman()
        params = cell.init(0, len(U), dtype="float64") | {"U": U, "b": np.zeros(len(U))}
        return rd.forward(cell, params, steps=steps)

    def test_inside(self, rng: np.random.Generator) -> None:
        Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
        report = step_stability(self.run(0.9 * Q, steps=3))
        assert report.stable
        np.testing.assert_allclose(report.radius, 0.9)
        np.testing.assert_allclose(report.factor, largest_stable_step(0.9 * np.linalg.eigvals(Q) - 1))
        assert str(report).startswith("All 3 steps are within the region")
        assert report.z.shape == (3, 1, 5)

    def test_outside_until_the_step_is_smaller(self) -> None:
        U = np.array([[0.0, 2.0], [-2.0, 0.0]])
        report = step_stability(self.run(U), 0)
        assert not report.stable
        assert "modulus 2" in str(report)
        assert "A step 0.4 times as large would be inside" in str(report)
        alpha = 1 - report.largest_step
        assert math.isclose(np.abs(gated_spectrum(alpha, U)).max(), 1)
        assert math.isclose(smallest_gate(U), alpha)

    def test_unstable_whatever_the_step(self) -> None:
        report = step_stability(self.run(np.diag([1.5, 0.2])))
        assert report.largest_step == 0
        assert "whatever the step" in str(report)
        assert smallest_gate(np.diag([1.5, 0.2])) == 1

    def test_refuses(self) -> None:
        with refused(wrong_type("run", came="Cell")):
            step_stability(cells.elman())
        with refused("steps", "3", "7"):
            step_stability(self.run(np.eye(2), steps=3), [0, 7])

    def test_some_steps_at_a_time(self, rng: np.random.Generator, tune: Any) -> None:
        """However few Jacobians fit into memory at once."""
        U = 2 * rng.standard_normal((4, 4))
        cell = cells.elman()
        params = cell.init(0, 4, dtype="float64") | {"U": U}
        run = rd.forward(cell, params, steps=7, initial={"h": rng.standard_normal((2, 4))})
        wanted = step_stability(run)
        assert wanted.multipliers.shape == (7, 2, 4)
        tune(jacobian_bytes=560)
        np.testing.assert_array_equal(step_stability(run).multipliers, wanted.multipliers)


class TestGates:
    def test_time_constants(self) -> None:
        taus = np.array([0.5, 3.0, 100.0])
        np.testing.assert_allclose(time_constant(gate(taus)), taus)
        np.testing.assert_allclose(time_constant(gate(taus[1:], method="euler"), method="euler"), taus[1:])
        assert time_constant(1.0) == math.inf
        assert time_constant(0.0) == 0
        assert time_constant(1.0, method="euler") == math.inf
        np.testing.assert_allclose(gate(4.0, [0.0, 4.0]), [1, np.exp(-1)])

    def test_a_gate_is_exponential_euler(self, rng: np.random.Generator) -> None:
        tau, dt = 3.0, 1.7
        leak = Field(
            "leak", ("h",), ("n",), lambda drive, state: {"h": (np.tanh(drive.n) - state.h) / tau},
            linear=lambda: {"h": -1 / tau},
        )  # fmt: skip
        params = leak.init(2, 4, dtype="float64")
        x, h = rng.standard_normal((3, 2)), {"h": rng.standard_normal((3, 4))}
        for method in ("exponential_euler", "euler"):
            gated = cells.leaky(float(gate(tau, dt, method=method)))
            came = reference.step(discretize(leak, method, dt), params, x, h)["h"]
            np.testing.assert_allclose(came, reference.step(gated, params, x, h)["h"], rtol=1e-12, atol=1e-14)

    def test_spectrum(self, rng: np.random.Generator) -> None:
        J, alpha = rng.standard_normal((2, 4, 4)), rng.random(4)
        mu = np.linalg.eigvals(J)
        np.testing.assert_allclose(np.sort_complex(gated_spectrum(0.3, J)), np.sort_complex(0.3 + 0.7 * mu))
        wanted = np.linalg.eigvals(np.diag(alpha) + np.diag(1 - alpha) @ J[0])
        np.testing.assert_allclose(np.sort_complex(gated_spectrum(alpha, J[0])), np.sort_complex(wanted))

    def test_smallest_gate_is_where_the_radius_is_one(self, rng: np.random.Generator) -> None:
        J = 3 * rng.standard_normal((6, 6)) / np.sqrt(6)
        J -= max(0, np.linalg.eigvals(J).real.max() - 0.5) * np.eye(6)
        alpha = smallest_gate(J)
        assert 0 < alpha < 1
        assert math.isclose(np.abs(gated_spectrum(alpha, J)).max(), 1)
        assert np.abs(gated_spectrum((1 + alpha) / 2, J)).max() < 1


REFUSED: dict[str, tuple[Refusal, Any]] = {
    "method": (Refusal("method", "be one of"), lambda: stability_function("rk5", 0)),
    "words": (wrong_type("z", "hold real or complex numbers"), lambda: stability_function("euler", "a")),
    "nan": (Refusal("z", "be finite"), lambda: stability_function("euler", [0, math.nan])),
    "linear": (Refusal("linear", "be 0 for method rk4"), lambda: stability_function("rk4", 0, linear=1)),
    "linear in reach": (Refusal("linear", "be 0 for method rk4"), lambda: reach("rk4", 0, linear=1)),
    "complex linear": (Refusal("linear", "be real"), lambda: reach("imex_euler", 0, linear=1j)),
    "axis": (Refusal("axis", "be one of real, imaginary"), lambda: stability_interval("rk4", "y")),
    "no eigenvalues": (Refusal("eigenvalues", "have shape"), lambda: largest_stable_step(1.0)),
    "a stretch": (Refusal("method", came="stretch of the imaginary axis"), lambda: stability_boundary("leapfrog")),
    "points": (Refusal("points", "be an integer of at least 1"), lambda: stability_boundary("euler", 0)),
    "a gate above 1": (Refusal("alpha", "lie in [0, 1]"), lambda: time_constant(1.5)),
    "gates for others": (Refusal("alpha", "number or have shape (2,)"), lambda: gated_spectrum([0.1] * 3, np.eye(2))),
    "a time of zero": (Refusal("tau", "be finite and above 0"), lambda: gate(0.0)),
    "a step back": (Refusal("dt", "be finite and at least 0"), lambda: gate(1.0, -1.0)),
    "a step beyond tau": (Refusal("dt", "be at most tau"), lambda: gate(1.0, 1.5, method="euler")),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what: str) -> None:
    refusal, make = REFUSED[what]
    with refused(refusal):
        make()
