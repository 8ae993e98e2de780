"""Streaming: one step at a time from Python, with the parameters packed once."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells.cell import Cell
from ..checks import ArgumentError, integer, is_finite
from . import check
from .flatten import flatten
from .memories import memory_alone, memory_numbers, source_size, weight_spans
from .run import one_hot
from .stepper_state import State

if TYPE_CHECKING:
    from .cpu.branches import Branches

MOST_ROWS = 2**31


class Stepper:
    """`state = step(x_t, state)`; see `stepper`."""

    def __init__(
        self,
        cell: Cell,
        params: Mapping[str, np.ndarray],
        memory: Mapping[str, np.ndarray] | None = None,
        memory_lengths: Any = None,
    ) -> None:
        from .cpu import streaming

        own, self.dtype, n, h = check.parameters(cell, params)
        self.cell, self._layout = cell, cell.layout(n, h, source_size(cell, memory))
        self._memory = memory_alone(self._layout, memory, memory_lengths, self.dtype)
        spans = list(weight_spans(cell, self._layout).values())
        self._weights = spans[0] if len(spans) == 1 else None
        self._signals = tuple(s for s in self._layout.signals if s.name != "x")
        self._raw_input = next((s for s in self._layout.signals if s.name == "x"), None)
        raw = self._raw_input
        if raw is not None and self._layout.input_rows and n != raw.width:
            raise ArgumentError(
                "params['W']", f"have {raw.width} columns, as cell {cell.name!r} reads the input itself", n
            )
        self.spans = tuple((s.name, s.offset, s.offset + s.width) for s in self._layout.slots)
        self._inputs = self._layout.input_size if raw is None else raw.width
        self._one_step = streaming.one_step
        flat = flatten(self._layout, own, self.dtype)
        self._W, self._packed = flat.W, streaming.prepare(cell, self._layout, flat)
        self._branches: Branches | None = None

    def __repr__(self) -> str:
        return f"Stepper({self.cell.name}, {self._inputs} inputs, {self._layout.hidden_size} units, {self.dtype})"

    def zeros(self, batch_size: int = 1, memory_of: Any = None) -> State:
        """The zero state, slot -> (B, width); a buffer for `out` too.

        `memory_of` (B,) says which memory each row reads; by default row b reads memory b, or all rows the only one.
        """
        batch_size = integer("batch_size", batch_size, at_least=1, at_most=MOST_ROWS)
        of = self._memory_of(memory_of, int(batch_size))
        return State(self, np.zeros((batch_size, self._layout.state_size), self.dtype), of)

    def _memory_of(self, of: Any, batch: int) -> np.ndarray | None:
        """(B,) the number of the memory of each row; None for a cell that reads none."""
        if not self._layout.memory:
            if of is not None:
                raise ArgumentError("memory_of", "be None for a cell that reads no memory", type(of).__name__)
            return None
        count = self._memory.of.size
        if of is None and count == 1:
            of = np.zeros(batch, np.int64)
        which = memory_numbers(of, count, batch)
        return which if which.size else np.arange(batch)

    def places_of(self, memory_of: np.ndarray | None) -> np.ndarray:
        """Where the memories of these numbers are."""
        places = self._memory.places
        return places if memory_of is None else places.reshape(-1, 3)[memory_of].reshape(-1)

    def __call__(
        self,
        x: np.ndarray | None,
        state: Mapping[str, np.ndarray],
        out: dict[str, np.ndarray] | None = None,
        signals: Mapping[str, Any] | None = None,
    ) -> State:
        """The state after one step.

        Parameters
        ----------
        x : ndarray (B, N) or (N,), or of integers (B,)
            The input; integers are class indices, as in `forward`; None without input.
        state : mapping of ndarray (B, width) or (width,)
            The state before, by slot. A state that `zeros` or a step returned is used in place, others are copied.
        out : state, optional
            Where to write the state after: a state that `zeros` or a step of this stepper returned, for the same
            number of sequences, and not `state` itself. A new one by default.
        signals : dict of ndarray (B,) or (B, H), optional
            The signals that the cell declares, all of them, such as the time since the step before; a number for all
            sequences and units, too. Masks, which are noise, are their means where they are not given.

        Returns
        -------
        mapping of ndarray (B, width)

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came.
        FloatingPointError
            The state became NaN or infinite.
        """
        before = state if type(state) is State and state.owner is self else self.state(state)
        batch = len(before.rows)
        x = self._input(x, batch)
        if out is None:
            out = State(self, np.empty_like(before.rows), before.memory_of)
        elif type(out) is not State or out.owner is not self or len(out.rows) != batch or out is state:
            raise ArgumentError(
                "out",
                f"be another state than the one before, as zeros({batch}) of this stepper makes it",
                "the state before" if out is state else "a dict of other arrays",
            )
        values = np.empty(batch * self._layout.values_size, self.dtype)
        raw = self._raw_input
        if raw is not None:
            values.reshape(batch, -1)[:, raw.offset : raw.offset + raw.width] = x
        if self._signals or signals:
            self._write_signals(values.reshape(batch, -1), signals)
        places = before.places
        total = self._one_step(
            self._packed, self._memory.flat, places, x.reshape(-1), values, before.flat, out.flat, batch
        )
        if not isfinite(total):
            self._refuse(x, before, out)
        if before.memory_of is not None:
            out.memory_of, out._places, s = before.memory_of, places, self._weights
            out.attention = (
                None if s is None else values.reshape(batch, -1)[:, s.offset : s.offset + s.width].copy()
            )
        return out

    def branch(
        self, x: np.ndarray | None, state: Mapping[str, np.ndarray], parents: np.ndarray | None = None
    ) -> State:
        """The state after one step of rows that branch from those of a state, as the hypotheses of a search do.

        The same step as ``step(x, state.take(parents))``, up to rounding. What a step computes before the input enters,
        such as the product with U or what attention reads, is computed once for each parent. All threads share the
        rows; each row has the same bits, whatever the other rows are. A cell that reads signals takes an ordinary step.

        Parameters
        ----------
        x : ndarray (M, N), or of integers (M,)
            The input of each row; integers are class indices.
        state : mapping of ndarray (B, width)
            The state before, as in a step.
        parents : ndarray of int (M,), optional
            The row of the state that each row comes from; all rows in their order by default.

        Returns
        -------
        mapping of ndarray (M, width)

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came.
        FloatingPointError
            The state became NaN or infinite.
        """
        before = state if type(state) is State and state.owner is self else self.state(state)
        rows = len(before.rows)
        own = np.arange(rows) if parents is None else _indices("parents", parents, rows)
        if self._layout.signals:
            return self(x, before.take(own))
        if self._branches is None:
            from .cpu.branches import Branches

            self._branches = Branches(self.cell, self._layout, self._W, self._packed)
        if isinstance(x, np.ndarray) and x.dtype.kind in "iu" and x.ndim == 1:
            given = _indices("x", x, self._inputs)
            check.shape("x", given, (len(own),))
            read = self._branches.of_classes(given)
        else:
            given = self._input(x, len(own))
            read = self._branches.of_numbers(given)
        of = before.memory_of
        after = State(
            self,
            np.empty((len(own), self._layout.state_size), self.dtype),
            None if of is None else of[own],
        )
        memories = (self._memory.flat, before.places)
        finite, weights = self._branches.step(read, own, memories, before.rows, after.rows, self._weights)
        if not finite:
            self._refuse(given, before.take(own), after)
        if of is not None and self._weights is not None:
            after.attention = weights
        return after

    def _input(self, x: np.ndarray | None, batch: int) -> np.ndarray:
        """The input (B, N) in the form that compiled code reads. Whether it is finite is checked after the step."""
        shape = (batch, self._inputs)
        if x is None:
            if self._raw_input is not None:
                raise ArgumentError(
                    "x", f"be given, as cell {self.cell.name!r} reads the input itself", "None"
                )
            return np.zeros(shape, self.dtype)
        if type(x) is not np.ndarray or x.dtype != self.dtype:
            x = self._numbers(check.array("x", x), batch)
        if x.ndim < 2:
            x = np.atleast_2d(x)
        check.shape("x", x, shape)
        return x if x.flags.c_contiguous and x.flags.writeable else np.array(x, order="C")

    def _numbers(self, x: np.ndarray, batch: int) -> np.ndarray:
        """Class indices (B,) as one-hot vectors, or numbers as they are."""
        if x.dtype.kind not in "iu":
            return check.real("x", x, self.dtype)
        classes = self._inputs
        if x.shape != (batch,) or self._raw_input is not None or x.min() < 0 or x.max() >= classes:
            raise ArgumentError(
                "x",
                f"have shape {(batch, classes)}, or be {batch} class indices in 0..{classes - 1} that the "
                "cell reads by params['W'] alone",
                f"{x.dtype} of shape {x.shape}",
            )
        return one_hot(x, classes, self.dtype)

    def _write_signals(self, values: np.ndarray, signals: Mapping[str, Any] | None) -> None:
        """Write the signals into their places among the values (B, e)."""
        given = check.mapping("signals", signals, tuple(s.name for s in self._signals))
        batch = len(values)
        for s in self._signals:
            if s.name not in given and s.name in self.cell.masks:
                given[s.name] = self.cell.masks[s.name].mean
            if s.name not in given:
                raise ArgumentError(
                    "signals",
                    f"have {s.name!r}, which cell {self.cell.name!r} reads",
                    ", ".join(given) or "none",
                )
            name, value = f"signals[{s.name!r}]", given[s.name]
            if isinstance(value, (int, float, np.integer, np.floating)):
                value = np.full(batch, value, self.dtype)
            a = check.floating(name, value, self.dtype)
            if a.shape not in ((batch,), (batch, s.width)):
                raise ArgumentError(
                    name, f"be a number or have shape {(batch,)} or {(batch, s.width)}", a.shape
                )
            values[:, s.offset : s.offset + s.width] = a.reshape(batch, -1)

    def _refuse(self, x: np.ndarray, before: State, after: State) -> None:
        """Raise an error for the first of input, state before and state after that is not finite."""
        check.finite("x", x)
        for name, a in before.items():
            check.finite(f"state[{name!r}]", a)
        for name, a in after.items():
            if not is_finite(a):
                b, j = (int(i) for i in np.argwhere(~np.isfinite(a))[0])
                raise FloatingPointError(
                    f"the state became {a[b, j]}: slot {name!r} of sequence {b}, unit {j}"
                )

    def state(self, state: Mapping[str, np.ndarray], memory_of: Any = None) -> State:
        """The arrays of a mapping, slot -> (B, width), such as `Run.final`, copied into a state of this stepper.

        `memory_of` as in `zeros`.
        """
        names = tuple(name for name, _, _ in self.spans)
        given = check.mapping("state", state, names)
        arrays: list[np.ndarray] = []
        for name, start, end in self.spans:
            if name not in given:
                raise ArgumentError("state", f"have {', '.join(names)}", ", ".join(given) or "none")
            a = np.atleast_2d(check.floating(f"state[{name!r}]", given[name], self.dtype))
            wanted = (len(arrays[0]) if arrays else max(len(a), 1), end - start)
            if a.shape != wanted:
                raise ArgumentError(f"state[{name!r}]", f"have shape {wanted}", np.shape(given[name]))
            arrays.append(a)
        rows = np.concatenate(arrays, axis=1)
        return State(self, rows, self._memory_of(memory_of, len(rows)))


def _indices(name: str, given: Any, count: int) -> np.ndarray:
    """Integers (M,) in 0..count-1."""
    a = check.array(name, given)
    if a.ndim != 1 or a.dtype.kind not in "iu" or not check.below(a, count):
        came = f"{a.min()} to {a.max()}" if a.size and a.dtype.kind in "iu" else a.dtype
        raise ArgumentError(
            name, f"be integers in 0..{count - 1} of shape (M,)", f"{came} of shape {a.shape}"
        )
    return a.astype(np.int64)


def stepper(
    cell: Cell,
    params: Mapping[str, np.ndarray],
    memory: Mapping[str, np.ndarray] | None = None,
    memory_lengths: Any = None,
) -> Stepper:
    """A function that makes one step at a time: parameters are checked and packed once.

    A step allocates almost no memory if two states take turns as `state` and `out`.

    Parameters
    ----------
    cell, params
        As in `forward`.
    memory : dict of ndarray (S, M, width) or (S, width), optional
        What a cell with attention reads at every step: M memories. A state knows which of them each row reads:
        ``zeros(batch_size, memory_of)`` and ``state(arrays, memory_of)`` say so, and `take` keeps it, so that the
        hypotheses of a search share a memory. ``state.attention`` has the weights of the last step.
    memory_lengths : (M,) integers, optional
        The true length of each source.

    Returns
    -------
    Stepper

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.gru()
    >>> params = cell.init(input_size=2, hidden_size=3)
    >>> x = np.ones((5, 1, 2), "float32")
    >>> step = rd.stepper(cell, params)
    >>> state = step.zeros()
    >>> for x_t in x:
    ...     state = step(x_t, state)
    >>> bool(np.allclose(state["h"], rd.forward(cell, params, x).final["h"], atol=1e-6))
    True

    A cell that reads signals, such as the time since the step before, gets them with every step:
    ``step(x_t, state, signals={"dt": 0.3})``.
    """
    return Stepper(cell, params, memory, memory_lengths)
