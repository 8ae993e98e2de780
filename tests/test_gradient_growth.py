"""The growth rate of gradients is the first Lyapunov exponent, in trained networks too."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import flossing, gradient_flow, gradient_growth, lyapunov

LONG = rd.data.FlipFlop(500, 20, bits=2, seed=1, dtype="float64").batch(0)


def trained(gain, updates, flossed=0):
    """A network of tanh units that learnt the flip-flop for a moment, its first exponent then pushed to zero."""
    cell, adam = rd.cells.elman(), rd.training.adam()
    model = rd.nn.Model(cell, 24, input_size=2, output_size=2, loss="mean_squared_error")
    params = model.init(rng=3, dtype="float64")
    params["layers"]["0"]["U"] = gain * np.random.default_rng(3).standard_normal((24, 24)) / np.sqrt(24)
    task = rd.data.FlipFlop(30, 20, bits=2, dtype="float64")
    params = rd.training.fit(
        model, params, task, optimizer=adam, learning_rate=2e-3, updates=updates, progress=False
    ).params
    layer = params["layers"]["0"]
    state = adam.init(layer)
    for k in range(flossed):
        grads = flossing(rd.forward(cell, layer, LONG.inputs[100:200, k % 16 :][:, :4]), 1, rng=k)[1]
        change, state = adam.update(grads.params, state, layer, 2e-3)
        layer = rd.training.apply_updates(layer, change)
    params["layers"]["0"] = layer
    return model, params


@pytest.mark.parametrize(
    ("gain", "updates", "flossed", "low", "high"),
    [(0.4, 40, 0, -2.0, -0.04), (1.0, 40, 150, -0.03, 0.03), (4.0, 20, 0, 0.1, 1.0)],
    ids=["vanishing", "critical", "chaotic"],
)
def test_the_first_exponent_is_the_growth_rate_of_gradients(gain, updates, flossed, low, high):
    model, params = trained(gain, updates, flossed)
    run = model.forward(params, LONG.inputs)
    d_output = model.score(run.output, LONG)[1]
    d_output[:-1] = 0
    growth = gradient_growth(model.backward(run, d_output).layers[0].states["h"], skip=100)
    spectrum = lyapunov(run.runs[0], count=1, transient=100, tolerance=1.0)
    first, error = spectrum.exponents[0], spectrum.standard_errors[0]
    assert low < first < high
    # Beside their errors the two differ by where their vectors begin and end, a bounded factor.
    assert abs(growth.rate - first) < error + growth.standard_error + 1 / spectrum.steps


def test_the_growth_of_a_known_gradient_has_its_error(rng):
    rates = rng.normal(-0.1, 0.02, 50)
    d_states = np.exp(rates * np.arange(400)[::-1, None])[..., None] * np.ones(3)
    found = gradient_growth(d_states, skip=7)
    np.testing.assert_allclose(found.per_window, rates, rtol=1e-9)
    assert found.rate == pytest.approx(rates.mean())
    assert found.standard_error == pytest.approx(rates.std(ddof=1) / np.sqrt(50))


def test_gradients_beyond_the_square_root_of_the_smallest_number_still_count():
    d_states = np.exp(-1.6 * np.arange(400.0)[::-1])[:, None, None] * np.ones((1, 2, 1))  # down to 1e-278
    assert gradient_growth(d_states).rate == pytest.approx(-1.6)
    flow = gradient_flow(d_states)
    np.testing.assert_allclose(flow.norms, np.exp(-1.6 * np.arange(400.0)), rtol=1e-12)
    np.testing.assert_allclose(gradient_flow(1e300 * d_states).norms, 1e300 * flow.norms, rtol=1e-12)


@pytest.mark.parametrize(
    ("d_states", "skip", "message"),
    [
        (np.ones((4, 1, 2)), 0, Refusal("d_states", "B at least 2", "shape")),
        (np.zeros((4, 2, 2)), 0, Refusal("d_states", "not be 0 at any step", "0 everywhere 0 steps back")),
        (np.ones((4, 2, 2)), 3, Refusal("skip", "be an integer of at least 0 and of at most 2", "3")),
    ],
)
def test_what_has_no_rate_is_refused(d_states, skip, message):
    with refused(message):
        gradient_growth(d_states, skip)
