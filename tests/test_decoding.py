"""Searches for the most probable sequences: Markov chains against all sequences, models against their own rescoring."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.nn import (
    FunctionPredictor,
    ModelPredictor,
    beam_search,
    exact_search,
    sample,
)


def chain(transition):
    """A Markov chain of probabilities (V, V): the next symbol depends on the last one alone."""
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.asarray(transition, float))
    return FunctionPredictor(lambda state, symbols: (logarithms[symbols], state), len(logarithms))


def memoryless(shares):
    return chain(np.tile(shares, (len(shares), 1)))


def random_chain(rng, classes, zeros=0.0):
    shares = rng.dirichlet(np.ones(classes), classes) * (rng.random((classes, classes)) >= zeros)
    return shares + (shares.sum(axis=1, keepdims=True) == 0) * np.eye(classes)


def all_sequences(transition, first, length, stop=None, penalty=0.0, shortest=0):
    """(score, log-probability, symbols) of every complete sequence, the best first."""
    with np.errstate(divide="ignore"):
        logarithms = np.log(transition)
    found, symbols = [], range(len(transition))
    for n in [length] if stop is None else range(shortest + 1, length + 1):
        for word in itertools.product([s for s in symbols if s != stop], repeat=n if stop is None else n - 1):
            whole = (first, *word) if stop is None else (first, *word, stop)
            p = sum(logarithms[a, b] for a, b in itertools.pairwise(whole))
            found.append((p / n**penalty, p, word))
    return sorted((f for f in found if f[0] > -np.inf), reverse=True)


@pytest.fixture(scope="module")
def language():
    """A model with its parameters, and logits far enough apart that no two sequences are nearly as probable."""
    model = rd.nn.Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=[5, 4], vocabulary_size=6)
    params = model.init(rng=3, dtype="float64")
    params["readout"]["W"] *= 8
    return model, params


PRIMES = np.array([[1, 2, 3, 0], [4, 0, 5, 1]])


def test_the_chain_of_allennlp():
    shares = np.array(
        [[0.0, 0.4, 0.3, 0.2, 0.1, 0.0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1],
         [0.2, 0.1, 0.2, 0.2, 0.2, 0.1]]
    )  # fmt: skip
    found = beam_search(chain(shares), [[0] * 5], length=10, width=3, n_best=3, stop=5)
    for b in range(5):
        assert [tuple(found.sequence(b, k)) for k in range(3)] == [(1, 2, 3, 4), (2, 3, 4), (3, 4)]
        np.testing.assert_allclose(found.log_probabilities[b], np.log([0.4, 0.3, 0.2]))
    assert found.ended.all()
    assert found.exact.all()
    np.testing.assert_allclose(found.bounds, np.log(0.1))
    assert found.sequences[:, 0].T.tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 5]]


def test_of_a_chain_whose_first_choice_misleads():
    shares = np.array(
        [[0.0, 0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.4, 0.3, 0.3], [0.0, 0.0, 0.0, 0.4, 0.6], [0.2, 0.1, 0.2, 0.1, 0.4],
         [0.2, 0.2, 0.2, 0.2, 0.2]]
    )  # fmt: skip
    found = beam_search(chain(shares), [0], length=4, width=3, n_best=3, stop=4)
    wanted = all_sequences(shares, 0, 4, stop=4)
    assert tuple(found.sequence()) == wanted[0][2] == (2,)
    np.testing.assert_allclose(np.exp(found.log_probabilities[0, 0]), 0.3 * 0.6)
    assert found.exact.tolist() == [True]
    greedy = sample(chain(shares), [0], length=4, temperature=0, stop=4)
    assert greedy.tolist() == [1, 2, 4]


@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(1, 4),
    length=st.integers(1, 5),
    width=st.integers(1, 6),
    penalty=st.sampled_from([0.0, 1.0, 0.6, -0.7, 2.5]),
    ends=st.booleans(),
    shortest=st.integers(0, 3),
    zeros=st.sampled_from([0.0, 0.4]),
)
def test_searches_against_all_sequences(seed, classes, length, width, penalty, ends, shortest, zeros):
    transition = random_chain(np.random.default_rng(seed), classes, zeros)
    predictor, stop = chain(transition), classes - 1 if ends else None
    shortest = min(shortest, length - 1) if ends else 0
    rule = {"stop": stop, "length_penalty": penalty, "minimum_length": shortest}
    wanted = all_sequences(transition, 0, length, stop, penalty, shortest)
    scores = {word: score for score, _, word in wanted}

    beam = beam_search(predictor, [0], length, width, n_best=width, **rule)
    for k in range(width):
        if beam.log_probabilities[0, k] > -np.inf and (beam.ended[0, k] or not ends):
            np.testing.assert_allclose(scores[tuple(beam.sequence(0, k))], beam.scores[0, k], atol=1e-12)
    words = [tuple(beam.sequence(0, k)) for k in range(width) if beam.log_probabilities[0, k] > -np.inf]
    assert len(set(words)) == len(words)
    left_out = [score for word, score in scores.items() if word not in words]
    if left_out:
        assert max(left_out) <= beam.bounds[0] + 1e-12
    best = wanted[0][0] if wanted else None
    if beam.exact[0]:
        np.testing.assert_allclose(beam.scores[0, 0], best, atol=1e-12)

    exact = exact_search(predictor, [0], length, width=width, **rule)
    assert exact.exact[0] == bool(wanted)
    if wanted:
        np.testing.assert_allclose(exact.scores[0, 0], best, atol=1e-12)
        np.testing.assert_allclose(scores[tuple(exact.sequence())], best, atol=1e-12)
        assert exact.ended[0, 0] == ends

    whole = beam_search(predictor, [0], length, classes**length, n_best=1, **rule)
    assert whole.exact[0] == bool(wanted)  # nothing is left out of a beam that holds all
    if wanted:
        np.testing.assert_allclose(whole.scores[0, 0], best, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), penalty=st.sampled_from([0.0, 1.0, -1.0, 3.0]))
def test_the_best_does_not_depend_on_how_many_are_wanted(seed, penalty):
    predictor = chain(random_chain(np.random.default_rng(seed), 4))
    rule = {"length": 7, "width": 5, "stop": 3, "length_penalty": penalty}
    several = [beam_search(predictor, [0], n_best=n, **rule) for n in range(1, 6)]
    for n, found in enumerate(several, start=1):
        assert found.scores.shape == (1, n)
        np.testing.assert_array_equal(found.scores[0, :1], several[0].scores[0])
        np.testing.assert_array_equal(found.sequence(), several[0].sequence())
        assert found.exact == several[0].exact
    predictions = [found.predictions for found in several]
    assert predictions == sorted(predictions)


@pytest.mark.parametrize(("penalty", "steps"), [(1.0, 30), (0.0, 8), (-0.5, 4)])
def test_it_ends_only_when_no_open_hypothesis_can_win(penalty, steps):
    """The end has .2 at every step: n symbols and the end score (n log .8 + log .2) / (n + 1) ** penalty."""
    for length in (2, 6, 30):
        predictor = memoryless([0.8, 0.2])
        found = beam_search(predictor, [0], length, width=2, stop=1, length_penalty=penalty)
        n = np.arange(length)
        scores = (np.log(0.8) * n + np.log(0.2)) / (n + 1) ** penalty
        np.testing.assert_allclose(found.scores[0, 0], scores.max())
        assert found.lengths[0, 0] == scores.argmax() == (length - 1 if penalty > 0 else 0)
        assert found.exact[0]
        assert found.predictions == min(length, steps)


def test_the_bound_of_a_negative_penalty_is_that_of_the_next_end():
    """Ends of .3 and of .7 * .99: without a penalty the second wins, at -1 the first, (log .3) * 1 > (log .693) * 4."""
    shares = [[0.0, 0.7, 0.0, 0.3], [0, 0, 1, 0], [0, 0, 0.0, 1.0], [0, 0, 0, 1]]
    for penalty, word, predictions in [(0.0, (1, 2), 3), (-1.0, (1, 2), 3), (-1.2, (), 2), (-6.0, (), 1)]:
        found = beam_search(chain(shares), [0], 9, width=4, stop=3, length_penalty=penalty)
        assert tuple(found.sequence()) == word, penalty
        assert found.exact[0]
        assert found.predictions == predictions, penalty


def test_what_has_ended_stays_as_it_is():
    """An end is not extended, and its log-probability is not changed by later steps."""
    shares = [0.5, 0.3, 0.2]
    found = beam_search(memoryless(shares), [0], length=6, width=4, n_best=4, stop=1)
    words = [tuple(found.sequence(0, k)) for k in range(4)]
    assert words == [(), (0,), (0, 0), (0, 0, 0)]
    assert found.ended.all()
    for k, word in enumerate(words):
        p = sum(np.log(shares[s]) for s in word) + np.log(shares[1])
        np.testing.assert_allclose(found.log_probabilities[0, k], p)


def test_the_beam_begins_with_one_hypothesis():
    """Copies of it would fill the beam with copies of the greedy sequence."""
    found = beam_search(memoryless([0.5, 0.3, 0.2]), [0], length=3, width=3, n_best=3)
    assert len({tuple(found.sequence(0, k)) for k in range(3)}) == 3


def test_places_without_a_hypothesis_never_win():
    """Two sequences can come at all; a third place stays empty."""
    found = beam_search(chain([[0.0, 0.5, 0.5], [0, 1, 0], [0, 0, 1]]), [0], length=4, width=3, n_best=3)
    assert [tuple(found.sequence(0, k)) for k in range(3)] == [(1, 1, 1, 1), (2, 2, 2, 2), ()]
    np.testing.assert_allclose(found.log_probabilities[0], [np.log(0.5), np.log(0.5), -np.inf])
    assert found.exact[0]
    dead = beam_search(chain([[0.0, 1.0], [0.0, 1.0]]), [0], length=3, width=2, stop=0)
    assert not dead.ended[0, 0]
    assert not dead.exact[0]
    nothing = FunctionPredictor(lambda state, symbols: (np.full((len(symbols), 2), -np.inf), state), 2)
    empty = beam_search(nothing, [0], length=3)
    assert empty.log_probabilities[0, 0] == -np.inf
    assert not empty.exact[0]
    assert empty.sequences.shape == (0, 1, 1)


def test_where_nothing_ends_the_best_unfinished_is_marked():
    found = beam_search(memoryless([0.6, 0.3, 0.1]), [0], length=3, width=2, n_best=2, stop=2)
    assert tuple(found.sequence()) == (0, 0, 0)
    assert found.ended.tolist() == [[False, False]]
    assert found.exact.tolist() == [False]
    np.testing.assert_allclose(found.scores[0, 0], 3 * np.log(0.6))


def test_what_has_ended_comes_before_what_has_not():
    shares = [[0.1, 0.9, 0.0], [0.0, 0.6, 0.4], [0, 0, 1]]
    found = beam_search(chain(shares), [0], length=3, width=3, n_best=3, stop=2)
    assert found.ended[0].tolist() == [True, True, False]
    assert found.scores[0, 2] > found.scores[0, 1] - 1


def test_the_end_first_is_an_empty_sequence():
    found = beam_search(memoryless([0.1, 0.9]), [0], length=5, width=2, stop=1)
    assert found.sequence().shape == (0,)
    assert found.lengths.tolist() == [[0]]
    assert found.sequences.shape == (0, 1, 1)
    assert found.ended[0, 0]
    assert found.exact[0]
    np.testing.assert_allclose(found.scores[0, 0], np.log(0.9))


def test_a_minimum_length_blocks_the_end():
    shares = np.array([0.1, 0.9])
    for shortest in range(4):
        found = beam_search(memoryless(shares), [0], 5, width=3, stop=1, minimum_length=shortest)
        assert found.sequence().tolist() == [0] * shortest
        np.testing.assert_allclose(found.scores[0, 0], shortest * np.log(0.1) + np.log(0.9))
        assert found.exact[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("penalty", [0.0, 0.8])
def test_states_go_with_their_hypotheses(language, dtype, penalty):
    """The probability of each sequence is that of the model that reads it from the beginning."""
    model, params = language
    params = model.init(rng=3, dtype=dtype)
    params["readout"]["W"] *= np.array(8, dtype)
    found = beam_search(
        ModelPredictor(model, params), PRIMES, 9, width=7, n_best=7, stop=2, length_penalty=penalty
    )
    assert len(set(found.lengths.ravel().tolist())) > 2
    for b, k in np.ndindex(*found.lengths.shape):
        word = found.sequence(b, k).tolist() + [2] * int(found.ended[b, k])
        read = np.array([*PRIMES[:, b], *word])
        logits = model.forward(params, read[:-1, None]).output[:, 0].astype(float)
        logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        p = logarithms[len(PRIMES) - 1 :][np.arange(len(word)), word].sum()
        tolerance = 1e-5 if dtype == "float32" else 1e-10
        np.testing.assert_allclose(found.log_probabilities[b, k], p, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(found.scores[b, k], p / len(word) ** penalty, rtol=tolerance)


@pytest.mark.parametrize("rule", [{}, {"stop": 2}, {"stop": 0, "minimum_length": 3, "length_penalty": 1.0}])
def test_a_batch_is_its_members(language, rule):
    predictor = ModelPredictor(*language)
    together = beam_search(predictor, PRIMES, 8, width=5, n_best=4, **rule)
    for b in range(PRIMES.shape[1]):
        alone = beam_search(predictor, PRIMES[:, b], 8, width=5, n_best=4, **rule)
        for name in ("lengths", "log_probabilities", "scores", "ended", "exact", "bounds"):
            np.testing.assert_array_equal(getattr(together, name)[b], getattr(alone, name)[0], err_msg=name)
        for k in range(4):
            np.testing.assert_array_equal(together.sequence(b, k), alone.sequence(0, k))


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(language, threads, tune):
    predictor = ModelPredictor(*language)
    rule = {"length": 6, "width": 4, "n_best": 4, "stop": 2}
    numba.set_num_threads(1)
    one = beam_search(predictor, PRIMES, **rule)
    tune(min_parallel_flops=0)
    numba.set_num_threads(threads)
    several = beam_search(predictor, PRIMES, **rule)
    np.testing.assert_array_equal(one.sequences, several.sequences)
    np.testing.assert_array_equal(one.log_probabilities, several.log_probabilities)


def test_a_beam_of_one_is_greedy(language):
    predictor = ModelPredictor(*language)
    greedy = sample(predictor, PRIMES, 10, temperature=0)
    beam = beam_search(predictor, PRIMES, 10, width=1)
    np.testing.assert_array_equal(beam.sequences[:, :, 0], greedy)
    for b in range(4):
        found, state = predictor.start(PRIMES[:, b : b + 1])
        p = 0.0
        for symbol in greedy[:, b]:
            p += found[0, symbol]
            found, state = predictor.step(state, np.array([symbol]))
        assert p == beam.log_probabilities[b, 0]  # to the bit
    stopped = sample(predictor, PRIMES, 10, temperature=0, stop=2)
    for penalty in (0.0, -2.0):  # a positive one looks for longer sequences
        beam = beam_search(predictor, PRIMES, 10, width=1, stop=2, length_penalty=penalty)
        padded = np.full((10, 4), 2)
        padded[: len(beam.sequences)] = beam.sequences[:, :, 0]
        np.testing.assert_array_equal(padded[: len(stopped)], stopped)


def test_equal_hypotheses_are_taken_in_order():
    """Of equal ones those with the better parent and the smaller symbol: alone and beside others."""
    predictor = memoryless([0.25] * 4)
    for primes in ([[0]], [[0, 3, 1]]):
        found = beam_search(predictor, primes, length=2, width=6, n_best=6)
        words = [tuple(found.sequence(0, k)) for k in range(6)]
        assert words == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


def test_a_beam_may_be_wider_than_the_vocabulary(language):
    predictor = ModelPredictor(*language)
    found = beam_search(predictor, PRIMES[:, :1], 3, width=6**3, n_best=6**3)
    assert found.exact[0]
    np.testing.assert_allclose(np.exp(found.log_probabilities).sum(), 1)  # all sequences that there are
    assert (np.diff(found.scores[0]) <= 0).all()
    exact = exact_search(predictor, PRIMES[:, :1], 3, width=1)
    np.testing.assert_array_equal(exact.sequence(), found.sequence())
    assert exact.scores[0, 0] == found.scores[0, 0]


def test_an_exact_search_ends_at_its_limit():
    flat = random_chain(np.random.default_rng(0), 6)
    found = exact_search(chain(flat), [[0, 1]], length=12, width=1, limit=5)
    assert not found.exact.any()
    assert (found.scores[:, 0] < found.bounds).all()
    full = exact_search(chain(flat), [[0, 1]], length=12, width=1)
    assert full.exact.all()
    assert (full.scores[:, 0] <= found.bounds).all()
    assert (full.scores >= found.scores).all()


def test_states_before_the_first_symbol(language):
    """Another network has read the sources: its final states are where the search begins."""
    model, params = language
    before = model.forward(params, PRIMES)
    found = beam_search(ModelPredictor(model, params, before.final), PRIMES[:1], 6, width=4)
    whole = beam_search(ModelPredictor(model, params), np.concatenate([PRIMES, PRIMES[:1]]), 6, width=4)
    np.testing.assert_array_equal(found.sequences, whole.sequences)
    np.testing.assert_allclose(found.scores, whole.scores, rtol=1e-12)


def test_the_state_of_a_function_has_rows():
    """A counter that forces the symbol of its row."""

    def count(state, symbols):
        n = state["n"] + 1
        with np.errstate(divide="ignore"):
            return np.log(np.eye(5)[n % 5]), {"n": n}

    found = beam_search(FunctionPredictor(count, 5, {"n": [0, 2, 3]}), [[0, 0, 0]], length=4, width=3)
    np.testing.assert_array_equal(found.sequences[:, :, 0].T, [[1, 2, 3, 4], [3, 4, 0, 1], [4, 0, 1, 2]])
    one = beam_search(FunctionPredictor(count, 5, {"n": [1]}), [[0, 0]], length=2)
    np.testing.assert_array_equal(one.sequences[:, :, 0], [[2, 2], [3, 3]])
    with refused("state", "hold arrays of 2 rows", "'n' of shape"):
        beam_search(FunctionPredictor(count, 5, {"n": [0, 2, 3]}), [[0, 0]], length=2)


def test_samples_of_a_chain_follow_its_probabilities():
    drawn = sample(memoryless([0.5, 0.3, 0.2]), np.zeros((1, 40), int), 100, rng=2)
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, [0.5, 0.3, 0.2], atol=0.03)
    assert set(sample(memoryless([0.5, 0.3, 0.2]), [0], 200, top_k=2).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, Refusal("width", "be an integer of at least 1")),
        ({"n_best": 3}, Refusal("n_best", "be an integer of at least 1 and of at most 2")),
        ({"length": 0}, Refusal("length", "be")),
        ({"stop": 3}, Refusal("stop", "be an integer of at least 0 and of at most 2")),
        ({"length_penalty": np.nan}, Refusal("length_penalty", "be a finite number")),
        ({"minimum_length": 2}, Refusal("minimum_length", "be 0 without an end symbol")),
        ({"minimum_length": 4, "stop": 0}, Refusal("minimum_length", "be below the length 4")),
        ({"prime": []}, Refusal("prime", "hold at least one")),
        ({"prime": [[0, 3]]}, Refusal("prime", "be class indices in 0..2", "3")),
        ({"prime": [0.5]}, wrong_type("prime", "be class indices")),
        ({"prime": "abc"}, wrong_type("prime", came="the text 'abc'")),
        ({"predictor": object()}, wrong_type("predictor", "have vocabulary_size, start, step and take")),
    ],
)
def test_errors(options, message):
    arguments = {"predictor": memoryless([0.5, 0.3, 0.2]), "prime": [0], "length": 4, "width": 2} | options
    with refused(message):
        beam_search(**arguments)
    arguments.pop("n_best", None)
    if "n_best" not in options:
        with refused(message):
            exact_search(**arguments)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.zeros((1, 2)), Refusal("predictor.start", "return log-probabilities of shape (1, 3)")),
        (np.array([[0.5, 0.2, 0.3]]), Refusal("predictor.start", "return logarithms of probabilities")),
        (np.array([[np.nan, -1, -1]]), Refusal("predictor.start", "return logarithms", "nan")),
    ],
)
def test_errors_of_what_a_predictor_returns(returned, message):
    wrong = FunctionPredictor(lambda state, symbols: (returned, state), 3)
    with refused(message):
        beam_search(wrong, [0], length=4)


def test_a_draw_needs_a_symbol_that_can_come():
    nothing = FunctionPredictor(lambda state, symbols: (np.full((len(symbols), 2), -np.inf), state), 2)
    with refused("predictor", "give a symbol that can come next"):
        sample(nothing, [0], 1)


def test_errors_of_models():
    pooled = rd.nn.Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3, pool="last")
    with refused("model", "predict at every step"):
        ModelPredictor(pooled, pooled.init())
    real = rd.nn.Model(rd.cells.lstm(), hidden_size=4, input_size=3, output_size=3)
    with refused("model", "read and predict the classes of one vocabulary"):
        ModelPredictor(real, real.init())


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ({"stop": 2}, ["complete", "bound of what was left out"]),
        ({"stop": 2, "length": 1, "n_best": 3}, ["complete", "unfinished"]),
        ({"length_penalty": 1.0}, ["complete", "bound of what was left out"]),
    ],
)
def test_the_figure_says_what_is_complete(arguments, texts):
    predictor = memoryless([0.5, 0.3, 0.2])
    found = beam_search(predictor, [0], **({"length": 4, "width": 3} | arguments))
    ax = found.plot()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == texts
    drawn = np.concatenate([line.get_ydata() for line in ax.lines if line.get_linestyle() == "None"])
    np.testing.assert_array_equal(np.sort(drawn), np.sort(found.scores[0]))
    with refused("source", "be an integer of at least 0 and of at most 0"):
        found.plot(source=1)


def test_a_figure_of_nothing():
    nothing = FunctionPredictor(lambda state, symbols: (np.full((len(symbols), 2), -np.inf), state), 2)
    assert beam_search(nothing, [0], length=3).plot().get_legend() is None


def test_rows_of_a_state():
    cell = rd.cells.lstm()
    step = rd.stepper(cell, cell.init(2, 3, dtype="float64"))
    state = step.state({"h": np.arange(12.0).reshape(4, 3), "c": np.ones((4, 3))})
    twice = state.take(np.array([3, 0, 3]))
    np.testing.assert_array_equal(twice["h"], state["h"][[3, 0, 3]])
    x = np.random.default_rng(0).standard_normal((4, 2))
    np.testing.assert_array_equal(step(x[[3, 0, 3]], twice)["c"], step(x, state)["c"][[3, 0, 3]])
    for index in ([4], [-5], [0.5], 1):
        with refused("index", "rows 0..3"):
            state.take(np.array(index))
    with refused("index", "rows"):
        FunctionPredictor(lambda state, symbols: (None, state), 2).take(
            {"n": np.zeros((2, 1))}, np.array([2])
        )
    model = rd.nn.Model(cell, hidden_size=3, vocabulary_size=2)
    predictor = ModelPredictor(model, model.init(rng=0))
    _, begun = predictor.start(np.array([[0, 1]]))
    for rows in (begun, predictor.take(begun, np.array([1, 0]))):
        for index in ([2], [0.5], 1):
            with refused("index", "rows 0..1"):
                predictor.take(rows, np.array(index))
    after, out = step(x, state), state.like()
    step(x[1:3], state.part(slice(1, 3)), out=out.part(slice(1, 3)))
    np.testing.assert_array_equal(out["h"][1:3], after["h"][1:3])
