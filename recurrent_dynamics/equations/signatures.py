"""The arguments of the row functions that are generated for a cell."""

from __future__ import annotations

# Arrays of each verb, in the order of its arguments. E values of a step, S state before it, N after it, P per-unit
# vectors, C constants, J local diagonals; prefixes: t tangent, d cotangent, u tangent of the cotangent.
ARRAYS: dict[str, tuple[str, ...]] = {
    "forward": ("E", "S", "P", "C", "N"),
    "adjoint": ("E", "S", "P", "C", "dN", "dE", "dS", "dP"),
    "tangent": ("E", "S", "P", "C", "tE", "tS", "tP", "tN"),
    "second": ("E", "S", "P", "C", "tE", "tS", "tP", "dE", "dN", "uN", "uE", "uS", "uP"),
    "jacobian": ("E", "S", "P", "C", "J"),
}

# The argument that says where the row of an array begins, unless the row is common to all steps; it follows the first
# array that it serves.
OFFSETS = {
    "E": "e", "S": "s", "N": "n", "dN": "dn", "dE": "e", "dS": "ds", "dP": "dp",
    "tE": "e", "tS": "s", "tN": "tn", "uN": "dn", "uE": "e", "uS": "us", "uP": "up",
}  # fmt: skip


def _arguments(arrays: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for array in arrays:
        found.append(array)
        offset = OFFSETS.get(array)
        if offset is not None and offset not in found:
            found.append(offset)
    return tuple(found)


# Arguments of the function of one row, after the stage and the sizes.
SIGNATURES: dict[str, str] = {verb: ", ".join(_arguments(arrays)) for verb, arrays in ARRAYS.items()}
