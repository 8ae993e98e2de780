"""Finite-time Lyapunov exponents with their exact gradients, and gradient flossing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...checks import generator, integer, number
from ...engine import Run, backward, check, jacobian
from ...engine.derivatives import Gradients
from ...engine.run import Views
from ..trajectories.sources import unbroken
from ..trajectories.steps_side_by_side import by_slot, jacobian_form, joined, side_by_side

SINGULAR = (
    1e-12  # a diagonal entry of R this small, relative to the largest, has no derivative that can be trusted
)


@dataclass(frozen=True)
class _Stretch:
    """The steps a .. b - 1 between two orthonormalizations: frames (n + 1, B, S, k) before each and after the last."""

    a: int
    b: int
    frames: np.ndarray
    Q: np.ndarray
    R: np.ndarray


def finite_time_exponents(
    run: Run, count: int | None = None, *, interval: int = 1, rng: int | np.random.Generator = 0
) -> tuple[np.ndarray, Callable[[ArrayLike], Gradients]]:
    """The first Lyapunov exponents of a run as it is, and the map from a derivative by them to one by parameters.

    A random orthonormal frame is carried through all steps by the exact Jacobians and orthonormalized by QR; the
    exponents are the means of ``ln |R_ii|`` over the whole run, nothing is dropped. The gradient is exact for these
    numbers: it goes back through every QR decomposition [1]_, through each Jacobian by the second derivatives of the
    cell, and along the trajectory by backpropagation through time.

    Parameters
    ----------
    run
        What `rd.forward` returned, of whole sequences without resets. float64 is advisable.
    count
        k, how many exponents; all of the state by default.
    interval
        Steps between orthonormalizations.
    rng
        Draws the first frame, one for all sequences.

    Returns
    -------
    exponents : ndarray (B, k)
        In nats per step, in the order of the frame.
    pull : callable
        ``pull(d_exponents)``, with (B, k) or what broadcasts to it, returns the `Gradients` by params, x, initial,
        signals; its `states` hold those by the states along the trajectory.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    FloatingPointError
        A pushed frame is singular to rounding, as with dead or saturated units: ask for fewer exponents.

    References
    ----------
    .. [1] Walter and Lehmann, On evaluating higher-order derivatives of the QR decomposition of tall matrices with full
       column rank in forward and reverse mode algorithmic differentiation, Optimization Methods and Software 27 (2012).

    Examples
    --------
    The only exponent of h' = u h is ln u, its derivative 1 / u:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = {"U": np.array([[0.5]]), "b": np.zeros(1)}
    >>> run = rd.forward(cell, params, steps=4, initial={"h": np.ones((1, 1))})
    >>> exponents, pull = finite_time_exponents(run)
    >>> bool(np.isclose(exponents[0, 0], np.log(0.5))), pull(1.0).params["U"].round(12).tolist()
    (True, [[2.0]])
    """
    run = check.layer_run(run)
    unbroken(run)
    tape = run.tape
    size = tape.layout.state_size
    count = size if count is None else integer("count", count, at_least=1, at_most=size)
    interval = integer("interval", interval, at_least=1)
    J = jacobian(run).reshape(tape.steps, tape.batch, size, size).astype(np.float64)
    first = np.linalg.qr(generator("rng", rng).standard_normal((size, count)))[0]
    frame = np.broadcast_to(first, (tape.batch, size, count))
    logs = np.zeros((tape.batch, count))
    stretches = []
    for a in range(0, tape.steps, interval):
        b = min(a + interval, tape.steps)
        frames = [frame]
        for t in range(a, b):
            frames.append(J[t] @ frames[-1])
        frame, R = np.linalg.qr(frames[-1])
        diagonal = np.abs(np.diagonal(R, axis1=1, axis2=2))
        if not (diagonal > SINGULAR * np.abs(R).max(axis=(1, 2))[:, None]).all():
            worst = int(np.argmin((diagonal / np.abs(R).max(axis=(1, 2))[:, None]).min(axis=0)))
            raise FloatingPointError(
                f"the frame is singular to rounding after step {b - 1}, in vector {worst}: its exponent has no "
                f"gradient; ask for a count below {worst + 1} or a shorter interval than {interval}"
            )
        logs += np.log(diagonal)
        stretches.append(_Stretch(a, b, np.stack(frames), frame, R))

    def pull(d_exponents: ArrayLike) -> Gradients:
        weights = np.broadcast_to(np.asarray(d_exponents, np.float64), (tape.batch, count)) / tape.steps
        return _pull(run, J, stretches, weights)

    return logs / tape.steps, pull


def _pull(run: Run, J: np.ndarray, stretches: list[_Stretch], weights: np.ndarray) -> Gradients:
    """Back through the QR decompositions; then by the Jacobians' derivatives to parameters and states."""
    tape = run.tape
    left = np.empty((tape.steps, *stretches[0].Q.shape))  # d / d (J_t frame_t), which belongs to
    right = np.empty_like(left)  # frame_t
    d_frame = np.zeros_like(stretches[0].Q)
    for stretch in reversed(stretches):
        d = _qr_adjoint(stretch.Q, stretch.R, d_frame, weights)
        for t in reversed(range(stretch.a, stretch.b)):
            left[t], right[t] = d, stretch.frames[t - stretch.a]
            d = np.swapaxes(J[t], 1, 2) @ d
        d_frame = d
    steps = side_by_side(run)
    found = [jacobian_form(steps, left[..., i], right[..., i]) for i in range(left.shape[-1])]
    shape = tape.before.shape
    by_state = np.sum([joined(g.initial, shape) for g in found], axis=0)
    d_states = {
        slot: run.shaped(v.reshape(tape.steps, tape.batch, -1))
        for slot, v in by_slot(run, np.concatenate([by_state[1:], np.zeros_like(by_state[:1])])).items()
    }
    along = backward(run, d_states=d_states)
    total = {name: along.params[name] + sum(g.params[name] for g in found) for name in along.params}
    x = None
    if along.x is not None:
        x = along.x + _as(along.x, [g.x for g in found if g.x is not None])
    initial = joined(along.initial, shape[1:]) + by_state[0]
    signals = {name: v + _as(v, [g.signals[name] for g in found]) for name, v in along.signals.items()}
    return replace(
        along, params=total, x=x, initial=Views(run.shaped(initial), tape.layout.slots), signals=signals
    )


def _as(like: np.ndarray, several: list[np.ndarray]) -> np.ndarray:
    """The derivatives of all vectors summed, by step and sequence; those of a shared signal summed over units."""
    total = np.sum(several, axis=0)
    if total.size != like.size:
        total = total.reshape(*like.shape, -1).sum(axis=-1)
    return total.reshape(like.shape)


def _qr_adjoint(Q: np.ndarray, R: np.ndarray, d_Q: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The derivative by A = Q R, (B, S, k), of a function with derivative d_Q by Q and weights (B, k) by ln |R_ii|."""
    # R times the transposed derivative by R: its lower triangle is the diagonal `weights`.
    M = -np.swapaxes(d_Q, 1, 2) @ Q
    i = np.arange(R.shape[-1])
    lower = np.tril(M)
    lower[:, i, i] += weights
    whole = lower + np.swapaxes(np.tril(M, -1), 1, 2)
    inner = d_Q + Q @ whole
    # By NumPy: SciPy's LAPACK has threads of its own, and the two fight for the cores.
    return np.swapaxes(np.linalg.solve(R, np.swapaxes(inner, 1, 2)), 1, 2)


def flossing(
    run: Run,
    count: int | None = None,
    *,
    target: float = 0.0,
    interval: int = 1,
    rng: int | np.random.Generator = 0,
) -> tuple[float, Gradients, np.ndarray]:
    """The loss of gradient flossing and its gradient: the mean square of the first exponents' distance from zero [1]_.

    Minimized for some hundreds of updates before a training, and in breaks of it, it lets gradients neither vanish nor
    explode in `count` directions.

    Parameters
    ----------
    run
        What `rd.forward` returned, of whole sequences without resets.
    count
        How many exponents are pushed; all of the state by default.
    target
        Where to, in nats per step.
    interval, rng
        As in `finite_time_exponents`. With a generator every call draws another frame.

    Returns
    -------
    loss : float
        Mean over sequences and exponents of (exponent - target)^2.
    gradients : Gradients
    exponents : ndarray (B, count)

    References
    ----------
    .. [1] Engelken, Gradient flossing: improving gradient descent through dynamic control of Jacobians, NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell, rng = rd.cells.elman(), np.random.default_rng(0)
    >>> params = cell.init(2, 8, rng=0, dtype="float64")
    >>> x = 0.1 * rng.standard_normal((20, 4, 2))
    >>> losses = []
    >>> for _ in range(100):
    ...     loss, grads, exponents = flossing(rd.forward(cell, params, x), count=4)
    ...     params["U"] = params["U"] - 0.1 * grads.params["U"]
    ...     losses.append(loss)
    >>> losses[-1] < 0.1 * losses[0]
    True
    """
    target = number("target", target)
    exponents, pull = finite_time_exponents(run, count, interval=interval, rng=rng)
    away: Any = exponents - target
    return float(np.mean(away**2)), pull(2 * away / away.size), exponents
