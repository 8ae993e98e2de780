"""Liquid networks: time constants that depend on input and state."""

from __future__ import annotations

from ..checks import number
from ..equations.nonlinearities import sigmoid, tanh
from .cell import Cell
from .declarations import Unit
from .recipe import remembered
from .time_step import suffix, time_step


@remembered()
def ltc(dt: float | None = 0.1, tau: float = 1.0) -> Cell:
    """The liquid time-constant network dh/dt = -(1 / tau + f) h + f A, f = sigmoid(U h + W x + b) (Hasani et al. 2021).

    The fused step of the paper: h is taken at the new time where the equation is linear in it,
    h' = (h + dt f A) / (1 + dt (1 / tau + f)), so that every step is stable. tau, above 0, and A are learnt per unit.
    The paper takes six such steps for every sample of the input; here a step is one.

    Parameters
    ----------
    dt
        The step; None for a signal, such as the times between samples that are not equally spaced.
    tau
        The time constants at the start.

    Examples
    --------
    >>> {name: array.shape for name, array in ltc().init(input_size=2, hidden_size=3).items()}
    {'W': (3, 2), 'U': (3, 3), 'b': (3,), 'tau': (3,), 'A': (3,)}
    """
    number("tau", tau, above=0)
    step, options = time_step(dt)

    def update(drive, state, param, signal, constant):
        f = sigmoid(drive.f)
        fused = 1 + step(signal, constant) * (1 / param.tau + f)
        return {"h": (state.h + step(signal, constant) * f * param.A) / fused}

    units = (Unit("tau", initial=tau, low=0), Unit("A", initial=(-1, 1)))
    name = f"liquid time-constant network{suffix(dt)}"
    return Cell(name, state=("h",), drives=("f",), units=units, update=update, **options)


@remembered()
def cfc(dt: float | None = 1.0) -> Cell:
    """The closed-form continuous network h' = s g + (1 - s) k with s = sigmoid(-f dt) (Hasani et al. 2022).

    f is a sum of input and state, g and k are the tanh of two others: the cell without the backbone that they share in
    the paper.

    Parameters
    ----------
    dt
        The time since the sample before; None for a signal.
    """
    step, options = time_step(dt)

    def update(drive, signal, constant):
        s = sigmoid(-drive.f * step(signal, constant))
        return {"h": s * tanh(drive.g) + (1 - s) * tanh(drive.k)}

    name = f"closed-form continuous network{suffix(dt)}"
    return Cell(name, state=("h",), drives=("f", "g", "k"), update=update, **options)
