"""Networks of oscillators: second-order equations, integrated so that gradients neither vanish nor explode."""

from __future__ import annotations

from ..checks import number
from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell
from .declarations import DIAGONAL, Drive, Unit
from .recipe import remembered
from .time_step import suffix, time_step


@remembered()
def cornn(dt: float | None = 0.042, gamma: float = 2.7, epsilon: float = 4.7) -> Cell:
    """Coupled oscillators y'' = tanh(U [y, y'] + W x + b) - gamma y - epsilon y' (coRNN, Rusch and Mishra 2021).

    The velocity z is stepped explicitly, with its own damping at the old time, then y with the new z. U (H, 2 H) holds
    the matrix of y, then that of z.

    Parameters
    ----------
    dt
        The step; None for a signal.
    gamma, epsilon
        Stiffness and damping, at least 0. These and the step are tuned for each task in the paper.

    Examples
    --------
    >>> cornn().init(input_size=2, hidden_size=3)["U"].shape
    (3, 6)
    """
    gamma, epsilon = number("gamma", gamma, at_least=0), number("epsilon", epsilon, at_least=0)
    step, options = time_step(dt, gamma=gamma, epsilon=epsilon)

    def update(drive, state, signal, constant):
        a = tanh(drive.n) - constant.gamma * state.y - constant.epsilon * state.z
        z = state.z + step(signal, constant) * a
        return {"y": state.y + step(signal, constant) * z, "z": z}

    recurrent = ("y", "z")
    return Cell(f"coRNN{suffix(dt)}", ("y", "z"), ("n",), update, recurrent=recurrent, **options)


@remembered()
def unicornn(dt: float | None = 0.1, alpha: float = 10.0) -> Cell:
    """Undamped independent oscillators y'' = -(tanh(u y + W x + b) + alpha y), symplectic (Rusch and Mishra 2021b).

    Each unit has its own step, dt sigmoid(c). The map preserves volume: the determinant of its Jacobian is 1 and
    Lyapunov exponents come in pairs of opposite sign.

    Parameters
    ----------
    dt
        The largest step; None for a signal.
    alpha
        Stiffness, at least 0. It and the step are tuned for each task in the paper.

    Examples
    --------
    >>> {name: array.shape for name, array in unicornn().init(input_size=2, hidden_size=3).items()}
    {'W': (3, 2), 'b': (3,), 'c': (3,), 'U': (3,)}
    """
    step, options = time_step(dt, alpha=number("alpha", alpha, at_least=0))

    def update(drive, state, param, signal, constant):
        dt_c = step(signal, constant) * sigmoid(param.c)
        z = state.z - dt_c * (tanh(drive.n) + constant.alpha * state.y)
        return {"y": state.y + dt_c * z, "z": z}

    drive, unit = Drive("n", structure=DIAGONAL), Unit("c", initial=(-0.1, 0.1))
    return Cell(f"UnICORNN{suffix(dt)}", ("y", "z"), (drive,), update, units=(unit,), **options)
