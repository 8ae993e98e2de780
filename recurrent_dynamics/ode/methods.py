"""One-step methods: Runge-Kutta methods as tables, and those that want a field of a certain form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..checks import ArgumentError, integer

EXPLICIT, PARTITIONED, LINEAR, IMPLICIT = "explicit", "partitioned", "linear", "implicit"
ROUNDING = 1e-10  # of the coefficients of a tableau

Tree: TypeAlias = tuple["Tree", ...]  # a rooted tree by its branches


@dataclass(frozen=True)
class Method:
    """A method that makes a step of an ordinary differential equation.

    Attributes
    ----------
    name
        Its name.
    order
        p: the error after a fixed time falls as dt^p.
    kind
        "explicit" for any field; "partitioned" for one whose positions move by the momenta alone and the other way
        round; "linear" for one with a stated linear part; "implicit" for what solves an equation in every step.
    matrix, weights
        The Butcher tableau of an explicit Runge-Kutta method: row i of the matrix has i entries. Of an implicit one
        (one stage) the matrix has one entry. Empty for the others.

    Examples
    --------
    >>> METHODS["rk4"].order, METHODS["leapfrog"].kind
    (4, 'partitioned')
    """

    name: str
    order: int
    kind: str
    matrix: tuple[tuple[float, ...], ...] = ()
    weights: tuple[float, ...] = ()

    @property
    def full_matrix(self) -> np.ndarray:
        """The matrix of the tableau with its zeros, of shape (stages, stages)."""
        A = np.zeros((len(self.weights),) * 2)
        for i, row in enumerate(self.matrix):
            A[i, : len(row)] = row
        return A

    @property
    def numerator(self) -> np.ndarray:
        """Coefficients of P in the stability function R(z) = P(z) / Q(z), from the constant one on."""
        if self.kind == EXPLICIT:
            A, size = self.full_matrix, len(self.weights)
            powers, v = [1.0], np.ones(size)
            for _ in range(size):
                powers.append(float(np.dot(self.weights, v)))
                v = A @ v
            return np.array(powers)
        return np.array([1.0, 1.0 - self._inner()])

    @property
    def denominator(self) -> np.ndarray:
        """Coefficients of Q, from the constant one on."""
        return np.array([1.0]) if self.kind == EXPLICIT else np.array([1.0, -self._inner()])

    def _inner(self) -> float:
        if self.kind != IMPLICIT:
            raise ValueError(f"the stability function of {self.name} is no rational function of z alone")
        return self.matrix[0][0]


def runge_kutta(name: str, matrix: Sequence[Sequence[float]], weights: Sequence[float], order: int) -> Method:
    """An explicit Runge-Kutta method from its Butcher tableau.

    Parameters
    ----------
    name
        For people.
    matrix
        Row i holds the i coefficients a_ij, j < i; the first row is empty.
    weights
        b, one for each stage; they sum to 1.
    order
        Its nominal order, for which all conditions [1]_ must hold: one for each rooted tree of so many nodes.

    Raises
    ------
    ValueError
        For rows of other lengths, weights that do not sum to 1, or an order above that of the tableau. Orders up to
        4 are looked at.

    Examples
    --------
    >>> ralston = runge_kutta("ralston", [[], [2 / 3]], [1 / 4, 3 / 4], order=2)
    >>> ralston.numerator.tolist()
    [1.0, 1.0, 0.5]
    """
    rows = tuple(_coefficients("matrix", row) for row in _listed("matrix", matrix))
    b = _coefficients("weights", weights)
    lengths = [len(row) for row in rows]
    if not b or lengths != list(range(len(b))):
        raise ArgumentError(
            "matrix",
            f"have rows of 0, 1, ..., {max(len(b) - 1, 0)} entries, one a stage (an explicit method)",
            f"lengths {lengths} for {len(b)} weights",
        )
    if abs(sum(b) - 1) > ROUNDING:
        raise ValueError(f"weights must sum to 1; came {sum(b)!r}")
    integer("order", order, at_least=1)
    found = _order(rows, b)
    if order > found and found < HIGHEST:
        raise ValueError(f"order must be at most {found}, that of the tableau; came {order}")
    return Method(name, order, EXPLICIT, rows, b)


HIGHEST = 4  # up to where an order is looked at


def _order(rows: tuple[tuple[float, ...], ...], weights: tuple[float, ...]) -> int:
    """The order of an explicit method up to `HIGHEST`, by the conditions of the rooted trees.

    Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 2nd edition, section II.2.
    """
    n = len(weights)
    A, b = np.zeros((n, n)), np.array(weights)
    for i, row in enumerate(rows):
        A[i, :i] = row
    c = A.sum(axis=1)
    conditions = (
        (2, b @ c, 1 / 2),
        (3, b @ c**2, 1 / 3),
        (3, b @ A @ c, 1 / 6),
        (4, b @ c**3, 1 / 4),
        (4, (b * c) @ A @ c, 1 / 8),
        (4, b @ A @ c**2, 1 / 12),
        (4, b @ A @ A @ c, 1 / 24),
    )
    broken = [order for order, value, wanted in conditions if abs(value - wanted) > 1e-9]
    return min(broken, default=HIGHEST + 1) - 1


METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        runge_kutta("euler", [[]], [1], 1),
        runge_kutta("heun", [[], [1]], [1 / 2, 1 / 2], 2),
        runge_kutta("midpoint", [[], [1 / 2]], [0, 1], 2),
        runge_kutta("rk3", [[], [1 / 2], [-1, 2]], [1 / 6, 2 / 3, 1 / 6], 3),
        runge_kutta("rk4", [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], 4),
        Method("exponential_euler", 1, LINEAR),
        Method("imex_euler", 1, LINEAR),
        Method("symplectic_euler", 1, PARTITIONED),
        Method("leapfrog", 2, PARTITIONED),
        Method("implicit_euler", 1, IMPLICIT, ((1.0,),), (1.0,)),
        Method("implicit_midpoint", 2, IMPLICIT, ((0.5,),), (1.0,)),
    )
}


def method_of(method: str | Method) -> Method:
    """The method of a name, or the one given.

    Raises
    ------
    ValueError
        There is none of this name; the message lists those that there are.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str) or method not in METHODS:
        raise ArgumentError(
            "method", f"be one of {', '.join(METHODS)}, or a tableau (see runge_kutta)", repr(method)
        )
    return METHODS[method]
