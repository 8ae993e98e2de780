"""Sequences changed at random: what is kept, lengths that follow, the same changes in a resumed run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.data import Augmented, crop, drop_tokens, time_warp
from recurrent_dynamics.nn import Batch

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=4)


def batch_of(lengths, seed=0, real=False, pooled=False):
    """Inputs that say where they come from: 100 b + t."""
    T, B = max(1, *lengths), len(lengths)
    rng = np.random.default_rng(seed)
    places = 100 * np.arange(B) + np.arange(T)[:, None]
    inputs = places[..., None].astype("float64") if real else places
    targets = np.arange(B) if pooled else 2 * inputs
    return Batch(
        inputs, targets, None if pooled else places + 0.5, np.array(lengths), rng.random((T, B)) < 0.3,
        {"time": places.astype("float64")},
    )  # fmt: skip


@given(lengths=LENGTHS, seed=st.integers(0, 999), shortest=st.floats(0.05, 1), pooled=st.booleans())
def test_a_crop_is_a_part_of_each_sequence(lengths, seed, shortest, pooled):
    batch = batch_of(lengths, pooled=pooled)
    found = crop(shortest)(batch, np.random.default_rng(seed))
    for b, (old, new) in enumerate(zip(lengths, found.lengths, strict=True)):
        assert min(1, old) <= new <= old
        assert new >= np.ceil(shortest * old)
        part = found.inputs[:new, b]
        np.testing.assert_array_equal(np.diff(part), 1)
        check_beside(batch, found, b, new)
    assert len(found.inputs) == max(1, *found.lengths)
    if pooled:
        np.testing.assert_array_equal(found.targets, batch.targets)


def check_beside(batch, found, b, length):
    """What stands at a step of a sequence has come along, and from the same sequence."""
    steps = found.inputs[:length, b] - 100 * b
    assert ((steps >= 0) & (steps < batch.lengths[b])).all()
    for name in ("targets", "mask", "reset"):
        value = getattr(found, name)
        if value is not None and value.ndim > 1:
            np.testing.assert_array_equal(value[:length, b], getattr(batch, name)[steps, b])
    np.testing.assert_array_equal(found.signals["time"][:length, b], batch.signals["time"][steps, b])


@given(lengths=LENGTHS, seed=st.integers(0, 999), rate=st.floats(0, 0.99))
def test_what_is_left_of_the_steps_keeps_its_order(lengths, seed, rate):
    batch = batch_of(lengths)
    found = drop_tokens(rate)(batch, np.random.default_rng(seed))
    for b, (old, new) in enumerate(zip(lengths, found.lengths, strict=True)):
        assert min(1, old) <= new <= old
        assert (np.diff(found.inputs[:new, b]) > 0).all()
        check_beside(batch, found, b, new)


@given(
    lengths=LENGTHS, seed=st.integers(0, 999), strength=st.floats(0, 2), stretch=st.floats(0, 0.5),
    knots=st.integers(2, 6),
)  # fmt: skip
def test_a_warp_keeps_order_and_ends(lengths, seed, strength, stretch, knots):
    batch = batch_of(lengths, real=True)._replace(reset=None)
    found = time_warp(strength, stretch, knots)(batch, np.random.default_rng(seed))
    for b, (old, new) in enumerate(zip(lengths, found.lengths, strict=True)):
        assert (new > 0) == (old > 0)
        if stretch == 0:
            assert new == old
        along = found.inputs[:new, b, 0] - 100 * b
        assert (np.diff(along) >= 0).all()
        if new > 1:
            assert (along[0], along[-1]) == (0, pytest.approx(old - 1))
        np.testing.assert_allclose(found.targets[:new, b], 2 * found.inputs[:new, b])
        np.testing.assert_allclose(found.signals["time"][:new, b], found.inputs[:new, b, 0])
        # Masks are those of the nearest step.
        np.testing.assert_array_equal(found.mask[:new, b], np.rint(along) + 100 * b + 0.5)


def test_a_warp_of_no_strength_changes_nothing_and_a_strong_one_does(rng):
    x = rng.standard_normal((20, 3, 2)).astype("float32")
    batch = Batch(x, np.arange(3))
    same = time_warp(0)(batch, rng)
    assert same.inputs.dtype == np.float32
    np.testing.assert_allclose(same.inputs, x, atol=1e-5)
    assert np.abs(time_warp(0.5)(batch, rng).inputs - x).max() > 0.1
    assert (time_warp(0.1, stretch=0.5)(batch, rng).lengths != 20).any()


def test_rates(rng):
    words = rng.integers(1, 9, (200, 50))
    found = drop_tokens(0.3, replacement=0)(Batch(words, words), rng)
    assert (found.inputs == 0).mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_array_equal(found.inputs[found.inputs != 0], words[found.inputs != 0])
    np.testing.assert_array_equal(found.targets, words)
    assert found.lengths is None
    assert drop_tokens(0.3)(Batch(words, words), rng).lengths.mean() == pytest.approx(140, abs=5)
    shares = crop(0.5)(Batch(words, words), rng).lengths / 200
    assert shares.mean() == pytest.approx(0.75, abs=0.1)


def test_seeded_by_the_number_of_the_update_and_the_source_stays():
    batch = batch_of([9, 5, 0, 7])
    kept = batch.inputs.copy()
    source = Augmented([batch, batch], crop(0.4), drop_tokens(0.3), seed=3)
    assert (source.batches_per_epoch, source.carry_steps) == (2, None)
    first = source.batch(0)
    np.testing.assert_array_equal(first.inputs, source.batch(0).inputs)
    others = [
        source.batch(1),
        source.batch(2),
        Augmented([batch], crop(0.4), drop_tokens(0.3), seed=4).batch(0),
    ]
    assert all(not np.array_equal(o.lengths, first.lengths) for o in others)
    np.testing.assert_array_equal(batch.inputs, kept)


def test_training_on_changed_sequences_resumes_to_the_bit(tmp_path, rng):
    model = rd.nn.Model(rd.cells.elman(), 4, vocabulary_size=5)
    words = rng.integers(0, 5, (12, 3))
    source = Augmented([(words[:-1], words[1:])] * 2, crop(0.5), drop_tokens(0.2))
    options = {"optimizer": "adam", "learning_rate": 0.01, "progress": False}
    params = model.init(rng=1)
    whole = rd.training.fit(model, params, source, updates=5, **options)
    path = tmp_path / "run.npz"
    rd.training.fit(model, params, source, updates=2, checkpoint=path, **options)
    resumed = rd.training.fit(model, params, source, updates=5, checkpoint=path, resume=True, **options)
    np.testing.assert_array_equal(rd.ravel(resumed.params)[0], rd.ravel(whole.params)[0])


def test_a_source_that_hands_on_states_keeps_its_steps():
    streams = rd.data.Streams(np.arange(60) % 7, 2, 5)
    assert Augmented(streams, drop_tokens(0.5, replacement=0)).carry_steps == 5
    with refused("source", "zero state", "Streams"):
        Augmented(streams, crop(0.5))


REAL, WORDS = np.ones((3, 2, 1)), np.ones((3, 2), int)
REFUSED = [
    (lambda: crop(0), ("shortest", "0", "0")),
    (lambda: crop(1.5), ("shortest", "1", "1.5")),
    (lambda: drop_tokens(1.0), ("rate", "1", "1.0")),
    (lambda: drop_tokens(0.1, replacement=-1), ("replacement", "0", "-1")),
    (lambda: time_warp(-1), ("strength", "0", "-1")),
    (lambda: time_warp(knots=1), ("knots", "2", "1")),
    (lambda: changed(time_warp(), Batch(WORDS, WORDS)), wrong_type("inputs", "real", "int64")),
    (lambda: changed(drop_tokens(0.1, 300), Batch(np.uint8(WORDS), WORDS)), ("replacement", "uint8", "300")),
    (
        lambda: changed(drop_tokens(0.1, 0), Batch(REAL, REAL)),
        wrong_type("inputs", "class indices", "float64"),
    ),
    (lambda: changed(time_warp(), Batch(REAL, REAL, signals={"dt": REAL[..., 0]})), ("batch", "dt")),
    (lambda: changed(time_warp(), Batch(REAL, REAL, reset=np.zeros((3, 2), bool))), ("batch", "resets")),
    (lambda: Augmented([(WORDS, WORDS)], lambda batch, rng: batch), wrong_type("changes", came="function")),
    (lambda: Augmented([(WORDS, WORDS)], seed=-1), ("seed", "0", "-1")),
]


def changed(change, batch):
    return change(batch, np.random.default_rng(0))


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(call, said):
    with refused(*(said if type(said) is tuple else (said,))):
        call()
