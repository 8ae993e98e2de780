"""Models as JSON: each cell by the name of its factory, with the factory's arguments and what was changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from .. import parametrize
from ..cells import NAMED, Cell, Drive, Mask, Structure, attention, clockwork, recurrent_dropout, zoneout
from ..cells.recipe import recipe_of
from ..equations.nonlinearities import Nonlinearity, nonlinearity
from ..parametrize import Parametrization
from .files import FileError
from .model import Model

# Arguments of `Model` besides its cells, its loss and its parametrizations.
OPTIONS = ("hidden_size", "input_size", "vocabulary_size", "output_size", "embedding_size", "dropout", "pool")
# Of a cell, since its factory made it.
CHANGED = ("name", "normalized", "bias", "constants", "drives", "signals", "masks")
# Factories that `by_name` does not know: a clockwork cell needs its signal, the others take a cell.
UNNAMED = {make.__name__: make for make in (attention, clockwork, recurrent_dropout, zoneout)}
DEFAULT, GIVEN = "of the cell", "given to the loader"


def describe(model: Model) -> dict[str, Any]:
    """A model as what JSON can hold."""
    described: dict[str, Any] = {name: getattr(model, name) for name in OPTIONS}
    if model.vocabulary_size is not None:
        described["input_size"] = None
    layers = zip(model.cells, model.constraints, strict=True)
    return described | {
        "loss": model.loss_name,
        "pool": model.pool,
        "cells": [cell_described(cell) for cell in model.cells],
        "parametrize": [choice_described(cell, constraint.made_by) for cell, constraint in layers],
    }


def rebuild(described: Mapping[str, Any], cells: Any, choices: Any) -> Model:
    """The model of a description, with cells and parametrizations of the caller's own where it names none."""
    found = described["cells"]
    own = for_layers("cells", cells, Cell, len(found))
    made = [cell_again(layer, cell, i) for i, (layer, cell) in enumerate(zip(found, own, strict=True))]
    given = for_layers("parametrize", choices, (Parametrization, Mapping), len(found))
    constraints = [
        choice_again(layer, choice, i)
        for i, (layer, choice) in enumerate(zip(described["parametrize"], given, strict=True))
    ]
    options = {name: described[name] for name in OPTIONS}
    return Model(made, loss=described["loss"], parametrize=constraints, **options)


def for_layers(name: str, given: Any, kind: Any, count: int) -> list[Any]:
    """One for each layer: None, one for all, or a sequence."""
    if given is None or isinstance(given, kind):
        return [given] * count
    if not isinstance(given, Sequence) or len(given) != count:
        came = f"{len(given)}" if isinstance(given, Sequence) else type(given).__name__
        raise FileError(f"{name} must be one, or a sequence of one for each of {count} layers; came {came}")
    return list(given)


def cell_described(cell: Cell) -> dict[str, Any]:
    """A cell by its factory, or by its equations' fingerprint alone."""
    described: dict[str, Any] = {
        "name": cell.name, "fingerprint": cell.fingerprint, "constants": dict(cell.constants), "factory": None,
    }  # fmt: skip
    recipe = recipe_of(cell.update)
    if recipe is None or (NAMED | UNNAMED).get(recipe.factory.__name__) is not recipe.factory:
        return described
    base: Cell = recipe.factory(**recipe.arguments)
    arguments = {name: _argument(value) for name, value in recipe.arguments.items()}
    changes = {name: _changed(cell, name) for name in CHANGED if getattr(cell, name) != getattr(base, name)}
    # What is changed otherwise, a cell's own parametrization too, is not described: such a cell is given to the loader.
    same = _with(base, changes)
    others = [f.name for f in fields(Cell) if f.init and f.name not in (*CHANGED, "state", "update")]
    if any(value is _UNKNOWN for value in arguments.values()) or same.fingerprint != cell.fingerprint:
        return described
    if same.slots != cell.slots or any(getattr(same, name) != getattr(cell, name) for name in others):
        return described
    return described | {"factory": recipe.factory.__name__, "arguments": arguments, "changes": changes}


_UNKNOWN = object()


def _argument(value: Any) -> Any:
    """An argument of a factory as JSON: a nonlinearity by its name, a cell by its own factory."""
    if isinstance(value, Cell):
        inner = cell_described(value)
        return {"cell": inner} if inner["factory"] is not None else _UNKNOWN
    if callable(value):
        name = value.name if isinstance(value, Nonlinearity) else getattr(value, "__name__", "")
        try:
            return name if nonlinearity(name) is value else _UNKNOWN
        except ValueError:
            return _UNKNOWN
    try:
        json.dumps(value)
    except TypeError:
        return _UNKNOWN
    return value


def _changed(cell: Cell, name: str) -> Any:
    value = getattr(cell, name)
    if name == "drives":
        return [asdict(drive) for drive in value]
    if name == "masks":
        return {signal: asdict(mask) for signal, mask in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _with(cell: Cell, changes: Mapping[str, Any]) -> Cell:
    changes = dict(changes)
    others = sorted(set(changes) - set(CHANGED))
    if others:
        raise FileError(f"changes of a cell must be of {', '.join(CHANGED)}; came {others[0]!r}")
    if "drives" in changes:
        changes["drives"] = tuple(_drive(**drive) for drive in changes["drives"])
    if "masks" in changes:
        changes["masks"] = {signal: Mask(**mask) for signal, mask in changes["masks"].items()}
    return replace(cell, state=cell.slots, **changes)


def _drive(structure: Mapping[str, Any], operand: Sequence[str] | None, **others: Any) -> Drive:
    slots = None if operand is None else tuple(operand)
    return Drive(structure=Structure(**structure), operand=slots, **others)


def cell_again(described: Mapping[str, Any], given: Cell | None, layer: int) -> Cell:
    """The cell of a description, or the given one if it has the same equations."""
    name, factory = described["name"], described["factory"]
    if given is not None:
        if not isinstance(given, Cell):
            raise FileError(f"cells[{layer}] must be a Cell; came {type(given).__name__}")
        cell = given
    elif factory is None:
        raise FileError(
            f"layer {layer} has a cell that is not of the library, {name!r}: give the loader cells=, its cell or a "
            "sequence of one for each layer"
        )
    elif factory not in NAMED | UNNAMED:
        raise FileError(f"layer {layer} must have a cell of the library; came {factory!r}")
    else:
        arguments = dict(described["arguments"])
        if isinstance(arguments.get("cell"), dict):
            arguments["cell"] = cell_again(arguments["cell"]["cell"], None, layer)
        cell = _with((NAMED | UNNAMED)[factory](**arguments), described["changes"])
    if cell.fingerprint != described["fingerprint"]:
        raise FileError(
            f"layer {layer} must have the equations that were saved, those of {name!r}; came other ones, of "
            f"{cell.name!r}: compare the definitions, or the versions of the library"
        )
    if cell.constants != described["constants"]:
        raise FileError(
            f"layer {layer} must have the constants that were saved, {described['constants']}; came {cell.constants}"
        )
    return cell


def choice_described(cell: Cell, made: Mapping[str, Parametrization]) -> Any:
    """The parametrizations of a layer by what they make; that they are the cell's own, or unknown to the library."""
    if made == cell.parametrize:
        return DEFAULT
    described = {}
    for key, p in made.items():
        known = getattr(parametrize, type(p).__name__, None) is type(p)
        values = {f.name: _argument(getattr(p, f.name)) for f in fields(p)}
        if not known or any(value is _UNKNOWN for value in values.values()):
            return GIVEN
        described[key] = {"kind": type(p).__name__, "options": values}
    return described


def choice_again(described: Any, given: Any, layer: int) -> Any:
    """The parametrizations of a description, or the given ones."""
    if given is not None:
        return given
    if described == GIVEN:
        raise FileError(f"layer {layer} has a parametrization of its own: give the loader parametrize=")
    if described == DEFAULT:
        return None
    made = {}
    for key, p in described.items():
        kind = getattr(parametrize, p["kind"], None)
        if not (isinstance(kind, type) and issubclass(kind, Parametrization)):
            raise FileError(f"layer {layer} must have a parametrization of the library; came {p['kind']!r}")
        made[key] = kind(**p["options"])
    return made
