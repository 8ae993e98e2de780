"""Edit distances and error rates."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recurrent_dynamics as rd
from recurrent_dynamics.training import edit_distance, error_rates

TEXT = st.text("abc", max_size=8)


def by_definition(a, b):
    @cache
    def d(i, j):
        if not i or not j:
            return i + j
        return min(d(i - 1, j) + 1, d(i, j - 1) + 1, d(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return d(len(a), len(b))


@given(TEXT, TEXT)
def test_the_distance_is_that_of_the_definition(a, b):
    assert edit_distance(a, b) == by_definition(a, b)
    assert edit_distance(list(a), tuple(b)) == edit_distance(b, a)


def test_symbols_are_compared_as_python_does():
    assert edit_distance(np.array([1, 2]), [1, 2]) == 0
    assert edit_distance(("K", "AE"), ["K", "AE", "T"]) == 1


def test_rates_count_the_nearest_target():
    found = ["abc", "", "xx"]
    rates = error_rates(found, [["abd", "abcde"], ["a"], ["xx", "y"]], several=True)
    assert (rates.edits, rates.length) == (2, 6)
    assert rates.symbols == pytest.approx(2 / 6)
    assert rates.sequences == pytest.approx(2 / 3)
    assert repr(error_rates(["ab"], ["ab"])) == "ErrorRates(0.00% of 2 symbols, 0.00% of sequences)"


@pytest.mark.parametrize(
    ("named", "call"),
    [
        ("found", lambda: error_rates(["a"], ["a", "b"])),
        ("found", lambda: error_rates([], [])),
        ("found", lambda: error_rates(3, ["a"])),
        ("targets", lambda: error_rates(["a"], 4)),
        ("targets", lambda: error_rates(["a"], [""])),
        ("targets[0]", lambda: error_rates(["a"], [[]], several=True)),
        ("found", lambda: edit_distance(3, "a")),
        ("target", lambda: edit_distance("a", b"a")),
        ("target", lambda: edit_distance("a", [[1]])),
    ],
)
def test_wrong_arguments_are_named(named, call):
    with pytest.raises((rd.ArgumentError, rd.ArgumentTypeError)) as error:
        call()
    assert error.value.argument == named
