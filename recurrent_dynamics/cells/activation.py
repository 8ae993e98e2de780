"""The argument `activation` of the cells that take one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import ArgumentError, ArgumentTypeError
from ..equations.nonlinearities import nonlinearity


def activation_of(activation: str | Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The nonlinearity of a name, or a function as it is; an error names the argument as the caller spells it."""
    try:
        return nonlinearity(activation)
    except (ArgumentError, ArgumentTypeError) as error:
        raise type(error)("activation", error.expected, error.came) from None
