"""Weights from PyTorch, against its output where it is installed and against its equations where not."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.interop import from_torch, to_torch


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def weights(rng, gates, inputs=3, hidden=4, layer=0, prefix="", dtype="float64"):
    shapes = {"weight_ih": (gates * hidden, inputs), "weight_hh": (gates * hidden, hidden)}
    shapes |= {"bias_ih": (gates * hidden,), "bias_hh": (gates * hidden,)}
    return {f"{prefix}{k}_l{layer}": rng.standard_normal(s).astype(dtype) for k, s in shapes.items()}


def torch_step(kind, w, x, h, c):
    """One step by the equations in PyTorch's documentation."""
    gi = x @ w["weight_ih_l0"].T + w["bias_ih_l0"]
    gh = h @ w["weight_hh_l0"].T + w["bias_hh_l0"]
    if kind == "rnn":
        return np.tanh(gi + gh), c
    if kind == "gru":
        (ir, iz, i_n), (hr, hz, h_n) = np.split(gi, 3, -1), np.split(gh, 3, -1)
        z, n = sigmoid(iz + hz), np.tanh(i_n + sigmoid(ir + hr) * h_n)
        return (1 - z) * n + z * h, c
    i, f, g, o = np.split(gi + gh, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_the_equations_of_pytorch(kind, gates, rng):
    w = weights(rng, gates)
    cell, params = from_torch(w)
    x = rng.standard_normal((6, 2, 3))
    h = c = np.zeros((2, 4))
    output = rd.forward(cell, params, x).output
    for t in range(6):
        h, c = torch_step(kind, w, x[t], h, c)
        np.testing.assert_allclose(output[t], h, atol=1e-13)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_output_of_pytorch(kind, layers, rng):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, 4, num_layers=layers).double()
    x = rng.standard_normal((7, 2, 3))
    expected = module(torch.tensor(x))[0].detach().numpy()
    read = from_torch(module.state_dict())
    y = x
    for cell, params in read if layers > 1 else [read]:
        y = rd.forward(cell, params, y).output
    np.testing.assert_allclose(y, expected, atol=1e-13)
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    module.load_state_dict({k: torch.tensor(v) for k, v in to_torch(read).items()})
    np.testing.assert_allclose(module(torch.tensor(x))[0].detach().numpy(), expected, atol=1e-13)


def test_a_projection_by_its_equations(rng):
    w = weights(rng, 4) | {
        "weight_hh_l0": rng.standard_normal((16, 2)),
        "weight_hr_l0": rng.standard_normal((2, 4)),
    }
    cell, params = from_torch(w)
    x = rng.standard_normal((5, 2, 3))
    h, c = np.zeros((2, 2)), np.zeros((2, 4))
    for x_t, y in zip(x, cell_output(cell, params, x)):
        h, c = torch_step("lstm", w, x_t, h, c)
        h = h @ w["weight_hr_l0"].T
        np.testing.assert_allclose(y, h, atol=1e-13)
    again = to_torch((cell, params))
    assert again.keys() == w.keys()
    np.testing.assert_array_equal(again["weight_hr_l0"], w["weight_hr_l0"])
    upper = {k.replace("_l0", "_l1"): v for k, v in w.items()} | {
        "weight_ih_l1": rng.standard_normal((16, 2))
    }
    assert [c.name for c, _ in from_torch(w | upper)] == [cell.name] * 2


def cell_output(cell, params, x):
    """By the reference engine: the quick tests compile few cells."""
    from recurrent_dynamics.engine import reference

    zero = {"h": np.zeros((x.shape[1], 2)), "c": np.zeros((x.shape[1], 4))}
    return reference.forward(cell, params, x, zero)["h"]


@pytest.mark.parametrize("gates", [4, 3, 1])
def test_there_and_back(gates, rng):
    stack = weights(rng, gates, dtype="float32") | weights(rng, gates, inputs=4, layer=1, dtype="float32")
    layers = from_torch(stack)
    again = from_torch(to_torch(layers))
    assert len(layers) == len(again) == 2
    for (cell, params), (other_cell, other) in zip(layers, again):
        assert cell.fingerprint == other_cell.fingerprint
        assert {k: v.dtype.name for k, v in other.items()} == dict.fromkeys(params, "float32")
        for name in params:
            np.testing.assert_array_equal(params[name], other[name])


def test_an_rnn_may_be_relu(rng):
    cell, _ = from_torch(weights(rng, 1), nonlinearity="relu")
    assert cell.fingerprint == rd.cells.elman("relu").fingerprint
    with refused("nonlinearity", "tanh, relu", "'sine'"):
        from_torch(weights(rng, 1), nonlinearity="sine")


def test_one_module_of_a_model(rng):
    model = weights(rng, 4, prefix="rnn.") | {"decoder.weight": np.zeros((5, 4))}
    with refused("state_dict", came="'decoder.weight' (prefix="):
        from_torch(model)
    cell, params = from_torch(model, prefix="rnn.")
    assert cell.name == "lstm"
    assert params["W"].shape == (16, 3)
    assert from_torch(weights(rng, 4, prefix="a.b."))[0].name == "lstm"
    with refused("state_dict", "one recurrent layer, or prefix= choose one", "'a.', 'b.'"):
        from_torch(weights(rng, 4, prefix="a.") | weights(rng, 4, prefix="b."))
    with refused("state_dict", "a recurrent layer under the prefix 'c'", "none"):
        from_torch(model, prefix="c")


def test_cells_and_layers_without_bias(rng):
    w = weights(rng, 3)
    without = {k: v for k, v in w.items() if k.startswith("weight")}
    _, params = from_torch(without)
    assert (params["b"] == 0).all()
    assert (params["b_h"] == 0).all()
    _, of_a_cell = from_torch({k.removesuffix("_l0"): v for k, v in w.items()})
    np.testing.assert_array_equal(of_a_cell["U"], w["weight_hh_l0"])


def test_weights_are_copied(rng):
    w = weights(rng, 4)
    _, params = from_torch(w)
    w["weight_hh_l0"][:] = 0
    assert (params["U"] != 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weight_ih_l0_reverse": np.zeros((16, 3))},
            Refusal("state_dict", "a matrix weight_hh for layer 0_reverse"),
        ),
        (
            {"weight_hr_l0": np.zeros((2, 4))},
            Refusal("weight_hh and weight_hr of layer 0", "have shapes (4H, P) and (P, H)"),
        ),
        (
            {"weight_hh_l0": np.zeros((17, 4))},
            Refusal("weight_ih and weight_hh of layer 0", "have H, 3H or 4H rows"),
        ),
        (
            {"weight_ih_l0": np.zeros((12, 3))},
            Refusal("weight_ih and weight_hh of layer 0", "have H, 3H or 4H rows"),
        ),
        (
            {"weight_ih_l0": np.zeros(3)},
            Refusal("state_dict", "a matrix weight_ih for layer 0", "shape (3,)"),
        ),
        ({"bias_ih_l0": np.zeros(4)}, Refusal("bias_ih of layer 0", "have shape (16,)", "(4,)")),
        (
            {"bias_ih_l0": np.zeros(16, "float32")},
            wrong_type("layer 0", "have one dtype", "float32 and float64"),
        ),
        (
            {"bias_ih_l0": np.zeros(16, int)},
            wrong_type("state_dict['bias_ih_l0']", "be float32 or float64", "int64"),
        ),
        ({"weight_ih_l2": np.zeros((16, 4))}, Refusal("state_dict", "without a gap")),
    ],
)
def test_errors_say_what_does_not_fit(change, message, rng):
    with refused(message):
        from_torch(weights(rng, 4) | change)


def test_more_errors(rng):
    w = weights(rng, 4)
    del w["bias_hh_l0"]
    with refused("state_dict", came="bias_ih alone"):
        from_torch(w)
    with refused("weight_ih_l1", "4", "3"):
        from_torch(weights(rng, 4) | weights(rng, 4, inputs=3, layer=1))
    cell = rd.cells.gru_reset_before()
    with refused("layers", "LSTM"):
        to_torch((cell, cell.init(input_size=2, hidden_size=2)))
    lstm, gru = rd.cells.lstm(), rd.cells.gru()
    with refused("layers", came="lstm, gru"):
        to_torch([(c, c.init(input_size=2, hidden_size=2)) for c in (lstm, gru)])
    with refused("layers", "at least one pair"):
        to_torch([])


class Tensor:
    """Stands for a tensor in bfloat16, which NumPy does not know."""

    dtype = "torch.bfloat16"

    def __init__(self, array):
        self._array = array

    def detach(self):
        return self

    cpu = detach

    def float(self):
        return Tensor32(self._array)

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")


class Tensor32(Tensor):
    dtype = "torch.float32"

    def numpy(self):
        return self._array.astype("float32")


class Module:
    """Stands for a module."""

    def __init__(self, state_dict, **options):
        self._state_dict = state_dict
        self.__dict__ |= options

    def state_dict(self):
        return self._state_dict


def test_half_precision_becomes_float32(rng):
    w = weights(rng, 4, dtype="float32")
    expected = from_torch(w)[1]
    for halved in ({k: Tensor(v) for k, v in w.items()}, {k: v.astype("float16") for k, v in w.items()}):
        params = from_torch(halved)[1]
        for name, a in expected.items():
            assert params[name].dtype == np.float32
            np.testing.assert_allclose(params[name], a, atol=4e-3)


def test_a_module_is_asked_for_its_state_dict(rng):
    w = weights(rng, 1)
    cell, params = from_torch(Module(w, nonlinearity="relu"))
    assert cell.fingerprint == rd.cells.elman("relu").fingerprint
    np.testing.assert_array_equal(params["W"], w["weight_ih_l0"])
    with pytest.warns(
        UserWarning, match=r"batch first; forward takes \(T, B, N\), time first: pass x\.swapaxes"
    ):
        from_torch(Module(w, batch_first=True))
    with refused(wrong_type("state_dict", "be a mapping or a module of PyTorch", "int")):
        from_torch(3)


@pytest.mark.parametrize("gates", [1, 3, 4])
def test_layers_without_a_bias_come_back_without_one(gates, rng):
    w = {k: v for k, v in weights(rng, gates).items() if "bias" not in k}
    pair = from_torch(w)
    back = to_torch(pair, bias=False)
    assert list(back) == list(w)
    for name, a in w.items():
        np.testing.assert_array_equal(back[name], a)
    again = from_torch(to_torch(pair))[1]
    assert all((again[name] == a).all() for name, a in pair[1].items())
    pair[1]["b"][2] = 1.0
    with refused("bias", "be True for layer 0, whose biases are not 0", "False"):
        to_torch(pair, bias=False)


def whole(rng, embedding=True):
    w = {f"rnn.{k}": v for k, v in (weights(rng, 3) | weights(rng, 3, inputs=4, layer=1)).items()}
    table = {"embed.weight": rng.standard_normal((7, 3))} if embedding else {}
    return table | w | {"fc.weight": rng.standard_normal((7, 4)), "fc.bias": rng.standard_normal(7)}


@pytest.mark.parametrize("embedding", [True, False])
def test_a_whole_model(embedding, rng):
    w = whole(rng, embedding)
    model, params = rd.interop.model_from_torch(w)
    x = rng.integers(0, 7, (6, 2)) if embedding else rng.standard_normal((6, 2, 3))
    y = w["embed.weight"][x] if embedding else x
    for cell, p in from_torch(w, prefix="rnn."):
        y = rd.forward(cell, p, y).output
    expected = y @ w["fc.weight"].T + w["fc.bias"]
    np.testing.assert_allclose(model.forward(params, x).output, expected, atol=1e-13)
    assert repr(rd.interop.model_from_torch(Module(w))[0]) == repr(model)


def test_what_a_whole_model_cannot_hold_is_named(rng):
    convert = rd.interop.model_from_torch
    w = whole(rng)
    for change, options, message in (
        ({"norm.weight": np.ones(4)}, {}, Refusal("state_dict", "and a readout alone", "'norm.weight' too")),
        (
            {"more.weight": np.ones((2, 4))},
            {},
            Refusal("readout", "several modules have 4 columns: 'fc', 'more'", "None"),
        ),
        (
            {"more.weight": np.ones((2, 3))},
            {},
            Refusal("embedding", "be given, as several modules have 3 columns"),
        ),
        ({}, {"readout": "head"}, Refusal("readout", "be one of the modules with 4 columns, 'fc'", "'head'")),
    ):
        with refused(message):
            convert(w | change, **options)
    with refused("state_dict", "hold a linear layer with 4 columns, the readout", "none"):
        convert({k: v for k, v in w.items() if not k.startswith("fc.")})


def both_directions(rng, gates=4, layers=2, prefix=""):
    """Weights of stacked layers in two directions, 3 inputs and 4 units each."""
    w = {}
    for layer in range(layers):
        for suffix in ("", "_reverse"):
            one = weights(rng, gates, inputs=8 if layer else 3, layer=layer, prefix=prefix)
            w |= {f"{name}{suffix}": a for name, a in one.items()}
    return w


@pytest.mark.parametrize("gates", [4, 3, 1])
@pytest.mark.parametrize("layers", [1, 2])
def test_two_directions_are_a_layer_and_come_back(gates, layers, rng):
    w = both_directions(rng, gates, layers)
    layer, params = from_torch(w)
    assert layer.input_size == 3
    assert layer.output_size == 8
    y, _ = layer(params, rng.standard_normal((5, 2, 3)))
    assert y.shape == (5, 2, 8)
    back = to_torch((layer, params))
    assert back.keys() == w.keys()
    for name, a in back.items():
        if name.startswith("weight"):
            np.testing.assert_array_equal(a, w[name])
        elif name.startswith("bias_ih"):
            other = name.replace("ih", "hh")
            np.testing.assert_allclose(a + back[other], w[name] + w[other], rtol=0, atol=1e-15)
    again, same = from_torch(back)
    np.testing.assert_array_equal(again(same, np.ones((5, 2, 3)))[0], layer(params, np.ones((5, 2, 3)))[0])


def test_a_prefix_chooses_two_directions_of_a_larger_model(rng):
    w = both_directions(rng, prefix="encoder.rnn.")
    whole = w | weights(rng, 3, prefix="decoder.") | {"head.weight": np.zeros((2, 8))}
    _, params = from_torch(whole, prefix="encoder.")
    np.testing.assert_array_equal(params["1"]["backward"]["U"], w["encoder.rnn.weight_hh_l1_reverse"])
    cell, _ = from_torch(whole, prefix="decoder.")
    assert cell.name == "gru"
    _, params = from_torch(w)
    np.testing.assert_array_equal(params["0"]["forward"]["W"], w["encoder.rnn.weight_ih_l0"])


def test_what_does_not_fit_in_two_directions(rng):
    w = both_directions(rng)
    with refused("state_dict", "as many layers", "2 and 1"):
        from_torch({name: a for name, a in w.items() if not name.endswith("l1_reverse")})
    with refused("weight_ih_l1_reverse", "8", "4"):
        from_torch(w | {"weight_ih_l1_reverse": np.zeros((16, 4))})
    other = {f"{name}_reverse": a for name, a in weights(rng, 3).items()}
    with refused("layer 0", "both directions"):
        from_torch(weights(rng, 4) | other)
    with refused("state_dict", "one direction", "two directions"):
        rd.interop.model_from_torch(w | {"head.weight": np.zeros((2, 8))})


def test_layers_that_pytorch_does_not_have():
    lstm = rd.nn.recurrent(rd.cells.lstm(), 4)
    mixed = rd.nn.chain(rd.nn.dense(3, 4), lstm)
    with refused("layers", "recurrent", "dense"):
        to_torch((mixed, mixed.init()))
    uneven = rd.nn.chain(rd.nn.recurrent(rd.cells.lstm(), 4, 3), rd.nn.bidirectional(lstm, lstm))
    with refused("layers", "one direction"):
        to_torch((uneven, uneven.init()))
    stacked = rd.nn.chain(rd.nn.recurrent(rd.cells.lstm(), 4, 3), lstm)
    assert len(to_torch((stacked, stacked.init()))) == 8
