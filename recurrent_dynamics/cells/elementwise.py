"""Networks whose units do not see each other within a layer: a diagonal U, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..equations.nonlinearities import sigmoid
from .activation import activation_of
from .cell import Cell
from .declarations import DIAGONAL, Drive
from .recipe import remembered


@remembered()
def indrnn(activation: str | Callable[[Any], Any] = "relu") -> Cell:
    """The independently recurrent network h' = f(W x + u h + b), with one recurrent weight a unit (Li et al. 2018).

    Parameters
    ----------
    activation
        A name or a function of `recurrent_dynamics.equations`.

    Examples
    --------
    >>> indrnn().init(input_size=2, hidden_size=3)["U"].shape
    (3,)
    """
    f = activation_of(activation)

    def update(drive):
        return {"h": f(drive.n)}

    return Cell("indrnn", state=("h",), drives=(Drive("n", structure=DIAGONAL),), update=update)


@remembered()
def min_gru() -> Cell:
    """minGRU: gate and candidate see the input only, so that h' is linear in h (Feng et al. 2024)."""

    def update(drive, state):
        z = sigmoid(drive.z)
        return {"h": (1 - z) * state.h + z * drive.n}

    return Cell("minGRU", state=("h",), drives=("z", "n"), recurrent=(), update=update)


@remembered()
def min_lstm() -> Cell:
    """minLSTM: gates see the input only, and are normalized to sum to 1 (Feng et al. 2024)."""

    def update(drive, state):
        f, i = sigmoid(drive.f), sigmoid(drive.i)
        return {"h": f / (f + i) * state.h + i / (f + i) * drive.n}

    return Cell("minLSTM", state=("h",), drives=("f", "i", "n"), recurrent=(), update=update)
