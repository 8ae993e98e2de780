"""Transformations that compose with an optimizer: as the short arguments of `fit`, with states, in files."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import training
from recurrent_dynamics.training import chain
from recurrent_dynamics.training.optimizers import advance
from recurrent_dynamics.training.tree import map_leaves

MODEL = rd.nn.Model(rd.cells.elman(), 5, vocabulary_size=4)
WORDS = np.random.default_rng(0).integers(0, 4, (7, 3))


def matrices(path, array):
    return array.ndim > 1


def squares(params):
    return training.l2_penalty(params, 0.3)


def run(optimizer, **options):
    return training.fit(
        MODEL, MODEL.init(rng=1), [(WORDS[:-1], WORDS[1:])], optimizer=optimizer, learning_rate=0.05, progress=False,
        **{"updates": 4} | options,
    )  # fmt: skip


def vector(result):
    return rd.ravel(result.params)[0]


def average(rate=0.5):
    """The mean of the gradients so far: a transformation with a state."""

    def update(grads, state, params, learning_rate):
        mean = map_leaves(lambda m, g: (1 - rate) * m + rate * g, state["mean"], grads)
        return mean, {"mean": mean}

    return training.Transformation(update, lambda params: {"mean": map_leaves(np.zeros_like, params)})


def test_the_short_arguments_of_fit_are_a_chain_to_the_bit():
    short = run("adam", clip_norm=0.1, clip_value=0.05, l2=0.2, penalty=squares)
    long = run(
        chain(
            training.l2(0.2),
            training.penalty(squares),
            training.clip_value(0.05),
            training.clip_norm(0.1),
            "adam",
        )
    )
    np.testing.assert_array_equal(vector(short), vector(long))
    for column in ("loss", "grad_norm", "clipped_norm", "update_norm"):
        np.testing.assert_array_equal(short.history[column], long.history[column])
    assert (long.history["clipped_norm"] < long.history["grad_norm"]).all()


def test_weight_decay_behind_adam_is_adamw_to_the_bit():
    expected = run(training.adamw(weight_decay=0.3, only=matrices), clip_norm=0.1)
    found = run(chain(training.clip_norm(0.1), training.adam(), training.weight_decay(0.3, matrices)))
    np.testing.assert_array_equal(vector(found), vector(expected))
    # Two transformations of the step, which no pass has in one.
    twice = run(chain(training.clip_norm(0.1), "adam", *[training.weight_decay(0.15, matrices)] * 2))
    np.testing.assert_allclose(vector(twice), vector(expected), atol=1e-6)
    np.testing.assert_allclose(twice.history["clipped_norm"], expected.history["clipped_norm"], rtol=1e-5)
    np.testing.assert_allclose(twice.history["update_norm"], expected.history["update_norm"], rtol=1e-4)


def test_decay_and_penalty_differ_where_an_optimizer_rescales():
    decayed = run(chain(training.adam(), training.weight_decay(0.5)))
    penalized = run(chain(training.l2(0.5), training.adam()))
    assert np.abs(vector(decayed) - vector(penalized)).max() > 1e-3
    # Of plain descent they are one.
    decayed, penalized = run(chain("sgd", training.weight_decay(0.5))), run(chain(training.l2(0.5), "sgd"))
    np.testing.assert_allclose(vector(decayed), vector(penalized), atol=1e-6)


def test_order_counts():
    """What is added after clipping is not clipped."""
    params, grads = {"w": np.array([3.0, 4.0])}, {"w": np.zeros(2)}
    for parts, expected in (
        ((training.l2(1.0), training.clip_norm(1.0)), [-0.6, -0.8]),
        ((training.clip_norm(1.0), training.l2(1.0)), [-3.0, -4.0]),
    ):
        optimizer = chain(*parts, training.sgd())
        steps, _ = optimizer.update(grads, {}, params, 1.0)
        np.testing.assert_allclose(steps["w"], expected)
        after = advance(optimizer, grads, {}, params, 1.0)
        np.testing.assert_allclose(after.params["w"], params["w"] + expected)
        assert after.clipped == pytest.approx(np.linalg.norm(expected))


def test_the_norms_of_the_history_are_those_before_and_after_clipping():
    optimizer = chain(training.clip_value(2.0), training.clip_norm(1.0), training.sgd())
    grads, params = {"w": np.array([3.0, 4.0])}, {"w": np.zeros(2)}
    after = advance(optimizer, grads, {}, params, 1.0)
    assert (after.norm, after.clipped) == (5.0, 1.0)
    assert advance(optimizer, grads, {}, params, 1.0, max_norm=0.5).clipped == pytest.approx(0.5)
    for g in (np.nan, np.inf):
        after = advance(optimizer, {"w": np.array([g, 1.0])}, {}, params, 1.0)
        assert not np.isfinite(after.norm)
        assert after.params["w"] is params["w"]


def test_a_state_is_kept_in_checkpoints(tmp_path):
    optimizer = chain(average(), training.clip_norm(1.0), training.adam())
    whole = run(optimizer, updates=6)
    assert np.abs(vector(whole) - vector(run(chain(training.clip_norm(1.0), "adam"), updates=6))).max() > 1e-3
    path = tmp_path / "run.npz"
    run(optimizer, updates=3, checkpoint=path)
    assert set(training.load_checkpoint(path).optimizer_state) == {"0", "2"}
    resumed = run(optimizer, updates=6, checkpoint=path, resume=True)
    np.testing.assert_array_equal(vector(resumed), vector(whole))
    # Without states of its own, a chain has that of its optimizer, so that older checkpoints go on.
    params = MODEL.init(rng=1)
    assert chain(training.clip_norm(1.0), "adam").init(params).keys() == training.adam().init(params).keys()


def test_chains_within_chains():
    inner = chain(training.l2(0.1), average(), training.adam(), training.weight_decay(0.1))
    outer = chain(training.clip_norm(0.1), inner)
    flat = chain(training.clip_norm(0.1), training.l2(0.1), average(), "adam", training.weight_decay(0.1))
    np.testing.assert_array_equal(vector(run(outer)), vector(run(flat)))
    params = MODEL.init(rng=1)
    _, grads = MODEL.loss_and_grad(params, (WORDS[:-1], WORDS[1:]))
    steps, state = flat.update(grads, flat.init(params), params, 0.1)
    after = advance(flat, grads, flat.init(params), params, 0.1)
    np.testing.assert_allclose(
        rd.ravel(training.apply_updates(params, steps))[0], rd.ravel(after.params)[0], atol=1e-6
    )
    assert state.keys() == after.state.keys()


def test_an_optimizer_that_is_not_elementwise():
    params = {"W": np.eye(3)}
    own = training.Optimizer(lambda p: {}, lambda g, s, p, rate: ({"W": -rate * g["W"]}, s))
    after = advance(
        chain(training.clip_norm(1.0), own, training.weight_decay(1.0)), {"W": np.eye(3)}, {}, params, 0.1
    )
    np.testing.assert_allclose(after.params["W"], np.eye(3) * (1 - 0.1 / np.sqrt(3) - 0.1))


def test_advice_of_a_divergence_knows_whether_the_gradient_is_clipped():
    huge = training.Transformation(
        lambda grads, state, params, rate: (map_leaves(lambda g: g * np.nan, grads), state)
    )
    for parts, clips in (
        ((), False),
        ((training.clip_value(1.0),), True),
        ((training.clip_norm(1.0),), True),
    ):
        with pytest.raises(training.DivergenceError) as caught:
            run(chain(huge, *parts, "sgd"))
        assert ("clip the gradient" in str(caught.value)) is not clips


CLIP, DECAY = training.clip_norm(1.0), training.weight_decay(0.1)
REFUSED = [
    (lambda: chain(), ("parts", "one optimizer", "none")),
    (lambda: chain(CLIP), ("parts", "one optimizer", "gradient")),
    (lambda: chain("adam", CLIP), ("parts", "this order", "an optimizer, a transformation of the gradient")),
    (lambda: chain(DECAY, "adam"), ("parts", "this order", "step, an optimizer")),
    (lambda: chain("adam", "sgd"), ("parts", "one optimizer", "an optimizer, an optimizer")),
    (lambda: chain("lion"), ("parts", "adam", "lion")),
    (lambda: chain(CLIP, training.adam), wrong_type("optimizer", came="call it")),
    (lambda: training.clip_norm(0.0), ("max_norm", "0", "0.0")),
    (lambda: training.clip_value(-1.0), ("limit", "0", "-1.0")),
    (lambda: training.l2(-0.1), ("strength", "0", "-0.1")),
    (lambda: training.weight_decay(np.nan), ("strength", "0", "nan")),
    (lambda: training.penalty(0.1), wrong_type("function", "of the parameters", "0.1")),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call, said):
    with refused(*(said if type(said) is tuple else (said,))):
        call()
