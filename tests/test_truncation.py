"""Truncated BPTT against full BPTT and against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import Refusal, refused

import recurrent_dynamics as rd
from recurrent_dynamics.gradients import truncated_bptt, truncated_windows

CELL = rd.cells.lstm()


def problem(steps, seed=0):
    rng = np.random.default_rng(seed)
    params = CELL.init(input_size=2, hidden_size=3, rng=rng, dtype="float64")
    initial = {s: rng.standard_normal((2, 3)) for s in CELL.state}
    return params, rng.standard_normal((steps, 2, 2)), rng.standard_normal((steps, 2, 3)), initial


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_allclose(a[name], b[name], atol=1e-12)


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 3))
def test_a_window_over_everything_gives_the_full_gradient(steps, stride, more):
    params, x, d_output, initial = problem(steps)
    full = rd.backward(rd.forward(CELL, params, x, initial=initial), d_output)
    grads = truncated_bptt(
        CELL, params, x, d_output, window=max(steps, stride) + more, stride=stride, initial=initial
    )
    assert_same(grads.params, full.params)
    np.testing.assert_allclose(grads.x, full.x, atol=1e-12)
    assert_same(grads.initial, full.initial)


@settings(max_examples=30)
@given(st.integers(1, 14), st.integers(1, 6), st.integers(0, 8))
def test_every_loss_counts_once_and_reaches_back_one_window(steps, stride, more):
    window = stride + more
    params, x, d_output, initial = problem(steps)
    run = rd.forward(CELL, params, x, initial=initial)
    expected = {name: np.zeros_like(value) for name, value in params.items()}
    d_x = np.zeros_like(x)
    for start in range(0, steps, stride):
        stop = min(start + stride, steps)
        first = max(0, stop - window)
        state = initial if first == 0 else {s: run.states[s][first - 1] for s in CELL.state}
        part = np.zeros((stop - first, 2, 3))
        part[start - first :] = d_output[start:stop]
        grads = rd.backward(rd.forward(CELL, params, x[first:stop], initial=state), part)
        d_x[first:stop] += grads.x
        for name in expected:
            expected[name] += grads.params[name]
    grads = truncated_bptt(CELL, params, x, d_output, window=window, stride=stride, initial=initial)
    assert_same(grads.params, expected)
    np.testing.assert_allclose(grads.x, d_x, atol=1e-12)
    assert_same(grads.final, run.final)


def test_no_gradient_passes_the_cut():
    params, x, d_output, _ = problem(12)
    d_output[:-1] = 0
    grads = truncated_bptt(CELL, params, x, d_output, window=5, stride=2)
    assert (grads.x[:7] == 0).all()
    assert (grads.x[7:] != 0).all()
    assert grads.initial["h"].shape == (2, 3)
    assert (grads.initial["h"] == 0).all()


def test_a_loss_may_be_a_function_of_the_output():
    params, x, _, initial = problem(9)
    output = rd.forward(CELL, params, x, initial=initial).output
    options = {"window": 4, "stride": 2, "initial": initial}
    given_array = truncated_bptt(CELL, params, x, 2 * output, **options)
    given_function = truncated_bptt(CELL, params, x, lambda h: 2 * h, **options)
    assert_same(given_array.params, given_function.params)


def test_the_state_carries_from_call_to_call():
    params, x, d_output, initial = problem(12)
    whole = truncated_bptt(CELL, params, x, d_output, window=3, stride=3, initial=initial)
    first = truncated_bptt(CELL, params, x[:6], d_output[:6], window=3, stride=3, initial=initial)
    second = truncated_bptt(CELL, params, x[6:], d_output[6:], window=3, stride=3, initial=first.final)
    assert_same(whole.params, {n: first.params[n] + second.params[n] for n in params})


def test_parameters_may_be_updated_between_windows():
    params, x, _, _ = problem(40)
    losses = []
    for part in truncated_windows(CELL, params, x, lambda h: h, window=8, stride=4):
        losses.append(sum((g**2).sum() for g in part.params.values()))
        for name, gradient in part.params.items():
            params[name] -= 0.3 * gradient
    assert len(losses) == 10
    output = rd.forward(CELL, params, x).output
    start, *_ = problem(40)
    assert (output**2).sum() < 0.5 * (rd.forward(CELL, start, x).output ** 2).sum()


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"window": 2, "stride": 3}, Refusal("window", "3", "2")),
        ({"window": 2, "stride": 0}, Refusal("stride", "1", "0")),
        ({"window": 2.5, "stride": 1}, Refusal("window", "1", "2.5")),
    ],
)
def test_errors(options, refusal):
    params, x, d_output, _ = problem(4)
    with refused(refusal):
        truncated_bptt(CELL, params, x, d_output, **options)
    with refused(refusal):
        truncated_windows(CELL, params, x, d_output, **options)  # at once, not with the first window
    with refused("loss_gradient"):
        truncated_bptt(CELL, params, x, d_output[:2], window=2, stride=2)
    with refused("x", "at least one step"):
        truncated_bptt(CELL, params, x[:0], d_output, window=2, stride=2)
