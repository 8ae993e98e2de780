"""A decoder with attention: PyTorch, empty sources, alignments that follow their hypotheses, coverage."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from refusals import refused, wrong_type
from seq2seq_models import CLASSES, GRU, LSTM, RAGGED, models, pairs, reader

import recurrent_dynamics as rd
from recurrent_dynamics import nn, training

BEGIN, END = 0, 1
SOURCES = np.random.default_rng(0).integers(0, 6, (4, 6))
LENGTHS = np.array([4, 1, 0, 3, 2, 4])


def model_of(**options):
    cell = rd.cells.attention(LSTM, keys="3", values="6")
    options = {"classes": 5, "begin": BEGIN, "end": END, "start": "tanh"} | options
    stack = nn.chain(nn.recurrent(cell, 4), nn.dropout(0.5), nn.recurrent(GRU, 4))
    return nn.encoder_decoder(
        reader(nn.bidirectional(nn.recurrent(GRU, 3), nn.recurrent(GRU, 3))), stack, **options
    )


def drawn_params(model, seed, dtype="float64"):
    params = model.init(rng=seed, dtype=dtype)
    for part, name in (("readout", "W"), ("memory", "keys")):
        value = params[part][name]
        scaled = value["W"] if name == "keys" else value
        scaled *= np.array(10, dtype)
    params["encoder"]["0"]["table"] *= np.array(3, dtype)
    return params


def test_parity_with_pytorch(rng):
    """Bahdanau's decoder step by step: the loss and all gradients."""
    torch = pytest.importorskip("torch")
    model = models()["attention"]
    params, batch = model.init(rng=1, dtype="float64"), pairs(model, rng, **RAGGED)
    loss, grads = model.loss_and_grad(params, batch)
    tensors = {path: torch.tensor(a, requires_grad=True) for path, a in training.tree.named_leaves(params)}
    y, _ = model.encoder(params["encoder"], batch.source, nn.Context(RAGGED["source_lengths"]))
    values = torch.tensor(y, requires_grad=True)
    p = {path.rpartition("/")[2]: t for path, t in tensors.items() if path.startswith("decoder")}
    keys = values @ tensors["memory/keys/W"].T
    mask = torch.arange(len(y))[:, None] < torch.tensor(RAGGED["source_lengths"])
    forced = model._forced(batch, 4, None)
    h, c, context = (torch.zeros(4, n, dtype=torch.float64) for n in (5, 5, 6))
    outputs = []
    for symbols in forced.fed:
        query = h @ p["U_query"].T + p["b"][20:]
        e = (p["v"] * torch.tanh(keys + query)).sum(-1)
        a = torch.softmax(torch.where(mask, e, -1e30), 0) * mask
        context = (a[:, :, None] * values).sum(0)
        x = tensors["embedding/table"][torch.tensor(symbols)]
        i, f, g, o = (x @ p["W"].T + torch.cat([h, context], 1) @ p["U"].T + p["b"][:20]).split(5, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    logits = torch.stack(outputs) @ tensors["readout/W"].T + tensors["readout/b"]
    within = torch.tensor(forced.weights)
    expected = torch.nn.functional.cross_entropy(logits[within], torch.tensor(forced.targets)[within])
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for path, a in training.tree.named_leaves(grads):
        if not path.startswith("encoder"):
            np.testing.assert_allclose(a, tensors[path].grad.numpy(), rtol=1e-9, atol=1e-13, err_msg=path)
    _, pull = model.encoder(params["encoder"], batch.source, nn.Context(RAGGED["source_lengths"]))
    encoder = pull(values.grad.numpy())[0]
    np.testing.assert_allclose(rd.ravel(grads["encoder"])[0], rd.ravel(encoder)[0], rtol=1e-9, atol=1e-13)


def test_weights_are_those_of_the_source(rng):
    model = model_of()
    params = drawn_params(model, 2)
    run = model.run(params, nn.Pairs(SOURCES, rng.integers(2, 5, (3, 6)), LENGTHS))
    assert run.attention.shape == (4, 6, 4)
    for b, n in enumerate(LENGTHS):
        assert not run.attention[:, b, n:].any()
        np.testing.assert_allclose(run.attention[:, b].sum(axis=1), float(n > 0))
    with refused("decoder", "one layer with attention"):
        plain = models()["dense"]
        assert plain.run(plain.init(), pairs(plain, rng)).attention is None


def told(model, params, found, k=0):
    """The run that is told the sequences of rank k."""
    T = max(1, int(found.lengths[:, k].max()))
    target = np.zeros((T, 6), int)
    for b in range(6):
        target[: found.lengths[b, k], b] = found.sequence(b, k)
    return model.run(params, nn.Pairs(SOURCES, target, LENGTHS, found.lengths[:, k]))


@pytest.mark.parametrize("options", [{}, {"every_step": True, "start": "zero"}], ids=["tanh", "every step"])
@pytest.mark.parametrize("penalty", [0.0, 0.6])
def test_scores_and_alignments_follow_their_hypotheses(options, penalty):
    """Log-probability, length and coverage of each hypothesis are those of a run that is told it."""
    model = model_of(**options)
    params = drawn_params(model, 3)
    found = model.decode(params, SOURCES, LENGTHS, length=6, width=5, n_best=5, length_penalty=0.8,
                         coverage_penalty=penalty)  # fmt: skip
    seen = 0
    for k in range(5):
        run = told(model, params, found, k)
        logits = run.output - np.log(np.exp(run.output).sum(axis=2, keepdims=True))
        for b in np.flatnonzero(found.ended[:, k]):
            word = [*found.sequence(b, k), END]
            p = logits[np.arange(len(word)), b, word].sum()
            read = run.attention[: len(word), b, : LENGTHS[b]].sum(axis=0)
            coverage = penalty * np.log(np.minimum(read, 1)).sum()
            np.testing.assert_allclose(found.log_probabilities[b, k], p, rtol=1e-9)
            np.testing.assert_allclose(found.scores[b, k], p / len(word) ** 0.8 + coverage, rtol=1e-9)
            seen += LENGTHS[b] > 1 and len(word) > 1
    assert seen > 3


def test_coverage_changes_what_is_best_and_the_search_knows():
    """The best of all targets under the penalty, found by an exhaustive beam, is that of the exact search."""
    model = model_of()
    differs = 0
    for seed in range(6):
        params = drawn_params(model, seed)
        predictor = model.predictor(params, SOURCES, LENGTHS)
        rule = {"stop": END, "coverage_penalty": 1.5}
        whole = nn.beam_search(predictor, predictor.prime, 4, 5**4, **rule)
        exact = nn.exact_search(predictor, predictor.prime, 4, width=2, **rule)
        narrow = nn.beam_search(predictor, predictor.prime, 4, 2, **rule)
        plain = nn.beam_search(predictor, predictor.prime, 4, 5**4, stop=END)
        assert exact.exact.all()
        np.testing.assert_allclose(exact.scores, whole.scores, rtol=1e-12)
        assert (narrow.scores[narrow.exact] >= whole.scores[narrow.exact] - 1e-12).all()
        differs += sum(tuple(plain.sequence(b)) != tuple(whole.sequence(b)) for b in range(6))
    assert differs > 0


def test_a_batch_is_each_alone_and_threads_change_nothing(tune):
    model = model_of()
    params = drawn_params(model, 4, "float32")
    rule = {"length": 6, "width": 4, "n_best": 4, "coverage_penalty": 0.3}
    numba.set_num_threads(1)
    together = model.decode(params, SOURCES, LENGTHS, **rule)
    for b in range(6):
        alone = model.decode(params, SOURCES[:, b : b + 1], LENGTHS[b : b + 1], **rule)
        np.testing.assert_array_equal(together.scores[b], alone.scores[0])
    tune(min_parallel_flops=0)
    numba.set_num_threads(3)
    several = model.decode(params, SOURCES, LENGTHS, **rule)
    np.testing.assert_array_equal(together.scores, several.scores)


def test_scheduled_sampling_with_attention(rng):
    """Its own symbols are the most probable ones of the run over what was read."""
    words = {"classes": CLASSES, "begin": BEGIN, "end": END, "feeding": nn.free_running("greedy")}
    decoder = nn.recurrent(rd.cells.attention(LSTM, keys="3", values="6"), 4)
    model = nn.encoder_decoder(reader(nn.recurrent(GRU, 6)), decoder, **words)
    params = drawn_params(model, 5)
    batch = nn.Pairs(SOURCES, rng.integers(2, CLASSES, (5, 6)), LENGTHS, [5, 0, 3, 5, 2, 1])
    run = model.run(params, batch, None, np.random.default_rng(0))
    t, b = np.nonzero(run.own)
    assert len(t) > 10
    np.testing.assert_array_equal(run.fed[t, b], run.output[t - 1, b].argmax(axis=-1))


def test_errors():
    with refused("decoder", "6 numbers", "values='6'"):
        cell = rd.cells.attention(LSTM, values="5")
        nn.encoder_decoder(reader(nn.recurrent(GRU, 6)), nn.recurrent(cell, 4), classes=4, begin=0)
    layer = nn.recurrent(rd.cells.attention(LSTM), 4, input_size=2)
    params, x = layer.init(), np.zeros((3, 2, 2), "float32")
    memory = {"keys": np.zeros((5, 2, 4), "float32"), "values": np.zeros((5, 2, 4), "float32")}
    assert layer(params, x, nn.Context(memory=memory, memory_lengths=[5, 0]))[0].shape == (3, 2, 4)
    with refused("memory", "keys, values"):
        layer(params, x)
    with refused("memory", "keys, values"):
        layer(params, x, nn.Context(memory={"keys": memory["keys"]}))
    plain = nn.recurrent(LSTM, 4, input_size=2)
    with refused("memory"):
        plain(plain.init(), x, nn.Context(memory=memory))
    with refused("memory_lengths", "no memory"):
        plain(plain.init(), x, nn.Context(memory_lengths=[1, 2]))
    with refused("memory['keys']", "one width"):
        two = (nn.recurrent(rd.cells.attention(LSTM), 4, 2), nn.recurrent(rd.cells.attention(LSTM), 5))
        nn.chain(*two)(nn.chain(*two).init(), x, nn.Context(memory=memory))
    model = models()["dense"]
    with refused(wrong_type("predictor", "coverage")):
        chain = nn.FunctionPredictor(lambda state, symbols: (np.zeros((len(symbols), 1)), state), 1)
        nn.beam_search(chain, [0], 3, coverage_penalty=0.5)
    with refused("coverage_penalty"):
        model.decode(model.init(), SOURCES, length=3, coverage_penalty=-1.0)
