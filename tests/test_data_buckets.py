"""Buckets by length, packed rows, and parts by group."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.data import Buckets, PackedBatches, SequenceBatches, partition
from recurrent_dynamics.training import BatchSource

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(
    source=LENGTHS,
    size=st.integers(1, 9),
    cells=st.none() | st.integers(60, 400),
    width=st.integers(1, 5),
    seed=st.none() | st.integers(0, 9),
    data=st.data(),
)
def test_every_item_comes_once_within_the_bounds_and_the_padding_is_counted(
    source, size, cells, width, seed, data
):
    target = data.draw(st.lists(st.integers(0, 30), min_size=len(source), max_size=len(source)))
    width = width if cells else 1
    buckets = Buckets({"source": source, "target": target}, size, max_cells=cells, width=width, seed=seed)
    a, b = np.array(source), np.array(target)
    for epoch in range(2):
        batches = buckets.batches(epoch)
        assert len(batches) == buckets.batches_per_epoch
        np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(source)))
        counted = [(a[i].max() + b[i].max()) * len(i) for i in batches]
        np.testing.assert_array_equal(buckets.cells(epoch), counted)
        filled = (a + b).sum()
        assert buckets.padding(epoch) == (pytest.approx(1 - filled / sum(counted)) if sum(counted) else 0)
        assert max(map(len, batches)) <= size
        assert cells is None or max(counted) <= cells
    again = Buckets({"source": source, "target": target}, size, max_cells=cells, width=width, seed=seed)
    for number in reversed(range(2 * buckets.batches_per_epoch)):  # a resumed run begins anywhere
        np.testing.assert_array_equal(again.chosen(number), buckets.chosen(number))


def test_equal_cells_need_batches_of_unequal_size(rng):
    lengths = np.concatenate([rng.integers(2, 10, 3000), rng.integers(40, 90, 200)])
    by_cells, by_size = Buckets(lengths, max_cells=1000, seed=0), Buckets(lengths, 60, seed=0)
    assert np.percentile(by_cells.cells(), 10) > 0.9 * by_cells.cells().max()
    assert np.percentile(by_size.cells(), 5) < 0.1 * by_size.cells().max()
    assert by_cells.padding() < 0.03 < by_cells.unsorted_padding()
    sizes = [len(b) for b in by_cells.batches()]
    assert f"of {min(sizes)} to {max(sizes)}, padding {by_cells.padding():.0%}" in repr(by_cells)


def test_a_greater_width_mixes_lengths_and_leaves_more_padding(rng):
    lengths = rng.integers(1, 60, 2000)
    narrow, wide = (Buckets(lengths, max_cells=600, width=w, seed=0) for w in (1, 16))
    assert narrow.padding() < 0.5 * wide.padding() < 0.5 * wide.unsorted_padding()

    def spread(buckets):
        return np.mean([np.ptp(lengths[b]) for b in buckets.batches()])

    assert spread(wide) > 4 * spread(narrow)


def test_epochs_differ_in_members_and_order(rng):
    buckets = Buckets(rng.integers(1, 30, 500), max_cells=300, width=4, seed=1)
    first, second = ({tuple(sorted(b)) for b in buckets.batches(epoch)} for epoch in range(2))
    assert len(first & second) < 0.2 * len(first)
    longest = [buckets.lengths[0, b].max() for b in buckets.batches()]
    assert longest != sorted(longest)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"lengths": [3, -1], "batch_size": 1}, Refusal("lengths", "at least 0")),
        ({"lengths": [], "batch_size": 1}, Refusal("lengths", "at least one")),
        ({"lengths": [1.0], "batch_size": 1}, wrong_type("lengths", "integers")),
        ({"lengths": {}, "batch_size": 1}, Refusal("lengths", "at least one name")),
        ({"lengths": {"a": [1], "b": [1, 2]}, "batch_size": 1}, Refusal("b", "hold 1, as a")),
        ({"lengths": [3]}, Refusal("batch_size or max_cells", "be given")),
        ({"lengths": [3, 9], "max_cells": 8}, Refusal("max_cells", "steps of each item")),
        ({"lengths": [3], "batch_size": 2, "width": 3}, Refusal("width", "be 1 without max_cells")),
        ({"lengths": [3], "batch_size": 0}, Refusal("batch_size", "at least 1")),
        ({"lengths": [3], "batch_size": 1, "seed": -1}, Refusal("seed", "at least 0")),
    ],
)
def test_wrong_buckets_are_refused(arguments, refusal):
    with refused(refusal):
        Buckets(**arguments)


def test_sequences_come_in_batches_of_equal_cost(rng):
    sequences = [rng.standard_normal((n, 2)) for n in rng.integers(1, 40, 300)]
    source = SequenceBatches(sequences, np.arange(300), max_cells=200, width=3, seed=0, dtype="float64")
    seen = []
    for number in range(source.batches_per_epoch):
        batch = source.batch(number)
        assert batch.inputs.shape[0] * batch.inputs.shape[1] <= 200
        for b, target in enumerate(batch.targets):
            np.testing.assert_array_equal(batch.inputs[: batch.lengths[b], b], sequences[target])
            seen.append(target)
    assert sorted(seen) == list(range(300))


def test_an_empty_sequence_is_named():
    with refused("sequences[1]", "at least one step"):
        SequenceBatches([np.ones((2, 1)), np.ones((0, 1)), np.ones((3, 1))], [0, 1, 0], 2, chosen=[2, 1])


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=40),
    more=st.integers(0, 20),
    size=st.integers(1, 5),
    seed=st.none() | st.integers(0, 9),
)
def test_packed_rows_hold_every_sequence_once(lengths, more, size, seed):
    ends = np.cumsum(lengths)
    sequences = [np.arange(end - n, end) for end, n in zip(ends, lengths)]
    packed = PackedBatches(sequences, sequences, max(lengths) + more, size, seed=seed)
    assert isinstance(packed, BatchSource)
    for epoch in range(2):
        found, cells = [], 0
        for number in range(packed.batches_per_epoch):
            batch = packed.batch(epoch * packed.batches_per_epoch + number)
            cells += batch.inputs.size
            assert batch.inputs.shape[0] <= packed.steps
            for b, end in enumerate(batch.lengths):
                begins = np.flatnonzero(batch.reset[:, b])
                assert begins[0] == 0
                found += np.split(batch.inputs[:end, b], begins[1:])
                np.testing.assert_array_equal(batch.inputs[:, b], batch.targets[:, b])
        assert sorted(map(tuple, found)) == sorted(map(tuple, sequences))
        assert packed.padding(epoch) == pytest.approx(1 - ends[-1] / cells)


def test_packed_sequences_have_the_loss_and_gradient_of_padded_ones(rng):
    sequences = [rng.standard_normal((n, 3)) for n in (5, 2, 7, 3, 1, 6)]
    targets = [rng.integers(0, 4, len(s)) for s in sequences]
    model = rd.nn.Model(rd.cells.gru(), 5, input_size=3, output_size=4)
    params = model.init(rng=0, dtype="float64")
    padded = SequenceBatches(sequences, targets, 6, per_step=True, dtype="float64").batch(0)
    packed = PackedBatches(sequences, targets, 8, 6, dtype="float64")
    assert len(packed.rows) == 3
    loss, grads = model.loss_and_grad(params, padded)
    packed_loss, packed_grads = model.loss_and_grad(params, packed.batch(0))
    assert packed_loss == pytest.approx(loss, rel=1e-13)
    for a, b in zip(rd.ravel(grads)[0], rd.ravel(packed_grads)[0]):
        assert b == pytest.approx(a, abs=1e-13)


def test_rows_too_short_for_a_sequence_are_refused():
    with refused("steps", "be at least 3"):
        PackedBatches([np.arange(3)], [np.arange(3)], 2, 1)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(0, 25), min_size=30, max_size=120),
    seed=st.integers(0, 99),
)
def test_parts_divide_no_group_and_have_about_their_shares(groups, seed):
    sizes = np.bincount(groups)
    try:
        parts = partition(len(groups), (0.6, 0.2, 0.2), seed, groups=groups)
    except rd.ArgumentError:
        assert sizes.max() > 0.1 * len(groups)  # a group reaches over a whole part
        return
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    names = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, names)) == len(set(groups))
    for share, part in zip((0.6, 0.2, 0.2), parts):
        assert abs(len(part) - share * len(groups)) <= sizes.max() + 1


def test_groups_are_divided_within_their_labels(rng):
    speakers = np.repeat(np.arange(60), rng.integers(1, 6, 60))
    labels = np.where(speakers < 40, "a", "b")
    parts = partition(len(speakers), (0.5, 0.25, 0.25), 3, labels=labels, groups=speakers)
    shares = [np.mean(labels[p] == "a") for p in parts]
    assert np.ptp(shares) < 0.08
    assert len(np.concatenate([np.unique(speakers[p]) for p in parts])) == 60
    labels[0] = "b"
    with refused("groups", "one label each"):
        partition(len(speakers), (0.5, 0.5), labels=labels, groups=np.zeros(len(speakers)))


def test_labels_that_are_not_numbers_keep_their_items():
    labels = np.array([np.nan] * 10 + [1.0] * 10)
    parts = partition(20, (0.5, 0.5), labels=labels)
    assert [len(p) for p in parts] == [10, 10]
    with refused("groups", "a part of 0.1"):
        partition(9, (0.9, 0.1), groups=[0] * 9)


@pytest.mark.parametrize("seed", [None, 0])
def test_indices_of_batches_are_read_only(seed):
    """They are those of later epochs too."""
    buckets = Buckets(np.arange(1, 9), 3, seed=seed)
    before = [b.copy() for b in buckets.batches(1)]
    for indices in (buckets.batches(1)[0], buckets.chosen(buckets.batches_per_epoch), buckets.lengths):
        with pytest.raises(ValueError, match="read-only"):
            indices[...] = 0
    copied = buckets.batches(1)[0].copy()
    copied[:] = 0
    for a, b in zip(buckets.batches(1), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_go_to_other_processes():
    batches = SequenceBatches([[1, 2], [3], [4, 5, 6]], [0, 1, 2], 2, seed=3)
    batches.batch(0)
    again = pickle.loads(pickle.dumps(batches))
    for number in (5, 0, 3, 1, 5, 4):
        for a, b in zip(batches.batch(number), again.batch(number), strict=True):
            assert np.array_equal(a, b)
    assert len(batches.buckets._of_epoch) == 2
