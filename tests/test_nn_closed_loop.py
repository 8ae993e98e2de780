"""Models that go on by themselves: sampling of classes, forecasts of real numbers."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.nn import Model, forecast, generate


def character_model():
    return Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=[5, 4], vocabulary_size=6)


def real_model(inputs=2, outputs=2):
    return Model(rd.cells.lstm(), 4, input_size=inputs, output_size=outputs, loss="mean_squared_error")


def memoryless(bias):
    """Every class is independent of the past."""
    model = Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=len(bias))
    params = model.init()
    params["readout"]["W"][:] = 0
    params["readout"]["b"][:] = bias
    return model, params


def test_greedy_sampling_takes_the_likeliest_class(rng):
    model = character_model()
    params = model.init(rng=3)
    drawn = generate(model, params, [1, 2, 3], length=6, temperature=0)
    sequence = [1, 2, 3]
    for _ in range(6):
        logits = model.forward(params, np.array(sequence)[:, None]).output[-1, 0]
        sequence.append(int(np.argmax(logits)))
    assert sequence[3:] == drawn.tolist()


def test_samples_follow_the_softmax_at_a_temperature():
    model = Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    params = model.init()
    params["readout"]["W"][:] = 0  # every symbol is then independent of the past
    params["readout"]["b"][:] = [0, 1, -1]
    drawn = generate(model, params, [0], length=3000, temperature=2.0, rng=1)
    expected = np.exp(np.array([0, 1, -1]) / 2)
    np.testing.assert_allclose(np.bincount(drawn) / 3000, expected / expected.sum(), atol=0.03)


def test_sampling_is_reproducible_and_extreme_temperatures_work():
    model = character_model()
    params = model.init()
    same = [generate(model, params, [0], length=20, rng=5) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    cold = generate(model, params, [0], length=20, temperature=1e-300)
    np.testing.assert_array_equal(cold, generate(model, params, [0], length=20, temperature=0))
    assert generate(model, params, [0], length=0).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prime": []}, Refusal("prime")),
        ({"prime": [6]}, Refusal("prime", "0..5", "6")),
        ({"length": -1}, Refusal("length")),
        ({"temperature": -0.5}, Refusal("temperature")),
        ({"temperature": np.nan}, Refusal("temperature")),
    ],
)
def test_errors_of_sampling(arguments, message):
    model = character_model()
    with refused(message):
        generate(model, model.init(), **({"prime": [0], "length": 1} | arguments))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 2}, [0, 2]),
        ({"top_p": 0.6}, [0, 2]),  # 0.5 alone does not reach it
        ({"top_p": 0.49}, [0]),
        ({"top_p": 0.81}, [0, 2, 3]),
        ({"top_k": 3, "top_p": 0.85}, [0, 2]),  # of the three, 0.5 + 0.3 is 0.89 of 0.9
        ({"top_p": 1.0}, [0, 1, 2, 3]),
    ],
)
def test_only_the_most_likely_classes_are_drawn_in_their_proportions(options, kept):
    shares = np.array([0.5, 0.1, 0.3, 0.1])
    model, params = memoryless(np.log(shares) + 3)
    if 3 in kept and len(kept) == 3:
        params["readout"]["b"][1] = np.log(0.09) + 3  # no tie
    drawn = generate(model, params, [0], length=2000, rng=1, **options)
    found = np.bincount(drawn, minlength=4) / 2000
    assert np.flatnonzero(found).tolist() == kept
    np.testing.assert_allclose(found[kept], shares[kept] / shares[kept].sum(), atol=0.04)


def test_primes_side_by_side_are_continued_like_each_alone():
    model = character_model()
    params = model.init(rng=3)
    primes = np.array([[1, 2, 3], [4, 0, 5], [2, 2, 1], [0, 1, 5]])
    together = generate(model, params, primes, length=12, temperature=0)
    assert together.shape == (12, 3)
    for b in range(3):
        alone = generate(model, params, primes[:, b], length=12, temperature=0)
        np.testing.assert_array_equal(together[:, b], alone)


def test_a_sequence_ends_with_the_stop_class():
    model, params = memoryless(np.zeros(5))
    whole = generate(model, params, [0], length=200, rng=2)
    ended = generate(model, params, [0], length=200, rng=2, stop=3)
    first = int(np.flatnonzero(whole == 3)[0])
    np.testing.assert_array_equal(ended, whole[: first + 1])
    several = generate(model, params, np.zeros((1, 4), int), length=200, rng=2, stop=3)
    ends = (several == 3).argmax(axis=0)
    assert len(several) == ends.max() + 1
    assert all((several[end:, b] == 3).all() for b, end in enumerate(ends))
    assert len(set(ends.tolist())) > 1


def test_text_as_a_prime_says_how_it_is_encoded():
    model = character_model()
    with refused(wrong_type("prime", came=("the text 'def ': encode it", "vocabulary.encode(prime)"))):
        generate(model, model.init(), "def ", length=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, Refusal("top_k", "be an integer of at least 1 and of at most 6")),
        ({"top_p": 0.0}, Refusal("top_p", "be")),
        ({"stop": 6}, Refusal("stop", "be")),
        ({"prime": np.zeros((1, 2, 1), int)}, Refusal("prime", "shape (n,) or (n, B)")),
    ],
)
def test_errors_of_the_other_options(options, message):
    model = character_model()
    with refused(message):
        generate(model, model.init(), **({"prime": [0], "length": 1} | options))


def test_a_forecast_is_the_run_over_its_own_predictions(rng):
    model = real_model()
    params = model.init(rng=1, dtype="float64")
    known = rng.standard_normal((6, 3, 2))
    found = forecast(model, params, known, steps=5)
    series = known
    for _ in range(5):
        series = np.concatenate([series, model.forward(params, series).output[-1:]])
    np.testing.assert_allclose(found, series[6:], atol=1e-12)
    np.testing.assert_array_equal(forecast(model, params, known[:, 0], steps=5), found[:, 0])
    assert forecast(model, params, known, steps=0).shape == (0, 3, 2)


def test_a_forecast_starts_at_the_end_of_each_series(rng):
    model = real_model()
    params = model.init(rng=1, dtype="float64")
    known, lengths = rng.standard_normal((6, 3, 2)), np.array([6, 2, 4])
    found = forecast(model, params, known, steps=4, lengths=lengths)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(found[:, b], forecast(model, params, known[:n, b], steps=4), atol=1e-13)


def test_feedback_makes_the_next_input(rng):
    """A model of the difference that reads a clock."""
    model = real_model(inputs=2, outputs=1)
    params = model.init(rng=1, dtype="float64")
    known = np.stack([rng.standard_normal(6), np.arange(6.0)], axis=1)
    found = forecast(
        model, params, known, 3, lambda output, x: np.concatenate([x[:, :1] + output, x[:, 1:] + 1], axis=1)
    )
    series = known[:, None]
    for n in range(3):
        output = model.forward(params, series).output[-1]
        np.testing.assert_allclose(found[n], output[0], atol=1e-12)
        step = np.array([[[series[-1, 0, 0] + output[0, 0], 6.0 + n]]])
        series = np.concatenate([series, step])


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (character_model(), {}, Refusal("model", came="see generate for classes")),
        (real_model(2, 1), {}, Refusal("feedback", "be given")),
        (real_model(), {"warm_up": np.zeros((0, 1, 2), "float32")}, Refusal("warm_up", "at least one step")),
        (real_model(), {"lengths": [0, 3]}, Refusal("lengths", "be at least 1")),
        (
            real_model(),
            {"feedback": lambda output, x: output[:, :1]},
            Refusal("feedback", ("return", "shape (2, 2)")),
        ),
        (
            Model(rd.cells.lstm(), 4, input_size=2, output_size=2, loss="mean_squared_error", pool="last"),
            {},
            Refusal("model", "pool=None"),
        ),
        (
            Model(rd.cells.cfc(dt=None), 4, input_size=2, output_size=2, loss="mean_squared_error"),
            {},
            Refusal("model", came="signals dt"),
        ),
    ],
)
def test_errors_of_forecasts(model, options, message):
    known = np.zeros((3, 2, 2), "float32")
    with refused(message):
        forecast(model, model.init(), **({"warm_up": known, "steps": 3} | options))
