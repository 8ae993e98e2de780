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

# What a cell that reads a memory has besides: M memories, dM and uM one row for each instance.
MEMORY_ARRAYS: dict[str, tuple[str, ...]] = {
    "forward": ("M",), "adjoint": ("M", "dM"), "tangent": ("M", "tM"), "second": ("M", "tM", "uM"), "jacobian": (),
}  # fmt: skip

# The argument that says where the row of an array begins, unless the row is common to all steps; it follows the first
# array that it serves.
OFFSETS = {
    "E": "e", "S": "s", "N": "n", "dN": "dn", "dE": "e", "dS": "ds", "dP": "dp",
    "tE": "e", "tS": "s", "tN": "tn", "uN": "dn", "uE": "e", "uS": "us", "uP": "up",
    "M": "m", "tM": "m", "dM": "dm", "uM": "dm",
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


def signature(verb: str, reads: bool) -> str:
    """`SIGNATURES` of a verb; those of a cell that reads a memory end with the memory and the length of its source."""
    if not reads:
        return SIGNATURES[verb]
    return ", ".join([SIGNATURES[verb], *_arguments(MEMORY_ARRAYS[verb]), "length"])
