"""The verbs of a run: backward, jvp, hvp, jacobian. Arrays in, checked once, and arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError
from . import check
from .arguments import (
    Arrays,
    cotangent,
    some_cotangent,
    state_row,
    write_signals,
)
from .backends import Backend, backend, backend_of
from .derivatives import Gradients, Tangent
from .flatten import Flat, flatten, unflatten
from .memories import by_memory, tangent_of_memory
from .run import Run, Views, run_shape

if TYPE_CHECKING:
    from .cpu.backward_pass import Cotangents
    from .cpu.verbs import Tangents


def backward(
    run: Run,
    d_output: np.ndarray | None = None,
    d_states: Arrays | None = None,
    d_final: Arrays | None = None,
    *,
    stream: Any = None,
) -> Gradients:
    """Backpropagation through time: derivatives of a loss by everything that went into a run.

    Parameters
    ----------
    run
        A forward pass; it is not changed and may be used again.
    d_output : ndarray (T, B, H), optional
        The loss's derivative by the output.
    d_states : dict of ndarray (T, B, width), optional
        Its derivatives by states after each step.
    d_final : dict of ndarray (B, width), optional
        Its derivatives by the final state.
    stream
        Of a run on a GPU: where the work is queued, as in `forward`; it waits for the run.

    Returns
    -------
    Gradients
        By params, x, initial, signals, memory, and by every state at every step.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    MemoryError
        The GPU has too little memory left: says how much is needed, and what would fit.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> run = rd.forward(cell, cell.init(2, 3), np.ones((5, 4, 2), "float32"))
    >>> grads = rd.backward(run, np.ones_like(run.output))
    >>> grads.params["U"].shape, grads.x.shape, grads.states["h"].shape
    ((3, 3), (5, 4, 2), (5, 4, 3))
    """
    some_cotangent("backward", d_output, d_states, d_final)
    to = backend_of(check.run(run), stream)
    with to.active(run.event):
        to.require_for(run.engine_tape, "adjoint")
        d_output, d_states = to.to_device("d_output", d_output), to.to_device("d_states", d_states)
        given = cotangent(to, run, "d_", d_output, d_states, to.to_device("d_final", d_final))
        back = to.verbs.adjoint(run.engine_tape, *given)
        if run.device != "cpu":
            wanted = ("x", "after", "initial", *(["values"] if run.cell.signals else []))
            wanted += ("memory",) if run.cell.memory else ()
            moved = {name: run.given(getattr(back, name)) for name in wanted}
            back = back._replace(flat=Flat(*map(run.given, back.flat)), **moved)
        return _gradients(run, back)


def _gradients(run: Run, back: Cotangents) -> Gradients:
    tape = run.engine_tape
    params = unflatten(tape.layout, back.flat)
    x = back.x
    signals = {}
    # Columns of the drives, which `back.values` lacks on CUDA: there it has only those of the signals, the last.
    first = tape.layout.values_size - back.values.shape[-1]
    for s in tape.layout.signals:
        d = back.values[..., s.offset - first : s.offset - first + s.width]
        if s.name == "x":
            x = x + d
        else:
            d = run.shaped(d)
            signals[s.name] = d.sum(axis=-1) if s.name in run.shared_signals else d
    return Gradients(
        {name: params[name] for name in run.params},
        None if run.autonomous or run.classes else run.shaped(x),
        Views(run.shaped(back.initial), tape.layout.slots),
        Views(run.shaped(back.after), tape.layout.slots),
        signals,
        by_memory(tape, back.memory, run.single) if tape.layout.memory else {},
    )


def _tangents(
    to: Backend,
    run: Run,
    d_params: Arrays | None,
    d_x: Any,
    d_initial: Arrays | None,
    d_signals: Arrays | None,
    d_memory: Arrays | None = None,
) -> Tangents:
    """The tangent pass of a run."""
    tape, xp = run.engine_tape, to.xp
    layout = tape.layout
    d_params, d_x = to.to_device("d_params", d_params), to.to_device("d_x", d_x)
    d_initial, d_signals = to.to_device("d_initial", d_initial), to.to_device("d_signals", d_signals)
    d_memory = to.to_device("d_memory", d_memory)
    move = {}
    for name, value in check.mapping("d_params", d_params, tuple(run.params)).items():
        move[name] = check.floating(f"d_params[{name!r}]", value, tape.dtype, run.params[name].shape)
    x = xp.zeros(tape.x.shape, tape.dtype)
    if d_x is not None:
        if run.autonomous or run.classes:
            why = "no input" if run.autonomous else "class indices as its input"
            raise ArgumentError("d_x", f"be None, as the run has {why}", "an array")
        within = None if run.within is None else xp.asarray(run.within)
        shape = run_shape(run, tape.x.shape)
        x[...] = check.floating("d_x", d_x, tape.dtype, shape, within).reshape(tape.x.shape)
    start = state_row("d_initial", d_initial, layout, tape.batch, tape.dtype, xp)
    signals = None
    named = tuple(s for s in run.cell.signals if s != "x")
    given = check.mapping("d_signals", d_signals, named)
    if given or "x" in run.cell.signals:
        full = xp.zeros(tape.values.shape, tape.dtype)
        still = xp.zeros(run_shape(run, (tape.steps, tape.batch, 1))[:-1], tape.dtype)
        directions = dict.fromkeys(named, still) | given
        write_signals(run.cell, layout, full, directions, x, tape.lengths, run.single, prefix="d_")
        signals = full[..., layout.signals[0].offset :]
    memory = tangent_of_memory(tape, d_memory, run.single)
    return to.verbs.tangent(tape, flatten(layout, move, tape.dtype, xp), x, start, signals, memory)


def jvp(
    run: Run,
    d_params: Arrays | None = None,
    d_x: np.ndarray | None = None,
    d_initial: Arrays | None = None,
    d_signals: Arrays | None = None,
    *,
    d_memory: Arrays | None = None,
    stream: Any = None,
) -> Tangent:
    """The tangent of a run: its directional derivative when parameters, input or initial state move.

    Parameters
    ----------
    run
        A forward pass.
    d_params, d_x, d_initial, d_signals, d_memory
        The direction, each of the shape of its argument; arguments without a direction do not move.
    stream
        Of a run on a GPU: where the work is queued, as in `forward`; it waits for the run.

    Returns
    -------
    Tangent

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = cell.init(input_size=0, hidden_size=2, dtype="float64")
    >>> run = rd.forward(cell, params, steps=3, initial={"h": np.ones(2)})
    >>> moved = rd.jvp(run, d_initial={"h": np.array([1.0, 0.0])})
    >>> bool(np.allclose(moved.output[-1], np.linalg.matrix_power(params["U"], 3)[:, 0]))
    True
    """
    to = backend_of(check.run(run), stream)
    with to.active(run.event):
        to.require_for(run.engine_tape, "tangent")
        after = run.given(_tangents(to, run, d_params, d_x, d_initial, d_signals, d_memory).after)
        states = Views(run.shaped(after), run.engine_tape.layout.slots)
        output = states[run.cell.output or ""]
        if run.within is not None:
            output = np.where(run.within, output, output.dtype.type(0))
        return Tangent(output, states, Views(run.shaped(after[-1]), run.engine_tape.layout.slots))


def hvp(
    run: Run,
    d_output: np.ndarray | None = None,
    d_params: Arrays | None = None,
    d_output_tangent: np.ndarray | None = None,
    *,
    d_x: np.ndarray | None = None,
    d_initial: Arrays | None = None,
    d_signals: Arrays | None = None,
    d_memory: Arrays | None = None,
    d_states: Arrays | None = None,
    d_states_tangent: Arrays | None = None,
    d_final: Arrays | None = None,
    d_final_tangent: Arrays | None = None,
) -> Gradients:
    """The tangent of `backward`: how the gradients move, for products with the Hessian.

    With `d_output_tangent` = (second derivative of the loss by the output) applied to `jvp(run, direction).output` the
    result is the Hessian of the whole loss times the direction (Pearlmutter 1994); without it, the cotangents count
    as constant.

    Parameters
    ----------
    run
        A forward pass.
    d_output, d_states, d_final
        The cotangents, as in `backward`.
    d_params, d_x, d_initial, d_signals, d_memory
        The direction, as in `jvp`.
    d_output_tangent, d_states_tangent, d_final_tangent
        How the cotangents move in that direction.

    Returns
    -------
    Gradients

    Examples
    --------
    The Hessian of `|output|^2 / 2` by the initial state of a linear network is U^T U after one step:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = cell.init(input_size=0, hidden_size=2, dtype="float64")
    >>> run = rd.forward(cell, params, steps=1, initial={"h": np.ones(2)})
    >>> v = {"h": np.array([1.0, 0.0])}
    >>> moved = rd.jvp(run, d_initial=v).output
    >>> h = rd.hvp(run, run.output, d_output_tangent=moved, d_initial=v)
    >>> bool(np.allclose(h.initial["h"], params["U"].T @ params["U"][:, 0]))
    True
    """
    some_cotangent("hvp", d_output, d_states, d_final)
    if check.run(run).device != "cpu":
        raise ArgumentError("run", "be one of the CPU engine for hvp", "one of device='cuda'")
    to = backend("cpu")
    moved = _tangents(to, run, d_params, d_x, d_initial, d_signals, d_memory)
    back = to.verbs.adjoint(
        run.engine_tape, *cotangent(to, run, "d_", d_output, d_states, d_final), keep_values=True
    )
    change = cotangent(to, run, "d_", d_output_tangent, d_states_tangent, d_final_tangent, suffix="_tangent")
    return _gradients(run, to.verbs.second(run.engine_tape, moved, back, *change))


def jacobian(
    run: Run, steps: slice | Sequence[int] | np.ndarray | int | None = None, *, stream: Any = None
) -> np.ndarray:
    """Jacobians of the state after a step by the state before it.

    Parameters
    ----------
    run
        A forward pass.
    steps
        Which steps: a slice, indices, or one index; all by default. All steps of a large run need
        T * B * S * S numbers, S the sum of the widths of the slots: `jacobian_operator` applies them unformed.
    stream
        Of a run on a GPU: where the work is queued, as in `forward`; it waits for the run.

    Returns
    -------
    ndarray (steps, B, S, S)
        Slots in the order of `cell.state`. Without the axis of steps for one index, without that of the batch for a
        run of one sequence. Before a reset the state comes from `initial`: the Jacobian is that of the step alone.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.elman()
    >>> params = cell.init(1, 3, dtype="float64")
    >>> run = rd.forward(cell, params, np.zeros((4, 1)))
    >>> bool(np.allclose(rd.jacobian(run)[0], params["U"]))     # tanh'(0) U
    True
    """
    run = check.layer_run(run)
    if run.device != "cpu" and run.cell.memory:
        raise ArgumentError(
            "run",
            f"be one of the CPU engine for Jacobians of cell {run.cell.name!r}, which reads a memory; "
            "jacobian_operator copies a run to the host",
            f"one of device={run.device!r}",
        )
    chosen = check.steps(steps, run.steps)
    to = backend_of(run, stream)
    with to.active(run.event):
        to.require_for(run.engine_tape, "jacobian", chosen.size)
        J = run.given(to.verbs.dense_jacobian(run.engine_tape, np.atleast_1d(chosen)))
    J = run.shaped(J)
    return J[0] if np.ndim(chosen) == 0 else J
