"""The errors of an argument that is refused. Their texts are made here, all by one rule."""

from __future__ import annotations

import re
from typing import Any

import numpy as np


class _Refusal(Exception):
    """What both errors of an argument have in common. `args` holds the three texts, as pickle needs them."""

    def __init__(self, argument: str, expected: str, came: object) -> None:
        super().__init__(argument, expected, re.sub(r"\s*\n\s*", " ", str(came)))

    def __str__(self) -> str:
        return f"{self.argument} must {self.expected}; came {self.came}"

    @property
    def argument(self) -> str:
        """The argument, as the caller spells it, such as ``params['W']``."""
        return self.args[0]

    @property
    def expected(self) -> str:
        """What the argument must do, such as ``be an integer of at least 1`` or ``have shape (4, 2)``."""
        return self.args[1]

    @property
    def came(self) -> str:
        """What was given instead, in short: a value, a type or a shape."""
        return self.args[2]


class ArgumentError(_Refusal, ValueError):
    """An argument has a value that the function cannot take.

    Parameters
    ----------
    argument : str
        The argument, as the caller spells it, such as ``params['W']``.
    expected : str
        What it must do, beginning with a verb, such as ``have shape (4, 2)``.
    came : object
        What was given instead, in short. It is kept as text, on one line.

    Attributes
    ----------
    argument, expected, came : str
        The three texts. The message of the error is ``<argument> must <expected>; came <came>``.

    See Also
    --------
    ArgumentTypeError : For an argument of another type.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> try:
    ...     rd.cells.lstm().init(input_size=3, hidden_size=0)
    ... except rd.ArgumentError as error:
    ...     print(error.argument, "|", error.expected, "|", error.came)
    hidden_size | be an integer of at least 1 | 0
    """

    __module__ = "recurrent_dynamics"


class ArgumentTypeError(_Refusal, TypeError):
    """An argument has a type or a dtype that the function cannot take: a TypeError made as `ArgumentError` is.

    See Also
    --------
    ArgumentError : For an argument of the right type with a value that cannot be taken; describes the attributes.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> try:
    ...     rd.cells.lstm().init(input_size=3, hidden_size=4, dtype="int64")
    ... except rd.ArgumentTypeError as error:
    ...     print(error.argument, "|", error.expected, "|", error.came)
    dtype | be float32 or float64 | int64
    """

    __module__ = "recurrent_dynamics"


def shown(value: Any) -> str:
    """What came, on one line: an array by its shape."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"an array of shape {value.shape}"
    return repr(value.item() if isinstance(value, np.generic | np.ndarray) else value)
