"""What the papers of the ODE literature say of their cells, and time steps as a signal."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import ode_equations
import pytest
import scipy.integrate
from refusals import refused, wrong_type

from recurrent_dynamics import cells, parametrize
from recurrent_dynamics.cells import NAMED, Cell
from recurrent_dynamics.engine import reference

B, N, H = 3, 2, 4
Arrays = dict[str, np.ndarray]


def some(cell: Cell, rng: np.random.Generator) -> tuple[Arrays, np.ndarray, Arrays]:
    """Parameters, input and state."""
    params = {name: rng.standard_normal(v.shape) for name, v in cell.init(N, H, dtype="float64").items()}
    state = {s.name: rng.standard_normal((B, s.width)) for s in cell.layout(N, H).slots}
    return params, rng.standard_normal((B, N)), state


def check(
    cell: Cell, printed: Callable[..., Arrays], rng: np.random.Generator, signals: Any = None, **more: Any
) -> None:
    params, x, state = some(cell, rng)
    came, wanted = reference.step(cell, params, x, state, signals or {}), printed(params, x, state, **more)
    for slot in cell.state:
        np.testing.assert_allclose(came[slot], wanted[slot], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("printed", ode_equations.WITH_STEP, ids=lambda f: f.__name__)
def test_irregular_steps(printed: Callable[..., Arrays], rng: np.random.Generator) -> None:
    cell = NAMED[printed.__name__](dt=None)
    assert cell.signals == ("dt",)
    assert cell.name.endswith("irregular steps")
    dt = rng.uniform(0.1, 1.0, (B, 1))
    check(cell, printed, rng, {"dt": dt}, dt=dt)
    given = NAMED[printed.__name__](dt=0.25)
    check(given, printed, rng, dt=0.25)
    with refused("dt", "be a finite number above 0", "-1.0"):
        NAMED[printed.__name__](dt=-1.0)


def test_options(rng: np.random.Generator) -> None:
    check(cells.ctrnn(learnt=True), ode_equations.ctrnn, rng)
    check(cells.antisymmetric_rnn(gated=True), ode_equations.antisymmetric_rnn, rng)
    check(cells.shplrnn(5, clipped=True), ode_equations.shplrnn, rng, clipped=True)
    for make, option in ((cells.ctrnn, "tau"), (cells.antisymmetric_rnn, "damping"), (cells.cornn, "gamma"),
                         (cells.unicornn, "alpha"), (cells.ltc, "tau"), (cells.unitary_rnn, "eps")):  # fmt: skip
        with refused(option, "be a finite number", "-1"):
            make(**{option: -1.0})
    with refused("hidden_layer", "1", "0"):
        cells.shplrnn(0)


def test_noise_of_the_units_is_a_signal(rng: np.random.Generator) -> None:
    params, x, state = some(cells.ctrnn(), rng)
    noise = rng.standard_normal((B, H))
    found = reference.step(cells.ctrnn(noise=True), params, x, state, {"noise": noise})["h"]
    # Noise in the currents is noise in the bias, of each sequence its own.
    for b in range(B):
        moved = {**params, "b": params["b"] + noise[b]}
        expected = ode_equations.ctrnn(moved, x[b : b + 1], {"h": state["h"][b : b + 1]})["h"]
        np.testing.assert_allclose(found[b : b + 1], expected, rtol=1e-13)
    cell = cells.ctrnn(dt=None, noise=True)
    assert cell.signals == ("dt", "noise")
    assert (
        pickle.loads(pickle.dumps(cell)).fingerprint == cell.fingerprint != cells.ctrnn(dt=None).fingerprint
    )
    with refused(wrong_type("noise", came=("0.1", "WithNoise"))):
        cells.ctrnn(noise=0.1)


def jacobian(cell: Cell, params: Arrays, x: np.ndarray, state: Arrays) -> np.ndarray:
    """Of the step of the first sequence, by complex step: (S, S)."""
    columns = []
    for slot in cell.state:
        for j in range(state[slot].shape[1]):
            moved = {name: value[:1].astype(complex) for name, value in state.items()}
            moved[slot][:, j] += 1e-30j
            after = reference.step(cell, params, x[:1], moved)
            columns.append(np.concatenate([after[s][0].imag for s in cell.state]) / 1e-30)
    return np.array(columns).T


def test_unicornn_preserves_volume(rng: np.random.Generator) -> None:
    """The determinant of every step is 1, and the singular values come in pairs s, 1 / s."""
    cell = cells.unicornn()
    J = jacobian(cell, *some(cell, rng))
    assert np.linalg.det(J) == pytest.approx(1, rel=1e-12)
    s = np.linalg.svd(J, compute_uv=False)
    np.testing.assert_allclose(s * s[::-1], 1, rtol=1e-10)


def test_antisymmetric_eigenvalues(rng: np.random.Generator) -> None:
    """At h = 0 without input the Jacobian is I + dt (U - damping I): real parts 1 - dt damping."""
    cell = cells.antisymmetric_rnn(dt=0.1, damping=0.2)
    params, x, state = some(cell, rng)
    params |= {"U": cell.init(N, H, 1, "float64")["U"], "b": np.zeros(H)}
    J = jacobian(cell, params, 0 * x, {"h": 0 * state["h"]})
    np.testing.assert_allclose(np.linalg.eigvals(J).real, 1 - 0.1 * 0.2, atol=1e-12)


def test_lipschitz_matrices() -> None:
    made = cells.lipschitz_rnn(share=1.0, damping=0.5).init(N, H, dtype="float64")["U"]
    for block in np.split(made, 2):
        assert parametrize.Antisymmetric(0.5).check(block) < 1e-15
        assert np.abs(block).max() > 0


def test_cornn_stays_bounded(rng: np.random.Generator) -> None:
    """The energy bound of Rusch and Mishra 2021 (proposition 1): y^2 stays below a multiple of n dt."""
    cell = cells.cornn()
    params, _, state = some(cell, rng)
    state = {name: 0 * value for name, value in state.items()}
    for _ in range(300):
        state = reference.step(cell, params, 10 * rng.standard_normal((B, N)), state)
    assert np.abs(state["y"]).max() < 1


def test_gru_ode_with_a_step_of_one_is_the_gated_unit(rng: np.random.Generator) -> None:
    cell, gated = cells.gru_ode(dt=1.0), cells.gru_reset_before()
    params, x, state = some(cell, rng)
    np.testing.assert_allclose(
        reference.step(cell, params, x, state)["h"], reference.step(gated, params, x, state)["h"], rtol=1e-12
    )


@pytest.mark.parametrize("name", ["ctrnn", "ltc", "gru_ode"])
def test_steps_converge_to_the_equation(name: str, rng: np.random.Generator) -> None:
    """First order in the step, against an integrator of SciPy."""
    params, x, state = some(NAMED[name](), rng)

    def field(_: float, h: np.ndarray) -> np.ndarray:
        h = h.reshape(B, H)
        if name == "ctrnn":
            return (np.tanh(h) @ params["U"].T + x @ params["W"].T + params["b"] - h).ravel()
        if name == "ltc":
            f = ode_equations.sigm(h @ params["U"].T + x @ params["W"].T + params["b"])
            return (-(1 / np.log1p(np.exp(params["tau"])) + f) * h + f * params["A"]).ravel()
        return (ode_equations.gru_ode(params, x, {"h": h}, dt=1.0)["h"] - h).ravel()

    wanted = scipy.integrate.solve_ivp(field, (0, 1), state["h"].ravel(), rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for steps in (50, 100):
        h = dict(state)
        for _ in range(steps):
            h = reference.step(NAMED[name](dt=1 / steps), params, x, h)
        errors.append(np.abs(h["h"].ravel() - wanted).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_liquid_states_stay_between_their_bounds(rng: np.random.Generator) -> None:
    """Hasani et al. 2021, theorem 2: between 0 and A, whatever the input and however long the step."""
    cell = cells.ltc(dt=5.0)
    params, _, state = some(cell, rng)
    state = {"h": 0 * state["h"]}
    for _ in range(100):
        state = reference.step(cell, params, 100 * rng.standard_normal((B, N)), state)
        assert (np.abs(state["h"]) <= np.abs(params["A"])).all()
        assert (state["h"] * params["A"] >= 0).all()


def test_clipped_piecewise_linear_states_stay_bounded(rng: np.random.Generator) -> None:
    cell = cells.shplrnn(6, clipped=True)
    params, x, _ = some(cell, rng)
    params["A"] = rng.uniform(-0.9, 0.9, H)
    state = {"z": 1e6 * rng.standard_normal((B, H))}
    for _ in range(400):
        state = reference.step(cell, params, x, state)
    reach = np.abs(params["U_z"]) @ np.abs(params["h_2"]) + np.abs(params["b"]) + np.abs(x @ params["W"].T)
    assert (np.abs(state["z"]) <= reach / (1 - np.abs(params["A"])) + 1e-6).all()


def test_unitary_network_keeps_the_modulus(rng: np.random.Generator) -> None:
    """Without input and with thresholds of 0 a step is a unitary matrix."""
    cell = cells.unitary_rnn()
    params, x, state = some(cell, rng)
    params |= {"U": cell.init(N, H, 1, "float64")["U"], "threshold": np.zeros(H)}
    U = params["U"]
    assert parametrize.unitary_cayley.check(U) < 1e-14
    after = reference.step(cell, params, 0 * x, state)
    z = state["re"] + 1j * state["im"]
    np.testing.assert_allclose(after["re"] + 1j * after["im"], z @ (U[:H, :H] + 1j * U[H:, :H]).T, rtol=1e-10)
    size = lambda s: np.sqrt((s["re"] ** 2 + s["im"] ** 2).sum(1))
    np.testing.assert_allclose(size(after), size(state), rtol=1e-12)
