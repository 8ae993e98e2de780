"""Several sequences an item, by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import Refusal, refused, wrong_type

from recurrent_dynamics.data import NamedBatches, collate
from recurrent_dynamics.training import BatchSource


@settings(max_examples=80, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30),
    cells=st.none() | st.integers(18, 90),
    seed=st.none() | st.integers(0, 5),
)
def test_every_item_comes_back_whole_once_an_epoch(lengths, cells, seed):
    source = [np.arange(a) + 10 * i for i, (a, _) in enumerate(lengths)]
    heard = [np.full((b, 2), float(i)) for i, (_, b) in enumerate(lengths)]
    names = np.arange(len(lengths))
    options = {"max_cells": cells, "seed": seed, "dtype": "float64"}
    batches = NamedBatches({"source": source, "heard": heard}, {"name": names}, 4, **options)
    assert isinstance(batches, BatchSource)
    for epoch in range(2):
        seen = []
        for number in range(batches.batches_per_epoch):
            batch = batches.batch(epoch * batches.batches_per_epoch + number)
            assert list(batch) == ["source", "source_lengths", "heard", "heard_lengths", "name"]
            assert len(batch["source"]) == max(1, batch["source_lengths"].max())
            for b, i in enumerate(batch["name"]):
                np.testing.assert_array_equal(batch["source"][: batch["source_lengths"][b], b], source[i])
                np.testing.assert_array_equal(batch["heard"][: batch["heard_lengths"][b], b], heard[i])
                assert not batch["heard"][batch["heard_lengths"][b] :, b].any()
                seen.append(i)
        assert sorted(seen) == names.tolist()


def test_a_part_is_chosen_and_numbers_have_one_dtype():
    items = {"a": [[1], [2, 2], [3]]}
    batch = NamedBatches(items, {"features": np.eye(3)}, 5, chosen=[2, 1]).batch(0)
    assert batch["a"][0].tolist() == [3, 2]
    np.testing.assert_array_equal(batch["features"], np.eye(3, dtype="float32")[[2, 1]])
    assert batch["features"].dtype == "float32"
    assert collate({"a": [[], []]})["a"].shape == (1, 2)
    assert collate({"a": [[], []]})["a"].dtype.kind == "i"


@pytest.mark.parametrize(
    ("refusal", "call"),
    [
        (
            Refusal("sequences and values", came="2 of 'a', 1 of 'b'"),
            lambda: collate({"a": [[1], [2]], "b": [[1]]}),
        ),
        (
            Refusal("sequences and values", came="1 of 'a', 2 of 'v'"),
            lambda: collate({"a": [[1]]}, {"v": [3, 4]}),
        ),
        (wrong_type("values['v']", "hold one for each item"), lambda: collate({"a": [[1]]}, {"v": 3})),
        (Refusal("values", came="a_lengths"), lambda: collate({"a": [[1]]}, {"a_lengths": [1]})),
        (Refusal("values", came="'a'"), lambda: collate({"a": [[1]]}, {"a": [1]})),
        (Refusal("sequences", "at least one name"), lambda: collate({})),
        (wrong_type("sequences", "have texts as names", "3"), lambda: collate({3: [[1]]})),
        (
            wrong_type("values", "have texts as names", "3"),
            lambda: NamedBatches({"a": [[1]]}, {3: [1]}, batch_size=1),
        ),
        (wrong_type("sequences", "be a Mapping"), lambda: collate([[1]])),
        (Refusal("sequences['a']", "at least one"), lambda: collate({"a": []})),
        (Refusal("sequences['a'][1]", "be finite"), lambda: collate({"a": [[[1.0]], [[np.nan]]]})),
        (Refusal("values['v']", "be finite"), lambda: collate({"a": [[1]]}, {"v": [np.inf]})),
        (Refusal("sequences['a'][1]", "have shape"), lambda: collate({"a": [[1], [[2]]]})),
        (wrong_type("sequences['a']", "hold one for each item"), lambda: collate({"a": np.array(3)})),
        (Refusal("dtype", "float32, float64"), lambda: collate({"a": [[1]]}, dtype="int8")),
        (Refusal("batch_size or max_cells", "be given"), lambda: NamedBatches({"a": [[1]]})),
        (Refusal("chosen", "lie in 0..0"), lambda: NamedBatches({"a": [[1]]}, batch_size=1, chosen=[1])),
    ],
)
def test_wrong_arguments_are_named(refusal, call):
    with refused(refusal):
        call()
