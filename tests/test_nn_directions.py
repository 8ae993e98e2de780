"""Two directions: against loops over single sequences, against PyTorch, and what holds for any network."""

from __future__ import annotations

import numpy as np
import pytest
from layer_checks import check_gradients, dot, drawn_like

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.nn import Context
from recurrent_dynamics.nn.layers.directions import reverse

STEPS, BATCH, INPUTS, UNITS = 7, 4, 3, 4
LENGTHS = np.array([3, 7, 0, 5])
CELLS = {"lstm": rd.cells.lstm(), "gru": rd.cells.gru()}
SLOTS = {"lstm": ("h", "c"), "gru": ("h",)}


def stacked(kind):
    def layer():
        return nn.recurrent(CELLS[kind], UNITS)

    first = nn.bidirectional(nn.recurrent(CELLS[kind], UNITS, INPUTS), layer())
    return nn.chain(first, nn.bidirectional(layer(), layer()))


def states(kind, rng):
    slots = dict.fromkeys(SLOTS[kind], np.empty((BATCH, UNITS)))
    return drawn_like({k: dict.fromkeys(("forward", "backward"), slots) for k in ("0", "1")}, rng)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def step(kind, p, x, state):
    """One step of one sequence, complex numbers too."""
    if kind == "gru":
        (h,), (wx, uh) = state, (p["W"] @ x + p["b"], p["U"] @ state[0])
        r, z, n = (slice(k * UNITS, (k + 1) * UNITS) for k in range(3))
        gate, new = sigmoid(wx[z] + uh[z]), np.tanh(wx[n] + sigmoid(wx[r] + uh[r]) * (uh[n] + p["b_h"]))
        return ((1 - gate) * new + gate * h,)
    h, c = state
    i, f, g, o = np.split(p["W"] @ x + p["U"] @ h + p["b"], 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def by_loops(kind, params, x, initial, lengths):
    """Output and final states of the stack, one sequence after another, without padding."""
    y = np.zeros((STEPS, BATCH, 2 * UNITS), complex)
    final = {
        k: {d: {s: np.zeros((BATCH, UNITS), complex) for s in SLOTS[kind]} for d in o}
        for k, o in params.items()
    }
    for b, length in enumerate(lengths):
        rows = list(x[:length, b])
        for k in ("0", "1"):
            sides = []
            for d, steps in (("forward", range(length)), ("backward", reversed(range(length)))):
                state, out = tuple(initial[k][d][s][b] for s in SLOTS[kind]), {}
                for t in steps:
                    state = step(kind, params[k][d], rows[t], state)
                    out[t] = state[0]
                sides.append(out)
                for s, value in zip(SLOTS[kind], state, strict=True):
                    final[k][d][s][b] = value
            rows = [np.concatenate([side[t] for side in sides]) for t in range(length)]
        if length:
            y[:length, b] = rows
    return y, final


def real(tree):
    return {k: real(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.real


def assert_same(a, b, **tolerance):
    if hasattr(a, "items"):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key], **tolerance)
    else:
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("lengths", [np.full(BATCH, STEPS), LENGTHS], ids=["whole", "ragged"])
def test_values_and_gradients_of_loops_over_single_sequences(kind, lengths, rng):
    layer = stacked(kind)
    params = drawn_like(layer.init(dtype="float64"), rng)
    x, initial = rng.standard_normal((STEPS, BATCH, INPUTS)), states(kind, rng)
    y, pull = layer(params, x, Context(lengths=lengths, initial=initial))
    expected, final = by_loops(kind, params, x, initial, lengths)
    np.testing.assert_allclose(y, expected.real, rtol=0, atol=1e-13)
    assert_same(pull.final, real(final), rtol=0, atol=1e-13)

    d_y, d_final = rng.standard_normal(y.shape), states(kind, rng)
    found = pull.gradients(d_y, d_final)
    given = {"params": params, "x": x, "initial": initial}
    for name, gradient in (("params", found.params), ("x", found.x), ("initial", found.initial)):
        for _ in range(3):  # directional derivatives by complex steps
            direction = drawn_like(given[name], rng)
            y, final = by_loops(kind, **(given | {name: _stepped(given[name], direction)}), lengths=lengths)
            slope = dot(d_y, y.imag) + dot(d_final, _imag(final))
            assert dot(gradient, direction) == pytest.approx(slope / 1e-30, rel=1e-10, abs=1e-10)


def _stepped(tree, direction):
    if isinstance(tree, dict):
        return {k: _stepped(v, direction[k]) for k, v in tree.items()}
    return tree + 1e-30j * direction


def _imag(tree):
    return {k: _imag(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.imag


def bias_of_torch(kind, grads, name):
    """PyTorch has two biases: of both the gradient is that of b, but for the candidate of the GRU."""
    if kind == "gru" and name == "bias_hh":
        return np.concatenate([grads["b"][: 2 * UNITS], grads["b_h"]])
    return grads["b"]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_values_and_all_gradients_of_pytorch(kind, ragged, rng):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = getattr(torch.nn, kind.upper())(INPUTS, UNITS, num_layers=2, bidirectional=True).double()
    layer, params = rd.interop.from_torch(module.state_dict())
    ends = np.array([3, 7, 1, 5]) if ragged else np.full(BATCH, STEPS)  # PyTorch refuses a length of 0
    initial, x = states(kind, rng), rng.standard_normal((STEPS, BATCH, INPUTS))
    places = [(k, d) for k in ("0", "1") for d in ("forward", "backward")]

    def in_rows(tree):
        return [torch.tensor(np.stack([tree[k][d][s] for k, d in places])) for s in SLOTS[kind]]

    their_x = torch.tensor(x, requires_grad=True)
    start = [a.requires_grad_() for a in in_rows(initial)]
    given = torch.nn.utils.rnn.pack_padded_sequence(their_x, torch.tensor(ends), enforce_sorted=False)
    out, last = module(given if ragged else their_x, tuple(start) if kind == "lstm" else start[0])
    if ragged:
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=STEPS)
    last = last if kind == "lstm" else (last,)

    y, pull = layer(params, x, Context(lengths=ends if ragged else None, initial=initial))
    np.testing.assert_allclose(y, out.detach().numpy(), rtol=0, atol=1e-10)
    for mine, theirs in zip(in_rows(pull.final), last, strict=True):
        np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=0, atol=1e-10)

    d_y, d_final = rng.standard_normal(y.shape), states(kind, rng)
    loss = (out * torch.tensor(d_y)).sum()
    for theirs, d in zip(last, in_rows(d_final), strict=True):
        loss = loss + (theirs * d).sum()
    loss.backward()
    found = pull.gradients(d_y, d_final)
    np.testing.assert_allclose(found.x, their_x.grad.numpy(), rtol=0, atol=1e-10)
    for mine, theirs in zip(in_rows(found.initial), start, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=0, atol=1e-10)
    for name, p in module.named_parameters():
        what, number = name.removesuffix("_reverse").rsplit("_l", 1)
        grads = found.params[number]["backward" if name.endswith("_reverse") else "forward"]
        mine = {"weight_ih": grads["W"], "weight_hh": grads["U"]}.get(what)
        mine = bias_of_torch(kind, grads, what) if mine is None else mine
        np.testing.assert_allclose(mine, p.grad.numpy(), rtol=0, atol=1e-10, err_msg=name)


def test_reverse_is_its_own_inverse_and_leaves_padding_in_place(rng):
    x = rng.standard_normal((STEPS, BATCH, 2))
    turned = reverse(x, LENGTHS)
    for b, length in enumerate(LENGTHS):
        np.testing.assert_array_equal(turned[:length, b], x[:length, b][::-1])
        np.testing.assert_array_equal(turned[length:, b], x[length:, b])
    np.testing.assert_array_equal(reverse(turned, LENGTHS), x)
    np.testing.assert_array_equal(reverse(x), x[::-1])


@pytest.mark.parametrize("kind", CELLS)
def test_tied_directions_on_palindromes_with_padding_mirror_each_other(kind, rng):
    cell = CELLS[kind]
    layer = nn.bidirectional(nn.recurrent(cell, UNITS, INPUTS), nn.recurrent(cell, UNITS))
    tied = cell.init(INPUTS, UNITS, rng=0, dtype="float64")
    x = rng.standard_normal((STEPS, BATCH, INPUTS))
    x = (x + reverse(x, LENGTHS)) / 2
    y, pull = layer({"forward": tied, "backward": tied}, x, Context(lengths=LENGTHS))
    np.testing.assert_array_equal(y[..., :UNITS], reverse(y[..., UNITS:], LENGTHS))
    assert_same(pull.final["forward"], pull.final["backward"], rtol=0, atol=0)
    d_y = rng.standard_normal(y.shape)
    both = np.concatenate([d_y[..., :UNITS], reverse(d_y[..., :UNITS], LENGTHS)], axis=-1)
    d_params, d_x = pull(both)
    assert_same(d_params["forward"], d_params["backward"], rtol=0, atol=0)
    np.testing.assert_allclose(d_x, reverse(d_x, LENGTHS), rtol=0, atol=1e-14)


def test_each_sequence_of_a_batch_is_as_alone_in_the_order_of_the_caller(rng):
    layer = stacked("gru")
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((STEPS, BATCH, INPUTS))
    y, pull = layer(params, x, Context(lengths=LENGTHS))
    for b, length in enumerate(LENGTHS):
        assert not y[length:, b].any()
        if length:
            alone, own = layer(params, x[:length, b : b + 1])
            np.testing.assert_allclose(y[:length, b], alone[:, 0], rtol=0, atol=1e-14)
            final = pull.final["1"]["backward"]["h"][b]
            np.testing.assert_allclose(final, own.final["1"]["backward"]["h"][0], rtol=0, atol=1e-14)


def test_running_sums_from_both_ends_with_a_mask():
    """An additive cell over 0 0 0 1 2 3 4, and the same with three padded positions."""
    add = rd.cells.elman("relu")
    layer = nn.bidirectional(nn.recurrent(add, 1, 1), nn.recurrent(add, 1))
    one = {
        name: np.ones_like(a) if a.ndim == 2 else 0 * a for name, a in add.init(1, 1, dtype="float64").items()
    }
    row = np.array([0.0, 0, 0, 1, 2, 3, 4])
    x = np.stack([row, np.concatenate([row[3:], [9, 9, 9]])], axis=1)[..., None]
    y, _ = layer({"forward": one, "backward": one}, x, Context(lengths=[7, 4]))
    np.testing.assert_array_equal(y[:, 0], [[0, 10], [0, 10], [0, 10], [1, 10], [3, 9], [6, 7], [10, 4]])
    np.testing.assert_array_equal(y[:, 1], [[1, 10], [3, 9], [6, 7], [10, 4], [0, 0], [0, 0], [0, 0]])


def test_a_reset_parts_two_sequences_in_both_directions(rng):
    cell = rd.cells.cfc(dt=None)
    assert cell.signals == ("dt",)
    layer = nn.bidirectional(nn.recurrent(cell, UNITS, INPUTS), nn.recurrent(cell, UNITS))
    params, x = layer.init(rng=1, dtype="float64"), rng.standard_normal((STEPS, 2, INPUTS))
    dt, reset = rng.uniform(0.1, 1, (STEPS, 2)), np.zeros((STEPS, 2), bool)
    reset[3], reset[6, 1] = True, True  # beyond the length of the second, which does not matter
    initial = {d: {s: rng.standard_normal((2, UNITS)) for s in cell.state} for d in ("forward", "backward")}
    context = {"reset": reset, "lengths": [STEPS, 5], "initial": initial, "signals": {"dt": dt}}
    y, _ = layer(params, x, Context(**context))
    first, _ = layer(params, x[:3], Context(initial=initial, signals={"dt": dt[:3]}))
    second, _ = layer(params, x[3:], Context(initial=initial, signals={"dt": dt[3:]}, lengths=[4, 2]))
    np.testing.assert_allclose(y, np.concatenate([first, second]), rtol=0, atol=1e-14)
    check_gradients(layer, params, x, rng, **context)


def test_the_direction_from_the_end_reads_the_time_to_the_next_step(rng):
    """Sequences in reversed time have the gaps between the same samples."""
    cell = rd.cells.cfc(dt=None)
    layer = nn.bidirectional(nn.recurrent(cell, UNITS, INPUTS), nn.recurrent(cell, UNITS))
    tied = cell.init(INPUTS, UNITS, rng=0, dtype="float64")
    x, times = rng.standard_normal((STEPS, 1, INPUTS)), np.cumsum(rng.uniform(0.1, 1, STEPS))
    gaps = np.diff(times, prepend=times[0] - 0.5)[:, None]
    from_the_end = np.diff(-times[::-1], prepend=-times[-1] - 0.5)[:, None]
    params = {"forward": tied, "backward": tied}
    y, _ = layer(params, x, Context(signals={"dt": gaps}))
    z, _ = layer(params, x[::-1].copy(), Context(signals={"dt": from_the_end}))
    np.testing.assert_allclose(y[..., UNITS:], z[::-1, :, :UNITS], rtol=0, atol=1e-13)
