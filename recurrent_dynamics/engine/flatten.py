"""Parameters as the flat arrays of the engines, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..cells.layout import Layout


class Flat(NamedTuple):
    """W (g, N), bias (parts,), matrices and vectors of a set of parameters."""

    W: np.ndarray
    bias: np.ndarray
    matrices: np.ndarray
    vectors: np.ndarray


def parts_size(layout: Layout) -> int:
    """Entries of all parts of a row of values."""
    return sum(p.width for p in layout.parts)


def zeros(layout: Layout, dtype: np.dtype, xp: Any = np) -> Flat:
    """Flat arrays of zeros, to be filled or added to; of the array module `xp`."""
    return Flat(
        xp.zeros((layout.input_rows, layout.input_size), dtype),
        xp.zeros(parts_size(layout), dtype),
        xp.zeros(layout.matrices_size, dtype),
        xp.zeros(layout.vectors_size, dtype),
    )


def flatten(layout: Layout, params: Mapping[str, np.ndarray], dtype: np.dtype, xp: Any = np) -> Flat:
    """The flat arrays of parameters; those that are absent count as zero."""
    flat = zeros(layout, dtype, xp)
    if "W" in params:
        flat.W[...] = params["W"]
    start = 0
    for name, blocks in layout.matrices.items():
        size = sum(r * c for r, c in blocks)
        if name in params:
            flat.matrices[start : start + size] = params[name].ravel()
        start += size
    for row, stacks in ((flat.bias, layout.biases), (flat.vectors, layout.vector_parameters)):
        for name, spans in stacks.items():
            if name in params:
                first = 0
                for s in spans:
                    row[s.offset : s.offset + s.width] = params[name][first : first + s.width]
                    first += s.width
    for whole, copies in ((flat.matrices, layout.tied_matrices), (flat.vectors, layout.tied_vectors)):
        for to, source, size in copies:
            whole[to : to + size] = whole[source : source + size]
    return flat


def unflatten(layout: Layout, flat: Flat) -> dict[str, np.ndarray]:
    """The gradients by the parameters from those of flat arrays, in the order of `layout.shapes`.

    What tied drives share gets the sum over them.
    """
    params = {}
    flat = flat._replace(
        matrices=_summed(flat.matrices, layout.tied_matrices),
        vectors=_summed(flat.vectors, layout.tied_vectors),
    )
    if "W" in layout.shapes:
        params["W"] = flat.W
    start = 0
    for name, blocks in layout.matrices.items():
        size = sum(r * c for r, c in blocks)
        params[name] = flat.matrices[start : start + size].reshape(layout.shapes[name])
        start += size
    for row, stacks in ((flat.bias, layout.biases), (flat.vectors, layout.vector_parameters)):
        for name, spans in stacks.items():
            params[name] = np.concatenate([row[s.offset : s.offset + s.width] for s in spans])
    return params


def _summed(whole: np.ndarray, copies: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    if copies:
        whole = whole.copy()
        for at, source, size in copies:
            whole[source : source + size] += whole[at : at + size]
    return whole
