"""Two readings with one answer: values and gradients against plain NumPy, lengths, files, what is refused."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from layer_checks import dot, drawn_like, moved
from refusals import Refusal, refused, wrong_type
from seq2seq_models import both, plain_gru

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training

S, T, B, N, WORDS, ANSWERS = 4, 3, 5, 3, 6, 4
RAGGED = {"source_lengths": np.array([4, 1, 2, 0, 3]), "inputs_lengths": np.array([3, 1, 2, 3, 2])}
GRU, LSTM = rd.cells.gru(), rd.cells.lstm()
ADDITIVE = rd.cells.attention(GRU, keys="4", values="6")
DOT = rd.cells.attention(LSTM, "dot", query="after")


def asking(*layers):
    return nn.chain(nn.embedding(WORDS, 4), *layers, nn.dense(None, ANSWERS))


MODELS = {
    "plain": nn.TwoReadings(nn.recurrent(GRU, 4, N), asking(nn.recurrent(GRU, 5))),
    "attention": nn.TwoReadings(both(GRU, 3).with_input(N), asking(nn.recurrent(ADDITIVE, 5)), pool="mean"),
    "attention alone": nn.TwoReadings(nn.dense(N, 5), asking(nn.recurrent(DOT, 5)), start="zero"),
    "copied": nn.TwoReadings(
        nn.recurrent(LSTM, 5, N), nn.chain(nn.recurrent(LSTM, 5, 2), nn.dense(None, 2)), "mean_squared_error",
        start="copy",
    ),
    "two directions": nn.TwoReadings(nn.recurrent(GRU, 4, N), asking(both(LSTM, 2)), pool="mean", start="tanh"),
}  # fmt: skip


def a_batch(model, rng, **lengths):
    numbers = model.loss_name == "mean_squared_error"
    return {
        "source": rng.standard_normal((S, B, N)),
        "inputs": rng.standard_normal((T, B, 2)) if numbers else rng.integers(0, WORDS, (T, B)),
        "targets": rng.standard_normal((B, 2)) if numbers else rng.integers(0, ANSWERS, B),
        **lengths,
    }


@pytest.mark.parametrize("lengths", [{}, RAGGED], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_against_slopes(name, lengths, rng):
    """Along a random direction in all parameters, in the source, and in real inputs."""
    model = MODELS[name]
    params, batch = model.init(rng=1, dtype="float64"), a_batch(model, rng, **lengths)
    loss, _, grads = model.differentiate(params, batch)
    assert loss == model.loss(params, batch)
    direction = drawn_like(params, rng)
    up, down = (model.loss(moved(params, direction, h), batch) for h in (1e-6, -1e-6))
    assert dot(grads.params, direction) == pytest.approx((up - down) / 2e-6, rel=1e-7, abs=1e-8)
    for key, found in (("source", grads.source), ("inputs", grads.inputs)):
        if batch[key].dtype.kind == "f":
            direction = rng.standard_normal(batch[key].shape)
            up, down = (model.loss(params, batch | {key: batch[key] + h * direction}) for h in (1e-6, -1e-6))
            assert np.vdot(found, direction) == pytest.approx((up - down) / 2e-6, rel=1e-7, abs=1e-8)
        else:
            assert found is None


def plain_loss(params, batch):
    """The mean loss of the model "plain", step by step; its parameters may be complex."""
    total, reader = 0.0, params["reader"]
    for b in range(B):
        ends = [batch[f"{key}_lengths"][b] for key in ("source", "inputs")]
        h = np.zeros(4)
        for x in batch["source"][: ends[0], b]:
            h = plain_gru(params["encoder"], x, h)
        h = params["start"]["W"] @ h + params["start"]["b"]
        for word in batch["inputs"][: ends[1], b]:
            h = plain_gru(reader["1"], reader["0"]["table"][word], h)
        logits = reader["2"]["W"] @ h + reader["2"]["b"]
        total = total + np.log(np.exp(logits).sum()) - logits[batch["targets"][b]]
    return total / B


def test_gradients_by_complex_step(rng):
    model = MODELS["plain"]
    params, batch = model.init(rng=2, dtype="float64"), a_batch(model, rng, **RAGGED)
    loss, grads = model.loss_and_grad(params, batch)
    assert loss == pytest.approx(plain_loss(params, batch), rel=1e-13)
    leaves, found = dict(training.tree.named_leaves(params)), dict(training.tree.named_leaves(grads))
    largest, errors = 0.0, []
    for path, a in leaves.items():
        for at in np.ndindex(a.shape):
            there = a.astype(complex)
            there[at] += 1e-30j
            exact = plain_loss(training.tree.nest(leaves | {path: there}), batch).imag / 1e-30
            largest = max(largest, abs(exact))
            errors.append(abs(found[path][at] - exact))
    assert max(errors) < 1e-9 * largest


@pytest.mark.parametrize("name", ["plain", "attention", "attention alone"])
def test_the_way_back_is_the_adjoint_of_the_way_there(name, rng):
    model = MODELS[name]
    params, batch = model.init(rng=3, dtype="float64"), a_batch(model, rng, **RAGGED)
    run = model.run(params, batch)
    u, v = drawn_like(params, rng), rng.standard_normal(run.output.shape)
    up, down = (model.run(moved(params, u, h), batch).output for h in (1e-6, -1e-6))
    assert dot(model.backward(run, v).params, u) == pytest.approx(np.vdot(v, (up - down) / 2e-6), rel=1e-7)


@pytest.mark.parametrize("name", ["plain", "attention", "two directions"])
def test_a_batch_is_its_members(name, rng):
    model = MODELS[name]
    params, batch = model.init(rng=4, dtype="float64"), a_batch(model, rng, **RAGGED)
    output = model.run(params, batch).output
    for b in range(B):
        s, t = RAGGED["source_lengths"][b], RAGGED["inputs_lengths"][b]
        alone = model.predict(
            params, batch["source"][: max(s, 1), [b]], batch["inputs"][:t, [b]], source_lengths=[s]
        )
        np.testing.assert_allclose(output[b], alone[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["plain", "attention"])
def test_single_precision_and_threads(name, rng):
    model = MODELS[name]
    params, batch = model.init(rng=5, dtype="float64"), a_batch(model, rng, **RAGGED)
    small = {k: training.tree.map_leaves(lambda a: a.astype("float32"), v) for k, v in params.items()}
    narrow = batch | {"source": batch["source"].astype("float32")}
    loss, grads = model.loss_and_grad(params, batch)
    found = []
    for threads in (1, 2):
        numba.set_num_threads(threads)
        value, g = model.loss_and_grad(small, narrow)
        found.append((value, rd.ravel(g)[0]))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][0], loss, rtol=1e-5)
    np.testing.assert_allclose(found[0][1], rd.ravel(grads)[0], rtol=1e-3, atol=1e-5)


def test_inputs_of_length_0_have_no_answer(rng):
    model = MODELS["plain"]
    params = model.init(rng=6, dtype="float64")
    batch = a_batch(model, rng, inputs_lengths=np.array([3, 0, 1, 2, 3]))
    others = [0, 2, 3, 4]
    rest = {
        key: a[others] if key in ("targets", "inputs_lengths") else a[:, others] for key, a in batch.items()
    }
    assert model.compared(batch).weight == 4
    assert model.loss(params, batch) == pytest.approx(model.loss(params, rest), rel=1e-12)
    answers = model.predict(
        params, batch["source"], batch["inputs"], "class", inputs_lengths=batch["inputs_lengths"]
    )
    assert (answers == -1).tolist() == [False, True, False, False, False]
    with refused("inputs_lengths", "above 0"):
        model.loss(params, batch | {"inputs_lengths": np.zeros(B, int)})


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_as_it_was_written(name, tmp_path, rng):
    model = MODELS[name]
    params, batch = model.init(rng=7, dtype="float64"), a_batch(model, rng)
    leaves = dict(training.tree.named_leaves(params))
    assert {path: a.shape for path, a in leaves.items()} == model.shapes
    nn.save(tmp_path / "model.npz", model, params, extra={"words": ["a"]})
    saved = nn.load(tmp_path / "model.npz")
    assert repr(saved.model) == repr(model)
    assert saved.model.loss(saved.params, batch) == model.loss(params, batch)


def test_it_is_trained_and_measured(rng):
    """Whether a symbol that is asked for stands in the source, from batches by name."""
    reader = nn.chain(
        nn.embedding(5, 8), nn.recurrent(rd.cells.attention(GRU, keys="8", values="8"), 12), nn.dense(None, 2)
    )
    model = nn.TwoReadings(nn.embedding(5, 8), reader)
    source = [rng.integers(0, 5, rng.integers(1, 4)) for _ in range(300)]
    asked = rng.integers(0, 5, 300)
    right = np.array([a in s for a, s in zip(asked, source, strict=True)]).astype(int)
    data = rd.data.NamedBatches(
        {"source": source, "inputs": asked[:, None].tolist()}, {"targets": right}, batch_size=50, seed=0
    )
    result = training.fit(
        model, model.init(rng=0), data, optimizer="adam", learning_rate=0.03, updates=150, progress=False
    )
    assert training.measure(model, result.params, data, ["accuracy"])["accuracy"] > 0.95


def test_results_say_what_they_are(rng):
    model = MODELS["attention"]
    _, run, grads = model.differentiate(model.init(dtype="float64"), a_batch(model, rng))
    assert run.attention.shape == (T, B, S)
    assert "reader" in repr(run)
    assert len(run.runs) == len(run.final) == 3
    assert [ax.get_title() for ax in run.plot()] == ["encoder forward", "encoder backward", "reader 1"]
    assert [ax.get_title() for ax in grads.plot()] == ["encoder", "reader"]
    with refused("reader", "one layer with attention"):
        _ = MODELS["plain"].run(MODELS["plain"].init(dtype="float64"), a_batch(model, rng)).attention


READER = asking(nn.recurrent(GRU, 5))


@pytest.mark.parametrize(
    ("wanted", "call"),
    [
        (wrong_type("encoder", "Layer"), lambda: nn.TwoReadings(GRU, READER)),
        (wrong_type("reader", "Layer"), lambda: nn.TwoReadings(nn.dense(2, 3), GRU)),
        (Refusal("reader", "recurrent"), lambda: nn.TwoReadings(nn.dense(2, 3), nn.dense(2, 3))),
        (Refusal("start", "not be 'zero'"), lambda: nn.TwoReadings(nn.dense(2, 3), READER, start="zero")),
        (Refusal("pool"), lambda: nn.TwoReadings(nn.dense(2, 3), READER, pool=None)),
        (Refusal("loss"), lambda: nn.TwoReadings(nn.dense(2, 3), READER, loss="ctc")),
        (
            Refusal("reader", "values of 3"),
            lambda: nn.TwoReadings(nn.dense(2, 3), asking(nn.recurrent(ADDITIVE, 5))),
        ),
    ],
)
def test_wrong_layers_are_named(wanted, call):
    with refused(wanted):
        call()


@pytest.mark.parametrize(
    ("wanted", "change"),
    [
        (Refusal("batch", "inputs"), {"inputs": None}),
        (Refusal("batch", "targets"), {"targets": None}),
        (Refusal("batch", "no keys", "'mask'"), {"mask": np.ones(B)}),
        (Refusal("inputs", f"{B} sequences"), {"inputs": np.zeros((T, 2), int)}),
        (Refusal("inputs", f"{B} sequences"), {"inputs": np.zeros(B, int)}),
        (Refusal("targets", "(B,)"), {"targets": np.zeros((B, 1), int)}),
        (Refusal("inputs_lengths", f"{B} integers"), {"inputs_lengths": [1]}),
        (Refusal("source_lengths", f"{B} integers"), {"source_lengths": [1]}),
        (Refusal("source", "real numbers"), {"source": np.zeros((S, B, N + 1))}),
    ],
)
def test_a_wrong_batch_is_named(wanted, change, rng):
    model = MODELS["plain"]
    batch = {key: a for key, a in (a_batch(model, rng) | change).items() if a is not None}
    with refused(wanted):
        model.loss_and_grad(model.init(dtype="float64"), batch)


def test_other_arguments_are_looked_at(rng):
    model = MODELS["copied"]
    params, batch = model.init(dtype="float64"), a_batch(model, rng)
    run = model.run(params, batch)
    with refused(wrong_type("batch", "dict")):
        model.run(params, (batch["source"], batch["inputs"]))
    with refused("kind", "'output'"):
        model.predict(params, batch["source"], batch["inputs"], "class")
    with refused("d_output"):
        model.backward(run, np.ones((B, 3)))
    with refused(wrong_type("run", "TwoReadingsRun")):
        model.backward(3, None)
    with refused("initial"):
        model.run(params, batch, [{}])
    with refused("params", "'encoder'"):
        model.run({"reader": params["reader"]}, batch)
