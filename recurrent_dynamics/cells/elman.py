"""The simple recurrent network and its linear limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .activation import activation_of
from .cell import Cell
from .recipe import remembered


@remembered()
def elman(activation: str | Callable[[Any], Any] = "tanh") -> Cell:
    """The simple recurrent network h' = f(W x + U h + b) (Elman 1990).

    Parameters
    ----------
    activation
        A name or a function of `recurrent_dynamics.equations`. With "relu" and identity initialization of U it is
        the IRNN of Le et al. 2015.

    Examples
    --------
    >>> elman("relu").init(input_size=3, hidden_size=4, recurrent="identity")["U"].diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    f = activation_of(activation)

    def update(drive):
        return {"h": f(drive.n)}

    return Cell("elman", state=("h",), drives=("n",), update=update)


@remembered()
def linear() -> Cell:
    """The linear recurrent network h' = W x + U h + b."""

    def update(drive):
        return {"h": drive.n}

    return Cell("linear", state=("h",), drives=("n",), update=update)
