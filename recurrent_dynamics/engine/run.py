"""The result of a forward pass: its arrays, as engines use them and as a user reads them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells.cell import Cell
from ..cells.layout import Layout, Span
from ..checks import ArgumentError, ArgumentTypeError
from ..kernels import memory
from ..kernels.copying import add_columns
from ..kernels.lazy import cached_property
from ..results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view. An array on a GPU is returned unchanged, because CuPy has no read-only views."""
    if not isinstance(array, np.ndarray):
        return array
    view = array.view()
    view.setflags(write=False)
    return view


def namespace(array: np.ndarray) -> Any:
    """The module of an array: NumPy or CuPy."""
    return np if isinstance(array, np.ndarray) else importlib.import_module("cupy")


def within_lengths(steps: int, lengths: np.ndarray) -> np.ndarray:
    """(T, B), true where sequence b has not ended before step t."""
    return namespace(lengths).arange(steps)[:, None] < lengths


def one_hot(classes: np.ndarray, n: int, dtype: np.dtype) -> np.ndarray:
    """(..., n): 1 in the place of each class, else 0."""
    return (classes[..., None] == namespace(classes).arange(n)).astype(dtype)


class Views(Mapping[str, np.ndarray], Result):
    """Named stretches of the last axis of one array, without copies and read-only."""

    def __init__(self, array: np.ndarray, spans: tuple[Span, ...]) -> None:
        self._array = read_only(array)
        self._spans = {s.name: s for s in spans}

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            s = self._spans[name]
        except KeyError:
            raise KeyError(f"{name!r}: there are {', '.join(self._spans) or 'none'}") from None
        return self._array[..., s.offset : s.offset + s.width]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def __reduce__(self) -> tuple[Any, ...]:
        return Views, (self._array, tuple(self._spans.values()))

    def _described(self) -> Iterator[tuple[str, Any]]:
        return iter(self.items())

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{k!r}: array of shape {v.shape}' for k, v in self.items())}}}"


@dataclass(eq=False)  # not frozen: construction would take eight times as long
class Tape:
    """The arrays of a run as engines use them; shapes in terms of T steps, B instances, N inputs.

    values (T, B, e): drives, computed operands, signals. An engine may overwrite a drive with the only value that it
    computes from the drive, such as sigmoid(drive); `Run.values` has the drives. before, after (T, B, k): the state
    before and after each step, usually two views of one array. `W` (g, N), `bias` (drives,), `matrices` and `vectors`:
    the parameters, flat, mostly copies.
    """

    cell: Cell
    layout: Layout
    steps: int
    batch: int
    W: np.ndarray
    bias: np.ndarray
    matrices: np.ndarray
    vectors: np.ndarray
    constants: np.ndarray
    input: np.ndarray  # (T, B, N), or class indices (T, B)
    values: np.ndarray
    before: np.ndarray
    after: np.ndarray
    initial: np.ndarray  # (B, k)
    lengths: np.ndarray  # (B,) or empty
    resets: np.ndarray  # (T * B,) or empty
    memory: np.ndarray  # the memories that the cell reads, one after the other; see `memories`
    places: np.ndarray  # (B * 3,), where the memory of each instance is; empty where the cell reads none
    memory_of: np.ndarray  # (B,), the number of the memory that an instance reads, or empty: its own
    tf32: bool = False  # whether cuBLAS may multiply in TF32

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def has_classes(self) -> bool:
        return self.input.ndim == 2

    @cached_property
    def x(self) -> np.ndarray:
        """(T, B, N): the input as numbers; class indices become one-hot vectors."""
        return one_hot(self.input, self.layout.input_size, self.dtype) if self.has_classes else self.input

    def __reduce__(self) -> tuple[Any, ...]:
        # The cell makes the layout again: caches find compiled code and tables by the identity of a layout.
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layout"}
        sizes = self.layout.input_size, self.layout.hidden_size, self.layout.source_size
        return _tape_again, (given, *sizes)


def _tape_again(given: dict[str, Any], input_size: int, hidden_size: int, source_size: int = 0) -> Tape:
    return Tape(layout=given["cell"].layout(input_size, hidden_size, source_size), **given)


@dataclass(eq=False)
class Kept:
    """The results that a run without a tape keeps: output (T, B, H) and final state (B, k)."""

    output: np.ndarray
    final: np.ndarray


class Run(Result):
    """The trajectory of a recurrence: states and drives at every step.

    A run is immutable. `backward` and the other verbs can be called on it any number of times. Later changes of the
    arrays that it was computed from do not reach it, except those of the parameters when they were not copied
    (``copy_params=False``). The run of one sequence, whose input has no batch axis, has arrays without a batch axis.

    A run that was computed on a GPU from NumPy arrays returns NumPy arrays, which are copied when first asked for.

    A run that was computed with ``tape=False`` has `output`, `final`, `initial`, `mask`, `params` and the sizes. All
    other attributes, `x` too, raise a ValueError.

    Attributes
    ----------
    output : ndarray (T, B, H)
        The output slot after every step; 0 beyond the length of a sequence.
    states : mapping of ndarray (T, B, width)
        Every slot after every step; beyond the length of a sequence its last value is repeated.
    final : mapping of ndarray (B, width)
        The state after the last step.
    initial : mapping of ndarray (B, width)
        The state before the first step.
    drives : mapping of ndarray (T, B, width)
        Every drive at every step, before its nonlinearity; `<name>_h` is the recurrent side of a drive kept apart.
    attention : ndarray (T, B, S)
        The weights of a cell that reads a memory, at every step: how much of each position it reads. They sum to 1
        over the source of each sequence; 0 beyond it, and beyond the length of a sequence.
    alignments : dict of ndarray (T, B, S)
        The weights of every sum over positions, and of every softmax, by their names in the equations.
    mask : ndarray (T, B) of bool, or None
        True within the lengths of the sequences; None where all sequences have T steps.
    x : ndarray (T, B, N), (T, B) of int, or None
        The input: numbers, or class indices; None for an autonomous run.
    cell : Cell
        The cell of the forward pass.
    params : dict of ndarray
        Its parameters, read-only.
    classes : bool
        Whether the input is class indices.
    steps : int
        The number T of steps.
    batch_size : int
        The number B of sequences.
    dtype : numpy.dtype
        float32 or float64.
    device : str
        "cpu" or "cuda": where the run was computed, and where `backward`, `jvp` and `jacobian` will be.
    gpu : int or None
        The number of the GPU; None with "cpu".
    """

    _shown = ("cell", "params", "steps", "batch_size", "dtype", "device")  # nothing that has to be copied

    def __init__(
        self,
        tape: Tape,
        params: Mapping[str, np.ndarray],
        single: bool,
        autonomous: bool,
        shared_signals: tuple[str, ...],
        classes: bool = False,
        device: str = "cpu",
        to_host: Callable[[Any], np.ndarray] | None = None,
        as_numpy: bool = True,
        gpu: int | None = None,
        event: Any = None,
        active: Callable[[int, Any, Any], AbstractContextManager[Any]] | None = None,
        kept: Kept | None = None,
    ) -> None:
        self._tape, self._kept, self.single, self.device, self.gpu = tape, kept, single, device, gpu
        self.event = event  # an event behind the work that is queued for the run
        self._active = active  # makes the GPU current and waits for the event
        self._to_host, self._as_numpy = to_host, as_numpy
        self.shared_signals = shared_signals  # signals with one number for all units
        self._params = params
        self.cell, self.steps, self.batch_size, self.dtype = tape.cell, tape.steps, tape.batch, tape.dtype
        self.autonomous, self.classes = autonomous, classes

    def with_results(self, kept: Kept) -> Run:
        """A run without a tape that differs from this one in its results only, quickly."""
        output = self.shaped(kept.output)
        output.setflags(write=False)
        run = Run.__new__(Run)
        run.__dict__ = {**self.__dict__, "_kept": kept, "output": output}
        return run

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        return {name: read_only(value) for name, value in self._params.items()}

    @property
    def engine_tape(self) -> Tape:
        """The arrays that were computed."""
        if self._kept is not None:
            raise ArgumentError(
                "run",
                "have the states, values and input of its steps",
                "one computed with tape=False: call forward with tape=True, the default",
            )
        return self._tape

    def reading(self) -> AbstractContextManager[Any]:
        """The context in which arrays may be read that another stream or another GPU computed."""
        return nullcontext() if self._active is None else self._active(self.gpu or 0, None, self.event)

    @cached_property
    def tape(self) -> Tape:
        """The tape as the CPU engine would have computed it; `engine_tape` has the arrays that were computed."""
        if self._to_host is None:
            return self.engine_tape
        from .backends import backend

        with self.reading():
            moved: dict[str, Any] = {
                f.name: self._to_host(value)
                for f in fields(Tape)
                if hasattr(value := getattr(self.engine_tape, f.name), "dtype")
            }
        return backend("cpu").verbs.from_drives(replace(self.engine_tape, **moved))

    @cached_property
    def values(self) -> Any:
        """The values of the tape with every drive before its nonlinearity, on the device of the run."""
        from .backends import backend

        with self.reading():
            return backend(self.device).verbs.drives(self.engine_tape)

    def host(self, a: Any) -> np.ndarray:
        """An array of the engine as a NumPy array."""
        if self._to_host is None:
            return a
        with self.reading():
            return self._to_host(a)

    def given(self, a: Any) -> np.ndarray:
        """An array of the engine as the user expects it: of NumPy, if the arguments were NumPy arrays."""
        if self._to_host is None or not self._as_numpy:
            return a
        with self.reading():
            return self._to_host(a)

    @cached_property
    def x(self) -> np.ndarray | None:
        if self.autonomous:
            return None
        x = self.engine_tape.input
        if self.classes and x.ndim == 3:
            with self.reading():
                x = x.argmax(axis=2)
        x = self.given(x)
        return read_only(x[:, 0] if self.single else x)

    def shaped(self, a: np.ndarray) -> np.ndarray:
        """(T, B, ...) or (B, ...) without its batch axis for one sequence."""
        if not self.single:
            return a
        return a[0] if a.ndim == 2 else a[:, 0]

    @cached_property
    def states(self) -> Views:
        return Views(self.shaped(self.given(self.engine_tape.after)), self.engine_tape.layout.slots)

    @cached_property
    def initial(self) -> Views:
        return Views(self.shaped(self.given(self._tape.initial)), self._tape.layout.slots)

    @cached_property
    def final(self) -> Views:
        last = self._tape.after[-1] if self._kept is None else self._kept.final
        return Views(self.shaped(self.given(last)), self._tape.layout.slots)

    @cached_property
    def drives(self) -> Views:
        named = tuple(
            p for p in self.engine_tape.layout.preactivations if p.name in (p.drive, f"{p.drive}_h")
        )
        return Views(self.shaped(self.given(self.values)), named)

    @property
    def attention(self) -> np.ndarray:
        alignments = self.alignments
        if len(alignments) != 1:
            came = f"{', '.join(alignments) or 'none'}"
            raise ArgumentError("run", "read a memory with one set of weights; run.alignments has all", came)
        return next(iter(alignments.values()))

    @cached_property
    def alignments(self) -> dict[str, np.ndarray]:
        from .memories import weights

        return {name: read_only(self.shaped(self.given(a))) for name, a in weights(self.engine_tape).items()}

    @cached_property
    def mask(self) -> np.ndarray | None:
        if not self._tape.lengths.size:
            return None
        mask = within_lengths(self.steps, self.given(self._tape.lengths))
        return mask[:, 0] if self.single else mask

    @cached_property
    def within(self) -> np.ndarray | None:
        """The mask as (T, B, 1), or (T, 1) for one sequence."""
        return None if self.mask is None else self.mask[..., None]

    @cached_property
    def output(self) -> np.ndarray:
        if self._kept is not None:
            return read_only(self.shaped(self._kept.output))
        output = self.states[self.cell.output or ""]
        if self.within is None:
            return output
        if self._to_host is None:
            slot = next(s for s in self._tape.layout.slots if s.name == self.cell.output)
            whole = self._tape.after[..., slot.offset : slot.offset + slot.width]
            own = memory.empty(whole.shape, self.dtype)
            add_columns(whole, own, 0, True, self._tape.lengths)
            return read_only(self.shaped(own))
        with self.reading():
            return read_only(np.where(self.within, output, output.dtype.type(0)))

    def __reduce__(self) -> tuple[Any, ...]:
        if self.device != "cpu":
            raise ArgumentTypeError(
                "a run",
                "be on the CPU to be pickled",
                f"one on {self.device!r}: pickle arrays such as run.output, or what the run was computed from",
            )
        given = (dict(self.params), self.single, self.autonomous, self.shared_signals, self.classes)
        return _unpickled, (self._tape, self._kept, *given)

    def __repr__(self) -> str:
        return f"Run of {self.cell!r}: {self.steps} steps, batch {self.batch_size}, {self.dtype}"

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a slot of the state as an image; see `recurrent_dynamics.plot.states`."""
        from ..plot import states

        return states(self, ax=ax, **options)


def _unpickled(tape: Tape, kept: Kept | None, *given: Any) -> Run:
    make: Any = Run
    return make(tape, *given, kept=kept)


def run_shape(run: Run, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which the user sees (T, B, ...) or (B, ...)."""
    if not run.single:
        return shape
    return shape[1:] if len(shape) == 2 else (shape[0], *shape[2:])
