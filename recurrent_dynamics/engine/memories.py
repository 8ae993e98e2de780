"""The memories that a cell reads: arrays of a user as one flat array of the engine, and back.

The engine has one row for each memory, `[keys of all positions | values of all positions | ...]`. `places` says for
each instance where its memory begins, how long its source is, and where the row of its gradient begins. On a GPU the
memories lie there, and `places` and `memory_of` on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..cells.cell import Cell
from ..cells.layout import Layout, Span
from ..checks import ArgumentError, is_finite
from ..equations.axes import SOURCE
from ..equations.schedule import OVER_POSITIONS, SOFTMAX, operand_name
from ..kernels.copying import copy_vectors
from ..kernels.memory import empty
from . import check
from .run import Tape, namespace

Arrays = Mapping[str, np.ndarray]


class Memory(NamedTuple):
    """The memory of all instances: flat numbers, places (B * 3,), and which memory each instance reads, or empty."""

    flat: np.ndarray
    places: np.ndarray
    of: np.ndarray


@lru_cache(maxsize=8)
def no_memory(dtype: np.dtype, xp: Any = np) -> Memory:
    """The memory of a run of a cell that reads none."""
    return Memory(xp.empty(0, dtype), xp.empty(0, np.int64), xp.empty(0, np.int64))


def source_size(cell: Cell, memory: Arrays | None) -> int:
    """The number of positions S of the memories given for a cell; 0 for a cell that reads none."""
    if memory is None and not cell.memory:
        return 0
    given = check.mapping("memory", memory, tuple(m.name for m in cell.memory))
    missing = [m.name for m in cell.memory if m.name not in given]
    if missing:
        raise ArgumentError(
            "memory",
            f"have {', '.join(m.name for m in cell.memory)}, which cell {cell.name!r} reads",
            ", ".join(given) or "none",
        )
    shapes = {
        name: value.shape if hasattr(value, "shape") else check.array(f"memory[{name!r}]", value).shape
        for name, value in given.items()
    }
    for name, shape in shapes.items():
        if len(shape) not in (2, 3):
            raise ArgumentError(f"memory[{name!r}]", "have shape (S, B, width), or (S, width) for one", shape)
    sizes = {name: int(shape[0]) for name, shape in shapes.items()}
    if len(set(sizes.values())) > 1:
        raise ArgumentError(
            "memory",
            "have arrays of one number of positions",
            ", ".join(f"{n}: {s}" for n, s in sizes.items()),
        )
    return next(iter(sizes.values()), 0)


def memory_of_run(
    layout: Layout,
    memory: Arrays | None,
    lengths: Any,
    of: Any,
    batch: int,
    dtype: np.dtype,
    single: bool,
    xp: Any = np,
) -> Memory:
    """The memories as the engine has them, checked and copied; what lies beyond the lengths is not read."""
    if not layout.memory:
        for name, value in (("memory_lengths", lengths), ("memory_of", of)):
            if value is not None:
                raise ArgumentError(name, "be None for a cell that reads no memory", type(value).__name__)
        return no_memory(dtype, xp)
    arrays = {name: check.real(f"memory[{name!r}]", a, dtype) for name, a in (memory or {}).items()}
    first = arrays[layout.memory[0].name]
    count = 1 if first.ndim == 2 else first.shape[1]
    which = memory_numbers(of, count, batch)
    ends = _lengths(lengths, layout.source_size, count)
    flat = _packed(layout, arrays, ends, count, single, dtype, xp=xp)
    return Memory(flat.reshape(-1), _places(layout, ends, which, batch), which)


def memory_alone(layout: Layout, memory: Arrays | None, lengths: Any, dtype: np.dtype) -> Memory:
    """Memories without sequences that read them: `places` and `of` have an entry for each memory."""
    if not layout.memory:
        return memory_of_run(layout, memory, lengths, None, 0, dtype, False)
    first = np.shape((memory or {})[layout.memory[0].name])
    count = 1 if len(first) == 2 else first[1]
    found = memory_of_run(layout, memory, lengths, None, count, dtype, False)
    return found._replace(of=np.arange(count))


def _packed(
    layout: Layout,
    arrays: Arrays,
    ends: np.ndarray,
    count: int,
    single: bool,
    dtype: np.dtype,
    prefix: str = "",
    xp: Any = np,
) -> np.ndarray:
    """(memories, numbers of one)."""
    size = layout.source_size
    flat, finite = _room((count, layout.memory_size), dtype, xp), True
    beyond = None if (ends == size).all() else xp.asarray(np.arange(size) >= ends[:, None])
    for m in layout.memory:
        name = f"{prefix}memory[{m.name!r}]"
        a = arrays[m.name]
        wanted = (size, m.width) if a.ndim == 2 and (single or count == 1) else (size, count, m.width)
        check.shape(name, a, wanted)
        part = flat[:, size * m.offset : size * (m.offset + m.width)].reshape(count, size, m.width)
        finite &= _copy(a.reshape(size, count, m.width).swapaxes(0, 1), part)
        if beyond is not None:
            part[beyond] = 0
    if not finite:
        for m in layout.memory:  # the first that is not says where
            a = arrays[m.name]
            within = xp.asarray(np.arange(size)[:, None, None] < ends[:, None])
            check.floating(
                f"{prefix}memory[{m.name!r}]", a, dtype, within=within if a.ndim == 3 else within[:, 0]
            )
    return flat


def _room(shape: tuple[int, ...], dtype: np.dtype, xp: Any) -> Any:
    return empty(shape, dtype) if xp is np else xp.empty(shape, dtype)


def _copy(a: Any, out: Any) -> bool:
    """`copy_vectors` on the host or on a GPU."""
    if isinstance(out, np.ndarray):
        return copy_vectors(a, out)
    out[...] = a
    return is_finite(a)


def _lengths(value: Any, size: int, count: int) -> np.ndarray:
    """(memories,) the length of each source."""
    if value is None:
        return np.full(count, size, np.int64)
    a = np.atleast_1d(check.array("memory_lengths", value))
    if a.shape != (count,) or a.dtype.kind not in "iu":
        raise ArgumentError(
            "memory_lengths", f"be {count} integers, one a memory", f"shape {a.shape}, dtype {a.dtype}"
        )
    if a.size and (a.min() < 0 or a.max() > size):
        raise ArgumentError(
            "memory_lengths", f"lie between 0 and {size}, the number of positions", f"{a.min()} to {a.max()}"
        )
    return a.astype(np.int64)


def memory_numbers(of: Any, count: int, batch: int) -> np.ndarray:
    """(B,) the number of the memory of each instance, or an empty array where each has its own."""
    if of is None:
        if count != batch:
            raise ArgumentError(
                "memory",
                f"have {batch} sequences, as the run has; memory_of says which of them each sequence reads",
                f"{count}",
            )
        return np.empty(0, np.int64)
    a = check.array("memory_of", of)
    if a.shape != (batch,) or a.dtype.kind not in "iu":
        raise ArgumentError(
            "memory_of", f"be {batch} integers, one a sequence", f"shape {a.shape}, dtype {a.dtype}"
        )
    if a.size and (a.min() < 0 or a.max() >= count):
        raise ArgumentError("memory_of", f"lie in 0..{count - 1}, the memories", f"{a.min()} to {a.max()}")
    return a.astype(np.int64)


def _places(layout: Layout, ends: np.ndarray, which: np.ndarray, batch: int) -> np.ndarray:
    read = which if which.size else np.arange(batch)
    starts = read * layout.memory_size
    return np.stack([starts, ends[read], np.arange(batch) * layout.memory_size], axis=1).reshape(-1)


def tangent_of_memory(tape: Tape, given: Arrays | None, single: bool) -> np.ndarray:
    """A direction of the memories, flat as those of the tape; memories without a direction do not move."""
    layout, xp = tape.layout, namespace(tape.memory)
    if not layout.memory:
        check.mapping("d_memory", given, ())
        return tape.memory
    arrays = check.mapping("d_memory", given, tuple(m.name for m in layout.memory))
    count = tape.memory.size // layout.memory_size if layout.memory_size else tape.batch
    for name, a in arrays.items():
        arrays[name] = check.real(f"d_memory[{name!r}]", a, tape.dtype)
    still = {
        m.name: xp.zeros((layout.source_size, count, m.width), tape.dtype)
        for m in layout.memory
        if m.name not in arrays
    }
    ends = _ends(tape, count)
    return _packed(layout, arrays | still, ends, count, single, tape.dtype, "d_", xp).reshape(-1)


def _ends(tape: Tape, count: int) -> np.ndarray:
    """The length of each memory; that of one that no instance reads is 0."""
    places = tape.places.reshape(-1, 3)
    ends = np.zeros(count, np.int64)
    ends[tape.memory_of if tape.memory_of.size else np.arange(tape.batch)] = places[:, 1]
    return ends


def rows_by_memory(tape: Tape) -> dict[str, np.ndarray]:
    """The memory (S, B, width) that each sequence of a run reads."""
    layout, size = tape.layout, tape.layout.source_size
    count = tape.memory.size // layout.memory_size if layout.memory_size else tape.batch
    flat = tape.memory.reshape(count, layout.memory_size)
    flat = flat[tape.memory_of] if tape.memory_of.size else flat
    parts = {m.name: flat[:, size * m.offset : size * (m.offset + m.width)] for m in layout.memory}
    return {m.name: parts[m.name].reshape(len(flat), size, m.width).swapaxes(0, 1) for m in layout.memory}


def memory_again(tape: Tape, repeat: int = 1) -> dict[str, Any]:
    """The arguments of `forward` that give the memory of a run again, to `repeat` batches one after the other."""
    layout, size = tape.layout, tape.layout.source_size
    if not layout.memory:
        return {}
    count = tape.memory.size // layout.memory_size if layout.memory_size else tape.batch
    every = rows_by_memory(replace(tape, memory_of=np.empty(0, np.int64)))
    of = tape.memory_of if tape.memory_of.size else np.arange(tape.batch)
    return {
        "memory": {name: np.ascontiguousarray(a).reshape(size, count, -1) for name, a in every.items()},
        "memory_lengths": _ends(tape, count),
        "memory_of": np.tile(of, repeat),
    }


def repeated(tape: Tape, repeat: int) -> dict[str, np.ndarray]:
    """The fields of a tape that say which memory is read, for every sequence `repeat` times."""
    if not tape.layout.memory:
        return {}
    places = np.repeat(tape.places.reshape(-1, 3), repeat, axis=0)
    places[:, 2] = np.arange(len(places)) * tape.layout.memory_size
    of = tape.memory_of if tape.memory_of.size else np.arange(tape.batch)
    return {"places": places.reshape(-1), "memory_of": np.repeat(of, repeat)}


def by_memory(tape: Tape, gradient: np.ndarray, single: bool) -> dict[str, np.ndarray]:
    """The gradients (S, B, width) by the memories from those of each instance (B, numbers)."""
    layout, size, xp = tape.layout, tape.layout.source_size, namespace(gradient)
    if tape.memory_of.size:
        count = tape.memory.size // layout.memory_size if layout.memory_size else 0
        summed = xp.zeros((count, layout.memory_size), tape.dtype)
        for b, which in enumerate(tape.memory_of):  # one after the other: the sum has one order
            summed[which] += gradient[b]
        gradient = summed
    found = {}
    for m in layout.memory:
        part = gradient[:, size * m.offset : size * (m.offset + m.width)]
        whole = _room((size, len(gradient), m.width), tape.dtype, xp)
        _copy(part.reshape(len(gradient), size, m.width).swapaxes(0, 1), whole)
        found[m.name] = whole[:, 0] if single and whole.shape[1] == 1 else whole
    return found


def weight_spans(cell: Cell, layout: Layout) -> dict[str, Span]:
    """The places of the weights of every sum over positions and of every softmax, by their names in the equations."""
    schedule = cell.schedule
    nodes = schedule.graph.nodes
    read = [
        i for p in schedule.reads if p.kind == OVER_POSITIONS for i in p.operand if nodes[i].width == SOURCE
    ]
    targets = {p.target for p in schedule.reads if p.kind == SOFTMAX}
    read += [i for i, n in enumerate(nodes) if n.kind == "preactivation" and n.arguments[0] in targets]
    spans = {s.name: s for s in layout.values}
    found = {}
    for i in dict.fromkeys(read):
        stored = nodes[i].arguments[0] if nodes[i].kind == "preactivation" else operand_name(i)
        if stored in spans:
            found[schedule.graph.names.get(i, stored)] = spans[stored]
    return found


def weights(tape: Tape) -> dict[str, np.ndarray]:
    """The weights (T, B, S), see `weight_spans`."""
    spans = weight_spans(tape.cell, tape.layout)
    return {name: tape.values[..., s.offset : s.offset + s.width] for name, s in spans.items()}
