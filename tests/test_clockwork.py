"""Clockwork groups and dilated recurrences: several time scales by construction."""

from __future__ import annotations

import cell_checks
import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training

N, H, T, B = 2, 6, 9, 3
PERIODS = (1, 2, 4)


def a_run(rng, dtype="float64"):
    cell = rd.cells.clockwork(groups=3)
    params = cell.init(N, H, rng, dtype)
    x = rng.standard_normal((T, B, N)).astype(dtype)
    return rd.forward(cell, params, x, signals={"tick": rd.cells.ticks(PERIODS, T, H, B, dtype=dtype)})


def test_groups_move_at_their_ticks_and_hold_between_them(rng):
    run = a_run(rng)
    p, h = run.params, np.zeros((B, H))
    group = np.arange(H) // 2
    for t in range(T):
        new = np.tanh(run.x[t] @ p["W"].T + h @ p["U"].T + p["b"])
        h = np.where(t % np.array(PERIODS)[group] == 0, new, h)
        np.testing.assert_allclose(run.output[t], h, rtol=1e-12)
    assert np.array_equal(run.output[4, :, 4:], run.output[7, :, 4:])  # held to the bit
    assert not np.array_equal(run.output[4, :, :2], run.output[5, :, :2])


def test_slow_groups_do_not_hear_fast_ones(rng):
    run = a_run(rng)
    J = rd.jacobian(run)
    group = np.arange(H) // 2
    assert np.abs(J[..., group[:, None] > group]).max() == 0
    assert np.abs(J[0][:, group[:, None] < group]).max() > 0.01
    for t in (1, 3):
        np.testing.assert_array_equal(J[t][:, 4:, 4:], np.broadcast_to(np.eye(2), (B, 2, 2)))


def test_gradients_are_complex_steps(rng):
    cell = rd.cells.clockwork(groups=2)
    case = cell_checks.case(cell, rng)
    cell_checks.check_forward(case)
    cell_checks.check_backward(case, rng)
    cell_checks.check_tangent(case, rng)


def test_training_keeps_the_blocks_below_the_diagonal_zero(rng):
    cell = rd.cells.clockwork(groups=3)
    model = nn.Model(cell, hidden_size=H, input_size=N, output_size=1, loss="mean_squared_error")
    x = rng.standard_normal((T, B, N)).astype("float32")
    batch = nn.Batch(x, x[..., :1], signals={"tick": rd.cells.ticks(PERIODS, T, H, B)})
    result = training.fit(model, model.init(rng=0), [batch], optimizer="adam", learning_rate=0.01, updates=20,
                          progress=False)  # fmt: skip
    U = model.cell_params(result.params)[0]["U"]
    assert rd.parametrize.BlockTriangular(groups=3).check(U) == 0
    assert result.history["loss"][-1] < result.history["loss"][0]


def test_block_triangular_matrices(rng):
    made = rd.parametrize.BlockTriangular(groups=2)
    free, d_U = rng.standard_normal((5, 5)), rng.standard_normal((5, 5))
    U, pull = made(free)
    assert made.check(U) == 0
    assert made.check(free) == np.abs(free[3:, :3]).max()
    assert np.vdot(d_U, U) == pytest.approx(np.vdot(pull(d_U), free))
    assert np.array_equal(made.invert(free), U)
    assert made.check(made.sample(5, rng, "float64")) == 0
    with refused(Refusal("groups", "at most 1", "2")):
        made(np.ones((1, 1)))
    with refused(Refusal("groups", "at least 1", "0")):
        rd.parametrize.BlockTriangular(groups=0)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (((2, 1), 3, 4), Refusal("periods", "ascending", "(2, 1)")),
        (((), 3, 4), Refusal("periods", "at least one", "()")),
        (((0,), 3, 4), Refusal("periods[0]", "at least 1", "0")),
        (((1, 2), 3, 1), Refusal("periods", "at most 1", "2")),
        (((1,), 0, 1), Refusal("steps", "at least 1", "0")),
    ],
)
def test_wrong_ticks_are_named(arguments, refusal):
    with refused(refusal):
        rd.cells.ticks(*arguments)


def test_ticks_of_a_window_continue_those_before():
    whole = rd.cells.ticks(PERIODS, 12, H)
    assert np.array_equal(rd.cells.ticks(PERIODS, 5, H, start=7), whole[7:])


@pytest.mark.parametrize("dilation", [1, 3, 4])
def test_a_dilated_recurrence_is_interleaved_sequences_to_the_bit(rng, dilation):
    cell, steps = rd.cells.lstm(), 11
    params = cell.init(N, H, rng)
    x = rng.standard_normal((steps, B, N)).astype("float32")
    graph = rd.trees.skip_connections(steps, (dilation,), B)
    output = rd.trees.forward(cell, params, graph, x.reshape(steps * B, N)).output.reshape(steps, B, H)
    for first in range(dilation):
        assert np.array_equal(output[first::dilation], rd.forward(cell, params, x[first::dilation]).output)


def test_a_clockwork_model_comes_back_from_its_file(tmp_path):
    model = rd.nn.Model(
        rd.cells.clockwork(groups=3, activation="relu"),
        6,
        input_size=2,
        output_size=1,
        loss="mean_squared_error",
    )
    params = model.init(rng=0)
    rd.nn.save(tmp_path / "model.npz", model, params)
    found = rd.nn.load(tmp_path / "model.npz")
    assert repr(found.model) == repr(model)
    x, signals = np.ones((5, 2, 2), "float32"), {"tick": rd.cells.ticks((1, 2, 4), 5, 6, 2)}
    expected = model.predict(params, x, signals=signals)
    np.testing.assert_array_equal(found.model.predict(found.params, x, signals=signals), expected)


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ((2, 5, 6), wrong_type("periods", "be a sequence of numbers of steps", "2")),
        (((1, 2), 5, 6, 1, 0, "int32"), wrong_type("dtype", "be float32 or float64", "'int32'")),
        (((1, 2), 5, 6, 1, 0, "half a number"), wrong_type("dtype", "float32 or float64", "'half a number'")),
    ],
)
def test_ticks_of_another_kind_are_refused(given, refusal):
    with refused(refusal):
        rd.cells.ticks(*given)
