"""Implicit methods: a solve in every step, and the exact adjoint of the solved steps.

An implicit step with one stage is Y = y + c g(Y), y' = y + g(Y) with g = dt times the rate: implicit Euler for c = 1,
the implicit midpoint rule for c = 1/2. Newton's method solves for Y with the analytic Jacobian G = dg/dY. By the
implicit function theorem dY = (I - c G)^-1 (dy + c dg), so that the walk back solves with the transpose: a cotangent l
of y' gives w = (I - c G)^-T G^T l, the cotangent l + w of y, and l + c w of g, which the engine then takes to the
parameters of all steps at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ..cells import Cell
from ..checks import integer, number
from ..dynamics.newton import solve
from ..dynamics.step_map import in_memory
from ..engine import Gradients, Run, Tangent, backward, check, forward, jacobian, jvp
from ..engine.arguments import input_of, state_row
from ..engine.run import Views, read_only
from .discretize import with_step
from .field import Field
from .methods import IMPLICIT, method_of

Array = np.ndarray
Arrays = Mapping[str, Array]
HALVINGS = 12  # of Newton's step


class ImplicitRun:
    """The trajectory of an implicit method.

    Attributes
    ----------
    output : ndarray (T, B, H)
        The output slot after every step.
    states : mapping of ndarray (T, B, width)
        Every slot after every step.
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

    def __init__(
        self, solver: _Solver, before: Array, stages: Array, after: Array, info: tuple[Array, Array]
    ) -> None:
        self._solver, self._stages, self._after = solver, stages, after
        self._before = before
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
        return self._views(self._before[0])

    @property
    def output(self) -> Array:
        return self.states[self._solver.increments.output or ""]

    def _views(self, a: Array) -> Views:
        return Views(self._solver.shaped(a), self._solver.layout.slots)

    def jacobian(self, steps: Any = None) -> Array:
        """D state after / d state before, I + G (I - c G)^-1, shape (steps, B, S, S); without B for one sequence."""
        chosen = np.atleast_1d(np.arange(self.steps)[slice(None) if steps is None else steps])
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
            raise ValueError("backward needs at least one of d_output, d_states, d_final")
        outside: Array = np.zeros(self._after.shape)
        given = dict(check.mapping("d_states", d_states, solver.increments.state))
        for name, slot, value in [
            *([("d_output", solver.increments.output, d_output)] if d_output is not None else []),
            *((f"d_states[{s!r}]", s, v) for s, v in given.items()),
        ]:
            solver.add(name, outside, slot or "", value, self.states)
        last = outside[-1:]
        for s, v in check.mapping("d_final", d_final, solver.increments.state).items():
            solver.add(f"d_final[{s!r}]", last, s, v, {s: self.states[s][-1:]}, final=True)
        on_rates, carried = np.empty_like(outside), np.zeros(outside.shape[1:])
        eye = np.eye(outside.shape[-1])
        for part in reversed(list(solver.chunks(self.steps))):
            chosen = np.arange(self.steps)[part]
            G = solver.slopes(chosen, self._stages)
            for t, slope in zip(chosen[::-1], G[::-1]):
                transposed = slope.swapaxes(-1, -2)
                outside[t] += carried
                pulled = np.einsum("bij,bj->bi", transposed, outside[t])
                w = solve(eye - solver.c * transposed, pulled)
                on_rates[t] = outside[t] + solver.c * w
                carried = outside[t] + w
        grads = backward(solver.all_at_once(self._stages), d_states=solver.by_slot(on_rates))
        x = None if solver.x is None or grads.x is None else grads.x[0].reshape(solver.x.shape)
        signals = {name: g[0].reshape(solver.signals[name].shape) for name, g in grads.signals.items()}
        if solver.single:
            x = None if x is None else x[:, 0]
            signals = {name: g[:, 0] for name, g in signals.items()}
        return Gradients(grads.params, x, self._views(carried), self._views(outside), signals)

    def jvp(
        self,
        d_params: Arrays | None = None,
        d_x: Array | None = None,
        d_initial: Arrays | None = None,
        d_signals: Arrays | None = None,
    ) -> Tangent:
        """The directional derivative of the solved steps; arguments and result as of `recurrent_dynamics.jvp`."""
        solver = self._solver
        flat = lambda a: np.asarray(a, np.float64).reshape(
            1, self.steps * self.batch_size, *np.shape(a)[2 - solver.single :]
        )
        moved = jvp(
            solver.all_at_once(self._stages),
            d_params=d_params,
            d_x=None if d_x is None else flat(d_x),
            d_signals=None if d_signals is None else {name: flat(v) for name, v in d_signals.items()},
        )
        direct: Array = np.concatenate([moved.states[s][0] for s in solver.increments.state], axis=-1)
        direct = np.reshape(direct, self._after.shape)
        now = state_row("d_initial", d_initial, solver.layout, self.batch_size, np.dtype(np.float64))
        after, eye = np.empty_like(self._after), np.eye(direct.shape[-1])
        for part in solver.chunks(self.steps):
            chosen = np.arange(self.steps)[part]
            for t, slope in zip(chosen, solver.slopes(chosen, self._stages)):
                stage = solve(eye - solver.c * slope, now + solver.c * direct[t])
                now = now + np.einsum("bij,bj->bi", slope, stage) + direct[t]
                after[t] = now
        states = self._views(after)
        return Tangent(states[solver.increments.output or ""], states, self._views(after[-1]))

    def __repr__(self) -> str:
        return (
            f"ImplicitRun of {self._solver.increments.name!r}: {self.steps} steps, batch {self.batch_size}, "
            f"{self.iterations.mean():.1f} Newton steps each"
        )


class _Solver:
    """The increments g of a field with everything that enters them, in float64; x (T, B, N), signals (T, B[, H])."""

    def __init__(
        self,
        increments: Cell,
        c: float,
        params: Arrays,
        x: Any,
        steps: int | None,
        initial: Any,
        signals: Any,
    ) -> None:
        own, dtype, inputs, hidden = check.parameters(increments, params)
        self.increments, self.c = increments, c
        self.params = {name: value.astype(np.float64) for name, value in own.items()}
        self.layout = increments.layout(inputs, hidden)
        filled, self.single, autonomous, batch = input_of(x, steps, initial, dtype, inputs, self.layout)
        self.x = None if autonomous else check.finite("x", filled).astype(np.float64)
        self.steps, self.batch = len(filled), batch
        start = state_row("initial", initial, self.layout, batch, dtype)
        self.start = start.astype(np.float64)
        known = tuple(s for s in increments.signals if s != "x")
        self.signals: dict[str, Array] = {}
        for name, value in check.mapping("signals", signals, known).items():
            a = check.floating(f"signals[{name!r}]", value, dtype).astype(np.float64)
            a = a[:, None] if self.single and a.ndim else a
            if a.shape not in ((self.steps, batch), (self.steps, batch, hidden)):
                raise ValueError(
                    f"signals[{name!r}] must have shape {(self.steps, batch)} or {(self.steps, batch, hidden)}; came "
                    f"{np.shape(value)}"
                )
            self.signals[name] = a

    def run(self, z: Array, x: Array | None, signals: Arrays) -> Run:
        """One evaluation of g at the rows z (n, S)."""
        return forward(
            self.increments, self.params, None if x is None else x[None], steps=1 if x is None else None,
            initial=Views(z, self.layout.slots), signals={k: v[None] for k, v in signals.items()}, check_finite=False,
        )  # fmt: skip

    def step(self, t: int, z: Array) -> Run:
        return self.run(z, None if self.x is None else self.x[t], {k: v[t] for k, v in self.signals.items()})

    def all_at_once(self, stages: Array) -> Run:
        """The evaluations of all steps as one batch."""
        return self._some(np.arange(self.steps), stages)

    def _some(self, chosen: Array, stages: Array) -> Run:
        rows = lambda a: a[chosen].reshape(len(chosen) * self.batch, *a.shape[2:])
        x = None if self.x is None else rows(self.x)
        return self.run(rows(stages), x, {k: rows(v) for k, v in self.signals.items()})

    def slopes(self, chosen: Array, stages: Array) -> Array:
        """G of some steps, (n, B, S, S)."""
        size = stages.shape[-1]
        return jacobian(self._some(chosen, stages), 0).reshape(len(chosen), self.batch, size, size)

    def chunks(self, n: int) -> Iterator[slice]:
        """Slices of n steps whose Jacobians fit into memory at once."""
        return in_memory(n, self.batch * self.layout.state_size**2)

    def shaped(self, a: Array) -> Array:
        """Without the batch axis for one sequence."""
        a = read_only(a)
        return a if not self.single else a[0] if a.ndim == 2 else a[:, 0]

    def by_slot(self, a: Array) -> dict[str, Array]:
        """(T, B, S) as the cotangents of the states of `all_at_once`."""
        rows = a.reshape(1, -1, a.shape[-1])
        return {
            s.name: np.ascontiguousarray(rows[..., s.offset : s.offset + s.width]) for s in self.layout.slots
        }

    def add(self, name: str, to: Array, slot: str, value: Any, like: Arrays, final: bool = False) -> None:
        """Add a cotangent, shaped as the user sees it, to its columns."""
        s = next(span for span in self.layout.slots if span.name == slot)
        wanted = like[slot].shape[1:] if final else like[slot].shape
        a = check.floating(name, np.asarray(value, np.float64), None, wanted)
        to[..., s.offset : s.offset + s.width] += a.reshape(*to.shape[:-1], s.width)


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
    initial, signals
        As in `recurrent_dynamics.forward`.
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
        raise ValueError(
            f"method must be implicit_euler or implicit_midpoint; came {m.name!r}, use discretize"
        )
    if not isinstance(field, Field):
        raise TypeError(f"field must be a Field; came {type(field).__name__}")
    integer("iterations", iterations, at_least=1)
    number("tolerance", tolerance, above=0)
    increments = with_step(
        field,
        f"increments of {field.name}",
        lambda f, size: {s: size * k for s, k in f({}).items()},
        dt,
        step,
    )
    solver = _Solver(increments, m.matrix[0][0], params, x, steps, initial, signals)
    states = np.empty((solver.steps + 1, *solver.start.shape))
    stages = np.empty((solver.steps, *solver.start.shape))
    counts, residuals = np.zeros(solver.steps, np.int64), np.zeros(stages.shape[:2])
    states[0] = solver.start
    for t in range(solver.steps):
        stages[t], counts[t], residuals[t] = _newton(solver, t, states[t], iterations, tolerance)
        # y' = y + g(Y) with g = (Y - y) / c: the equation itself, without another evaluation
        states[t + 1] = states[t] + (stages[t] - states[t]) / solver.c
    return ImplicitRun(solver, states[:-1], stages, states[1:], (counts, residuals))


def _newton(solver: _Solver, t: int, y: Array, iterations: int, tolerance: float) -> tuple[Array, int, Array]:
    """Solve Y = y + c g(Y) for all sequences of step t: (Y, iterations, what is left (B,))."""
    c, eye = solver.c, np.eye(y.shape[-1])

    def missing(z: Array, run: Run) -> Array:
        return z - y - c * run.tape.after[0]

    z = y.copy()
    run = solver.step(t, z)
    r = missing(z, run)
    for count in range(1, iterations + 1):
        d = solve(eye - c * jacobian(run, 0).reshape(len(y), *eye.shape), r)
        if not np.isfinite(d).all():
            _fail(t, r, d, f"I - {c:g} dt J is singular or not finite")
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
            _fail(t, r, r, "the rate is not finite near the state")
        if (last <= tolerance).all():
            return z, count, np.abs(r).max(axis=1)
    _fail(
        t,
        r,
        np.where(last[:, None] > tolerance, np.nan, r),
        f"no solution after {iterations} of Newton's steps",
    )
    raise AssertionError


def _fail(t: int, r: Array, wrong: Array, why: str) -> None:
    b = int(np.argmax(~np.isfinite(wrong).all(axis=1)))
    raise FloatingPointError(
        f"the implicit equation of step {t} could not be solved for sequence {b}: {why}; residual "
        f"{np.abs(r[b]).max():.1e}. A smaller dt makes it solvable"
    )
