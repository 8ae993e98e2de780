"""Weight tying: drives that multiply by the block of U of another drive.

The equations of a step may need one matrix several times, a Runge-Kutta method once for each stage. A tied drive is
a stage of its own to the engines, with a copy of the block in their flat arrays; the copies are made where parameters
are flattened, and their gradients are added up where they are unflattened, so that no engine knows of tying.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..equations.graph import DefinitionError
from ..equations.schedule import Product, Schedule


def tied_to(cell: Any) -> dict[str, str]:
    """Drive -> the drive whose block of U it uses, for the tied ones."""
    return {d.name: d.tied for d in cell.drives if d.tied is not None}


def tied(cell: Any, schedule: Schedule) -> Schedule:
    """The schedule with the products and diagonals of tied drives under the parameter of the drive that owns it.

    Raises
    ------
    DefinitionError
        A tied drive is not called, is normalized, has an input or a bias of its own, or another operand or structure.
    """
    owner_of = tied_to(cell)
    if not owner_of:
        return schedule
    declared = {d.name: d for d in cell.drives}
    for name, other in owner_of.items():
        drive, owner = declared[name], declared.get(other)
        why = None
        if owner is None or owner.tied is not None:
            why = f"{other!r} is no drive with a block of its own"
        elif drive.input or drive.bias:
            why = "it has an input or a bias of its own; give input=False, bias=False"
        elif (drive.width, drive.structure) != (owner.width, owner.structure):
            why = "the two have different widths or structures"
        elif schedule.usage[name] != "called":
            why = f"it is used as {schedule.usage[name]}; a tied drive is called with its operand"
        elif {name, other} & set(cell.normalized):
            why = "layer normalization is for sums, of which a tied drive adds a part"
        if why is not None:
            raise DefinitionError(f"line 9 of the contract: drive {name} is tied to {other!r}, but {why}")
    nodes, own, drive_of = (
        schedule.graph.nodes,
        products_of(cell, schedule),
        drives_of(cell, schedule.preactivations),
    )

    def shape(p: Product) -> tuple[Any, ...]:
        return tuple(nodes[i].width for i in p.operand), p.heads

    changed: dict[str, Product] = {}
    for (name, factor), product in own.items():
        if name in owner_of:
            owned = own.get((owner_of[name], factor))
            if owned is None or shape(owned) != shape(product):
                raise DefinitionError(
                    f"line 9 of the contract: drive {name} is tied to {owner_of[name]!r}, but their operands differ in "
                    "number or width"
                )
            changed[product.target] = replace(product, parameter=owned.parameter)
    parameter = {v.name: v.parameter for v in schedule.vectors}
    return replace(
        schedule,
        # In the written equations the pre-activations of a tied drive are those of its owner.
        preactivations=tuple(
            replace(p, drive=owner_of.get(drive_of[p.name], p.drive)) for p in schedule.preactivations
        ),
        products=tuple(changed.get(p.target, p) for p in schedule.products),
        vectors=tuple(
            replace(v, parameter=parameter[vector_owner(owner_of, v.name) or v.name])
            for v in schedule.vectors
        ),
    )


def drives_of(cell: Any, preactivations: Iterable[Any]) -> dict[str, str]:
    """Preactivation -> the drive it belongs to, tied or not."""
    owner_of = tied_to(cell)
    own = {p.name: p.name.removesuffix("__right") for p in preactivations}
    return {p.name: own[p.name] if own[p.name] in owner_of else p.drive for p in preactivations}


def products_of(cell: Any, schedule: Schedule) -> dict[tuple[str, bool], Product]:
    """(drive, whether it is the right factor of a low-rank block) -> its product with U."""
    drive_of = drives_of(cell, schedule.preactivations)
    return {
        (drive_of[p.target], p.target.endswith("__right")): p
        for p in schedule.products
        if p.parameter is not None
    }


def vector_owner(owner_of: dict[str, str], vector: str) -> str | None:
    """The vector that holds the diagonal of U of a tied drive; None for any other vector."""
    drive = owner_of.get(vector.removeprefix("U__")) if vector.startswith("U__") else None
    return None if drive is None else f"U__{drive}"
