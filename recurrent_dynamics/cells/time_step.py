"""The time step of a cell that is a differential equation: a fixed number, or a signal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..checks import number


def time_step(dt: float | None, **constants: float) -> tuple[Callable[..., Any], dict[str, Any]]:
    """How the equations read the step, and what a `Cell` is told of it.

    For a number the cell has the constant dt, for None the signal dt, an array (T, B) or (T, B, H).

    Examples
    --------
    >>> time_step(0.1)[1], time_step(None, gamma=2.0)[1]
    ({'constants': {'dt': 0.1}}, {'constants': {'gamma': 2.0}, 'signals': ('dt',)})
    """
    if dt is None:
        return lambda signal, constant: signal.dt, {"constants": constants, "signals": ("dt",)}
    return lambda signal, constant: constant.dt, {"constants": constants | {"dt": number("dt", dt, above=0)}}


def suffix(dt: float | None) -> str:
    """What the name of a cell says about its step."""
    return ", irregular steps" if dt is None else ""
