"""Parameters as the flat arrays of the engines, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ..cells.layout import Layout, Span


class Flat(NamedTuple):
    """W (g, N), bias (preactivations,), matrices and vectors of a set of parameters."""

    W: np.ndarray
    bias: np.ndarray
    matrices: np.ndarray
    vectors: np.ndarray


W, BIAS, MATRICES, VECTORS = range(4)  # the fields of `Flat`


class Place(NamedTuple):
    """The place of a parameter: stretches of one of the flat arrays."""

    field: int  # W, BIAS, ...
    stretches: tuple[slice, ...]  # several if a stacked vector is not contiguous
    shape: tuple[int, ...]


@lru_cache(maxsize=1024)
def places(layout: Layout) -> dict[str, Place]:
    """The places of all parameters, in the order of `layout.shapes`."""
    found, start = {}, 0
    if "W" in layout.shapes:
        found["W"] = Place(W, (slice(None),), layout.shapes["W"])
    for name, blocks in layout.matrices.items():
        size = sum(r * c for r, c in blocks)
        found[name] = Place(MATRICES, (slice(start, start + size),), layout.shapes[name])
        start += size
    rows: tuple[tuple[int, Mapping[str, Sequence[Span]]], ...] = (
        (BIAS, layout.biases),
        (VECTORS, layout.vector_parameters),
    )
    for field, stacks in rows:
        for name, spans in stacks.items():
            found[name] = Place(field, _joined(spans), layout.shapes[name])
    return found


def _joined(spans: Sequence[Span]) -> tuple[slice, ...]:
    stretches: list[slice] = []
    for s in spans:
        if stretches and stretches[-1].stop == s.offset:
            stretches[-1] = slice(stretches[-1].start, s.offset + s.width)
        else:
            stretches.append(slice(s.offset, s.offset + s.width))
    return tuple(stretches)


@lru_cache(maxsize=1024)
def preactivations_size(layout: Layout) -> int:
    """The width of all pre-activations of a row of values."""
    return sum(p.width for p in layout.preactivations)


@lru_cache(maxsize=1024)
def shapes(layout: Layout) -> tuple[tuple[int, ...], ...]:
    """The shapes of the flat arrays."""
    W = (layout.input_rows, layout.input_size)
    return W, (preactivations_size(layout),), (layout.matrices_size,), (layout.vectors_size,)


@lru_cache(maxsize=1024)
def stored_whole(layout: Layout) -> dict[str, int]:
    """The parameters that fill a flat array of their own, each with the number of that field of `Flat`."""
    return {
        name: p.field
        for name, p in places(layout).items()
        if len(p.stretches) == 1 and prod(p.shape) == prod(shapes(layout)[p.field])
    }


def zeros(layout: Layout, dtype: np.dtype, xp: Any = np) -> Flat:
    """Flat arrays of zeros, of the array module `xp`."""
    return Flat(*[xp.zeros(shape, dtype) for shape in shapes(layout)])


def empty(
    layout: Layout, dtype: np.dtype, xp: Any = np, used: Mapping[int, np.ndarray] = MappingProxyType({})
) -> Flat:
    """Flat arrays to be filled with all parameters; `used`: arrays to take as they are, by number of field.

    Biases are zero where a pre-activation has none.
    """
    return Flat(
        *[
            used[field].reshape(shape)
            if field in used
            else (xp.zeros if field == BIAS else xp.empty)(shape, dtype)
            for field, shape in enumerate(shapes(layout))
        ]
    )


def views(layout: Layout, flat: Flat) -> dict[str, np.ndarray]:
    """The parameters in flat arrays, in the order of `layout.shapes`: views, or copies of split parameters."""
    params = {}
    for name, (field, stretches, shape) in places(layout).items():
        if len(stretches) == 1:
            params[name] = flat[field][stretches[0]].reshape(shape)
        else:
            params[name] = np.concatenate([flat[field][s] for s in stretches])
    return params


def copy_tied_blocks(layout: Layout, flat: Flat, params: Mapping[str, np.ndarray]) -> None:
    """Complete flat arrays whose `views` were written: parameters in several stretches, copies for tied drives."""
    for name, (field, stretches, _) in places(layout).items():
        if len(stretches) > 1:
            first, whole = 0, flat[field]
            for s in stretches:
                last = first + s.stop - s.start
                whole[s] = params[name][first:last]
                first = last
    for whole, copies in ((flat.matrices, layout.tied_matrices), (flat.vectors, layout.tied_vectors)):
        for to, source, size in copies:
            whole[to : to + size] = whole[source : source + size]


def flatten(layout: Layout, params: Mapping[str, np.ndarray], dtype: np.dtype, xp: Any = np) -> Flat:
    """The flat arrays of parameters; absent parameters are zero."""
    flat = empty(layout, dtype, xp)
    written = views(layout, flat)
    for name, place in written.items():
        place[...] = params.get(name, 0)
    copy_tied_blocks(layout, flat, written)
    return flat


def unflatten(layout: Layout, flat: Flat) -> dict[str, np.ndarray]:
    """The gradients by the parameters from those by flat arrays, in the order of `layout.shapes`.

    A parameter that tied drives share gets the sum of their gradients.
    """
    if layout.tied_matrices or layout.tied_vectors:
        flat = flat._replace(
            matrices=_summed(flat.matrices, layout.tied_matrices),
            vectors=_summed(flat.vectors, layout.tied_vectors),
        )
    return views(layout, flat)


def _summed(whole: np.ndarray, copies: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    if copies:
        whole = whole.copy()
        for at, source, size in copies:
            whole[source : source + size] += whole[at : at + size]
    return whole
