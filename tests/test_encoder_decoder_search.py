"""Searches over an encoder-decoder: a batch of sources against all targets, against rescoring, against each alone."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused
from seq2seq_models import GRU, LSTM, reader

from recurrent_dynamics import nn

CLASSES, BEGIN, END = 5, 0, 1
SOURCES = np.random.default_rng(0).integers(0, 6, (4, 6))
LENGTHS = np.array([4, 1, 0, 3, 2, 4])


def model_of(kind="copy"):
    words = {"classes": CLASSES, "begin": BEGIN, "end": END}
    stack = nn.chain(nn.recurrent(LSTM, 4), nn.dropout(0.5), nn.recurrent(GRU, 4))
    if kind == "copy":
        return nn.encoder_decoder(reader(stack), stack, **words, start="copy")
    return nn.encoder_decoder(reader(nn.recurrent(GRU, 6)), stack, **words, every_step=True)


def drawn_params(model, seed, dtype="float64"):
    """With logits far enough apart that no two targets are nearly as probable."""
    params = model.init(rng=seed, dtype=dtype)
    params["readout"]["W"] *= np.array(12, dtype)
    params["encoder"]["0"]["table"] *= np.array(3, dtype)
    return params


def log_probability(model, params, b, word, ended):
    """Of a target, by the run that is told it."""
    target = np.array([*word, BEGIN])[:, None]  # what is beyond its length is not read
    pairs = nn.Pairs(SOURCES[:, b : b + 1], target, LENGTHS[b : b + 1], [len(word)])
    logits = model.run(params, pairs, tape=False).output[: len(word) + 1, 0].astype(float)
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    followed = [*word, END] if ended else list(word)
    return logarithms[np.arange(len(followed)), followed].sum()


def all_targets(model, params, b, length, shortest=0):
    """(log-probability, symbols) of every target that ends within the length."""
    symbols = [s for s in range(CLASSES) if s != END]
    words = (w for n in range(shortest, length) for w in itertools.product(symbols, repeat=n))
    return [(log_probability(model, params, b, word, True), word) for word in words]


@pytest.mark.parametrize("kind", ["copy", "every step"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_score_of_a_beam_is_that_of_the_told_target(kind, dtype):
    model = model_of(kind)
    params = drawn_params(model, 1, dtype)
    found = model.decode(params, SOURCES, LENGTHS, length=7, width=6, n_best=6, length_penalty=0.7)
    assert len(set(found.lengths.ravel().tolist())) > 2
    for b, k in np.ndindex(*found.lengths.shape):
        word, ended = found.sequence(b, k).tolist(), bool(found.ended[b, k])
        p = log_probability(model, params, b, word, ended)
        tolerance = 1e-4 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(found.log_probabilities[b, k], p, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.scores[b, k], p / (len(word) + ended) ** 0.7, rtol=tolerance)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["copy", "every step"]),
    penalty=st.sampled_from([0.0, 1.0, -0.8]),
    shortest=st.integers(0, 2),
    width=st.integers(1, 5),
)
def test_searches_against_all_targets(seed, kind, penalty, shortest, width):
    model = model_of(kind)
    params, length = drawn_params(model, seed), 4
    predictor = model.predictor(params, SOURCES, LENGTHS)
    rule = {"stop": END, "length_penalty": penalty, "minimum_length": shortest}
    exact = nn.exact_search(predictor, predictor.prime, length, width=width, **rule)
    beam = nn.beam_search(predictor, predictor.prime, length, width, **rule)
    assert exact.exact.all()
    for b in range(0, SOURCES.shape[1], 2):
        scores = {w: p / (len(w) + 1) ** penalty for p, w in all_targets(model, params, b, length, shortest)}
        best = max(scores.values())
        np.testing.assert_allclose(exact.scores[b, 0], best, rtol=1e-9)
        np.testing.assert_allclose(scores[tuple(exact.sequence(b))], best, rtol=1e-9)
        if beam.exact[b]:
            np.testing.assert_allclose(beam.scores[b, 0], best, rtol=1e-9)
        if beam.ended[b, 0]:
            np.testing.assert_allclose(scores[tuple(beam.sequence(b))], beam.scores[b, 0], rtol=1e-9)


def test_a_batch_of_sources_is_each_alone_to_the_bit():
    model = model_of()
    params = drawn_params(model, 2)
    together = model.decode(params, SOURCES, LENGTHS, length=6, width=4, n_best=4)
    for b in range(6):
        alone = model.decode(params, SOURCES[:, b : b + 1], LENGTHS[b : b + 1], length=6, width=4, n_best=4)
        for name in ("lengths", "log_probabilities", "scores", "ended", "exact", "bounds"):
            np.testing.assert_array_equal(getattr(together, name)[b], getattr(alone, name)[0], err_msg=name)
        np.testing.assert_array_equal(together.sequence(b), alone.sequence())
    one = model.decode(params, SOURCES, LENGTHS, length=6, width=4)
    np.testing.assert_array_equal(one.scores[:, 0], together.scores[:, 0])  # whatever n_best is


def test_a_beam_of_one_is_greedy():
    model = model_of("every step")
    params = drawn_params(model, 3)
    predictor = model.predictor(params, SOURCES, LENGTHS)
    greedy = nn.sample(predictor, predictor.prime, 8, temperature=0, stop=END)
    beam = model.decode(params, SOURCES, LENGTHS, length=8, width=1)
    assert beam.lengths.max() > 0
    for b in range(6):
        np.testing.assert_array_equal(beam.sequence(b), greedy[: beam.lengths[b, 0], b])


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads, tune):
    model = model_of("every step")
    params = drawn_params(model, 4, "float32")
    numba.set_num_threads(1)
    one = model.decode(params, SOURCES, LENGTHS, length=6, width=5, n_best=5)
    tune(min_parallel_flops=0)
    numba.set_num_threads(threads)
    several = model.decode(params, SOURCES, LENGTHS, length=6, width=5, n_best=5)
    np.testing.assert_array_equal(one.log_probabilities, several.log_probabilities)


def test_shortest_and_longest_targets():
    model = model_of()
    params = drawn_params(model, 5)
    free = model.decode(params, SOURCES, LENGTHS, length=9, width=8)
    found = model.decode(params, SOURCES, LENGTHS, length=9, width=8, minimum_length=4)
    assert free.lengths.min() < 4
    assert (found.lengths >= 4).all()
    assert (found.scores <= free.scores).all()
    short = model.decode(params, SOURCES, LENGTHS, length=1, width=8)
    assert (short.lengths[short.ended] == 0).all()


def test_what_is_read_first_is_given():
    words = {"classes": CLASSES, "end": END}
    model = nn.encoder_decoder(reader(nn.recurrent(GRU, 4)), nn.recurrent(GRU, 4), **words)
    params = drawn_params(model, 6)
    first = np.array([0, 2, 3, 4, 2, 3])
    found = model.decode(params, SOURCES, LENGTHS, length=5, width=3, first=first)
    for b in range(6):
        word = found.sequence(b)
        pairs = nn.Pairs(SOURCES[:, b : b + 1], np.array([*word, 0])[:, None], LENGTHS[b : b + 1], [len(word)],
                         first[b : b + 1])  # fmt: skip
        loss = model.loss(params, pairs) * (len(word) + 1)
        if found.ended[b, 0]:
            np.testing.assert_allclose(-found.log_probabilities[b, 0], loss, rtol=1e-9)
    with refused("first", "begin symbol"):
        model.decode(params, SOURCES, length=5)


def test_later_changes_of_the_parameters_do_not_count():
    model = model_of()
    params = drawn_params(model, 7)
    predictor = model.predictor(params, SOURCES, LENGTHS)
    before = nn.beam_search(predictor, predictor.prime, 5, 3, stop=END)
    params["readout"]["W"] *= 0
    params["embedding"]["table"] *= 0
    after = nn.beam_search(predictor, predictor.prime, 5, 3, stop=END)
    np.testing.assert_array_equal(before.scores, after.scores)


def test_errors():
    model = model_of()
    params = drawn_params(model, 8)
    predictor = model.predictor(params, SOURCES, LENGTHS)
    assert repr(predictor) == "SourcePredictor(6 sources, 5 symbols)"
    with refused("prime", "6 sequences", "5"):
        nn.beam_search(predictor, predictor.prime[:, :5], 4)
    with refused("source", "(S, B)"):
        model.decode(params, SOURCES.astype(float), length=3)
    with refused("model", "real targets"):
        model.free_run(params, SOURCES, steps=3)
    numbers = nn.encoder_decoder(nn.dense(3, 4), nn.recurrent(GRU, 4), output_size=2)
    with refused("model", "have symbols"):
        numbers.predictor(numbers.init(), np.zeros((2, 3), "float32"))
    with refused("steps"):
        numbers.free_run(numbers.init(), np.zeros((2, 3), "float32"), steps=0)
