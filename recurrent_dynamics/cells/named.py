"""The cells of the library by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import ArgumentError
from .cell import Cell
from .continuous import antisymmetric_rnn, ctrnn, gru_ode, lem, lipschitz_rnn
from .elementwise import indrnn, min_gru, min_lstm
from .elman import elman, linear
from .gru import gru, gru_reset_before, minimal_gated_unit
from .leaky import es2n, leaky
from .liquid import cfc, ltc
from .lstm import lstm, lstm_coupled, lstm_peephole, lstm_projected
from .modrelu import modrelu_rnn, unitary_rnn
from .mut import mut1, mut2, mut3
from .oscillators import cornn, unicornn
from .piecewise_linear import shplrnn

NAMED: dict[str, Callable[..., Cell]] = {
    make.__name__: make
    for make in (
        linear,
        elman,
        leaky,
        es2n,
        indrnn,
        lstm,
        lstm_peephole,
        lstm_coupled,
        lstm_projected,
        gru,
        gru_reset_before,
        minimal_gated_unit,
        mut1,
        mut2,
        mut3,
        min_gru,
        min_lstm,
        ctrnn,
        antisymmetric_rnn,
        lipschitz_rnn,
        gru_ode,
        lem,
        cornn,
        unicornn,
        ltc,
        cfc,
        shplrnn,
        modrelu_rnn,
        unitary_rnn,
    )
}


def by_name(name: str, **options: Any) -> Cell:
    """The cell of a name, made with the options of its function.

    Raises
    ------
    ValueError
        There is no cell of this name; the message lists those that there are.

    Examples
    --------
    >>> by_name("elman", activation="relu")
    Cell('elman', state=(h), drives=(n))
    """
    if not isinstance(name, str) or name not in NAMED:
        raise ArgumentError("name", f"be one of {', '.join(NAMED)}", repr(name))
    return NAMED[name](**options)
