"""Sequences of different lengths as batches, parts of a data set, windows, noise."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.data import SequenceBatches, Windows, WithNoise, pad, partition
from recurrent_dynamics.training import BatchSource


def ragged(rng, number=47, longest=30, width=2):
    return [rng.standard_normal((n, width)) for n in rng.integers(1, longest + 1, number)]


def test_padding_keeps_every_sequence(rng):
    sequences = ragged(rng)
    padded, lengths = pad(sequences, value=-7)
    assert padded.shape == (max(map(len, sequences)), 47, 2)
    for b, sequence in enumerate(sequences):
        np.testing.assert_array_equal(padded[: lengths[b], b], sequence)
        assert (padded[lengths[b] :, b] == -7).all()


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], Refusal("sequences", "at least one")),
        ([np.zeros((3, 2)), np.zeros((3, 1))], Refusal("sequences[1]", "have shape (T, 2)")),
        ([np.zeros(3), np.zeros(3, int)], Refusal("sequences[1]", "dtype float64")),
        (["abc"], wrong_type("sequences[0]", "hold real numbers")),
    ],
)
def test_sequences_that_do_not_go_together_are_refused(sequences, message):
    with refused(message):
        pad(sequences)


@pytest.mark.parametrize("seed", [None, 4])
def test_an_epoch_has_every_sequence_once_with_its_target(seed, rng):
    sequences = ragged(rng)
    source = SequenceBatches(sequences, np.arange(47), batch_size=5, seed=seed, dtype="float64")
    assert isinstance(source, BatchSource)
    assert source.batches_per_epoch == 10
    for epoch in range(2):
        found = {}
        for number in range(10 * epoch, 10 * epoch + 10):
            batch = source.batch(number)
            for b, target in enumerate(batch.targets):
                found[int(target)] = batch.inputs[: batch.lengths[b], b]
        assert sorted(found) == list(range(47))
        for i, sequence in enumerate(sequences):
            np.testing.assert_array_equal(found[i], sequence)


def test_the_padding_is_what_it_says_and_less_than_unsorted(rng):
    source = SequenceBatches(ragged(rng, 400), np.zeros(400, int), batch_size=10, seed=1)
    for epoch in range(2):
        batches = [source.batch(n) for n in range(40 * epoch, 40 * epoch + 40)]
        computed = sum(b.inputs.shape[0] * b.inputs.shape[1] for b in batches)
        valid = sum(b.lengths.sum() for b in batches)
        assert source.padding(epoch) == pytest.approx(1 - valid / computed)
        assert source.padding(epoch) < 0.1
    unsorted = float(repr(source).split("unsorted ")[1].rstrip("%)")) / 100
    assert unsorted > 0.3


def test_epochs_have_orders_of_their_own_and_a_seed_gives_them_again(rng):
    sequences = ragged(rng)
    first, second = (SequenceBatches(sequences, np.arange(47), 5, seed=4) for _ in range(2))
    order = [first.batch(n).targets.tolist() for n in range(20)]
    assert order == [second.batch(n).targets.tolist() for n in reversed(range(20))][::-1]
    assert order[:10] != order[10:]


def test_targets_at_every_step_are_padded_like_the_sequences(rng):
    sequences = [rng.integers(0, 4, n) for n in (3, 5, 2)]
    batch = SequenceBatches(sequences, sequences, batch_size=3, per_step=True).batch(0)
    np.testing.assert_array_equal(batch.inputs, batch.targets)
    assert batch.lengths.tolist() == [2, 3, 5]
    with refused("targets of sequence 1", "be 5"):
        SequenceBatches(sequences, [sequences[0], sequences[0], sequences[2]], 3, per_step=True)
    with refused("targets", came="give per_step=True"):
        SequenceBatches(sequences, sequences, batch_size=3)


def test_a_part_of_the_sequences_is_chosen(rng):
    source = SequenceBatches(ragged(rng), np.arange(47), batch_size=4, chosen=[5, 9, 11])
    assert sorted(source.batch(0).targets) == [5, 9, 11]
    with refused("chosen", "lie in 0..46"):
        SequenceBatches(ragged(rng), np.arange(47), batch_size=4, chosen=[47])


def test_parts_are_disjoint_complete_and_the_same_for_a_seed(rng):
    labels = np.repeat([0, 1], [80, 20])
    parts = partition(100, (0.5, 0.3, 0.2), seed=1, labels=labels)
    assert [len(p) for p in parts] == [50, 30, 20]
    assert [labels[p].sum() for p in parts] == [10, 6, 4]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    for again, part in zip(partition(100, (0.5, 0.3, 0.2), seed=1, labels=labels), parts):
        np.testing.assert_array_equal(again, part)
    assert (partition(100, (0.5, 0.5), seed=2)[0] != partition(100, (0.5, 0.5), seed=3)[0]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((10, (0.5, 0.4)), Refusal("fractions", "sum to 1")),
        ((10, (1.5, -0.5)), Refusal("fractions", "above 0")),
        ((3, (0.9, 0.1)), Refusal("count", "a part of 0.1")),
        ((3, (1.0,), 0, [1, 2]), Refusal("labels", "have shape (3,)")),
    ],
)
def test_parts_that_cannot_be_made_are_refused(arguments, message):
    with refused(message):
        partition(*arguments)


def test_windows_are_aligned(rng):
    series = rng.standard_normal((50, 2))
    seen = np.arange(49) % 3 > 0
    source = Windows(series[:-1], series[1:], steps=7, batch_size=6, mask=seen, seed=1, dtype="float64")
    batch = source.batch(3)
    for b in range(6):
        start = int(np.flatnonzero((series == batch.inputs[0, b]).all(axis=1))[0])
        np.testing.assert_array_equal(batch.inputs[:, b], series[start : start + 7])
        np.testing.assert_array_equal(batch.targets[:, b], series[start + 1 : start + 8])
        np.testing.assert_array_equal(batch.mask[:, b], seen[start : start + 7])
    np.testing.assert_array_equal(source.batch(3).inputs, batch.inputs)
    assert (source.batch(4).inputs != batch.inputs).any()
    with refused("targets", "have shape (n,) or (n, K) with n = 50"):
        Windows(series, series[1:], steps=7, batch_size=6)
    with refused("inputs", "at least 60 steps"):
        Windows(series, series, steps=60, batch_size=6)


def test_series_that_no_model_reads_are_refused(rng):
    series = rng.standard_normal((50, 2))
    gap = series.copy()
    gap[7, 1] = np.nan
    make = lambda x, y, mask=None: Windows(x, y, steps=7, batch_size=6, mask=mask)
    with refused("inputs", "be finite", "nan at index (7, 1)"):
        make(gap, series)
    with refused("targets", "be finite", "nan at index (7, 1)"):
        make(series, gap)
    there = np.isfinite(gap)
    assert make(series, gap, there.all(axis=1)).batch(0).inputs.shape == (7, 6, 2)
    assert make(series, gap, there).batch(0).mask.shape == (7, 6, 2)
    with refused("mask", "(50, 2)", "(50, 1)"):
        make(series, gap, there[:, :1])
    for argument, x, y in (("inputs", series[:, 0], series), ("targets", series, series[:, 0])):
        with refused(argument, came="float32 (50,): a[:, None] has N = 1"):
            make(x, y)


def test_sequences_that_no_model_reads_are_refused(rng):
    sequences = [rng.standard_normal((n, 2)) for n in (3, 5, 4)]
    with refused("targets", came="dtype <U2: number the classes"):
        SequenceBatches(sequences, ["no", "no", "up"], batch_size=2)
    sequences[2][1, 0] = np.nan
    with refused("sequences[2]", "be finite", "nan at index (1, 0)"):
        SequenceBatches(sequences, [0, 1, 0], batch_size=2, chosen=[0, 2])
    with refused("sequences[0]", "have shape (n, N), or"):
        SequenceBatches([s[:, 0] for s in sequences], [0, 1, 0], batch_size=2)


def test_data_have_a_short_text(rng):
    series = rng.standard_normal((50, 2))
    windows = Windows(series, series, steps=7, batch_size=6)
    assert repr(windows) == "Windows(50 steps, in windows of 7, 6 in a batch)"
    noisy = WithNoise(windows, inputs=[0.1, 0], signals={"noise": (2.0, 3)})
    assert repr(noisy) == f"WithNoise({windows!r}, inputs=[0.1, 0.0], noise=2 of 3 units)"
    assert repr(windows.batch(0)).splitlines()[0::3] == ["Batch"]
    assert "(7, 6, 2) float32" in repr(windows.batch(0))
    assert repr(rd.data.AddingProblem(20, batch_size=4)) == "AddingProblem(20 steps, 4 in a batch, seed 0)"


def test_noise_has_its_deviation_and_comes_again_for_the_same_update():
    zero = (np.zeros((100, 40, 2), "float32"), np.zeros((100, 40, 2), "float32"))
    source = WithNoise([zero], inputs=[0.5, 0.0], signals={"noise": (2.0, 3)}, seed=1)
    first, second = source.batch(0), source.batch(1)
    assert first.inputs.dtype == np.float32
    assert first.inputs[..., 0].std() == pytest.approx(0.5, rel=0.05)
    assert not first.inputs[..., 1].any()
    assert first.signals["noise"].std() == pytest.approx(2.0, rel=0.05)
    assert (first.inputs != second.inputs).any()
    np.testing.assert_array_equal(source.batch(0).inputs, first.inputs)
    assert source.batches_per_epoch == 1


def test_noise_is_refused_where_it_has_no_place():
    classes = (np.zeros((3, 2), int), np.zeros((3, 2), int))
    with refused(wrong_type("inputs", "class indices")):
        WithNoise([classes], inputs=0.1).batch(0)
    with refused("inputs", "at least 0"):
        WithNoise([classes], inputs=-0.1)
    with refused("inputs", "be one number or 2, one for each input", "3"):
        WithNoise([(np.zeros((3, 2, 2)), np.zeros((3, 2, 2)))], inputs=[0.1, 0.1, 0.1]).batch(0)
    source = WithNoise(WithNoise([classes], signals={"noise": (1.0, 2)}), signals={"noise": (1.0, 2)})
    with refused("signals", "does not give", "noise"):
        source.batch(0)


def test_a_classifier_of_ragged_sequences_is_trained_without_a_loop(rng):
    """Which of two inputs has the larger mean, for sequences of 3 to 20 steps."""
    labels = rng.integers(0, 2, 300)
    sequences = [
        rng.standard_normal((n, 2)) * 0.5 + np.eye(2)[c] for n, c in zip(rng.integers(3, 21, 300), labels)
    ]
    training, validation = partition(300, (0.8, 0.2), labels=labels)
    held_out = SequenceBatches(sequences, labels, 20, chosen=validation)
    model = rd.nn.Model(rd.cells.lstm(), hidden_size=8, input_size=2, output_size=2, pool="mean")
    result = rd.training.fit(
        model, model.init(rng=0), SequenceBatches(sequences, labels, 20, chosen=training, seed=0),
        optimizer=rd.training.adam(), learning_rate=0.02, epochs=5, validation=held_out, metrics=["accuracy"],
    )  # fmt: skip
    assert result.history.validation["accuracy"][-1] > 0.9
