"""Noise within the recurrence of a cell: what is masked, what is kept, what evaluation does."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import (
    Cell,
    Drive,
    Mask,
    draw_masks,
    recurrent_dropout,
    variational_dropout,
    zoneout,
)
from recurrent_dynamics.engine import reference
from recurrent_dynamics.equations import tanh
from recurrent_dynamics.equations.graph import DefinitionError

T, B, N, H = 6, 3, 2, 4
LSTM, GRU = rd.cells.lstm(), rd.cells.gru()


def case(cell, rng, initial=True):
    params = cell.init(N, H, rng, "float64")
    start = {s: rng.standard_normal((B, H)) for s in cell.state} if initial else None
    return params, rng.standard_normal((T, B, N)), start


def sigm(a):
    return 1 / (1 + np.exp(-a))


def lstm_steps(params, x, start, operand=1.0, candidate=None, kept=(0.0, 0.0)):
    """The papers' equations, written out: masks of what U multiplies, of the candidate, and of both slots."""
    h, c, states = start["h"], start["c"], []
    for t, x_t in enumerate(x):
        a = x_t @ params["W"].T + (operand * h) @ params["U"].T + params["b"]
        i, f, g, o = np.split(a, 4, axis=1)
        new = sigm(f) * c + sigm(i) * (1.0 if candidate is None else candidate[t]) * np.tanh(g)
        zoned_h, zoned_c = (m if np.ndim(m) == 0 else m[t] for m in kept)
        h = zoned_h * h + (1 - zoned_h) * sigm(o) * np.tanh(new)
        c = zoned_c * c + (1 - zoned_c) * new
        states.append((h, c))
    return [np.stack(s) for s in zip(*states)]


def test_each_kind_is_the_equation_of_its_paper(rng):
    cells = {
        "operand": variational_dropout(LSTM, 0.4),
        "candidate": recurrent_dropout(LSTM, 0.4),
        "kept": zoneout(LSTM, {"h": 0.2, "c": 0.6}),
    }
    for what, cell in cells.items():
        params, x, start = case(cell, rng)
        masks = draw_masks(cell, T, B, H, rng, "float64")
        given = {
            "operand": lambda m: m["variational"][0],
            "candidate": lambda m: m["candidate_g"],
            "kept": lambda m: (m["zoneout_h"], m["zoneout_c"]),
        }[what](masks)
        run = rd.forward(cell, params, x, initial=start, signals=masks)
        h, c = lstm_steps(params, x, start, **{what: given})
        np.testing.assert_allclose(run.states["h"], h, atol=1e-14)
        np.testing.assert_allclose(run.states["c"], c, atol=1e-14)
        np.testing.assert_array_equal(run.output, run.states["h"])


@pytest.mark.parametrize("make", [variational_dropout, recurrent_dropout], ids=["variational", "recurrent"])
@pytest.mark.parametrize("base", [LSTM, GRU], ids=["lstm", "gru"])
def test_dropout_in_evaluation_is_the_cell_without_it(make, base, rng):
    params, x, start = case(base, rng)
    run, plain = (rd.forward(cell, params, x, initial=start) for cell in (make(base, 0.7), base))
    np.testing.assert_allclose(run.output, plain.output, atol=1e-15)


def test_zoneout_in_evaluation_is_the_mean_of_both_states(rng):
    cell = zoneout(LSTM, {"h": 0.05, "c": 0.5})
    params, x, start = case(cell, rng)
    run = rd.forward(cell, params, x, initial=start)
    before = {s: np.concatenate([start[s][None], run.states[s][:-1]]) for s in cell.state}
    for t in range(T):
        new = rd.forward(LSTM, params, x[t : t + 1], initial={s: v[t] for s, v in before.items()}).states
        for slot, rate in (("h", 0.05), ("c", 0.5)):
            mean = rate * before[slot][t] + (1 - rate) * new[slot][0]
            np.testing.assert_allclose(run.states[slot][t], mean, atol=1e-15)
    np.testing.assert_array_equal(run.output, run.states["h"])


def test_dropout_never_rescales_a_memory(rng):
    """However much is dropped, the path from c to c is the forget gates alone, and an idle GRU keeps its state."""
    for cell in (recurrent_dropout(LSTM, 0.5), variational_dropout(LSTM, 0.5)):
        params, x, start = case(cell, rng)
        masks = draw_masks(cell, T, B, H, rng, "float64")
        run = rd.forward(cell, params, x, initial=start, signals={k: 0 * v for k, v in masks.items()})
        f = sigm(run.drives["f"])
        J = rd.jacobian(run)[..., H:, H:]
        np.testing.assert_allclose(J, f[..., None] * np.eye(H), atol=1e-15)
    cell = recurrent_dropout(LSTM, 0.5)
    params, x, start = case(cell, rng)
    nothing = {"candidate_g": np.zeros((T, B, H))}
    run = rd.forward(cell, params, x, initial=start, signals=nothing)
    product = start["c"] * np.cumprod(sigm(run.drives["f"]), axis=0)
    np.testing.assert_allclose(run.states["c"], product, atol=1e-15)


def test_the_candidate_of_cells_of_the_library():
    found = {
        name: recurrent_dropout(getattr(rd.cells, name)(), 0.1).signals
        for name in ("gru", "leaky", "lem", "mut1")
    }
    assert found == {
        "gru": ("candidate_n",), "leaky": ("candidate_n",), "lem": ("candidate_z", "candidate_y"),
        "mut1": ("x", "candidate_n"),
    }  # fmt: skip
    assert recurrent_dropout(LSTM, 0.1, drives="i").signals == ("candidate_i",)


def test_the_candidate_of_equations_that_use_numpy_and_all_operators(rng):
    def update(drive, state):
        n = np.tanh(
            (-drive.n + 2.0) * 0.5 - 1.0 / (3.0 + drive.k * drive.k) + (+drive.n) ** 2 - np.add(1.0, drive.k)
        )
        return {"h": 0.5 * state.h + n}

    cell = recurrent_dropout(Cell("all operators", ("h",), ("n", "k"), update), 0.5)
    assert cell.signals == ("candidate_n", "candidate_k")
    params, x, start = case(cell, rng)
    masks = {name: rng.random((T, B, H)) for name in cell.signals}
    run = rd.forward(cell, params, x, initial=start, signals=masks)
    ones = rd.forward(cell, params, x[:1], initial=start)
    n = ones.states["h"][0] - 0.5 * start["h"]
    both = masks["candidate_n"][0] * masks["candidate_k"][0]
    np.testing.assert_allclose(run.states["h"][0], 0.5 * start["h"] + both * n, atol=1e-15)
    expected = reference.forward(cell, params, x, start, signals=masks)["h"]
    np.testing.assert_allclose(run.states["h"], expected, atol=1e-14)


@given(
    rate=st.floats(0, 0.95),
    kind=st.sampled_from(["dropout", "zoneout"]),
    per_sequence=st.booleans(),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    seed=st.integers(0, 2**31),
)
def test_masks_that_are_drawn(rate, kind, per_sequence, shape, seed):
    mask = Mask(rate, kind, per_sequence)
    drawn, same = (mask.draw(shape, np.random.default_rng(seed), "float64") for _ in range(2))
    np.testing.assert_array_equal(drawn, same)
    assert drawn.shape == shape
    assert set(np.unique(drawn)) <= ({0.0, 1.0} if kind == "zoneout" else {0.0, 1 / (1 - rate)})
    single = mask.draw(shape, np.random.default_rng(seed), "float32")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single == 0, drawn == 0)
    if per_sequence:
        assert (drawn == drawn[0]).all()


def test_the_rate_of_masks_and_that_their_mean_is_that_of_evaluation():
    for mask in (Mask(0.3), Mask(0.3, "zoneout"), Mask(1.0, "zoneout")):
        drawn = mask.draw((50, 20, 30), np.random.default_rng(0), "float64")
        assert drawn.mean() == pytest.approx(mask.mean, abs=5 / np.sqrt(drawn.size))
    generator = np.random.default_rng(0)
    first, second = (
        draw_masks(variational_dropout(GRU, 0.5), 2, 4, 9, generator)["variational"] for _ in range(2)
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0, 0], first[0, 1])


def test_lengths_and_resets(rng):
    """A zoned unit keeps the initial state at a reset, and its last state beyond the length."""
    cell = zoneout(GRU, 1.0)
    params, x, start = case(cell, rng)
    reset = np.zeros((T, B), bool)
    reset[3, 1] = True
    lengths = np.array([6, 6, 2])
    kept = np.ones((T, B, H))
    kept[1] = 0
    run = rd.forward(
        cell, params, x, initial=start, lengths=lengths, reset=reset, signals={"zoneout_h": kept}
    )
    h = run.states["h"]
    np.testing.assert_array_equal(h[0], start["h"])
    np.testing.assert_array_equal(h[3:, 1], np.broadcast_to(start["h"][1], (3, H)))
    np.testing.assert_array_equal(h[2:, 2], np.broadcast_to(h[1, 2], (4, H)))
    np.testing.assert_array_equal(h[2:, 0], np.broadcast_to(h[1, 0], (4, H)))


def test_analyses_see_the_noise_or_its_mean(rng):
    cell = zoneout(GRU, 0.25)
    params, x, start = case(cell, rng)
    given = np.full((T, B), 0.25)
    run, same = (rd.forward(cell, params, x, initial=start, signals=s) for s in (None, {"zoneout_h": given}))
    np.testing.assert_array_equal(run.output, same.output)
    d = rng.standard_normal(run.output.shape)
    np.testing.assert_array_equal(
        rd.backward(run, d).signals["zoneout_h"], rd.backward(same, d).signals["zoneout_h"]
    )
    step = rd.stepper(cell, params)
    state = step(x[0], start)
    np.testing.assert_allclose(state["h"], run.states["h"][0], atol=1e-15)
    zoned = step(x[0], start, signals={"zoneout_h": 1})
    np.testing.assert_array_equal(zoned["h"], start["h"])
    # A zoned state is a slower one: J = rate + (1 - rate) J of the cell, and the fixed points are the same.
    plain = rd.jacobian(rd.forward(GRU, params, x[:1], initial=start))
    np.testing.assert_allclose(
        rd.jacobian(rd.forward(cell, params, x[:1], initial=start)),
        0.25 * np.eye(H) + 0.75 * plain,
        atol=1e-14,
    )
    found = rd.dynamics.fixed_points(cell, params, input=x[0, 0], starts=start["h"])
    same = rd.dynamics.fixed_points(GRU, params, input=x[0, 0], starts=start["h"])
    np.testing.assert_allclose(found.states["h"], same.states["h"], atol=1e-9)
    spectrum = rd.dynamics.lyapunov(cell, params, x=x[0, 0], initial={"h": start["h"][0]}, steps=4000)
    assert spectrum.exponents.shape[-1] == H
    windows = rd.gradients.truncated_bptt(cell, params, x, lambda y: y, window=3, stride=3)
    assert windows.params["U"].shape == params["U"].shape


def test_pickled_named_and_written_as_mathematics():
    cell = zoneout(recurrent_dropout(variational_dropout(LSTM, 0.3), 0.2), 0.1)
    again = pickle.loads(pickle.dumps(cell))
    assert (again.fingerprint, again.masks, repr(again)) == (cell.fingerprint, cell.masks, repr(cell))
    assert "zoneout_c=0.1" in repr(cell)
    text = cell._repr_latex_()
    assert "\\mathrm{zoneout}_{c,t} \\odot c_{t-1}" in text
    assert "\\mathrm{candidate}_{g,t} \\odot \\tanh" in text
    # Another rate needs no new compilation.
    assert zoneout(LSTM, 0.1).fingerprint == zoneout(LSTM, 0.2).fingerprint
    assert cell.needed == ()


PROJECTED = rd.cells.lstm_projected(2)
REFUSED = [
    (lambda: zoneout(LSTM, 1.5), ("rate", "1", "1.5")),
    (lambda: zoneout(LSTM, {"z": 0.5}), ("rate", "h, c", "z")),
    (lambda: zoneout(PROJECTED, 0.5), ("rate", "c", "h, c")),
    (lambda: zoneout(zoneout(LSTM, 0.1), 0.1), ("cell", "no zoneout", "lstm")),
    (lambda: recurrent_dropout(LSTM, 1.0), ("rate", "1", "1.0")),
    (lambda: recurrent_dropout(LSTM, 0.1, ["h"]), ("drives", "g", "h")),
    (lambda: recurrent_dropout(LSTM, 0.1, []), ("drives", "g", "none")),
    (lambda: recurrent_dropout(rd.cells.elman(), 0.1), ("drives", "memory", "'h'")),
    (lambda: recurrent_dropout(rd.cells.linear(), 0.1), ("cell", "drives", "linear")),
    (lambda: recurrent_dropout(rd.cells.min_lstm(), 0.1), ("drives", "f, i", "none")),
    (lambda: recurrent_dropout(rd.cells.unitary_rnn(), 0.1), ("drives", "nonlinearity", "re, im")),
    (lambda: variational_dropout(LSTM, -0.1), ("rate", "0", "-0.1")),
    (lambda: variational_dropout(PROJECTED, 0.1), ("cell", "hidden size", "projection")),
    (lambda: variational_dropout(rd.cells.min_gru(), 0.1), ("cell", "drives", "minGRU")),
    (lambda: variational_dropout(GRU, 0.1, ["q"]), ("drives", "r, z, n", "q")),
    (lambda: draw_masks(zoneout(LSTM, 0.1), 0, 1, 1), ("steps", "1", "0")),
    (lambda: draw_masks(zoneout(LSTM, 0.1), 1, 1, 1, dtype="int64"), wrong_type("dtype", "float32", "int64")),
    (lambda: Mask(0.1, "noise"), ("kind", "dropout", "noise")),
]


@pytest.mark.parametrize(
    ("call", "said"), REFUSED, ids=[said[0] + str(i) for i, (_, said) in enumerate(REFUSED)]
)
def test_what_is_refused(call, said):
    with refused(Refusal(*said)):
        call()


def test_the_contract_names_masks_that_are_no_signals():
    def update(drive):
        return {"h": tanh(drive.n)}

    with pytest.raises(DefinitionError, match=r"line 8.*drive n.*'m'"):
        Cell("a", ("h",), (Drive("n", masked="m"),), update)
    with pytest.raises(DefinitionError, match=r"line 8.*mask m"):
        Cell("a", ("h",), ("n",), update, masks={"m": Mask(0.1)})


def test_a_cell_that_reads_a_memory(rng):
    base = rd.cells.attention(LSTM)
    cell = zoneout(recurrent_dropout(base, 0.3), {"h": 0.2, "c": 0.5})
    assert cell.signals == ("candidate_g", "zoneout_h", "zoneout_c")
    params = cell.init(N, H, rng, "float64")
    memory = {"keys": rng.standard_normal((5, B, H)), "values": rng.standard_normal((5, B, H))}
    x = rng.standard_normal((T, B, N))
    masks = draw_masks(cell, T, B, H, rng, "float64")
    nothing = {name: np.full((T, B), 1.0 if "candidate" in name else 0.0) for name in masks}
    run, plain = (
        rd.forward(c, params, x, memory=memory, **more)
        for c, more in ((cell, {"signals": nothing}), (base, {}))
    )
    np.testing.assert_allclose(run.output, plain.output, atol=1e-14)
    run = rd.forward(cell, params, x, memory=memory, signals=masks)
    kept = masks["zoneout_c"] == 1
    before = np.concatenate([np.zeros((1, B, H)), run.states["c"][:-1]])
    np.testing.assert_array_equal(run.states["c"][kept], before[kept])
    d = rng.standard_normal(run.output.shape)
    by_x = rd.backward(run, d).x
    direction = rng.standard_normal(x.shape)
    ends = [
        rd.forward(cell, params, x + h * direction, memory=memory, signals=masks).output
        for h in (1e-6, -1e-6)
    ]
    assert np.vdot(by_x, direction) == pytest.approx(np.vdot(d, ends[0] - ends[1]) / 2e-6, rel=1e-7)
