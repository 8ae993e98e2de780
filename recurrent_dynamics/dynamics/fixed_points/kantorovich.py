"""A proof that a fixed point is near: the Newton-Kantorovich theorem, with a Lipschitz bound from the equations."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from ...cells.layout import ProductSpan
from ...equations.graph import Node
from ...results import Result
from ..trajectories.step_map import Array, StepMap
from ..units.gates import leaf_values

Norms = dict[int, tuple[float, float]]
REACH = 1.0  # radius of the ball around a point in which the Lipschitz bound has to hold

# sup |f'| and sup |f''| over the real line.
CURVATURE = {
    "tanh": (1.0, 4 / (3 * sqrt(3))),
    "sigmoid": (0.25, 1 / (6 * sqrt(3))),
    "sin": (1.0, 1.0),
    "cos": (1.0, 1.0),
}
RANGE = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "sin": (-1.0, 1.0), "cos": (-1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Certificate(Result):
    """What the Newton-Kantorovich theorem proves about each of K points [1]_.

    With beta a bound of ``|(I - J)^-1|``, eta one of the Newton step, and L a Lipschitz bound of the Jacobian in the
    ball of radius 1 around the point, all in the 2-norm: if h = beta L eta <= 1/2, there is a fixed point within
    `existence`, and no other one within `uniqueness`.

    Attributes
    ----------
    holds
        Whether h <= 1/2 and the ball is large enough, shape (K,), boolean.
    h
        beta L eta, shape (K,).
    lipschitz
        L, shape (K,): from the global bounds of the second derivatives of the cell's nonlinearities, the norms of its
        matrices, and the range of its products in the ball.
    existence
        Radius of the ball that holds the fixed point, shape (K,); nan where the theorem does not hold.
    uniqueness
        Radius of the ball in which it is the only one, at most 1, shape (K,); nan where the theorem does not hold.

    Notes
    -----
    Computed in floating-point numbers. The rounding errors of the residual and of the smallest singular value of
    I - J are bounded beforehand, to first order, by 8 (S + N) eps times the size of what is summed, for nonlinearities
    that err by a few units in the last place; they are not enclosed by interval arithmetic.

    References
    ----------
    .. [1] Ortega and Rheinboldt, Iterative Solution of Nonlinear Equations in Several Variables, 1970, 12.6.
    """

    holds: np.ndarray
    h: np.ndarray
    lipschitz: np.ndarray
    existence: np.ndarray
    uniqueness: np.ndarray


class _Bound(NamedTuple):
    """Bounds of a pointwise value v of the step, over the ball.

    Its range, |Dv| from the 2-norm to the 2-norm and to the maximum norm, and the 2-norm of D^2 v as a bilinear map.
    """

    low: float
    high: float
    slope: float = 0.0
    row: float = 0.0
    curvature: float = 0.0

    @property
    def size(self) -> float:
        return max(abs(self.low), abs(self.high))


def certify(f: StepMap, z: Array) -> Certificate | None:
    """The certificate of the rows z (K, S); None if a nonlinearity of the cell has no bound here."""
    K = len(z)
    values = {name: np.full(K, np.nan) for name in ("h", "lipschitz", "existence", "uniqueness")}
    holds, norms = np.zeros(K, bool), Norms()
    for k in range(K):
        L = lipschitz(f, z[k], norms)
        if L is None:
            return None
        after, J = f.linearized(z[k : k + 1])
        r = np.linalg.norm(after[0] - z[k])
        rounding = 8 * (f.size + f.layout.input_size) * np.finfo(float).eps * _magnitude(f, z[k])
        smallest = np.linalg.svd(np.eye(f.size) - J[0], compute_uv=False)[-1] - rounding
        beta = 1 / smallest if smallest > 0 else inf
        eta = beta * (r + rounding)
        h = beta * L * eta if L else 0.0
        values["h"][k], values["lipschitz"][k] = h, L
        if not (h <= 0.5 and np.isfinite(eta)):
            continue
        root = sqrt(1 - 2 * h)
        near = 2 * eta / (1 + root)
        if near <= REACH:
            holds[k] = True
            values["existence"][k] = near
            values["uniqueness"][k] = min(REACH, (1 + root) / (beta * L)) if L else REACH
    return Certificate(holds, **values)


def _magnitude(f: StepMap, z: Array) -> float:
    """The size of what one step adds up."""
    largest = max(
        1.0, float(np.abs(z).max()), 0.0 if f.input is None else float(np.abs(f.input).max(initial=0))
    )
    norms = sum(float(np.linalg.norm(value)) for value in f.params.values())
    return largest * (1 + float(np.linalg.norm(z)) + norms)


def lipschitz(f: StepMap, z: Array, norms: Norms) -> float | None:
    """A Lipschitz bound of the Jacobian in the ball of radius `REACH` around z (S,), in the 2-norm; None if unknown.

    The equations are walked through value by value. For a function g of a value v, D^2 g(v)[a, b] =
    g''(v) Dv[a] Dv[b] + g'(v) D^2 v[a, b], entry by entry, and the 2-norm of a product of entries is at most the
    maximum norm of one factor times the 2-norm of the other; products of two values likewise; a matrix multiplies
    slopes and curvature by its norm.
    """
    bounds = _Bounds(f, z, norms)
    try:
        found = [bounds.of(index) for index in f.cell.schedule.outputs.values()]
    except _NoBoundError:
        return None
    return sqrt(sum(b.curvature**2 for b in found))


class _NoBoundError(Exception):
    """An operation of the equations has no bound of its second derivative here."""


class _Bounds:
    """Bounds of the values of a cell's graph in the ball around z."""

    def __init__(self, f: StepMap, z: Array, norms: Norms) -> None:
        self.norms = norms
        self.run = f.run(z[None])
        self.schedule, self.graph = f.cell.schedule, f.cell.schedule.graph
        self.leaf = leaf_values(self.run)
        self.products = {
            p.target: (p, span) for p, span in zip(self.schedule.products, f.layout.products, strict=True)
        }
        self.known: dict[int, _Bound] = {}

    def of(self, index: int) -> _Bound:
        """The bound of a node, its range also kept within what its value at z and its slope allow."""
        if index not in self.known:
            node = self.graph.nodes[index]
            bound = self._rule(node)
            (value,) = self.graph.replay([index], self.leaf)
            reach = bound.row * REACH
            low, high = float(np.min(value)) - reach, float(np.max(value)) + reach
            self.known[index] = bound._replace(low=max(bound.low, low), high=min(bound.high, high))
        return self.known[index]

    def _rule(self, node: Node) -> _Bound:
        if node.kind == "state":
            return _Bound(-inf, inf, 1.0, 1.0)
        if node.kind == "preactivation":
            return self._part(node.arguments[0])
        if node.kind in ("param", "signal", "constant"):
            return _Bound(-inf, inf)
        a, *rest = (self.of(x) if isinstance(x, int) else _Bound(float(x), float(x)) for x in node.arguments)
        b = rest[0] if rest else a
        if not a.slope and not b.slope:
            return _Bound(-inf, inf)  # it does not depend on the state
        if node.kind == "add":
            return _Bound(a.low + b.low, a.high + b.high, *(u + v for u, v in zip(a[2:], b[2:])))
        if node.kind == "sub":
            return _Bound(a.low - b.high, a.high - b.low, *(u + v for u, v in zip(a[2:], b[2:])))
        if node.kind == "neg":
            return a._replace(low=-a.high, high=-a.low)
        if node.kind == "mul":
            mixed = 2 * min(a.row * b.slope, a.slope * b.row)
            slope, row, curvature = (b.size * u + a.size * v for u, v in zip(a[2:], b[2:]))
            return _Bound(-inf, inf, slope, row, curvature + mixed)
        if node.kind == "pow" and b.low >= 1:
            n = b.low
            return _composed(a, n * a.size ** (n - 1), n * (n - 1) * a.size ** max(n - 2, 0))
        if node.kind == "truediv" and not b.slope and b.low * b.high > 0:
            return _composed(a, 1 / min(abs(b.low), abs(b.high)), 0.0)
        if node.kind in CURVATURE:
            return _composed(a, *CURVATURE[node.kind], *RANGE[node.kind])
        raise _NoBoundError(node.kind)

    def _part(self, name: str) -> _Bound:
        """`W x + M v + b`: the operands v side by side, multiplied by the matrix M."""
        if name not in self.products:
            return _Bound(-inf, inf)
        product, span = self.products[name]
        operands = [self.of(index) for index in product.operand]
        slope = sqrt(sum(b.slope**2 for b in operands))
        curvature = sqrt(sum(b.curvature**2 for b in operands))
        if span.parameter is None:  # the mean over the units
            norm, row = 1.0, 1 / sqrt(span.source.width)
        else:
            norm, row = self._norms(span)
        return _Bound(-inf, inf, norm * slope, row * slope, norm * curvature)

    def _norms(self, span: ProductSpan) -> tuple[float, float]:
        """The 2-norm of a product's matrix and that of its longest row, each computed once for all points."""
        if span.offset not in self.norms:
            entries = self.run.tape.matrices[span.offset : span.offset + span.target.width * span.columns]
            blocks = entries.reshape(span.heads, span.rows, span.columns)
            largest = float(np.linalg.norm(blocks, ord=2, axis=(1, 2)).max())
            self.norms[span.offset] = largest, float(np.linalg.norm(blocks, axis=2).max())
        return self.norms[span.offset]


def _composed(v: _Bound, first: float, second: float, low: float = -inf, high: float = inf) -> _Bound:
    """The bound of g(v), |g'| <= first and |g''| <= second in the range of v."""
    return _Bound(low, high, first * v.slope, first * v.row, second * v.row * v.slope + first * v.curvature)
