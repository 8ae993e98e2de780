"""Models of trees as JSON: a cell over children by the function that makes it, or by the cells that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cells import Cell
from ..trees.cells import ARC, TreeCell, child_sum
from ..trees.library import NAMED
from ..trees.running import over_children
from .described import cell_again, cell_described
from .files import FileError
from .trees import TreeModel

OPTIONS = ("hidden_size", "output_size", "input_size", "vocabulary_size", "where")


def describe(model: TreeModel) -> dict[str, Any]:
    """A model of trees as what JSON can hold."""
    options = {name: getattr(model, name) for name in OPTIONS}
    return {"cell": _cell_described(model.cell), "options": options, "loss": model.loss_name}


def rebuild(described: Mapping[str, Any], given: Any) -> TreeModel:
    """The model of a description, with a cell of the caller's own where it names none."""
    return TreeModel(_cell_again(described["cell"], given), loss=described["loss"], **described["options"])


def shapes(model: TreeModel) -> dict[str, tuple[int, ...] | None]:
    """The shape of each parameter by its path."""
    cell, inputs, units = model.cell, model.vocabulary_size or model.input_size, model.hidden_size
    assert inputs is not None
    found: dict[str, tuple[int, ...] | None] = {
        f"tree/{name}": shape for name, shape in cell.node.layout(inputs, units).shapes.items()
    }
    if cell.arc is not None:
        of_arcs = cell.arc.layout(inputs, units).shapes
        found |= {f"tree/{ARC}{name}": shape for name, shape in of_arcs.items()}
    weights = (model.output_size, model.read_size)
    return found | {"readout/weights": weights, "readout/bias": (model.output_size,)}


def _fingerprints(cell: TreeCell) -> list[str | None]:
    return [cell.node.fingerprint, None if cell.arc is None else cell.arc.fingerprint]


def _cell_described(cell: TreeCell) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": cell.name,
        "fingerprints": _fingerprints(cell),
        "children": cell.children,
    }
    recipe = cell.recipe
    if recipe is not None and NAMED.get(recipe.factory.__name__) is recipe.factory:
        again = recipe.factory(**recipe.arguments)
        if _same(again, cell):
            return described | {"factory": recipe.factory.__name__, "arguments": recipe.arguments}
    if cell.children is None:
        parts = [None if part is None else cell_described(part) for part in (cell.node, cell.arc)]
        if all(part is None or part["factory"] is not None for part in parts):
            return described | {"parts": parts}
    return described


def _same(a: TreeCell, b: TreeCell) -> bool:
    """Whether two cells have the same equations and constants."""
    constants = [
        [None if part is None else part.constants for part in (cell.node, cell.arc)] for cell in (a, b)
    ]
    return _fingerprints(a) == _fingerprints(b) and constants[0] == constants[1]


def _cell_again(described: Mapping[str, Any], given: Any) -> TreeCell:
    name, factory = described["name"], described.get("factory")
    if given is not None:
        if not isinstance(given, TreeCell | Cell):
            raise FileError(f"cells must be the TreeCell of the model; came {type(given).__name__}")
        cell = over_children(given)
    elif factory is not None:
        if factory not in NAMED:
            raise FileError(f"the model must have a cell over trees of the library; came {factory!r}")
        cell = NAMED[factory](**described["arguments"])
    elif "parts" in described:
        node, arc = (None if part is None else cell_again(part, None, 0) for part in described["parts"])
        if node is None:
            raise FileError("the model must have a cell of its nodes; came none")
        cell = child_sum(node, arc, name)
    else:
        raise FileError(
            f"the model has a cell over trees that is not of the library, {name!r}: give the loader cells=, that cell"
        )
    if _fingerprints(cell) != described["fingerprints"] or cell.children != described["children"]:
        raise FileError(
            f"the model must have the equations that were saved, those of {name!r}; came other ones, of {cell.name!r}: "
            "compare the definitions, or the versions of the library"
        )
    return cell
