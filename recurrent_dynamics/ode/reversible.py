"""Backpropagation without a tape: the methods of partitioned fields are undone step by step on the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cells import Cell
from ..checks import ArgumentError, integer, number
from ..engine import Run, backward, check, forward
from ..engine.arguments import input_of
from ..results import Result
from .discretize import discretize
from .field import Field

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Arrays = Mapping[str, np.ndarray]
CHUNK = 32  # steps on the tape at a time


@dataclass(frozen=True, eq=False)
class ReversibleGradients(Result):
    """Derivatives of a loss, and how far the states that they were taken at drifted.

    Attributes
    ----------
    params, x, initial, signals
        As in `recurrent_dynamics.engine.Gradients`.
    drift
        How far the initial state that the walk back arrives at, at its end and at every reset, is from the one that the
        run began with: largest difference over largest entry of the initial and final slots.
    chunk_drift
        The same for the end of each stretch of steps, recomputed from the state at its beginning: largest difference
        over largest entry, shape (chunks,), first steps first.
    """

    params: dict[str, np.ndarray]
    x: np.ndarray | None
    initial: dict[str, np.ndarray]
    signals: dict[str, np.ndarray]
    drift: float
    chunk_drift: np.ndarray

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the drift of each stretch of steps; see `recurrent_dynamics.plot.steps`."""
        from ..plot import steps

        drawn = steps(self.chunk_drift, what="relative drift of the state", ax=ax, **options)
        drawn.set_xlabel("stretch of steps")
        return drawn


class ReversibleRun(Result):
    """A run of which only the first and last state are kept, and those before a reset; see `reversible_forward`.

    Attributes
    ----------
    cell, inverse
        The cell that steps the field, and the one that steps it back.
    params, x, signals
        What went into it.
    initial, final : dict of ndarray (B, width)
        The states before the first and after the last step.
    steps
        The number T of steps.
    chunk
        How many steps are on a tape at a time.
    """

    _shown = ("cell", "inverse", "params", "initial", "final", "steps", "chunk")

    def __init__(
        self,
        cells: tuple[Cell, Cell],
        params: Arrays,
        x: np.ndarray | None,
        steps: int,
        initial: Arrays | None,
        lengths: np.ndarray | None,
        reset: np.ndarray | None,
        signals: Arrays,
        chunk: int,
    ) -> None:
        (self.cell, self.inverse), self.params, self.x, self.steps = cells, params, x, steps
        self.signals, self.chunk = signals, chunk
        self._lengths, self._reset = lengths, reset
        self.initial: dict[str, np.ndarray] = {}
        self._before: dict[int, dict[str, np.ndarray]] = {}  # what a reset overwrites cannot be found again
        state: Arrays | None = initial
        for part in self._stretches():
            fresh = self._fresh(part)
            if fresh is not None and state is not None and part.start:
                self._before[part.start] = _copied(state)
                state = _chosen(fresh, self.initial, state)
            run = self._run(self.cell, part, state)
            if not self.initial:
                self.initial = _copied(run.initial)
            state = _copied(run.final)
            del run
        self.final = _copied(state or {})

    def _stretches(self) -> list[slice]:
        """Stretches of at most `chunk` steps; a reset, of any sequence, begins a new one."""
        starts = [0]
        if self._reset is not None:
            again = np.flatnonzero(self._reset.reshape(self.steps, -1).any(axis=1))
            starts = sorted({0, *(int(t) for t in again)})
        return [
            slice(t, min(t + self.chunk, end))
            for start, end in zip(starts, [*starts[1:], self.steps])
            for t in range(start, end, self.chunk)
        ]

    def _fresh(self, part: slice) -> np.ndarray | None:
        """Which sequences begin a stretch from the initial state, (B,) or (); None for none."""
        if part.start == 0:
            return np.ones(() if self._reset is None else self._reset.shape[1:], bool)
        return None if self._reset is None or not self._reset[part.start].any() else self._reset[part.start]

    def _run(self, cell: Cell, part: slice, state: Arrays | None, back: bool = False) -> Run:
        count = part.stop - part.start
        lengths = None if self._lengths is None else np.clip(self._lengths - part.start, 0, count)

        def ordered(a: np.ndarray) -> np.ndarray:
            """The entries of the stretch; for a run back from the last step of each sequence on."""
            if not back:
                return a[part]
            if lengths is None:
                return a[part][::-1]
            at = np.maximum(lengths - 1 - np.arange(count)[:, None], 0)
            return a[part][at[:, 0]] if self._single else a[part][at, np.arange(len(lengths))]

        x = None if self.x is None else ordered(self.x)
        signals = {name: ordered(value) for name, value in self.signals.items()}
        steps = count if x is None else None
        return forward(cell, self.params, x, steps=steps, initial=state, lengths=lengths, signals=signals)

    @property
    def _single(self) -> bool:
        return next(iter(self.initial.values())).ndim == 1

    def backward(
        self,
        d_output: np.ndarray | Callable[[int, Run], np.ndarray] | None = None,
        d_final: Arrays | None = None,
        *,
        tolerance: float | None = None,
    ) -> ReversibleGradients:
        """Backpropagation through time from the final state, with the memory of `chunk` steps.

        The states of each stretch are found by the inverse steps from its end, recomputed forward and walked back as
        usual, so that gradients are exact for the states found.

        Parameters
        ----------
        d_output : ndarray (T, B, H) or callable, optional
            The loss's derivative by the output; or a function of the first step t and of the run of a stretch of steps
            from t on that returns the derivative by the output of that stretch.
        d_final : dict of ndarray (B, width), optional
            Its derivatives by the final state.
        tolerance
            The largest drift that is accepted; by default 1e-3 for float32 and 1e-6 for float64.

        Returns
        -------
        ReversibleGradients

        Raises
        ------
        FloatingPointError
            The drift is larger: rounding errors grow on the way back, as in a chaotic network. Its message says after
            how many steps; use `discretize` and `recurrent_dynamics.backward`, which keep a tape.
        """
        if d_output is None and not d_final:
            raise ArgumentError("one of d_output, d_final", "be given to backward", "none")
        dtype = next(iter(self.final.values())).dtype
        limit = {"float32": 1e-3, "float64": 1e-6}[dtype.name] if tolerance is None else number(
            "tolerance", tolerance, above=0
        )  # fmt: skip
        shape = (self.steps, *self.final[self.cell.output or ""].shape)
        if d_output is not None and not callable(d_output) and np.shape(d_output) != shape:
            raise ArgumentError("d_output", f"have shape {shape}", np.shape(d_output))
        state, cotangent = self.final, dict(d_final or {})
        params: dict[str, np.ndarray] = {}
        x = None if self.x is None or self.x.dtype.kind in "iu" else np.empty_like(self.x)
        signals = {name: np.empty_like(value) for name, value in self.signals.items()}
        drifts: list[float] = []
        on_start = {name: np.zeros_like(value) for name, value in self.initial.items()}
        whole = 0.0
        for part in reversed(self._stretches()):
            begin = _copied(self._run(self.inverse, part, state, back=True).final)
            run = self._run(self.cell, part, begin)
            drifts.append(_apart(run.final, state) / _size(state))
            fresh = self._fresh(part)
            if fresh is not None:  # these began from the initial state, which is known
                whole = max(whole, _apart(begin, self.initial, fresh) / _size(self.initial, self.final))
            if not max(whole, drifts[-1]) <= limit:
                raise FloatingPointError(
                    f"the states found on the way back drifted by {max(whole, drifts[-1]):.1e} of their size, more "
                    f"than {limit:.0e}, after {self.steps - part.start} steps: rounding errors grow on the way back. "
                    "Keep a tape (recurrent_dynamics.backward), or accept more with tolerance"
                )
            d = (
                d_output(part.start, run)
                if callable(d_output)
                else None
                if d_output is None
                else d_output[part]
            )
            grads = backward(run, d, d_final=cotangent or None)
            cotangent, state = _copied(grads.initial), begin
            if fresh is not None:
                none = {name: np.zeros_like(value) for name, value in cotangent.items()}
                on_start = {name: v + _chosen(fresh, cotangent, none)[name] for name, v in on_start.items()}
                cotangent = _chosen(fresh, none, cotangent)
                state = _chosen(fresh, self._before.get(part.start, state), state)
            params = {k: v + params[k] if params else v for k, v in grads.params.items()}
            if x is not None and grads.x is not None:
                x[part] = grads.x
            for name, value in grads.signals.items():
                signals[name][part] = value
        return ReversibleGradients(params, x, on_start, signals, whole, np.array(drifts[::-1]))


def reversible_forward(
    field: Field,
    params: Arrays,
    x: np.ndarray | None = None,
    *,
    method: str = "leapfrog",
    dt: float | None = None,
    step: str = "fixed",
    steps: int | None = None,
    initial: Arrays | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
    reset: np.ndarray | None = None,
    signals: Arrays | None = None,
    chunk: int = CHUNK,
) -> ReversibleRun:
    """Run a partitioned field forward and keep only where it ends.

    The memory of training does not grow with the number of steps: on the way back the states are found again by the
    inverse steps, at the cost of two more forward passes. In exact arithmetic they are the same; how far they drift by
    rounding is measured, and too much of it raises.

    Parameters
    ----------
    field
        A partitioned field (argument `positions`).
    params
        Its parameters, and "dt" for a step that is learnt; as `discretize(...).init` makes them.
    x : ndarray (T, B, N) or (T, N), optional
        The input; without it the field runs by itself for `steps` steps.
    method
        "leapfrog" or "symplectic_euler".
    dt, step
        As in `discretize`.
    steps
        The number of steps without input.
    initial, lengths, reset, signals
        As in `recurrent_dynamics.forward`. What a reset overwrites cannot be found by going back: the states before
        the steps with one are kept, and a stretch of steps ends there.
    chunk
        How many steps are walked back at a time; memory grows with it.

    Returns
    -------
    ReversibleRun

    Raises
    ------
    ValueError
        For a method that cannot be undone explicitly, and as `recurrent_dynamics.forward`.

    References
    ----------
    Chang et al., Reversible architectures for arbitrarily deep residual neural networks, AAAI 2018; Rusch and Mishra,
    UnICORNN: A recurrent model for learning very long time dependencies, ICML 2021.
    """
    cells = (
        discretize(field, method, dt, step=step, inverse=False),
        discretize(field, method, dt, step=step, inverse=True),
    )
    count = integer("chunk", chunk, at_least=1)
    if x is not None:
        if steps is not None:
            raise ArgumentError(
                "steps", "be None where the input x says how many steps there are", repr(steps)
            )
        x = check.array("x", x)
        length = len(x) if x.ndim else 0
    else:
        length = integer("steps", steps, at_least=1)
    known = tuple(s for s in cells[0].signals if s != "x")
    given = {
        name: check.array(f"signals[{name!r}]", value)
        for name, value in check.mapping("signals", signals, known).items()
    }
    for name, value in given.items():
        if value.ndim == 0 or len(value) != length:
            raise ArgumentError(f"signals[{name!r}]", f"have {length} steps", f"shape {value.shape}")
    if not length:
        raise ArgumentError("x", "have at least one step", "none")
    own, dtype, inputs, hidden = check.parameters(cells[0], params)
    _, single, _, batch = input_of(
        x, None if x is not None else length, initial, dtype, inputs, cells[0].layout(inputs, hidden)
    )
    ends = check.lengths(lengths, length, batch)
    if single and reset is not None and np.ndim(reset) == 1:
        reset = check.array("reset", reset)[:, None]
    resets: Any = check.resets(reset, length, batch, ends).reshape(-1, batch)
    return ReversibleRun(
        cells, own, x, length, initial, ends if ends.size else None,
        None if not resets.size else resets[:, 0] if single else resets, given, count,
    )  # fmt: skip


def _copied(state: Arrays) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in state.items()}


def _size(*states: Arrays) -> float:
    """The largest entry of some states; never 0."""
    return max(
        float(np.finfo(np.float32).tiny),
        *(float(np.abs(v).max()) for state in states for v in state.values()),
    )


def _apart(a: Arrays, b: Arrays, rows: np.ndarray | None = None) -> float:
    """The largest difference of two states; of some rows."""
    if rows is not None:
        a = _chosen(rows, a, b)
    return max(float(np.abs(a[s] - b[s]).max()) for s in b)


def _chosen(rows: np.ndarray, a: Arrays, b: Arrays) -> dict[str, np.ndarray]:
    """The rows (B,) of one state, the others of another; for one sequence all or nothing."""
    return {s: np.where(rows[..., None], a[s], b[s]) for s in b}
