"""How the equations of a cell are made again elsewhere: the factory that wrote them, and its arguments.

The equations of most cells are a function within a function, which pickle refuses. A factory that is `remembered` puts
its name and arguments on the function, and another process calls it again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Recipe:
    """A factory, the arguments that it was called with, and the field of its result that holds the function."""

    factory: Callable[..., Any]
    arguments: dict[str, Any]
    attribute: str

    def __call__(self) -> Callable[..., Any]:
        """The function, made again."""
        return getattr(self.factory(**self.arguments), self.attribute)


def remembered(
    attribute: str = "update",
) -> Callable[[Callable[Arguments, Made]], Callable[Arguments, Made]]:
    """Let the function in a field of what a factory returns remember how it was made.

    Parameters
    ----------
    attribute
        The field: "update" of a cell, "rate" of a vector field.

    Examples
    --------
    >>> import pickle
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman("relu")
    >>> recipe_of(cell.update).arguments
    {'activation': 'relu'}
    >>> pickle.loads(pickle.dumps(cell)).fingerprint == cell.fingerprint
    True
    """

    def decorate(factory: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
        signature = inspect.signature(factory)

        @wraps(factory)
        def make(*args: Arguments.args, **options: Arguments.kwargs) -> Made:
            made = factory(*args, **options)
            function = getattr(made, attribute)
            # A factory may call another one, whose recipe then stands: its arguments make the same function.
            if recipe_of(function) is None and "<locals>" in getattr(function, "__qualname__", ""):
                function.recipe = Recipe(make, dict(signature.bind(*args, **options).arguments), attribute)
            return made

        return make

    return decorate


def recipe_of(function: Any) -> Recipe | None:
    """The recipe of a function; None for one that pickle takes by its name, or not at all."""
    found = getattr(function, "recipe", None)
    return found if isinstance(found, Recipe) else None


def packed(values: dict[str, Any]) -> dict[str, Any]:
    """Fields for pickle: functions with a recipe are replaced by it."""
    return {name: recipe_of(value) or value for name, value in values.items()}


def unpacked(values: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `packed`."""
    return {name: value() if isinstance(value, Recipe) else value for name, value in values.items()}
