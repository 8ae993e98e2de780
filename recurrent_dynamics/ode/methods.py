"""One-step methods: Runge-Kutta methods as tables, and those that want a field of a certain form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any, TypeAlias

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, instance, integer, number

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
        For rows of other lengths, weights that do not sum to 1, or an order that the method does not have.

    References
    ----------
    .. [1] Butcher, Coefficients for the study of Runge-Kutta integration processes, Journal of the Australian
       Mathematical Society 3 (1963).

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
        raise ArgumentError("weights", "sum to 1", repr(sum(b)))
    order = integer("order", order, at_least=1, at_most=len(b))  # no explicit method has more than its stages
    instance("name", name, str)
    found = Method(name, order, EXPLICIT, rows, b)
    for nodes in range(2, order + 1):
        for tree in _trees(nodes):
            error = float(np.dot(b, _stages(tree, found.full_matrix))) - 1 / _density(tree)
            if abs(error) > ROUNDING:
                raise ArgumentError(
                    "order",
                    f"be at most {nodes - 1}, as a condition of order {nodes} is missed by {abs(error):.3g}",
                    order,
                )
    return found


def _listed(name: str, values: Any) -> list[Any]:
    try:
        return list(values)
    except TypeError:
        raise ArgumentTypeError(name, "be a sequence", repr(values)) from None


def _coefficients(name: str, values: Any) -> tuple[float, ...]:
    return tuple(number(name, value) for value in _listed(name, values))


def _trees(nodes: int) -> list[Tree]:
    """All rooted trees of so many nodes."""
    return list(_forests(nodes - 1, nodes - 1))


@lru_cache(maxsize=1024)
def _forests(nodes: int, largest: int) -> tuple[tuple[Tree, ...], ...]:
    """All collections of rooted trees with so many nodes in all, of which no tree has more than `largest`."""
    if nodes == 0:
        return ((),)
    if largest == 0:
        return ()
    found = list(_forests(nodes, largest - 1))
    kinds = _trees(largest)
    for copies in range(1, nodes // largest + 1):
        for some in combinations_with_replacement(kinds, copies):
            found += [(*some, *rest) for rest in _forests(nodes - copies * largest, largest - 1)]
    return tuple(found)


def _stages(tree: Tree, A: np.ndarray) -> np.ndarray:
    """Of a tree the product over its branches of A times theirs, a number for each stage."""
    product = np.ones(len(A))
    for child in tree:
        product = product * (A @ _stages(child, A))
    return product


def _size(tree: Tree) -> int:
    return 1 + sum(_size(child) for child in tree)


def _density(tree: Tree) -> int:
    """The product of the sizes of all subtrees, the tree itself among them."""
    return _size(tree) * math.prod(_density(child) for child in tree)


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
