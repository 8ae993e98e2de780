"""Numbers and names among arguments: what is taken, and how the rest is refused."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

from recurrent_dynamics import ArgumentError, ArgumentTypeError
from recurrent_dynamics.checks import integer, number, one_of


@pytest.mark.parametrize(("error", "builtin"), [(ArgumentError, ValueError), (ArgumentTypeError, TypeError)])
def test_errors_of_arguments_have_one_wording_and_go_through_pickle(error, builtin):
    made = error("params['W']", "have shape (2, 3)", np.array([[1], [2]]))
    assert isinstance(made, builtin)
    for e in (made, pickle.loads(pickle.dumps(made))):
        assert type(e) is error
        assert (e.argument, e.expected, e.came) == ("params['W']", "have shape (2, 3)", "[[1] [2]]")
        assert str(e) == "params['W'] must have shape (2, 3); came [[1] [2]]"


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_integers_become_those_of_python(value):
    found = integer("n", value, at_least=3, at_most=3)
    assert (type(found), found) == (int, 3)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1)])
def test_numbers_become_those_of_python(value):
    found = number("x", value, above=0, at_least=1, below=2, at_most=1)
    assert (type(found), found) == (float, 1.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "True"),
        (None, "None"),
        ("1", "'1'"),
        (2.0, "2.0"),
        (np.float64(2.0), "2.0"),
        (np.array([1, 2]), "an array of shape (2,)"),
        (0, "0"),
        (-1, "-1"),
    ],
)
def test_what_is_no_integer_within_bounds_is_refused_in_one_line(value, shown):
    wanted = f"^n must be an integer of at least 1 and below 9; came {re.escape(shown)}$"
    with pytest.raises(ValueError, match=wanted):
        integer("n", value, at_least=1, below=9)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (np.float32("-inf"), "-inf"),
        (1j, "1j"),
        (False, "False"),
        ("0.5", "'0.5'"),
        (0, "0"),
        (1.5, "1.5"),
    ],
)
def test_what_is_no_number_within_bounds_is_refused_in_one_line(value, shown):
    wanted = f"^x must be a finite number above 0 and of at most 1; came {shown}$"
    with pytest.raises(ValueError, match=wanted):
        number("x", value, above=0, at_most=1)


def test_names_are_one_of_those_known():
    assert one_of("cell", "gru", ("lstm", "gru")) == "gru"
    for value in ("lstn", "", None, ["gru"]):
        with pytest.raises(
            ValueError, match=rf"^cell must be one of lstm, gru; came {re.escape(repr(value))}$"
        ):
            one_of("cell", value, ("lstm", "gru"))
