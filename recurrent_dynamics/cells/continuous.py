"""Networks in continuous time, as steps of the Euler method.

`dt` is the step; None makes it a signal: `rd.forward(..., signals={"dt": ...})` with an array (T, B) for samples that
are not equally spaced, or (T, B, H). The step is as long as the time since the sample before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import ArgumentTypeError, boolean, number
from ..equations.nonlinearities import sigmoid, tanh
from ..parametrize import SymmetricAntisymmetric, antisymmetric
from .activation import activation_of
from .cell import Cell
from .declarations import Drive, Unit
from .recipe import remembered
from .time_step import suffix, time_step


@remembered()
def ctrnn(
    dt: float | None = 0.1,
    tau: float = 1.0,
    learnt: bool = False,
    activation: str | Callable[[Any], Any] = "tanh",
    noise: bool = False,
) -> Cell:
    """The continuous-time network tau dh/dt = -h + U f(h) + W x + b (Sompolinsky et al. 1988; Song et al. 2016).

    h are currents, f(h) rates. (`leaky` has f around the sum instead.)

    Parameters
    ----------
    dt
        The step, in units of time; None for a signal.
    tau
        The time constant.
    learnt
        Whether each unit learns its own tau, above 0, from this one on.
    activation
        A name or a function of `recurrent_dynamics.equations`.
    noise
        Whether the signal "noise" is added to the currents, an array (T, B, H), or (T, B) for all units alike:
        tau dh/dt = -h + U f(h) + W x + b + noise. A cell draws nothing at random. `recurrent_dynamics.data.WithNoise`
        brings the noise with the batches of a training, ``signals={"noise": (s, H)}``. Units with an intrinsic
        standard deviation sigma (Song et al. 2016) have s = sqrt(2 tau / dt) sigma. To look at the network without
        noise give zeros: ``predict(..., signals={"noise": np.zeros((T, B), "float32")})``, and
        ``signals={"noise": 0.0}`` for its fixed points.

    Examples
    --------
    >>> {name: array.shape for name, array in ctrnn(learnt=True).init(input_size=2, hidden_size=3).items()}
    {'W': (3, 2), 'U': (3, 3), 'b': (3,), 'tau': (3,)}

    Private noise of the units:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(ctrnn(dt=0.2, noise=True), 8, input_size=1, output_size=1, loss="mean_squared_error")
    >>> batch = np.ones((20, 4, 1), "float32"), np.ones((20, 4, 1), "float32")
    >>> noisy = rd.data.WithNoise([batch], signals={"noise": (np.sqrt(2 / 0.2) * 0.1, 8)})
    >>> loss, grads = model.loss_and_grad(model.init(rng=0), noisy.batch(0))
    """
    f = activation_of(activation)
    number("tau", tau, above=0)
    learnt = boolean("learnt", learnt)
    _declared(noise)
    step, options = time_step(dt, **({} if learnt else {"tau": tau}))
    if noise:
        options["signals"] = (*options.get("signals", ()), "noise")

    def update(drive, state, param, signal, constant):
        tau = param.tau if learnt else constant.tau
        current = drive.n(f(state.h)) + signal.noise if noise else drive.n(f(state.h))
        return {"h": state.h + step(signal, constant) / tau * (current - state.h)}

    units = (Unit("tau", initial=tau, low=0),) if learnt else ()
    name = (
        f"continuous-time network{', tau learnt' if learnt else ''}{', noise' if noise else ''}{suffix(dt)}"
    )
    return Cell(name, state=("h",), drives=("n",), units=units, update=update, **options)


def _declared(noise: Any) -> None:
    """Refuse a strength in the place of the declaration."""
    if not isinstance(noise, bool | np.bool_):
        raise ArgumentTypeError(
            "noise",
            "be True or False, since noise is a signal of the data",
            f"{noise!r}: pass noise=True and wrap the data, rd.data.WithNoise(data, signals={{'noise': (s, H)}})",
        )


@remembered()
def antisymmetric_rnn(dt: float | None = 0.01, damping: float = 0.01, gated: bool = False) -> Cell:
    """The antisymmetric network h' = h + dt tanh((U - damping I) h + W x + b), U^T = -U (Chang et al. 2019).

    U is antisymmetric by `rd.parametrize.antisymmetric` where the cell is initialized and where a `rd.nn.Model` trains
    it; the equations take any U.

    Parameters
    ----------
    dt
        The step; None for a signal.
    damping
        Diffusion, at least 0: Euler's method leaves the circle without it.
    gated
        With a gate z = sigmoid((U - damping I) h + W_z x + b_z) that multiplies the step and shares U.

    Examples
    --------
    >>> U = antisymmetric_rnn().init(input_size=2, hidden_size=3, dtype="float64")["U"]
    >>> bool((U == -U.T).all())
    True
    """
    step, options = time_step(dt, gamma=number("damping", damping, at_least=0))

    def plain(drive, state, signal, constant):
        return {"h": state.h + step(signal, constant) * tanh(drive.n - constant.gamma * state.h)}

    def with_gate(drive, state, signal, constant):
        u = drive.u - constant.gamma * state.h
        z = sigmoid(drive.z + u)
        return {"h": state.h + step(signal, constant) * z * tanh(drive.n + u)}

    shared = Drive("u", input=False, bias=False)
    drives = (Drive("z", operand=()), Drive("n", operand=()), shared) if gated else ("n",)
    return Cell(
        f"{'gated ' if gated else ''}antisymmetric network{suffix(dt)}",
        state=("h",),
        drives=drives,
        update=with_gate if gated else plain,
        parametrize={"U": antisymmetric},
        **options,
    )


@remembered()
def lipschitz_rnn(dt: float | None = 0.03, share: float = 0.65, damping: float = 0.001) -> Cell:
    """The Lipschitz network dh/dt = A h + tanh(U h + W x + b) (Erichson et al. 2021).

    A and U are (1 - share) (M + M^T) + share (M - M^T) - damping I, each with its M, by
    `rd.parametrize.SymmetricAntisymmetric` where the cell is initialized and where a `rd.nn.Model` trains it; the
    equations take any matrices.

    Parameters
    ----------
    dt
        The step; None for a signal.
    share
        Of the antisymmetric part, in [1/2, 1]: the paper's beta.
    damping
        At least 0: the paper's gamma.

    Examples
    --------
    >>> {name: array.shape for name, array in lipschitz_rnn().init(input_size=2, hidden_size=3).items()}
    {'W': (3, 2), 'U': (6, 3), 'b': (3,)}
    """
    step, options = time_step(dt)
    made = SymmetricAntisymmetric(share, damping)

    def update(drive, state, signal, constant):
        return {"h": state.h + step(signal, constant) * (drive.a + tanh(drive.n))}

    return Cell(
        f"Lipschitz network{suffix(dt)}",
        state=("h",),
        drives=(Drive("a", input=False, bias=False), "n"),
        update=update,
        parametrize={"U.a": made, "U.n": made},
        **options,
    )


@remembered()
def gru_ode(dt: float | None = 0.1) -> Cell:
    """The gated unit in continuous time, dh/dt = (1 - z) (n - h) (De Brouwer et al. 2019).

    With a step of 1 it is the gated recurrent unit with its reset gate before the product.

    Parameters
    ----------
    dt
        The step; None for a signal.
    """
    step, options = time_step(dt)

    def update(drive, state, signal, constant):
        r, z = sigmoid(drive.r), sigmoid(drive.z)
        n = tanh(drive.n(r * state.h))
        return {"h": state.h + step(signal, constant) * (1 - z) * (n - state.h)}

    return Cell(f"GRU-ODE{suffix(dt)}", state=("h",), drives=("r", "z", "n"), update=update, **options)


@remembered()
def lem(dt: float | None = 1.0) -> Cell:
    """Long expressive memory: two states, each with time steps of its own from input and state (Rusch et al. 2022).

    The drives a and c are the sums of the paper's time steps of z and y.

    Parameters
    ----------
    dt
        The largest step; None for a signal.
    """
    step, options = time_step(dt)

    def update(drive, state, signal, constant):
        dt_z, dt_y = step(signal, constant) * sigmoid(drive.a), step(signal, constant) * sigmoid(drive.c)
        z = (1 - dt_z) * state.z + dt_z * tanh(drive.z)
        return {"y": (1 - dt_y) * state.y + dt_y * tanh(drive.y(z)), "z": z}

    name = f"long expressive memory{suffix(dt)}"
    return Cell(name, state=("y", "z"), drives=("a", "c", "z", "y"), update=update, **options)
