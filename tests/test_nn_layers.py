"""Layers that are composed: values, pull-backs, dropout, what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from layer_checks import check_gradients
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import nn
from recurrent_dynamics.nn import Context

STEPS, BATCH, CLASSES = 6, 3, 5
LENGTHS = np.array([6, 0, 4])


def gru(size, input_size=None):
    return nn.recurrent(rd.cells.gru(), size, input_size)


def composed(rate=0.3):
    """Of every kind."""
    return nn.chain(
        nn.embedding(CLASSES, 3),
        nn.bidirectional(gru(2), gru(2)),
        nn.dropout(rate),
        nn.residual(gru(4)),
        nn.concatenate(
            nn.dense(None, 2), nn.chain(nn.dense(4, 3, bias=False), nn.dropout(rate, per_sequence=True))
        ),
    )


def text(rng, steps=STEPS):
    return rng.integers(0, CLASSES, (steps, BATCH))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("steps", [STEPS, 1], ids=["folded", "looked up"])
def test_the_pull_back_of_a_composed_layer(lengths, steps, rng):
    layer = composed()
    params = layer.init(rng=1, dtype="float64")
    ends = None if lengths is None else np.minimum(lengths, steps)
    check_gradients(layer, params, text(rng, steps), rng, lengths=ends, rng=7)


def test_the_pull_back_without_an_embedding(rng):
    layer = nn.chain(gru(4, 3), nn.residual(nn.chain(nn.dense(None, 3), nn.dense(None, 4))))
    reset = rng.random((STEPS, BATCH)) < 0.3
    x = rng.standard_normal((STEPS, BATCH, 3))
    check_gradients(layer, layer.init(rng=1, dtype="float64"), x, rng, lengths=LENGTHS, reset=reset)


def test_class_indices_stand_for_one_hot_vectors(rng):
    layer = nn.chain(nn.bidirectional(gru(2, CLASSES), gru(2)), nn.dense(None, 2))
    params, indices = layer.init(rng=1, dtype="float64"), text(rng)
    y, _ = layer(params, indices, Context(lengths=LENGTHS))
    z, _ = layer(params, np.eye(CLASSES)[indices], Context(lengths=LENGTHS))
    np.testing.assert_allclose(y, z, atol=1e-14)
    check_gradients(layer, params, indices, rng, lengths=LENGTHS)


@pytest.mark.parametrize("steps", [STEPS, 1])
def test_a_chain_is_the_usual_model_to_the_bit(steps, rng):
    lstm = rd.cells.lstm()
    model = nn.Model([lstm, lstm], hidden_size=[4, 2], vocabulary_size=CLASSES, dropout=0.4)
    layer = nn.chain(
        nn.embedding(CLASSES, 4),
        nn.recurrent(lstm, 4),
        nn.dropout(0.4),
        nn.recurrent(lstm, 2),
        nn.dense(None, CLASSES),
    )
    whole, params, inputs = model.init(rng=3), layer.init(rng=3), text(rng, steps)
    np.testing.assert_array_equal(params["1"]["U"], whole["layers"]["0"]["U"])
    run = model.forward(whole, inputs, dropout_rng=np.random.default_rng(5))
    y, pull = layer(params, inputs, Context(rng=5))
    np.testing.assert_array_equal(y, run.output)
    expected = model.backward(run, y).params
    d_params, d_x = pull(y)
    assert d_x is None
    np.testing.assert_array_equal(d_params["0"]["table"], expected["embedding"]["table"])
    np.testing.assert_array_equal(d_params["1"]["W"], expected["layers"]["0"]["W"])
    np.testing.assert_array_equal(d_params["3"]["b"], expected["layers"]["1"]["b"])
    np.testing.assert_array_equal(d_params["4"]["W"], expected["readout"]["W"])


def test_matrices_that_are_made_from_free_parameters(rng):
    layer = nn.chain(nn.recurrent(rd.cells.elman(), 4, 2, rd.parametrize.cayley), nn.dense(None, 1))
    params = layer.init(rng=1, dtype="float64")
    check_gradients(layer, params, rng.standard_normal((STEPS, BATCH, 2)), rng)
    _, pull = layer(params, rng.standard_normal((STEPS, BATCH, 2)))
    np.testing.assert_allclose(pull.run.params["U"] @ pull.run.params["U"].T, np.eye(4), atol=1e-12)


def test_what_stands_beyond_the_lengths_is_not_read(rng):
    layer = composed(rate=0)
    params, inputs = layer.init(rng=1, dtype="float64"), text(rng)
    beyond = np.arange(STEPS)[:, None] >= LENGTHS
    y, pull = layer(params, inputs, Context(lengths=LENGTHS))
    other, back = layer(params, np.where(beyond, -7, inputs), Context(lengths=LENGTHS))
    np.testing.assert_array_equal(other, y)
    assert not y[beyond].any()
    d_y = rng.standard_normal(y.shape)
    expected, _ = pull(d_y)
    given, _ = back(np.where(beyond[..., None], np.nan, d_y))
    np.testing.assert_array_equal(rd.ravel(given)[0], rd.ravel(expected)[0])

    dense = nn.dense(2, 1)
    x = rng.standard_normal((STEPS, BATCH, 2))
    x[beyond] = np.nan
    _, pull = dense(dense.init(dtype="float64"), x, Context(lengths=LENGTHS))
    d_params, d_x = pull(np.ones((STEPS, BATCH, 1)))
    assert np.isfinite(d_params["W"]).all()
    assert d_params["b"] == LENGTHS.sum()
    assert not d_x[beyond].any()


def test_runs_and_final_states_have_the_paths_of_the_parameters(rng):
    layer = composed()
    params = layer.init(rng=1, dtype="float64")
    whole, pull = layer(params, text(rng), Context(lengths=LENGTHS))
    assert list(pull.runs) == list(layer.cells) == ["1/forward", "1/backward", "3"]
    assert rd.jacobian(pull.runs["3"]).shape == (STEPS, BATCH, 4, 4)
    assert pull.final["1"]["backward"]["h"].shape == (BATCH, 2)
    # Of a sequence of length 0 it is the initial state.
    initial = {"1": {"backward": {"h": rng.standard_normal((BATCH, 2))}}, "3": {"h": np.ones((BATCH, 4))}}
    y, pull = layer(params, text(rng), Context(lengths=LENGTHS, initial=initial))
    np.testing.assert_array_equal(pull.final["1"]["backward"]["h"][1], initial["1"]["backward"]["h"][1])
    np.testing.assert_array_equal(pull.final["3"]["h"][1], 1)
    assert not np.array_equal(y, whole)


def test_two_windows_are_one_when_the_state_is_carried(rng):
    layer = nn.chain(nn.embedding(CLASSES, 2), gru(3), nn.residual(gru(3)))
    params, inputs = layer.init(rng=1, dtype="float64"), text(rng)
    whole, _ = layer(params, inputs)
    first, pull = layer(params, inputs[:2])
    second, _ = layer(params, inputs[2:], Context(initial=pull.final))
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-14)


def test_dropout_is_seeded_and_off_in_evaluation(rng):
    layer, x = nn.dropout(0.4), np.ones((40, 20, 10))
    y, pull = layer({}, x)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(pull(x)[1], x)
    y, pull = layer({}, x, Context(rng=1))
    np.testing.assert_array_equal(layer({}, x, Context(rng=1))[0], y)
    np.testing.assert_array_equal(pull(x)[1], y)
    generator = np.random.default_rng(1)
    masks = [layer({}, x, Context(rng=generator))[0] for _ in range(2)]
    np.testing.assert_array_equal(masks[0], y)
    assert not np.array_equal(masks[1], y)
    assert set(np.unique(y)) == {0, 1 / 0.6}
    assert (y == 0).mean() == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / y.size))


def test_variational_dropout_is_constant_in_time_and_new_for_each_call_and_sequence():
    layer, generator = nn.dropout(0.5, per_sequence=True), np.random.default_rng(0)
    one, other = (layer({}, np.ones((7, 20, 30)), Context(rng=generator))[0] for _ in range(2))
    assert (one == one[0]).all()
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:, 0], one[:, 1])


def test_parameters_are_copied_unless_told_otherwise(rng):
    layer = nn.chain(gru(2, 2), nn.dense(None, 2))
    x = rng.standard_normal((STEPS, BATCH, 2))

    def gradient(changed, **options):
        params = layer.init(rng=0, dtype="float64")
        y, pull = layer(params, x, Context(**options))
        if changed:
            params["1"]["W"] *= 2
        return pull(np.ones_like(y))[1]

    np.testing.assert_array_equal(gradient(True), gradient(False))
    np.testing.assert_array_equal(gradient(False, copy_params=False), gradient(False))
    assert not np.array_equal(gradient(True, copy_params=False), gradient(False))


def test_without_a_tape_the_values_have_the_same_bits(rng):
    layer = composed()
    params, inputs = layer.init(rng=1), text(rng)
    y, pull = layer(params, inputs, Context(lengths=LENGTHS))
    quick, bare = layer(params, inputs, Context(lengths=LENGTHS, tape=False))
    np.testing.assert_array_equal(quick, y)
    np.testing.assert_array_equal(bare.final["3"]["h"], pull.final["3"]["h"])
    with refused("run", came="tape=False"):
        bare(y)


def test_gradients_that_are_not_finite():
    layer = nn.chain(nn.recurrent(rd.cells.elman(), 2, 2), nn.dense(None, 1))
    params = layer.init(rng=0, dtype="float64")
    params["1"]["W"][:] = 1e200
    y, pull = layer(params, np.ones((2, 1, 2)))
    with pytest.raises(FloatingPointError, match="elman is not finite"), np.errstate(over="ignore"):
        pull(1e200 * np.ones_like(y))


def test_layers_and_gradients_can_be_sent_to_another_process(rng):
    layer, inputs = composed(), text(rng)
    params = layer.init(rng=1)
    y, pull = layer(params, inputs)
    again = pickle.loads(pickle.dumps(layer))
    np.testing.assert_array_equal(again(params, inputs)[0], y)
    found = pickle.loads(pickle.dumps(pull.gradients(y)))
    np.testing.assert_array_equal(found.runs["3"].states["h"], pull.gradients(y).runs["3"].states["h"])
    with refused(wrong_type("a pull-back", came="pull.runs")):
        pickle.dumps(pull)


def test_one_embedding_for_each_of_two_readers(rng):
    both = nn.concatenate(nn.chain(nn.embedding(CLASSES, 2), gru(3)), nn.embedding(CLASSES, 2))
    layer = nn.chain(nn.bidirectional(both, nn.embedding(CLASSES, 1)), nn.dense(None, 2))
    params, inputs = layer.init(rng=1, dtype="float64"), text(rng)
    check_gradients(layer, params, inputs, rng, lengths=LENGTHS)
    y, _ = layer(params, inputs)
    assert y.shape == (STEPS, BATCH, 2)


def test_directions_within_directions(rng):
    """What the second direction reads from its end twice, it reads from the begin."""
    both = nn.bidirectional(gru(2, 3), gru(2))
    nested, x = nn.bidirectional(both, both), rng.standard_normal((STEPS, BATCH, 3))
    params = nested.init(rng=1, dtype="float64")
    params["backward"] = {"forward": params["forward"]["backward"], "backward": params["forward"]["forward"]}
    y, _ = nested(params, x, Context(lengths=LENGTHS))
    np.testing.assert_array_equal(y[..., :2], y[..., 6:])
    np.testing.assert_array_equal(y[..., 2:4], y[..., 4:6])


def x3(size=3, dtype="float64"):
    return np.ones((STEPS, BATCH, size), dtype)


def call(layer, x=None, **context):
    return layer(layer.init(dtype="float64"), x3() if x is None else x, Context(**context))


REFUSED = [
    (lambda: nn.embedding(0, 2), "classes"),
    (lambda: nn.dense(2, 0), "outputs"),
    (lambda: nn.dropout(1.0), "rate"),
    (lambda: nn.recurrent(rd.cells.gru(), 0), "hidden_size"),
    (lambda: nn.recurrent("gru", 2), wrong_type("cell", came="rd.cells.by_name('gru')")),
    (lambda: nn.recurrent(rd.cells.gru(), 2, 2, {"V": rd.parametrize.cayley}), ("parametrize", "U", "V")),
    (lambda: nn.chain(), "layers"),
    (lambda: nn.chain(gru(2), rd.cells.gru()), wrong_type("layers[1]", came="Cell: pass nn.recurrent")),
    (lambda: nn.chain(gru(2), nn.embedding(2, 2)), ("layers", "first", "1")),
    (lambda: nn.chain(gru(2, 3), nn.dense(3, 1)), ("input_size", "3", "2")),
    (lambda: nn.concatenate(gru(2, 3), gru(2, 4)), ("input_size", "4", "3")),
    (lambda: nn.concatenate(nn.embedding(3, 2), gru(2, 4)), "layers"),
    (lambda: nn.residual(nn.dense(2, 3)), ("layer", (), "2 and 3")),
    (lambda: nn.residual(nn.embedding(3, 3)), ("layer", (), "class indices")),
    (lambda: nn.bidirectional(gru(2), None), wrong_type("backward", came="NoneType")),
    (lambda: nn.residual(3), wrong_type("layer", "Layer", "int")),
    (lambda: gru(2).init(), "input_size"),
    (lambda: nn.chain(nn.dropout(0.1), gru(2)).init(), "input_size"),
    (lambda: gru(2, 2).init(dtype="int64"), wrong_type("dtype")),
    (lambda: call(gru(2, 3), x3(4)), ("x", "(T, B, 3)", "4")),
    (lambda: call(gru(2, 3), x3(dtype="float32")), wrong_type("x", "float64", "float32")),
    (lambda: call(gru(2, 3), np.full((2, 1, 3), np.nan)), ("x", "finite", "(0, 0, 0)")),
    (lambda: call(gru(2, 3), np.full((2, 1), 3)), ("x", "0..2", "3")),
    (lambda: call(nn.embedding(3, 2), x3()), ("x", "class indices")),
    (lambda: call(nn.embedding(3, 2), np.full((2, 1), -1)), ("x", "0..2", "-1")),
    (lambda: call(nn.dense(3, 2), x3()[:0]), "x"),
    (lambda: call(gru(2, 3), lengths=[1]), "lengths"),
    (lambda: call(nn.dense(3, 2), lengths=[1, 2, 7]), ("lengths", "6", "7")),
    (lambda: call(gru(2, 3), reset=np.zeros((1, 1), bool)), "reset"),
    (lambda: call(gru(2, 3), signals={"dt": x3()}), ("signals", (), "dt")),
    (lambda: call(gru(2, 3), initial={"c": x3()[0]}), ("initial", (), "c")),
    (lambda: call(nn.chain(gru(2, 3), gru(2)), initial={"2": {}}), ("initial", "0, 1", "2")),
    (lambda: call(nn.chain(gru(2, 3), gru(2)), initial={"1": [1]}), wrong_type("initial['1']", "dict", "list")),
    (lambda: call(nn.dense(3, 2), initial={"h": 1}), ("initial", "no layer")),
    (lambda: call(gru(2, 3), rng="seed"), wrong_type("rng")),
    (lambda: nn.dense(3, 2)({}, x3(), 5), wrong_type("context", "Context", "int")),
    (lambda: nn.dense(3, 2)({"W": x3()[0]}, x3()), ("params", "W and b", "W")),
    (lambda: nn.dense(3, 2)({"W": x3()[0], "b": x3()[0]}, x3()), ("params['W']", "(2, 3)", "(3, 3)")),
    (lambda: nn.dropout(0.1)({"W": x3()}, x3()), ("params", "nothing", "W")),
    (lambda: nn.chain(gru(2, 3))({"1": {}}, x3()), ("params", "0", "1")),
    (lambda: call(gru(2, 3))[1](), "d_y or d_final"),
    (lambda: call(gru(2, 3))[1](x3()), ("d_y", "(6, 3, 2)", "(6, 3, 3)")),
    (lambda: call(gru(2, 3))[1](d_final={"x": 1}), ("d_final", (), "x")),
    (lambda: call(nn.bidirectional(gru(2, 3), gru(2)))[1].run, ("layer", (), "forward, backward")),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "error"), REFUSED)
def test_an_error_names_the_argument(bad, error):
    with refused(*error) if type(error) is tuple else refused(error):
        bad()


def test_figures_of_runs_and_gradients(rng):
    layer = nn.bidirectional(gru(2, 3), gru(2))
    y, pull = call(layer)
    assert [ax.get_title() for ax in pull.plot()] == ["forward", "backward"]
    labels = [t.get_text() for t in pull.gradients(y).plot().get_legend().get_texts()]
    assert labels == ["forward, h", "backward, h"]
    flat = call(nn.dense(3, 2))
    for draw in (flat[1].plot, flat[1].gradients(flat[0]).plot):
        with refused("layer"):
            draw()
