"""What the region of a method says of a network: its modes, margins and largest steps, non-normality included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import ArgumentError, ArgumentTypeError, number, numbers
from ..dynamics import numerical_range
from ..dynamics.matrices.matrix_stacks import each, smallest_singular_values, square_matrices, triangle_of
from ..dynamics.trajectories.step_map import StepMap
from ..engine import check
from ..results import Result
from .field import Field
from .linear_stability import boundary_at, largest_stable_step, stability_function
from .methods import LINEAR, PARTITIONED, Method, method_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOUNDARY = 180  # points of the boundary of a region, before the search is refined
NEIGHBOURS, REFINEMENTS = 8, 6  # each looks at so many points between two of the last
MARGINAL = 1e-9  # of a modulus that counts as 1


@dataclass(frozen=True, eq=False)
class LinearStability(Result):
    """The Jacobians of a network at some states, seen through the region of stability of a method.

    Attributes
    ----------
    method
        The method.
    dt
        Its step.
    linear
        dt a, the stated linear part; 0 for methods without.
    jacobians
        d rate / d state, shape (..., S, S).
    eigenvalues
        lambda, shape (..., S), complex; inverse of the field's unit of time.
    multipliers
        R(dt lambda), shape (..., S), complex: the factor of each mode in a step, forward as backward in time.
    margin
        1 - max ``|R(dt lambda)|``, shape (...): positive where all modes shrink, negative where one grows.
    largest_step
        The largest step with which no mode grows, shape (...); 0 where the field itself is unstable.
    """

    method: Method
    dt: float
    linear: float
    jacobians: np.ndarray
    eigenvalues: np.ndarray
    multipliers: np.ndarray
    margin: np.ndarray
    largest_step: np.ndarray

    @classmethod
    def of(
        cls, jacobians: Any, method: str | Method = "euler", dt: float = 1.0, *, linear: float = 0.0
    ) -> LinearStability:
        """From Jacobians (..., S, S) of one's own; `linear` is the coefficient a of a stated linear part."""
        J, m = square_matrices(jacobians), method_of(method)
        number("dt", dt, above=0)
        eigenvalues = np.linalg.eigvals(J) + 0j
        multipliers = np.asarray(stability_function(m, dt * eigenvalues, linear=dt * linear))
        margin = 1 - np.abs(multipliers).max(axis=-1)
        step = np.asarray(largest_stable_step(eigenvalues, m, linear=linear))
        return cls(m, dt, dt * linear, J, eigenvalues, multipliers, margin, step)

    @property
    def z(self) -> np.ndarray:
        """Dt lambda, shape (..., S)."""
        return self.dt * self.eigenvalues

    @property
    def stable(self) -> np.ndarray:
        """Whether no mode grows, shape (...)."""
        return self.margin >= -MARGINAL

    def numerical_range_step(self) -> np.ndarray:
        """The largest step with which the whole numerical range stays in the region, shape (...).

        Then no power of the step's matrix exceeds a constant, at most 2 for forward Euler (Berger's theorem) and
        1 + sqrt(2) for any method (Crouzeix and Palencia 2017): transient growth through non-normality included. It is
        at most `largest_step`, and 0 where the numerical abscissa is positive.
        """
        if self.method.kind == LINEAR:
            raise ArgumentError(
                "method",
                "have a stability region of its own",
                f"{self.method.name!r}, whose region depends on the step",
            )
        return np.asarray(largest_stable_step(numerical_range(self.jacobians).boundary, self.method))

    def distance(self) -> np.ndarray:
        """The norm of the smallest perturbation of dt J that puts an eigenvalue outside the region, shape (...).

        The smallest sigma_min(z I - dt J) over the boundary of the region; 0 where one is outside already. For a
        normal J it is how far the eigenvalues are from the boundary, else less. The search begins at 180 points of each
        branch of the boundary and is refined at the best.
        """
        if self.method.kind == PARTITIONED:
            return np.zeros(self.margin.shape)[()]
        inside = np.asarray(self.margin) > 0
        found = np.asarray(each(self._distance, self.dt * self.jacobians))
        return np.where(inside, found, 0.0)[()]

    def _distance(self, matrix: np.ndarray) -> float:
        triangle = triangle_of(matrix)

        def smallest(points: np.ndarray) -> np.ndarray:
            values = np.full(points.shape, np.inf)
            finite = np.isfinite(points)
            values[finite] = smallest_singular_values(triangle, points[finite])
            return values

        spacing, centre, best = 2 * np.pi / BOUNDARY, 0.0, np.inf
        steps = np.arange(BOUNDARY)
        for _ in range(REFINEMENTS):
            arguments = centre + spacing * steps
            values = smallest(boundary_at(self.method, arguments, self.linear)).min(axis=0)
            k = int(np.argmin(values))
            best, centre, spacing = min(best, float(values[k])), float(arguments[k]), spacing / NEIGHBOURS
            steps = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
        return best

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw dt lambda over the region; see `recurrent_dynamics.plot.stability_region`."""
        from ..plot import stability_region

        return stability_region(self.method, self.z, linear=self.linear, ax=ax, **options)

    def __repr__(self) -> str:
        count, total = int(np.sum(self.stable)), self.margin.size
        return (
            f"LinearStability({self.method.name}, dt={self.dt:g}: stable at {count} of {total} states, "
            f"largest stable step {np.min(self.largest_step):.4g})"
        )


def linear_stability(
    field: Field,
    params: Mapping[str, np.ndarray],
    states: Any,
    method: str | Method = "euler",
    dt: float = 1.0,
    *,
    input: np.ndarray | None = None,
    signals: Mapping[str, Any] | None = None,
) -> LinearStability:
    """The modes of a field at given states, and whether a method damps them.

    Parameters
    ----------
    field, params
        The field and its parameters.
    states
        Shape (..., S), slots side by side, or a mapping of slots (n, width): fixed points, or the states of a run.
    method, dt
        The method and its step.
    input : ndarray (N,) or (..., N), optional
        The input: one for all states, or one for each, as along a trajectory, where state t goes with the input of the
        step from t on.
    signals : dict, optional
        Constant signals, each a number or (H,).

    Returns
    -------
    LinearStability

    Raises
    ------
    ValueError
        For "exponential_euler" and "imex_euler" where the stated linear part is not one number for all units: then
        there is no stability function; look at the eigenvalues of the Jacobians of a run (`step_stability`).

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> field = rd.ode.vector_field(rd.cells.elman())
    >>> params = field.init(0, 2, dtype="float64") | {"U": np.array([[0.0, 3.0], [-3.0, 0.0]])}
    >>> found = rd.ode.linear_stability(field, params, np.zeros((1, 2)), "euler", dt=0.1)
    >>> found.eigenvalues.round(6).tolist(), found.largest_step.round(6).tolist()
    ([[(-1+3j), (-1-3j)]], [0.2])

    Along a run, with the state before each step and its input:

    >>> params = field.init(3, 2, dtype="float64")
    >>> x = np.random.default_rng(0).standard_normal((20, 4, 3))
    >>> run = rd.forward(rd.cells.elman(), params, x)
    >>> before = np.concatenate([run.initial["h"][None], run.output[:-1]])
    >>> rd.ode.linear_stability(field, params, before, "rk4", dt=0.5, input=x).margin.shape
    (20, 4)
    """
    if not isinstance(field, Field):
        raise ArgumentTypeError("field", "be a Field", type(field).__name__)
    m, dt = method_of(method), number("dt", dt, above=0)
    one = input is None or numbers("input", input).ndim < 2
    f = StepMap(field.rates, params, input if one else None, signals)
    shape = None
    if not isinstance(states, Mapping):
        states = numbers("states", states)
        if not states.ndim or not states.size:
            raise ArgumentError("states", "have shape (..., S) and not be empty", f"shape {states.shape}")
        shape = states.shape[:-1]
    rows = f.rows(
        "states",
        states if shape is None else states.reshape(-1, states.shape[-1]),
    )
    inputs = (
        None if one else _inputs(input, shape if shape is not None else (len(rows),), f.layout.input_size)
    )
    J = np.concatenate([_at(f, inputs, part).linearized(rows[part])[1] for part in f.chunks(len(rows))])
    J = J.reshape(*(shape if shape is not None else (len(rows),)), f.size, f.size)
    a = _coefficient(field, f) if m.kind == LINEAR else 0.0
    return LinearStability.of(J, m, dt, linear=a)


def _at(f: StepMap, inputs: np.ndarray | None, part: slice) -> StepMap:
    """The map of some states, each with its input."""
    if inputs is None:
        return f
    own = f.copy()
    own.input = inputs[part]
    return own


def _inputs(input: Any, shape: tuple[int, ...], width: int) -> np.ndarray:
    """An input for each state, (n, N)."""
    x = numbers("input", input)
    if x.shape != (*shape, width):
        raise ArgumentError(
            "input",
            f"have shape {(width,)}, one for all states, or {(*shape, width)}, one for each, that params take",
            x.shape,
        )
    return check.finite("input", x).reshape(-1, width)


def _coefficient(field: Field, f: StepMap) -> float:
    """The coefficient of the stated linear part, if it is one number."""
    given = field.coefficients(
        param=SimpleNamespace(**{u.name: u.constrain(f.params[u.name]) for u in field.units}),
        signal=SimpleNamespace(**f.signals),
        constant=SimpleNamespace(**field.rates.constants),
    )
    values = np.concatenate([np.ravel(given.get(s, 0.0)) for s in field.rates.state])
    if np.ptp(values) > 1e-12 * np.abs(values).max():
        raise ArgumentError(
            f"the linear part of field {field.name!r}",
            "be one number for all units",
            f"{values.min():g} to {values.max():g}: see step_stability for the Jacobians of the step itself",
        )
    return float(values[0])
