"""A fixed point followed through a parameter, around folds, with the points where its stability changes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import checks
from ...cells import Cell
from ...checks import ArgumentError, ArgumentTypeError
from ...engine import check, jvp
from ...engine.run import Views
from ...results import Result, Tabular
from ..trajectories.step_map import Array, StepMap
from .modes import Modes, unstable_directions
from .newton import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TESTS = ("fold", "branch point", "flip", "Neimark-Sacker")
CORRECTIONS = 12  # Newton steps to come back to the branch before the step along it is halved
BISECTIONS = 60
LIMIT = 1e-11  # relative Newton step at which a point lies on the branch


@dataclass(frozen=True, eq=False)
class Bifurcation(Modes, Result):
    """A point of a branch where the stability changes.

    Attributes
    ----------
    kind
        "fold" (the branch turns back), "branch point" (another branch crosses: pitchfork, transcritical), "flip" (an
        eigenvalue -1: a cycle of period 2 is born) or "Neimark-Sacker" (a pair on the unit circle: an invariant
        circle).
    parameter
        Where.
    point
        The state, shape (S,).
    eigenvalues
        Of the Jacobian there, largest modulus first, shape (S,).
    segment
        It lies between the points `segment` and `segment + 1` of the branch.
    """

    kind: str
    parameter: float
    point: np.ndarray
    eigenvalues: np.ndarray
    segment: int


@dataclass(frozen=True, eq=False)
class Branch(Modes, Tabular):
    """Fixed points along a parameter.

    Attributes
    ----------
    parameter
        Shape (K,); it may turn back.
    points
        Shape (K, S), slots side by side.
    eigenvalues
        Of the Jacobian, largest modulus first, shape (K, S), complex.
    unstable
        How many of them lie outside the unit circle, shape (K,).
    bifurcations
        In the order of the branch.
    ended
        Why it ends: "bounds", "steps", or "stuck" (no step along the branch converged).
    """

    parameter: np.ndarray
    points: np.ndarray
    eigenvalues: np.ndarray
    unstable: np.ndarray
    bifurcations: tuple[Bifurcation, ...]
    ended: str
    slots: Any

    _shown = ("parameter", "points", "eigenvalues", "unstable", "bifurcations", "ended")

    def __len__(self) -> int:
        return len(self.parameter)

    @property
    def states(self) -> Views:
        """The points by slot, (K, width)."""
        return Views(self.points, self.slots)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "parameter": self.parameter,
            "unstable": self.unstable,
            "modulus": np.abs(self.eigenvalues[:, 0]),
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the branch over its parameter; see `recurrent_dynamics.plot.branch`."""
        from ...plot import branch

        return branch(self, ax=ax, **options)


def continuation(
    cell: Cell,
    params: Mapping[str, Array],
    start: Mapping[str, Array] | Array,
    along: str | Mapping[str, Array],
    bounds: tuple[float, float],
    input: Array | None = None,
    *,
    signals: Mapping[str, Any] | None = None,
    begin: float | None = None,
    step: float = 0.05,
    longest: float = 0.2,
    steps: int = 1000,
    increase: bool = True,
) -> Branch:
    """Follow a fixed point as one parameter varies, by pseudo-arclength continuation [1]_.

    The branch of (x, lambda) with F(x; lambda) = x is followed along its tangent, so that it goes around folds.
    Bifurcations are where a test function changes its sign between two points, found by bisection: for a fold the
    tangent's component along lambda; for a branch point the determinant of the bordered system; for a flip
    det(I + J); for a Neimark-Sacker point the product of all mu_i mu_j - 1, i < j, of the eigenvalues (zeros with a
    real pair, neutral saddles, are no bifurcation and left out). Two of one kind within one step hide each other:
    where they may be close, `longest` must be short.

    Parameters
    ----------
    cell, params
        The network. Everything is computed in float64.
    start : ndarray (S,) or dict of ndarray (width,)
        A state near the fixed point at the beginning.
    along : str or dict of arrays
        The name of a parameter array, or "input": it is multiplied by lambda, which begins at 1. Or a direction, by
        parameter (and "input"), each shaped as what it moves: lambda times it is added, and lambda begins at 0.
    bounds
        The branch ends where lambda leaves (low, high).
    input : ndarray (N,), optional
        The constant input; 0 by default.
    signals : dict, optional
        Signals of the cell, held constant: a number, or shape (H,).
    begin
        Another value of lambda to begin at.
    step, longest
        First and longest step along the branch, in the 2-norm of (x, lambda).
    steps
        The most.
    increase
        Whether lambda increases at first.

    Returns
    -------
    Branch

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came; also if Newton's method finds no fixed point from `start`.

    Warns
    -----
    RuntimeWarning
        If the branch does not reach the bounds, with the parameter where it ends.

    References
    ----------
    .. [1] Kuznetsov, Elements of Applied Bifurcation Theory, 3rd edition, 2004, chapter 10.

    Examples
    --------
    The memory h' = tanh(w h) appears at w = 1:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> params = {"U": np.ones((1, 1)), "b": np.zeros(1)}
    >>> branch = rd.dynamics.continuation(rd.cells.elman(), params, np.zeros(1), "U", (0.5, 2), begin=0.5)
    >>> [(found.kind, round(found.parameter, 9)) for found in branch.bifurcations]
    [('branch point', 1.0)]
    """
    family = _Family(cell, params, input, signals, along)
    ends = checks.listed("bounds", bounds, "of two numbers, (low, high)")
    if len(ends) != 2:
        raise ArgumentError("bounds", "be (low, high)", repr(bounds))
    low, high = (checks.number(f"bounds[{i}]", b) for i, b in enumerate(ends))
    value = checks.number("begin", (0.0 if isinstance(along, Mapping) else 1.0) if begin is None else begin)
    if not low <= value <= high:
        raise ArgumentError("bounds", f"hold the beginning, {value:g}", f"{low:g} to {high:g}")
    ds = checks.number("step", step, above=0)
    checks.number("longest", longest, at_least=ds)
    checks.integer("steps", steps, at_least=1)
    checks.boolean("increase", increase)
    rows = family.map(value).rows("start", start)
    if len(rows) != 1:
        raise ArgumentError("start", "be one state", len(rows))
    vertical = np.append(np.zeros(family.size), 1.0)
    y = family.correct(np.append(rows[0], value), vertical)
    if y is None:
        raise ArgumentError(
            "start",
            f"be near a fixed point at the parameter {value:g}",
            "a state from where Newton's method does not converge",
        )
    here = family.local(y, vertical if increase else -vertical)
    branch, found, ended = [here], [], "steps"
    for _ in range(steps):
        new, ds = _advance(family, here, ds, longest)
        if new is None:
            ended = "stuck"
            break
        if not low <= new.y[-1] <= high:
            ended = "bounds"
            edge = low if new.y[-1] < low else high
            new = _at_edge(family, here, new, edge) or new
        crossed = [
            point
            for k in np.flatnonzero(here.tests * new.tests < 0)
            if (point := _bisect(family, here, new, int(k), len(branch) - 1)) is not None
        ]
        found += sorted(crossed, key=lambda b: (np.append(b.point, b.parameter) - here.y) @ (new.y - here.y))
        branch.append(new)
        here = new
        if ended == "bounds":
            break
    if ended != "bounds":
        warnings.warn(
            f"the branch ends at the parameter {here.y[-1]:g} after {len(branch) - 1} steps, within its bounds {low:g} "
            f"to {high:g} ({ended})",
            RuntimeWarning,
            stacklevel=2,
        )
    ys = np.array([p.y for p in branch])
    eigenvalues = np.array([p.eigenvalues for p in branch])
    return Branch(
        ys[:, -1], ys[:, :-1], eigenvalues, unstable_directions(eigenvalues, 0.0), tuple(found), ended,
        family.map(value).layout.slots,
    )  # fmt: skip


@dataclass
class _Local:
    """A point y = (x, lambda) of the branch, its unit tangent, and test functions there, in the order of `TESTS`."""

    y: Array
    tangent: Array
    eigenvalues: Array
    tests: Array


class _Family:
    """The maps F(.; lambda), and the equations of their branch of fixed points."""

    def __init__(self, cell: Cell, params: Mapping[str, Array], input: Any, signals: Any, along: Any) -> None:
        self.base = StepMap(cell, params, input, signals)
        self.size = self.base.size
        arrays = dict(self.base.params)
        if self.base.input is not None:
            arrays["input"] = self.base.input
        self.scaled = isinstance(along, str)
        if isinstance(along, str):
            if along not in arrays:
                raise ArgumentError("along", f"be one of {', '.join(arrays)}, or a direction", repr(along))
            self.direction = {along: arrays[along]}
        else:
            if not isinstance(along, Mapping):
                raise ArgumentTypeError(
                    "along", "be the name of a parameter or a dict of arrays", repr(along)
                )
            given = check.mapping("along", along, tuple(arrays))
            self.direction = {
                name: check.floating(
                    f"along[{name!r}]", checks.numbers(f"along[{name!r}]", a), None, arrays[name].shape
                )
                for name, a in given.items()
            }
        if not any(a.any() for a in self.direction.values()):
            raise ArgumentError("along", "name something that is not 0", "only zeros")

    def map(self, value: float) -> StepMap:
        """F(.; value)."""
        f = self.base.copy()
        shift = value - 1 if self.scaled else value
        for name, direction in self.direction.items():
            if name == "input" and f.input is not None:
                f.input = f.input + shift * direction
            else:
                f.params[name] = f.params[name] + shift * direction
        return f

    def residual(self, y: Array) -> tuple[Array, Array]:
        """F(x; lambda) - x, and its derivative by (x, lambda), shape (S, S + 1)."""
        f = self.map(y[-1])
        run = f.run(y[None, :-1])
        after, J = f.linearized(y[None, :-1])
        d_params = {name: d for name, d in self.direction.items() if name != "input"}
        d_x = self.direction["input"][None, None] if "input" in self.direction else None
        by_parameter = jvp(run, d_params=d_params, d_x=d_x)
        column = np.concatenate([by_parameter.final[slot][0] for slot in f.cell.state])
        return after[0] - y[:-1], np.column_stack([J[0] - np.eye(self.size), column])

    def correct(self, y: Array, normal: Array) -> Array | None:
        """The point of the branch in the plane through y with this normal, by Newton's method; None if it fails."""
        target = normal @ y
        for _ in range(CORRECTIONS):
            r, D = self.residual(y)
            d = solve(np.vstack([D, normal])[None], -np.append(r, normal @ y - target)[None])[0]
            if not np.isfinite(d).all():
                d = np.linalg.lstsq(np.vstack([D, normal]), -np.append(r, normal @ y - target), rcond=None)[0]
            if not np.isfinite(d).all() or np.linalg.norm(d) > 1e3 * (1 + np.linalg.norm(y)):
                return None
            y = y + d
            if np.linalg.norm(d) <= LIMIT * (1 + np.linalg.norm(y)):
                return y
        return None

    def local(self, y: Array, previous: Array) -> _Local:
        """Tangent, in the sense of the previous one, eigenvalues and test functions at a point of the branch."""
        _, D = self.residual(y)
        along = solve(np.vstack([D, previous])[None], np.append(np.zeros(self.size), 1.0)[None])[0]
        if not np.isfinite(along).all():  # at a branch point, or the tangent turned by a right angle
            along = np.linalg.svd(D)[2][-1]
        tangent = along / np.linalg.norm(along)
        tangent = tangent if tangent @ previous >= 0 else -tangent
        mu = np.linalg.eigvals(D[:, :-1] + np.eye(self.size)).astype(complex)
        mu = mu[np.argsort(-np.abs(mu), kind="stable")]
        bordered = np.linalg.slogdet(np.vstack([D, tangent]))[0]
        flip = np.prod(np.sign(1 + mu.real[mu.imag == 0]))
        tests = np.array([np.sign(tangent[-1]), bordered, flip, _torus(mu)])
        return _Local(y, tangent, mu, tests)


def _torus(mu: Array) -> float:
    """The sign of the product of mu_i mu_j - 1, i < j; of pairs that are not conjugate the conjugates are there too."""
    real, upper = mu.real[mu.imag == 0], mu[mu.imag > 0]
    products = np.outer(real, real)[np.triu_indices(len(real), 1)]
    return float(np.prod(np.sign(products - 1)) * np.prod(np.sign(np.abs(upper) - 1)))


def _advance(family: _Family, here: _Local, ds: float, longest: float) -> tuple[_Local | None, float]:
    """The next point of the branch, and the length of the step after it."""
    for _ in range(30):
        y = family.correct(here.y + ds * here.tangent, here.tangent)
        # A branch that is met at a sharp angle is another one, or this one cut short.
        if y is not None:
            new = family.local(y, here.tangent)
            if new.tangent @ here.tangent > 0.9:
                easy = new.tangent @ here.tangent > 0.99
                return new, min(longest, 1.5 * ds) if easy else ds
        ds /= 2
    return None, ds


def _between(family: _Family, a: _Local, b: _Local, share: float) -> _Local | None:
    """The point of the branch over a share of the chord from a to b."""
    chord = b.y - a.y
    y = family.correct(a.y + share * chord, chord / np.linalg.norm(chord))
    return None if y is None else family.local(y, a.tangent)


def _at_edge(family: _Family, here: _Local, beyond: _Local, edge: float) -> _Local | None:
    """The point of the branch at a bound of the parameter."""
    share = (edge - here.y[-1]) / (beyond.y[-1] - here.y[-1])
    vertical = np.append(np.zeros(family.size), 1.0)
    guess = here.y + share * (beyond.y - here.y)
    guess[-1] = edge
    y = family.correct(guess, vertical)
    return None if y is None else family.local(y, here.tangent)


def _bisect(family: _Family, a: _Local, b: _Local, k: int, segment: int) -> Bifurcation | None:
    """Where test function k changes its sign between a and b; None if it is no bifurcation."""
    low, high, best = 0.0, 1.0, a
    for _ in range(BISECTIONS):
        share = (low + high) / 2
        if share in (low, high):
            break
        middle = _between(family, a, b, share)
        if middle is None:
            break
        best = middle
        if middle.tests[k] * a.tests[k] > 0:
            low = share
        else:
            high = share
            if middle.tests[k] == 0:
                break
        if (high - low) * np.linalg.norm(b.y - a.y) < 1e-13 * (1 + np.linalg.norm(a.y)):
            break
    mu = best.eigenvalues
    if TESTS[k] == "Neimark-Sacker":
        complex_ones = mu[mu.imag != 0]
        if not complex_ones.size or np.abs(np.abs(complex_ones) - 1).min() > 1e-4:
            return None
    return Bifurcation(TESTS[k], float(best.y[-1]), best.y[:-1], mu, segment)
