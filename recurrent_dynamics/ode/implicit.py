"""Implicit methods: a solve in every step, and the exact adjoint of the solved steps.

An implicit step with one stage is Y = y + c g(Y), y' = y + g(Y) with g = dt times the rate: implicit Euler for c = 1,
the implicit midpoint rule for c = 1/2. Newton's method solves for Y with the analytic Jacobian G = dg/dY. By the
implicit function theorem dY = (I - c G)^-1 (dy + c dg), so that the walk back solves with the transpose: a cotangent l
of y' gives w = (I - c G)^-T G^T l, the cotangent l + w of y, and l + c w of g, which the engine then takes to the
parameters of all steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, integer, number
from ..dynamics.fixed_points.newton import solve
from ..engine import Gradients, Run, Tangent, backward, check, jacobian, jvp
from ..engine.arguments import state_row
from ..engine.run import Views, read_only
from ..kernels.lazy import cached_property
from ..results import Result
from .discretize import with_step
from .field import Field
from .increments import Increments
from .methods import IMPLICIT, method_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray
Arrays = Mapping[str, Array]
HALVINGS = 12  # of Newton's step


class ImplicitRun(Result):
    """The trajectory of an implicit method.

    Attributes
    ----------
    output : ndarray (T, B, H)
        The output slot after every step; 0 beyond the lengths.
    states : mapping of ndarray (T, B, width)
        Every slot after every step; held beyond the lengths.
    final, initial : mapping of ndarray (B, width)
        The state after the last step and before the first one.
    iterations : ndarray (T,) of integers
        How many of Newton's steps each step took.
    residual : ndarray (T, B)
        ``max |Y - y - c g(Y)|`` that was left.
    params, steps, batch_size
        What went into it, and its sizes.

    For one sequence the arrays have no batch axis. Everything is computed in float64.
    """

    _shown = ("output", "states", "iterations", "residual", "params", "steps", "batch_size")

    def __init__(self, solver: Increments, stages: Array, after: Array, info: tuple[Array, Array]) -> None:
        self._solver, self._stages, self._after = solver, stages, after
        self.steps, self.batch_size = after.shape[:2]
        self.iterations, self.residual = info[0], solver.shaped(info[1][..., None])[..., 0]
        self.params = solver.params

    @cached_property
    def states(self) -> Views:
        return self._views(self._after)

    @cached_property
    def final(self) -> Views:
        return self._views(self._after[-1])

    @cached_property
    def initial(self) -> Views:
        return self._views(self._solver.start)

    @cached_property
    def output(self) -> Array:
        return self._output(self.states)

    def _output(self, states: Arrays) -> Array:
        slot = states[self._solver.cell.output or ""]
        return slot if self._solver.within.all() else read_only(np.where(self._there(slot), slot, 0.0))

    def _there(self, like: Array) -> Array:
        """Where steps are made, in the shape of a slot."""
        return self._solver.within.reshape(*like.shape[:-1], 1)

    def _views(self, a: Array) -> Views:
        return Views(self._solver.shaped(a), self._solver.layout.slots)

    def jacobian(self, steps: Any = None) -> Array:
        """D state after / d state before, I + G (I - c G)^-1, shape (steps, B, S, S); without B for one sequence."""
        chosen = np.atleast_1d(check.steps(steps, self.steps))
        size = self._after.shape[-1]
        J = np.empty((len(chosen), self.batch_size, size, size))
        for part in self._solver.chunks(len(chosen)):
            G = self._solver.slopes(chosen[part], self._stages)
            J[part] = np.eye(size) + np.linalg.solve(
                np.eye(size) - self._solver.c * G.swapaxes(-1, -2), G.swapaxes(-1, -2)
            ).swapaxes(-1, -2)
        return J[:, 0] if self._solver.single else J

    def backward(
        self, d_output: Array | None = None, d_states: Arrays | None = None, d_final: Arrays | None = None
    ) -> Gradients:
        """The exact derivative of the solved steps; arguments and result as of `recurrent_dynamics.backward`."""
        solver = self._solver
        if d_output is None and not d_states and not d_final:
            raise ArgumentError("one of d_output, d_states, d_final", "be given to backward", "none")
        outside: Array = np.zeros(self._after.shape)
        cell = solver.cell
        if d_output is not None:
            there = self._there(self.output)
            solver.add("d_output", outside, cell.output or "", d_output, self.output.shape, there)
        for slot, value in check.mapping("d_states", d_states, cell.state).items():
            solver.add(f"d_states[{slot!r}]", outside, slot, value, self.states[slot].shape)
        for slot, value in check.mapping("d_final", d_final, cell.state).items():
            solver.add(f"d_final[{slot!r}]", outside[-1:], slot, value, self.final[slot].shape)
        on_rates, carried = np.empty_like(outside), np.zeros(outside.shape[1:])
        on_start, eye = np.zeros_like(carried), np.eye(outside.shape[-1])
        for part in reversed(list(solver.chunks(self.steps))):
            chosen = np.arange(self.steps)[part]
            G = solver.slopes(chosen, self._stages)
            for t, slope in zip(chosen[::-1], G[::-1]):
                transposed = slope.swapaxes(-1, -2)
                outside[t] += carried
                pulled = np.einsum("bij,bj->bi", transposed, outside[t])
                w = solve(eye - solver.c * transposed, pulled)  # 0 where a step is held, as G is
                on_rates[t] = outside[t] + solver.c * w
                carried = outside[t] + w
                fresh = solver.resets[t]
                on_start[fresh] += carried[fresh]
                carried[fresh] = 0
        grads = backward(solver.all_at_once(self._stages), d_states=solver.by_slot(on_rates))
        x = None if solver.x is None or solver.classes or grads.x is None else solver.spread(grads.x)
        signals = {name: solver.spread(g) for name, g in grads.signals.items()}
        if solver.single:
            x = None if x is None else x[:, 0]
            signals = {name: g[:, 0] for name, g in signals.items()}
        return Gradients(grads.params, x, self._views(on_start + carried), self._views(outside), signals)

    def jvp(
        self,
        d_params: Arrays | None = None,
        d_x: Array | None = None,
        d_initial: Arrays | None = None,
        d_signals: Arrays | None = None,
    ) -> Tangent:
        """The directional derivative of the solved steps; arguments and result as of `recurrent_dynamics.jvp`."""
        solver = self._solver
        if d_x is not None and (solver.x is None or solver.classes):
            why = "class indices as its input" if solver.classes else "no input"
            raise ArgumentError("d_x", f"be None, as the run has {why}", "an array")
        given = check.mapping("d_signals", d_signals, tuple(solver.signals))
        moved = jvp(
            solver.all_at_once(self._stages),
            d_params=d_params,
            d_x=None if d_x is None or solver.x is None else solver.moved("d_x", d_x, solver.x),
            d_signals={k: solver.moved(f"d_signals[{k!r}]", v, solver.signals[k]) for k, v in given.items()},
        )
        direct = solver.spread(np.concatenate([moved.states[s] for s in solver.cell.state], axis=-1))
        begin = state_row("d_initial", d_initial, solver.layout, self.batch_size, np.dtype(np.float64))
        now, after, eye = begin, np.empty_like(self._after), np.eye(direct.shape[-1])
        for part in solver.chunks(self.steps):
            chosen = np.arange(self.steps)[part]
            for t, slope in zip(chosen, solver.slopes(chosen, self._stages)):
                now = np.where(solver.resets[t][:, None], begin, now)
                stage = solve(eye - solver.c * slope, now + solver.c * direct[t])
                now = now + np.einsum("bij,bj->bi", slope, stage) + direct[t]
                after[t] = now
        states = self._views(after)
        return Tangent(self._output(states), states, self._views(after[-1]))

    def __repr__(self) -> str:
        return (
            f"ImplicitRun of {self._solver.cell.name!r}: {self.steps} steps, batch {self.batch_size}, "
            f"{self.iterations.mean():.1f} Newton steps each"
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a slot of the state as an image; see `recurrent_dynamics.plot.states`."""
        from ..plot import states

        return states(self, ax=ax, **options)


def implicit_forward(
    field: Field,
    params: Arrays,
    x: Array | None = None,
    *,
    method: str = "implicit_euler",
    dt: float | None = None,
    step: str = "fixed",
    steps: int | None = None,
    initial: Arrays | None = None,
    lengths: Sequence[int] | Array | None = None,
    reset: Array | None = None,
    signals: Arrays | None = None,
    iterations: int = 50,
    tolerance: float = 1e-12,
) -> ImplicitRun:
    """Run a field with an implicit method, for stiff dynamics: stable whatever the step where the field is damped.

    Newton's method with the analytic Jacobian, its step halved where the residual would grow. It costs a dense solve
    (S^3) a step and iteration, on the CPU; there is no compiled cell of it.

    Parameters
    ----------
    field
        The equations; any field.
    params
        Its parameters, and "dt" for a step that is learnt.
    x : ndarray (T, B, N) or (T, N), optional
        The input; without it the field runs by itself for `steps` steps.
    method
        "implicit_euler", of order 1, which damps stiff modes at once; "implicit_midpoint", of order 2, which keeps the
        quadratic invariants of a field, and only turns the sign of very stiff modes.
    dt, step
        As in `discretize`.
    steps
        The number of steps without input.
    initial, lengths, reset, signals
        As in `recurrent_dynamics.forward`: beyond its length a sequence is held and costs no solve.
    iterations
        The largest number of Newton's steps in a step.
    tolerance
        On the last of them, relative to the state (and to 1).

    Returns
    -------
    ImplicitRun
        With `backward`, `jvp` and `jacobian`.

    Raises
    ------
    FloatingPointError
        A step could not be solved: which one, for which sequence, and why.
    ValueError, TypeError
        For bad arguments.

    References
    ----------
    Hairer and Wanner, Solving Ordinary Differential Equations II, Springer 1996, chapter IV.8.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> from recurrent_dynamics.equations import tanh
    >>> field = rd.ode.Field(
    ...     "stiff", ("h",), ("n",), lambda drive, state: {"h": 1000 * (tanh(drive.n) - state.h)}
    ... )
    >>> params = field.init(0, 2, dtype="float64") | {"U": np.zeros((2, 2)), "b": np.ones(2)}
    >>> run = rd.ode.implicit_forward(field, params, steps=3, dt=1.0)
    >>> bool(abs(run.output[0] - np.tanh(1) / 1.001).max() < 1e-12)
    True
    """
    m = method_of(method)
    if m.kind != IMPLICIT:
        raise ArgumentError("method", "be implicit_euler or implicit_midpoint", f"{m.name!r}, use discretize")
    if not isinstance(field, Field):
        raise ArgumentTypeError("field", "be a Field", type(field).__name__)
    integer("iterations", iterations, at_least=1)
    number("tolerance", tolerance, above=0)
    increments = with_step(
        field,
        f"increments of {field.name}",
        lambda f, size: {s: size * k for s, k in f({}).items()},
        dt,
        step,
    )
    solver = Increments(increments, m.matrix[0][0], params, x, steps, initial, lengths, reset, signals)
    stages = np.empty((solver.steps, *solver.start.shape))
    after = np.empty_like(stages)
    counts, residuals = np.zeros(solver.steps, np.int64), np.zeros(stages.shape[:2])
    now = solver.start
    for t in range(solver.steps):
        now = np.where(solver.resets[t][:, None], solver.start, now)
        stages[t] = after[t] = now
        at = np.flatnonzero(solver.within[t])
        if at.size:
            stages[t, at], counts[t], residuals[t, at] = _newton(
                solver, t, at, now[at], iterations, tolerance
            )
            # y' = y + g(Y) with g = (Y - y) / c: the equation itself, without another evaluation
            after[t, at] += (stages[t, at] - now[at]) / solver.c
        now = after[t]
    return ImplicitRun(solver, stages, after, (counts, residuals))


def _newton(
    solver: Increments, t: int, at: Array, y: Array, iterations: int, tolerance: float
) -> tuple[Array, int, Array]:
    """Solve Y = y + c g(Y) for the sequences `at` in step t: (Y, iterations, what is left (n,))."""
    c, eye = solver.c, np.eye(y.shape[-1])

    def missing(z: Array, run: Run) -> Array:
        return z - y - c * run.tape.after[0]

    z = y.copy()
    run = solver.step(t, z)
    r = missing(z, run)
    for count in range(1, iterations + 1):
        d = solve(eye - c * jacobian(run, 0).reshape(len(y), *eye.shape), r)
        if not np.isfinite(d).all():
            _fail(t, at, r, d, f"I - {c:g} dt J is singular or not finite")
        share = np.ones(len(y))
        size = np.linalg.norm(r, axis=1)
        for _ in range(HALVINGS):
            trial = z - share[:, None] * d
            run = solver.step(t, trial)
            new = missing(trial, run)
            with np.errstate(invalid="ignore", over="ignore"):
                worse = ~(
                    np.linalg.norm(new, axis=1) <= np.maximum(size, 1e-13 * (1 + np.abs(z).max(axis=1)))
                )
            if not worse.any():
                break
            share[worse] /= 2
        last = np.abs(trial - z).max(axis=1) / (1 + np.abs(trial).max(axis=1))
        z, r = trial, new
        if not np.isfinite(r).all():
            _fail(t, at, r, r, "the rate is not finite near the state")
        if (last <= tolerance).all():
            return z, count, np.abs(r).max(axis=1)
    _fail(
        t,
        at,
        r,
        np.where(last[:, None] > tolerance, np.nan, r),
        f"no solution after {iterations} of Newton's steps",
    )
    raise AssertionError


def _fail(t: int, at: Array, r: Array, wrong: Array, why: str) -> None:
    b = int(np.argmax(~np.isfinite(wrong).all(axis=1)))
    raise FloatingPointError(
        f"the implicit equation of step {t} could not be solved for sequence {at[b]}: {why}; residual "
        f"{np.abs(r[b]).max():.1e}. A smaller dt makes it solvable"
    )
