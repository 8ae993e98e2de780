"""The arguments of the verbs as the arrays of the engines: states, signals, cotangents, in one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cells.cell import Cell
from ..cells.layout import Layout, Span
from ..checks import ArgumentError, ArgumentTypeError, integer, is_finite
from ..kernels.copying import plain
from . import check
from .backends import Backend
from .flatten import Flat, copy_tied_blocks, empty, stored_whole, views
from .memories import Memory, no_memory
from .run import Run, Tape, namespace, run_shape, within_lengths

Arrays = Mapping[str, np.ndarray]


MOST_STEPS = 1 << 40  # steps of a run without input; more would fit no memory


def new_tape(
    engine: Any,
    cell: Cell,
    layout: Layout,
    flat: Flat,
    x: np.ndarray,
    start: np.ndarray,
    ends: np.ndarray,
    resets: np.ndarray,
    tf32: bool = False,
    rounded: bool = False,
    memory: Memory | None = None,
) -> Tape:
    """A tape with new arrays, of which only the initial state is filled in. `engine` is the module of the verbs.

    A `start` of shape (B, 0) is not filled in.
    """
    T, batch, dtype = len(x), x.shape[1], flat.bias.dtype
    before, after = engine.state_arrays(T, batch, layout.state_size, dtype, resets.size > 0)
    if start.size:
        before[0] = start
    if rounded:
        values = engine.rounded_values(layout, T, batch)
    else:
        values = engine.new_values((T, batch, layout.values_size), dtype, held=ends.size > 0)
    constants = namespace(x).asarray(list(cell.constants.values()), dtype)
    return Tape(
        cell, layout, T, batch, flat.W, flat.bias, flat.matrices, flat.vectors, constants, x, values, before, after,
        start, ends, resets, *(memory or no_memory(dtype)), tf32,
    )  # fmt: skip


def without_steps(
    cell: Cell, layout: Layout, flat: Flat, steps: int, start: np.ndarray, ends: np.ndarray
) -> Tape:
    """A tape without arrays of all steps. It takes about as much memory as the parameters."""
    nothing = np.empty((0, len(start), 0), start.dtype)
    return Tape(
        cell, layout, steps, len(start), flat.W, flat.bias, flat.matrices, flat.vectors, flat.bias[:0], nothing,
        nothing, nothing, nothing, start, ends, check.NO_RESETS, *no_memory(start.dtype),
    )  # fmt: skip


def output_slot(cell: Cell, layout: Layout) -> Span:
    """The slot of the state that is the output."""
    return next(s for s in layout.slots if s.name == cell.output)


def own_parameters(
    engine: Any, layout: Layout, given: Arrays, dtype: np.dtype, xp: Any = np, copy: bool = True
) -> tuple[Flat, dict[str, np.ndarray]]:
    """(the parameters in flat arrays, and by name, mostly views of those): copies, checked to be finite.

    Without `copy`, arrays that the engine can use in place are neither copied nor checked.
    """
    used = (
        {}
        if copy
        else {name: field for name, field in stored_whole(layout).items() if _usable(given.get(name))}
    )
    flat = empty(layout, dtype, xp, {field: given[name] for name, field in used.items()})
    if len(used) == len(given):
        return flat, dict(given)
    copies = views(layout, flat)
    own = {name: copies[name] for name in given}
    for name, a in given.items():
        if name not in used and not engine.add_columns(a, own[name], 0, fresh=True):
            check.finite(f"params[{name!r}]", a)
    copy_tied_blocks(layout, flat, own)
    return flat, own


def _usable(a: Any) -> bool:
    """Whether compiled code can read an array in place."""
    return isinstance(a, np.ndarray) and a.flags.carray


def input_of(
    x: Any, steps: int | None, initial: Arrays | None, dtype: np.dtype, input_size: int, layout: Layout
) -> tuple[np.ndarray, bool, bool, int]:
    """(x as (T, B, N) or class indices (T, B), is it one sequence, is it autonomous, B)."""
    if x is None:
        if steps is None:
            raise ArgumentError(
                "x or steps",
                "be given: an input, or the number of steps of a network that runs by itself",
                "none of them",
            )
        integer("steps", steps, at_least=1, at_most=MOST_STEPS)
        given = check.mapping("initial", initial, tuple(s.name for s in layout.slots))
        batches = {s: len(v) for s, v in given.items() if np.ndim(v) == 2}
        for s, n in batches.items():
            if n == 0:
                raise ArgumentError(f"initial[{s!r}]", "have at least one sequence", np.shape(given[s]))
        single, batch = not batches, next(iter(batches.values()), 1)
        return np.zeros((int(steps), batch, input_size), dtype), single, True, batch
    if steps is not None:
        raise ArgumentError("steps", "be None where the input x says how many steps there are", repr(steps))
    x = check.array("x", x)
    if x.dtype.kind in "iu":
        return _classes(x, layout)
    x = check.real("x", x, dtype)
    if x.ndim not in (2, 3):
        raise ArgumentError("x", "have shape (T, B, N), or (T, N) for one sequence", x.shape)
    single = x.ndim == 2
    given = x.shape
    x = x[:, None] if single else x
    if 0 in x.shape[:2]:
        raise ArgumentError("x", "have at least one step and one sequence", given)
    wanted = input_size
    if not layout.input_rows and any(s.name == "x" for s in layout.signals):
        wanted = x.shape[2]  # `write_signals` checks it
    if x.shape[2] != wanted:
        why = "as params['W'] has columns" if "W" in layout.shapes else "as there is no params['W']"
        raise ArgumentError("x", f"have {wanted} entries a step, {why}", f"shape {given}")
    return x, single, False, x.shape[1]


def _classes(x: np.ndarray, layout: Layout) -> tuple[np.ndarray, bool, bool, int]:
    """`input_of` for class indices."""
    if x.ndim not in (1, 2):
        raise ArgumentTypeError(
            "x",
            "be real numbers of shape (T, B, N), or class indices (integers) of shape (T, B), or (T,) "
            "for one sequence",
            f"{x.dtype} of shape {x.shape}",
        )
    if 0 in x.shape:
        raise ArgumentError("x", "have at least one step and one sequence", x.shape)
    if "W" not in layout.shapes or any(s.name == "x" for s in layout.signals):
        raise ArgumentTypeError(
            "x",
            "be real numbers, as the cell reads its input not by params['W'] stored_whole",
            f"class indices ({x.dtype})",
        )
    single = x.ndim == 1
    return x[:, None] if single else x, single, False, 1 if single else x.shape[1]


def own_classes(x: np.ndarray, ends: np.ndarray, single: bool, count: int) -> np.ndarray:
    """A copy of class indices (T, B), all below `count`, with zeros beyond the lengths."""
    if ends.size:
        x = np.where(within_lengths(len(x), ends), x, x.dtype.type(0))
    if not check.below(x, count):
        t, b = (int(i) for i in namespace(x).argwhere((x < 0) | (x >= count))[0])
        raise ArgumentError(
            "x",
            f"be class indices in 0..{count - 1}, as params['W'] has {count} columns",
            f"{int(x[t, b])} at index {((t,) if single else (t, b))}",
        )
    return namespace(x).array(x, np.int64)


def own_input(engine: Any, x: np.ndarray, ends: np.ndarray, single: bool) -> np.ndarray:
    """A finite copy of x (T, B, N), with zeros beyond the lengths."""
    own = namespace(x).empty(x.shape, x.dtype)
    if not engine.add_columns(x, own, 0, True, ends):
        check.finite("x", own[:, 0] if single else own)
    return own


def input_where_it_lies(engine: Any, x: np.ndarray, ends: np.ndarray, single: bool) -> np.ndarray:
    """The input x (T, B, N) of a run that does not keep it: a checked copy where a copy is needed, else x unchecked."""
    if ends.size or not (x.flags.c_contiguous and x.flags.aligned):
        return own_input(engine, x, ends, single)
    return plain(x)


def state_row(
    name: str, given: Arrays | None, layout: Layout, batch: int, dtype: np.dtype, xp: Any = np
) -> np.ndarray:
    """(B, k) from a dict of slots; 0 where not given."""
    out = xp.zeros((batch, layout.state_size), dtype)
    if given is None:
        return out
    slots = {s.name: s for s in layout.slots}
    arrays = {}
    for slot, value in check.mapping(name, given, tuple(slots)).items():
        s = slots[slot]
        a = check.real(f"{name}[{slot!r}]", value, dtype)
        if a.shape not in ((s.width,), (batch, s.width)):
            raise ArgumentError(f"{name}[{slot!r}]", f"have shape {(batch, s.width)}", a.shape)
        out[:, s.offset : s.offset + s.width] = arrays[slot] = a
    if not is_finite(out):
        for slot, a in arrays.items():
            check.finite(f"{name}[{slot!r}]", a)
    return out


def write_signals(
    cell: Cell,
    layout: Layout,
    values: np.ndarray,
    given: Arrays | None,
    x: np.ndarray | None,
    ends: np.ndarray,
    single: bool,
    prefix: str = "",
) -> tuple[str, ...]:
    """Write the signals into their places in the values. Returns the names of those with one number for all units."""
    named = tuple(s for s in cell.signals if s != "x")
    arrays = check.mapping(f"{prefix}signals", given, named)
    T, B = values.shape[:2]
    within = within_lengths(T, ends) if ends.size else None
    shared = []
    for s in layout.signals:
        if s.name == "x":
            if x is None or x.shape[2] != s.width:
                came = "no input" if x is None else f"shape {x.shape}"
                raise ArgumentError(
                    "x", f"have {s.width} entries, as cell {cell.name!r} reads the input itself", came
                )
            a = x
        else:
            if s.name not in arrays and s.name in cell.masks:
                values[..., s.offset : s.offset + s.width] = cell.masks[s.name].mean
                shared.append(s.name)
                continue
            if s.name not in arrays:
                raise ArgumentError(
                    f"{prefix}signals",
                    f"have {s.name!r}, which cell {cell.name!r} reads",
                    f"{', '.join(arrays) or 'none'} (an array {'(T,)' if single else '(T, B)'} is enough)",
                )
            name = f"{prefix}signals[{s.name!r}]"
            a = check.real(name, arrays[s.name], values.dtype)
            shapes = ((T,), (T, s.width)) if single else ((T, B), (T, B, s.width))
            if a.shape not in shapes:
                raise ArgumentError(name, f"have shape {shapes[0]} or {shapes[1]}", a.shape)
            if a.shape == shapes[0]:
                shared.append(s.name)
            # Checked in the user's shape, so that an error names an index into the user's array.
            there = None if within is None else within.reshape(shapes[0] + (1,) * (a.ndim - len(shapes[0])))
            a = check.floating(name, a, within=there).reshape(T, B, -1)
        values[..., s.offset : s.offset + s.width] = a
    return tuple(shared)


def refuse_not_finite(tape: Tape) -> None:
    """Raise an error that names the first step at which a run is not finite."""
    t, b, j = (int(i) for i in np.argwhere(~np.isfinite(tape.after))[0])
    slot = next(s.name for s in tape.layout.slots if s.offset <= j < s.offset + s.width)
    raise FloatingPointError(
        f"the run became {tape.after[t, b, j]} at step {t}: slot {slot!r} of sequence {b}. Smaller weights or "
        "inputs, or clipped gradients in training, keep it finite; check_finite=False returns it as it is"
    )


def some_cotangent(verb: str, output: Any, states: Any, final: Any) -> None:
    """Refuse a backward pass without any cotangent."""
    empty = [v is None or (isinstance(v, Mapping) and not v) for v in (states, final)]
    if output is None and all(empty):
        raise ArgumentError("one of d_output, d_states, d_final", f"be given to {verb}", "none")


def cotangent(
    to: Backend,
    run: Run,
    prefix: str,
    output: np.ndarray | None,
    states: Arrays | None,
    final: Arrays | None,
    suffix: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """(before, after) for a backward pass to fill: zeros, with the sum of the given cotangents in `after`."""
    engine, xp, tape = to.verbs, to.xp, run.engine_tape
    slots = {s.name: s for s in tape.layout.slots}
    before, d = engine.state_arrays(
        tape.steps, tape.batch, tape.layout.state_size, tape.dtype, tape.resets.size > 0
    )
    first = True  # whether d is still uninitialized

    def add(name: str, value: Any, s: Span, ends: np.ndarray) -> None:
        nonlocal first
        a = check.real(name, value, tape.dtype)
        check.shape(name, a, run_shape(run, (*d.shape[:-1], s.width)))
        if not engine.add_columns(a, d, s.offset, first, ends):
            within = xp.asarray(run.within) if ends.size else True
            check.finite(name, xp.where(within, a, a.dtype.type(0)))
        first = False

    if output is not None:
        add(f"{prefix}output{suffix}", output, slots[run.cell.output or ""], tape.lengths)
    for slot, value in check.mapping(f"{prefix}states{suffix}", states, tuple(slots)).items():
        add(f"{prefix}states{suffix}[{slot!r}]", value, slots[slot], tape.lengths[:0])
    if first:
        d[...] = 0
    if tape.resets.size:
        before[...] = 0
    else:
        before[0] = 0
    for slot, value in check.mapping(f"{prefix}final{suffix}", final, tuple(slots)).items():
        s, name = slots[slot], f"{prefix}final{suffix}[{slot!r}]"
        a = check.floating(name, value, tape.dtype, run_shape(run, (tape.batch, s.width)))
        d[-1, :, s.offset : s.offset + s.width] += a.reshape(tape.batch, s.width)
    return before, d
