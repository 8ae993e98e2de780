"""Arguments that are numbers, names or other values, looked at once at the border; `engine.check` looks at arrays.

An argument that is refused raises `ArgumentError` or `ArgumentTypeError`.
"""

from .errors import ArgumentError, ArgumentTypeError
from .numeric import HOLDS, complexes, integer, is_finite, number, numbers, reals, rectangle, unmasked
from .values import (
    boolean,
    callable_,
    floating_dtype,
    generator,
    instance,
    listed,
    one_of,
    pathlike,
    texts,
)

__all__ = [
    "HOLDS", "ArgumentError", "ArgumentTypeError", "boolean", "callable_", "complexes", "floating_dtype", "generator",
    "instance", "integer", "is_finite", "listed", "number", "numbers", "one_of", "pathlike", "reals", "rectangle",
    "texts", "unmasked",
]  # fmt: skip
