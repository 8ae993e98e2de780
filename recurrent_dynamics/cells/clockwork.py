"""The clockwork network: groups of units that move at periods of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..checks import ArgumentError, floating_dtype, integer, listed
from ..parametrize import BlockTriangular
from ..parametrize.block_triangular import group_of_units
from .activation import activation_of
from .cell import Cell
from .recipe import remembered


@remembered()
def clockwork(groups: int = 4, activation: str | Callable[[Any], Any] = "tanh") -> Cell:
    """The clockwork network (Koutnik, Greff, Gomez and Schmidhuber 2014).

    A group of units moves at the steps where its clock ticks, h' = f(W x + U h + b), and holds its state at all others.
    U is block-triangular: a group reads itself and the groups behind it, which are slower. The signal "tick" says which
    units move; `ticks` makes it.

    Parameters
    ----------
    groups
        How many groups of units there are, the fastest first.
    activation
        A name or a function of `recurrent_dynamics.equations`.

    Notes
    -----
    All units are computed at every step, so a slow group saves no time.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> cell = clockwork(groups=2)
    >>> params = cell.init(input_size=1, hidden_size=4)
    >>> tick = ticks((1, 4), steps=8, hidden_size=4)
    >>> run = rd.forward(cell, params, np.ones((8, 1, 1), "float32"), signals={"tick": tick})
    >>> bool((run.output[1, :, 2:] == run.output[3, :, 2:]).all())     # the slow group waits for step 4
    True
    """
    f = activation_of(activation)

    def update(drive, state, signal):
        return {"h": signal.tick * f(drive.n) + (1 - signal.tick) * state.h}

    return Cell(
        "clockwork",
        state=("h",),
        drives=("n",),
        update=update,
        signals=("tick",),
        parametrize={"U": BlockTriangular(groups=groups)},
    )


def ticks(
    periods: Sequence[int],
    steps: int,
    hidden_size: int,
    batch: int = 1,
    start: int = 0,
    dtype: DTypeLike = "float32",
) -> np.ndarray:
    """The signal "tick" of `clockwork`: 1 where the period of a unit's group divides the number of the step, else 0.

    Parameters
    ----------
    periods
        Of the groups, ascending, such as (1, 2, 4, 8).
    steps, hidden_size, batch
        T, H and B.
    start
        The number of the first step, of a window of a longer sequence.
    dtype
        float32 or float64, that of the parameters.

    Returns
    -------
    ndarray (T, B, H)

    Raises
    ------
    ValueError, TypeError
        For periods that are not ascending, or more of them than units.

    Examples
    --------
    >>> ticks((1, 2), steps=4, hidden_size=2)[:, 0]
    array([[1., 1.],
           [1., 0.],
           [1., 1.],
           [1., 0.]], dtype=float32)
    """
    given = listed("periods", periods, "of numbers of steps")
    of_group = np.array([integer(f"periods[{i}]", p, at_least=1) for i, p in enumerate(given)])
    if not of_group.size or (np.diff(of_group) < 0).any():
        raise ArgumentError("periods", "be ascending, at least one", repr(periods))
    T, B = integer("steps", steps, at_least=1), integer("batch", batch, at_least=1)
    H, first = integer("hidden_size", hidden_size, at_least=1), integer("start", start, at_least=0)
    if len(of_group) > H:
        raise ArgumentError("periods", f"be at most {H}, one for each unit", len(of_group))
    kind = floating_dtype("dtype", dtype)
    of_unit = of_group[group_of_units(H, len(of_group))]
    moves = (np.arange(first, first + T)[:, None] % of_unit == 0).astype(kind)
    return np.repeat(moves[:, None], B, axis=1)
