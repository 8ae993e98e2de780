"""Expected errors of arguments, told by what they name and not by their wording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from recurrent_dynamics import ArgumentError, ArgumentTypeError

Facts = str | tuple[str, ...]


class Refusal(NamedTuple):
    """The argument that an error names, and facts such as shapes in what was expected and in what came."""

    argument: str
    expected: Facts = ()
    came: Facts = ()
    kind: type[ArgumentError] | type[ArgumentTypeError] = ArgumentError


def wrong_type(argument: str, expected: Facts = (), came: Facts = ()) -> Refusal:
    """The refusal of a type or of a dtype."""
    return Refusal(argument, expected, came, ArgumentTypeError)


@contextmanager
def refused(argument: str | Refusal, expected: Facts = (), came: Facts = ()) -> Iterator[None]:
    """Expect an error of one line with this argument and these facts."""
    wanted = argument if isinstance(argument, Refusal) else Refusal(argument, expected, came)
    with pytest.raises(wanted.kind) as caught:
        yield
    error = caught.value
    assert error.argument == wanted.argument
    for facts, text in ((wanted.expected, error.expected), (wanted.came, error.came)):
        for fact in (facts,) if isinstance(facts, str) else facts:
            assert fact in text
    assert "\n" not in str(error)
