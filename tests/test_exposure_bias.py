"""Exposure bias: Markov chains in closed form, all prefixes one by one, samples; growth against differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from refusals import refused, wrong_type
from seq2seq_models import GRU, LSTM, models, reader

import recurrent_dynamics as rd
from recurrent_dynamics import nn

CLASSES, BEGIN, END = 4, 0, 1
SOURCES = np.random.default_rng(0).integers(0, 6, (3, 5))
TARGET = np.random.default_rng(1).integers(2, CLASSES, (3, 5))
LENGTHS = np.array([3, 0, 2, 1, 3])


def model_of():
    words = {"classes": CLASSES, "begin": BEGIN, "end": END}
    return nn.encoder_decoder(reader(nn.recurrent(GRU, 5)), nn.recurrent(LSTM, 4), **words)


def drawn_params(seed):
    params = model_of().init(rng=seed, dtype="float64")
    params["readout"]["W"] *= 5
    return params


def test_a_markov_chain_in_closed_form(rng):
    """Only the last symbol counts, whose own distribution is a power of the transition matrix."""
    shares = rng.dirichlet(np.ones(3), 3)
    chain = nn.FunctionPredictor(lambda state, symbols: (np.log(shares)[symbols], state), 3)
    target = rng.integers(0, 3, (6, 2))
    found = nn.exposure_bias(chain, target, prime=[[0, 2]])
    between = (shares[:, None] * np.log(shares[:, None] / shares)).sum(axis=2)  # given, own
    for t in range(1, 6):
        own = np.linalg.matrix_power(shares, t)[[0, 2]]
        expected = [between[target[t - 1, b]] @ own[b] for b in (0, 1)]
        np.testing.assert_allclose(found.divergence[t], np.mean(expected), rtol=1e-10)
    assert found.exact
    assert found.divergence[0] == 0
    np.testing.assert_allclose(found.going_on, 1)


def told(model, params, b, prefix):
    """The distribution after a prefix, by a run that is told it."""
    pairs = nn.Pairs(SOURCES[:, b : b + 1], np.array([*prefix, BEGIN])[:, None], target_lengths=[len(prefix)])
    logits = model.run(params, pairs, tape=False).output[len(prefix), 0]
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


def test_all_prefixes_one_by_one():
    model, params = model_of(), drawn_params(2)
    found = nn.exposure_bias(model.predictor(params, SOURCES), TARGET, LENGTHS, stop=END)
    symbols = [s for s in range(CLASSES) if s != END]
    lag_sum, lag_weight = np.zeros(3), np.zeros(3)
    for t in range(4):
        divergence, same, going_on = [], [], []
        for b in np.flatnonzero(LENGTHS >= t):
            given = TARGET[:t, b].tolist()
            p_given = told(model, params, b, given)
            rows = []
            for prefix in itertools.product(symbols, repeat=t):
                w = np.prod([told(model, params, b, prefix[:k])[prefix[k]] for k in range(t)])
                d = (p_given * np.log(p_given / told(model, params, b, prefix))).sum()
                rows.append((w, d))
                differs = [k for k in range(t) if prefix[k] != given[k]]
                if differs:
                    lag_sum[t - differs[0] - 1] += w * d
                    lag_weight[t - differs[0] - 1] += w
                else:
                    same.append(w)
            w, d = np.transpose(rows)
            divergence.append(w @ d / w.sum())
            going_on.append(w.sum())
        np.testing.assert_allclose(found.divergence[t], np.mean(divergence), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(found.same_prefix[t], np.mean(same), rtol=1e-9)
        np.testing.assert_allclose(found.going_on[t], np.mean(going_on), rtol=1e-9)
    np.testing.assert_allclose(found.by_lag, lag_sum / lag_weight, rtol=1e-9)
    np.testing.assert_allclose(found.lag_weight, lag_weight / 5, rtol=1e-9)
    slope = np.polyfit(range(3), np.log(found.by_lag), 1, w=np.sqrt(lag_weight))[0]
    np.testing.assert_allclose(found.growth, slope, rtol=1e-9)


def test_samples_agree_with_all_prefixes():
    model, params = model_of(), drawn_params(3)
    predictor = model.predictor(params, SOURCES)
    exact = nn.exposure_bias(predictor, TARGET, stop=END)
    found = nn.exposure_bias(predictor, TARGET, stop=END, samples=4000, rng=1)
    assert exact.exact
    assert not found.exact
    assert not exact.standard_error.any()
    assert (found.standard_error[1:] > 0).all()
    assert (found.standard_error[1:] < 0.1 * exact.divergence[1:]).all()
    assert (np.abs(found.divergence - exact.divergence) < 4 * found.standard_error + 1e-12).all()
    np.testing.assert_allclose(found.by_lag, exact.by_lag, rtol=0.1)
    few = nn.exposure_bias(predictor, TARGET, stop=END, limit=10)
    assert not few.exact


def test_a_model_without_memory_has_none():
    shares = np.log([0.5, 0.3, 0.2])
    coin = nn.FunctionPredictor(lambda state, symbols: (np.tile(shares, (len(symbols), 1)), state), 3)
    found = nn.exposure_bias(coin, [[0], [1], [2]], prime=[0])
    np.testing.assert_array_equal(found.divergence, 0)
    np.testing.assert_allclose(found.same_prefix, [1, 0.5, 0.15])
    assert np.isnan(found.growth)


def test_scheduled_sampling_cannot_be_seen_in_what_is_not_read():
    """Training on the own prefixes brings both distributions nearer: a constant target after a misleading symbol."""
    errors = {}
    for name, feeding in (("told", nn.teacher_forcing()), ("sampled", nn.scheduled_sampling(0.3))):
        words = {"classes": CLASSES, "begin": BEGIN, "end": END, "feeding": feeding}
        model = nn.encoder_decoder(reader(nn.recurrent(GRU, 8)), nn.recurrent(GRU, 8), **words)
        rng = np.random.default_rng(0)
        source = rng.integers(0, 6, (2, 64))
        target = np.where(rng.random((5, 64)) < 0.5, 2, 3)
        fitted = rd.training.fit(model, model.init(rng=0), [nn.Pairs(source, target)], optimizer="adam",
                                 learning_rate=0.02, updates=150, progress=False)  # fmt: skip
        predictor = model.predictor(fitted.params, source[:, :20])
        errors[name] = nn.exposure_bias(predictor, target[:, :20], stop=END).divergence[1:].mean()
    assert errors["sampled"] < errors["told"]


@pytest.mark.parametrize("name", ["numbers", "numbers every step", "attention to numbers"])
def test_jacobians_of_the_closed_loop_against_differences(name, rng):
    """Of several steps: outputs move as the product of the Jacobians says."""
    model = models()[name]
    params, source = model.init(rng=4, dtype="float64"), rng.standard_normal((4, 3, 3))
    first = rng.standard_normal((3, 2))
    found = nn.loop_growth(model, params, source, [4, 2, 3], steps=5, first=first)
    free = model.free_run(params, source, [4, 2, 3], steps=5, first=first)
    np.testing.assert_allclose(found.outputs, free, rtol=1e-12)
    u = rng.standard_normal((3, 2))
    up, down = (
        model.free_run(params, source, [4, 2, 3], steps=5, first=first + h * u) for h in (1e-6, -1e-6)
    )
    moved = np.zeros((3, found.jacobians.shape[-1]))
    moved[:, -2:] = u
    for t, J in enumerate(found.jacobians):
        moved = (J @ moved[..., None])[..., 0]
        np.testing.assert_allclose(moved[:, -2:], (up[t] - down[t]) / 2e-6, rtol=1e-6, atol=1e-9)


def test_the_growth_is_that_of_the_products(rng):
    model = models()["numbers"]
    found = nn.loop_growth(
        model, model.init(rng=5), rng.standard_normal((4, 2, 3)).astype("float32"), steps=6
    )
    for b in range(2):
        product = np.eye(12)
        for J in found.jacobians[:, b]:
            product = J @ product
        np.testing.assert_allclose(found.closed[-1, b], np.log(np.linalg.norm(product, 2)), rtol=1e-9)
        inner = np.linalg.multi_dot([J[:10, :10] for J in found.jacobians[::-1, b]])
        np.testing.assert_allclose(found.open[-1, b], np.log(np.linalg.norm(inner, 2)), rtol=1e-9)
    np.testing.assert_allclose(found.rate, found.closed[-1] / 6)
    np.testing.assert_allclose(found.open_rate, found.open[-1] / 6)


def test_a_linear_loop_in_closed_form():
    """h' = tanh(w x), y = v h near 0: the loop multiplies by w v, without feedback everything is forgotten."""
    model = nn.encoder_decoder(nn.dense(1, 1), nn.recurrent(rd.cells.elman(), 1), output_size=1)
    params = model.init(rng=0, dtype="float64")
    params["decoder"] = {"W": np.array([[2.0]]), "U": np.array([[0.0]]), "b": np.zeros(1)}
    params["readout"] = {"W": np.array([[0.75]]), "b": np.zeros(1)}
    params["start"]["W"][:] = params["start"]["b"][:] = 0
    found = nn.loop_growth(model, params, np.zeros((1, 1)), steps=40)
    np.testing.assert_allclose(np.diff(found.closed[:, 0]), np.log(1.5), rtol=1e-9)
    assert found.open_rate[0] < -100


def test_errors():
    model, params = model_of(), drawn_params(4)
    predictor = model.predictor(params, SOURCES)
    good = {"predictor": predictor, "target": TARGET}
    for argument, changes in {
        "target": {"target": TARGET[:, :3]}, "target ": {"target": np.full((3, 5), 9)},
        "target  ": {"stop": 2}, "stop": {"stop": 4}, "samples": {"samples": 1}, "limit": {"limit": 0},
        "target_lengths": {"target_lengths": [1, 2]},
    }.items():  # fmt: skip
        with refused(argument.strip()):
            nn.exposure_bias(**good | changes)
    with refused("prime", "predictor that has none"):
        nn.exposure_bias(nn.FunctionPredictor(lambda state, s: (np.zeros((len(s), 1)), state), 1), [[0]])
    with refused("model", "real targets"):
        nn.loop_growth(model, params, SOURCES, steps=2)
    with refused(wrong_type("model", "EncoderDecoder")):
        nn.loop_growth(predictor, params, SOURCES, steps=2)
    numbers = models()["numbers"]
    with refused("steps"):
        nn.loop_growth(numbers, numbers.init(), np.zeros((2, 1, 3), "float32"), steps=0)
