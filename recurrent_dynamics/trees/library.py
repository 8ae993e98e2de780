"""The cells over children that the library brings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec

import numpy as np

from ..cells import Cell
from ..cells.declarations import Drive
from ..cells.recipe import Recipe
from ..checks import integer, number, one_of
from ..equations.nonlinearities import NONLINEARITIES, sigmoid, tanh
from .cells import TreeCell, child_sum, n_ary

Arguments = ParamSpec("Arguments")


def _with_recipe(factory: Callable[Arguments, TreeCell]) -> Callable[Arguments, TreeCell]:
    """Let the cells of a factory of the library remember it and its arguments."""
    signature = inspect.signature(factory)

    @wraps(factory)
    def make(*args: Arguments.args, **options: Arguments.kwargs) -> TreeCell:
        given = signature.bind(*args, **options).arguments
        arguments = {name: a.item() if isinstance(a, np.generic) else a for name, a in given.items()}
        return replace(factory(*args, **options), recipe=Recipe(make, arguments, "node"))

    return make


def _forget(drive: Any, state: Any) -> dict[str, Any]:
    return {"h": state.h, "c": sigmoid(drive.f) * state.c}


def _remember(drive: Any, state: Any) -> dict[str, Any]:
    i, o = sigmoid(drive.i), sigmoid(drive.o)
    c = i * tanh(drive.u) + state.c
    return {"h": o * tanh(c), "c": c}


@_with_recipe
def child_sum_lstm(forget_bias: float = 0.0) -> TreeCell:
    """The child-sum Tree-LSTM (Tai, Socher and Manning 2015), over any number of children without order.

    Every child has a forget gate of its own, which sees the input of the parent and the child's h:
    ``f_jk = sigmoid(W_f x_j + U_f h_k + b_f)``.

    Parameters
    ----------
    forget_bias : float
        Initial value of b_f.

    Examples
    --------
    >>> child_sum_lstm().init(input_size=2, hidden_size=3)["arc_U"].shape
    (3, 3)
    """
    slots, forget_bias = ("h", "c"), number("forget_bias", forget_bias)
    arc = Cell("forget gate", state=slots, drives=("f",), update=_forget, bias={"f": forget_bias})
    return child_sum(Cell("child-sum Tree-LSTM", state=slots, drives=("i", "o", "u"), update=_remember), arc)


def _n_ary_lstm(drive: Any, child: Any) -> dict[str, Any]:
    i, o = sigmoid(drive.i), sigmoid(drive.o)
    c = i * tanh(drive.u)
    for q, one in enumerate(child, 1):
        c = c + sigmoid(drive.f + getattr(drive, f"f_{q}")) * one.c
    return {"h": o * tanh(c), "c": c}


@_with_recipe
def n_ary_lstm(children: int = 2, forget_bias: float = 0.0) -> TreeCell:
    """The N-ary Tree-LSTM (Tai, Socher and Manning 2015), which tells its children apart by their places.

    The gate of child k is ``f_k = sigmoid(W_f x + sum over l of U_kl h_l + b_f)``: one W_f and b_f for all children, a
    U_kl for each pair.

    Parameters
    ----------
    children : int
        The number N of places.
    forget_bias : float
        Initial value of b_f.

    Examples
    --------
    >>> {name: a.shape for name, a in n_ary_lstm(2).init(input_size=3, hidden_size=4).items()}
    {'W': (16, 3), 'U': (20, 8), 'b': (16,)}
    """
    gates = [
        Drive(f"f_{q}", input=False, bias=False)
        for q in range(1, integer("children", children, at_least=1) + 1)
    ]
    bias = {"f": number("forget_bias", forget_bias)}
    drives: list[str | Drive] = ["i", Drive("f", operand=()), *gates, "o", "u"]
    return n_ary(
        f"{children}-ary Tree-LSTM",
        ("h", "c"),
        drives,
        _n_ary_lstm,
        children,
        bias=bias,
    )


class _Recursive:
    """The equations of a plain recursive network."""

    def __init__(self, activation: str) -> None:
        self.activation = activation

    def __call__(self, drive: Any) -> dict[str, Any]:
        return {"h": NONLINEARITIES[self.activation](drive.n)}


@_with_recipe
def recursive(children: int | None = 2, activation: str = "tanh") -> TreeCell:
    """A plain recursive network, ``h = tanh(W x + U [h_1, ..., h_N] + b)`` (Pollack 1990; Socher et al. 2011).

    Parameters
    ----------
    children : int or None
        N, the number of places; None for ``U`` times the sum of the children's states.
    activation : str
        The name of a nonlinearity of `recurrent_dynamics.equations`.

    Examples
    --------
    >>> recursive().init(input_size=3, hidden_size=4)["U"].shape
    (4, 8)
    """
    one_of("activation", activation, [n for n, f in NONLINEARITIES.items() if f.arity == 1])
    update = _Recursive(activation)
    if children is None:
        return child_sum(Cell("recursive", state=("h",), drives=("n",), update=update))
    return n_ary("recursive", ("h",), ("n",), update, children)


NAMED: dict[str, Callable[..., TreeCell]] = {f.__name__: f for f in (child_sum_lstm, n_ary_lstm, recursive)}
