"""Gradients of finite-time exponents and of Pascanu's regularizer, against complex steps and differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import finite_time_exponents, flossing, omega

STEP = 1e-30
CELLS = {"elman": rd.cells.elman, "lstm": rd.cells.lstm, "gru": rd.cells.gru}


def frame(size, count, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((size, count)))[0]


def exponents_of_tanh(params, x, h, Q):
    """Of h' = tanh(W x + U h + b), by Gram and Schmidt without conjugation: holomorphic, for a complex step."""
    A, logs = Q.astype(complex), np.zeros(Q.shape[1], complex)
    for row in x:
        h = np.tanh(row @ params["W"].T + h @ params["U"].T + params["b"])
        A = (1 - h[:, None] ** 2) * (params["U"] @ A)
        for k in range(A.shape[1]):
            for j in (*range(k), *range(k)):  # twice is enough
                A[:, k] -= (A[:, j] @ A[:, k]) * A[:, j]
            length = np.sqrt(A[:, k] @ A[:, k])
            A[:, k] /= length
            logs[k] += np.log(length)
    return logs / len(x)


@settings(max_examples=40)
@given(
    units=st.integers(1, 5),
    steps=st.integers(1, 6),
    interval=st.integers(1, 3),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_exponents_have_the_gradient_of_a_complex_step(units, steps, interval, seed, data):
    count = data.draw(st.integers(1, units))
    rng, cell = np.random.default_rng(seed), rd.cells.elman()
    params = {
        "W": 0.3 * rng.standard_normal((units, 2)),
        "U": rng.standard_normal((units, units)) + 2 * np.eye(units),
        "b": 0.1 * rng.standard_normal(units),
    }
    x, h = rng.standard_normal((steps, 2)), 0.3 * rng.standard_normal(units)
    run = rd.forward(cell, params, x[:, None], initial={"h": h[None]})
    found, pull = finite_time_exponents(run, count, interval=interval, rng=seed)
    Q = frame(units, count, seed)
    np.testing.assert_allclose(found[0], exponents_of_tanh(params, x, h, Q).real, rtol=1e-9, atol=1e-9)
    weights = rng.standard_normal(count)
    grads = pull(weights)
    direction = {name: rng.standard_normal(value.shape) for name, value in params.items()}
    d_x, d_h = rng.standard_normal(x.shape), rng.standard_normal(h.shape)
    moved = exponents_of_tanh(
        {name: value + 1j * STEP * direction[name] for name, value in params.items()},
        x + 1j * STEP * d_x, h + 1j * STEP * d_h, Q,
    )  # fmt: skip
    expected = weights @ moved.imag / STEP
    terms = [np.sum(grads.params[name] * d) for name, d in direction.items()]
    terms += [np.sum(grads.x[:, 0] * d_x), np.sum(grads.initial["h"][0] * d_h)]
    size = max(map(abs, terms), default=0.0) + 1e-3
    assert sum(terms) == pytest.approx(expected, abs=1e-8 * size)


@pytest.mark.parametrize("name", list(CELLS))
def test_exponents_of_gated_cells_have_the_gradient_of_differences(rng, name):
    cell = CELLS[name]()
    params = cell.init(2, 3, rng=rng, dtype="float64")
    params["U"] = params["U"] * 2
    size = 6 if name == "lstm" else 3
    x = rng.standard_normal((5, 2, 2))
    weights = rng.standard_normal((2, 2))
    _, pull = finite_time_exponents(rd.forward(cell, params, x), 2, interval=2)
    grads = pull(weights).params
    for parameter, value in params.items():
        direction = rng.standard_normal(value.shape)

        def along(step, parameter=parameter, direction=direction):
            moved = {**params, parameter: params[parameter] + step * direction}
            return np.sum(weights * finite_time_exponents(rd.forward(cell, moved, x), 2, interval=2)[0])

        h = 1e-4
        expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
        assert np.sum(grads[parameter] * direction) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    assert finite_time_exponents(rd.forward(cell, params, x))[0].shape == (2, size)


def test_exponents_are_those_of_the_spectrum(rng):
    cell = rd.cells.lstm()
    run = rd.forward(cell, cell.init(2, 4, rng=rng, dtype="float64"), rng.standard_normal((300, 2, 2)))
    found, _ = finite_time_exponents(run, 3)
    spectrum = rd.dynamics.lyapunov(run, count=3, transient=0, tolerance=1.0)
    np.testing.assert_allclose(found, spectrum.per_trajectory, atol=0.02)


def test_flossing_moves_exponents_to_their_target(rng):
    cell = rd.cells.elman()
    params = cell.init(2, 6, rng=rng, dtype="float64")
    x = 0.1 * rng.standard_normal((15, 3, 2))
    for target in (0.0, -0.5):
        moved = dict(params)
        for _ in range(150):
            run = rd.forward(cell, moved, x)
            loss, grads, exponents = flossing(run, 2, target=target)
            moved = {name: value - 0.1 * grads.params[name] for name, value in moved.items()}
        assert loss == pytest.approx(np.mean((exponents - target) ** 2))
        np.testing.assert_allclose(exponents.mean(axis=0), target, atol=0.1)


@pytest.mark.parametrize("name", list(CELLS))
def test_omega_has_the_immediate_gradient_of_the_paper(rng, name):
    cell = CELLS[name]()
    params = cell.init(2, 3, rng=rng, dtype="float64")
    run = rd.forward(cell, params, rng.standard_normal((4, 2, 2)))
    v = rd.backward(run, rng.standard_normal(run.output.shape)).states
    found = omega(run, v)

    def value(moved):  # v and the states before each step stay as they are
        total = 0.0
        for t in range(4):
            before = run.initial if t == 0 else {s: a[t - 1] for s, a in run.states.items()}
            J = rd.jacobian(rd.forward(cell, moved, run.x[t : t + 1], initial=dict(before)))[0]
            own = np.concatenate([v[s][t] for s in cell.state], axis=-1)
            pulled = np.einsum("bij,bi->bj", J, own)
            ratio = np.linalg.norm(pulled, axis=1) / np.linalg.norm(own, axis=1)
            np.testing.assert_allclose(found.ratios[t], ratio, rtol=1e-2)
            total += np.sum((ratio - 1) ** 2) / 2
        return total

    assert found.value == pytest.approx(value(params), rel=1e-12)
    h = 1e-4
    for parameter in params:
        direction = rng.standard_normal(params[parameter].shape)
        at = lambda s: value({**params, parameter: params[parameter] + s * direction})  # noqa: B023
        expected = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        assert np.sum(found.params[parameter] * direction) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_nothing_is_asked_of_a_reset_or_beyond_the_end(rng):
    cell = rd.cells.elman()
    params = cell.init(2, 3, rng=rng, dtype="float64")
    x = rng.standard_normal((4, 2, 2))
    reset = np.zeros((4, 2), bool)
    reset[2, 0] = True
    run = rd.forward(cell, params, x, reset=reset, lengths=[4, 2])
    ratios = omega(run, rd.backward(run, np.ones((4, 2, 3))).states).ratios
    assert np.isnan(ratios).tolist() == [[False, False], [False, False], [True, True], [False, True]]


def test_what_has_no_gradient_is_refused(rng):
    cell = rd.cells.elman()
    params = cell.init(2, 3, rng=rng, dtype="float64")
    x = rng.standard_normal((5, 2, 2))
    run = rd.forward(cell, params, x)
    with refused("count", ("1", "3"), "4"):
        finite_time_exponents(run, 4)
    with refused("run", "reset"):
        finite_time_exponents(rd.forward(cell, params, x, reset=np.eye(5, 2, dtype=bool)))
    with refused("run", came="[5, 3]"):
        finite_time_exponents(rd.forward(cell, params, x, lengths=[5, 3]))
    flat = {**params, "U": np.ones((3, 3))}
    with pytest.raises(FloatingPointError, match=r"singular to rounding after step 0, in vector [12]"):
        finite_time_exponents(rd.forward(cell, flat, x))
    with refused("d_states", "h", "'c'"):
        omega(run, {"c": np.ones((5, 2, 3))})
