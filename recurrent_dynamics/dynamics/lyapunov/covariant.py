"""Covariant Lyapunov vectors: the directions that grow at the rate of one exponent each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...cells.cell import Cell
from ...checks import ArgumentError, generator, integer
from ...engine.run import Run
from ...results import Result
from ..trajectories.sources import source_of
from ..trajectories.systems import Flow, Map
from .exponents import run_or_given_steps
from .frames import Stretch, walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class CovariantVectors(Result):
    """Covariant Lyapunov vectors along a trajectory.

    Attributes
    ----------
    vectors
        Unit vectors (M, B, k, S), the one of the largest exponent first: `vectors[m]` belongs to the state before step
        `times[m]`. Signs are arbitrary.
    times
        Shape (M,).
    growth
        ln of the factor by which each vector grows from one time to the next, shape (M - 1, B, k), in nats.
    exponents
        The means of the growth over time and trajectories, shape (k,).
    unit
        Of the exponents: "nats per step" or "nats per unit time".
    """

    vectors: np.ndarray
    times: np.ndarray
    growth: np.ndarray
    exponents: np.ndarray
    unit: str

    def angles(self, i: int, j: int) -> np.ndarray:
        """The angle between the lines of vectors i and j at every time, in radians from 0 to pi / 2, shape (M, B)."""
        last = self.vectors.shape[2] - 1
        one, two = (
            self.vectors[:, :, integer(name, n, at_least=0, at_most=last)] for name, n in (("i", i), ("j", j))
        )
        # Half the angle from sum and difference: exact for small angles too, unlike the cosine.
        apart, together = np.linalg.norm(one - two, axis=-1), np.linalg.norm(one + two, axis=-1)
        return 2 * np.arctan2(np.minimum(apart, together), np.maximum(apart, together))

    def smallest_angle(self, leading: int) -> np.ndarray:
        """The smallest angle between the span of the first `leading` vectors and that of the others, shape (M, B).

        With the number of positive exponents (and those of zero) it is the distance from a tangency of the unstable
        and the stable directions: bounded away from zero in a hyperbolic system.
        """
        count = self.vectors.shape[2]
        leading = integer("leading", leading, at_least=1, at_most=count - 1)
        spans = [np.linalg.qr(np.swapaxes(v, 2, 3))[0] for v in np.split(self.vectors, [leading], axis=2)]
        # sin of the smallest principal angle: the smallest singular value of what one span has beside the other.
        one, two = spans if leading <= count - leading else spans[::-1]
        beside = one - two @ (np.swapaxes(two, 2, 3) @ one)
        sine = np.linalg.svd(beside, compute_uv=False)[..., -1]
        cosine = np.linalg.svd(np.swapaxes(two, 2, 3) @ one, compute_uv=False)[..., 0]
        return np.arctan2(sine, cosine)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the distribution of the angle between two of them; see `recurrent_dynamics.plot.angles`."""
        from ...plot import angles

        return angles(self, ax=ax, **options)


def covariant_vectors(
    system: Run | Cell | Map | Flow,
    params: Mapping[str, np.ndarray] | None = None,
    x: ArrayLike | None = None,
    *,
    initial: Any = None,
    steps: int | None = None,
    count: int | None = None,
    transient: int,
    backward_transient: int,
    every: int = 1,
    rng: int | np.random.Generator = 0,
) -> CovariantVectors:
    """Covariant Lyapunov vectors by the method of Ginelli et al. [1]_.

    A frame is carried forward with QR. The last of its triangles carry random upper triangular coefficients back,
    which converge to those of the covariant vectors: `vectors = Q C`. Unlike the frame they do not depend on a scalar
    product, and the Jacobians carry each into itself.

    Parameters
    ----------
    system, params, x, initial, steps, count
        As in `lyapunov`.
    transient, backward_transient
        Steps for the frame to align itself at the beginning, and for the coefficients at the end. Vectors are
        given for the steps between.
    every
        Vectors are kept at most so many steps apart; closer where the condition of the frame asks for a QR. The
        frames of all these times are in memory: M * B * k * (S + k) numbers.
    rng
        For the first frame and the coefficients.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    ValueError
        For a bad argument, and for Jacobians that are singular on the span of the vectors, which cannot be followed
        back: ask for a smaller count.

    References
    ----------
    .. [1] Ginelli, Poggi, Turchi, Chaté, Livi and Politi, Characterizing dynamics with covariant Lyapunov vectors,
       Physical Review Letters 99 (2007).

    Examples
    --------
    Of a linear map they are the eigenvectors:

    >>> import numpy as np
    >>> A = np.array([[0.9, 1.0], [0.0, 0.5]])
    >>> linear = Map(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), 2, 2)))
    >>> found = covariant_vectors(
    ...     linear, initial=[0.0, 0.0], steps=200, transient=80, backward_transient=80
    ... )
    >>> found.vectors.shape
    (41, 1, 2, 2)
    >>> bool(np.allclose(np.abs(found.vectors[0, 0]), [[1, 0], np.array([1, 0.4]) / np.hypot(1, 0.4)]))
    True
    """
    source = source_of(system, params, x, initial)
    steps = run_or_given_steps(system, steps)
    count = source.size if count is None else integer("count", count, at_least=1, at_most=source.size)
    transient = integer("transient", transient, at_least=0, at_most=steps - 1)
    back = integer("backward_transient", backward_transient, at_least=0, at_most=steps - 1 - transient)
    every = integer("every", every, at_least=1)
    end = steps - back
    marks = np.unique(np.r_[0, np.arange(transient, end, every), end, np.arange(end, steps, every), steps])
    draws = generator("rng", rng)
    kept: list[tuple[int, np.ndarray, np.ndarray]] = []  # time after, frame after, triangle
    first = None
    for stretch in walk(source, count, steps, marks, draws, triangles=True):
        assert stretch.before is not None  # as triangles were asked for
        assert stretch.after is not None
        if stretch.start == transient:
            first = stretch.before.rows
        if stretch.start >= transient:
            _refuse_singular(stretch)
            wanted = stretch.start + stretch.steps <= end
            kept.append(
                (stretch.start + stretch.steps, stretch.after.rows if wanted else _NONE, stretch.triangles)
            )
    coefficients = np.triu(draws.standard_normal((source.batch, count, count)))
    coefficients[:, np.arange(count), np.arange(count)] = 1.0  # regular, whatever was drawn
    coefficients /= np.linalg.norm(coefficients, axis=1, keepdims=True)
    vectors, times, growth = [], [], []
    for time, frame, triangles in reversed(kept):
        if time <= end:
            vectors.append(_vectors(frame, coefficients))
            times.append(time)
        coefficients = _solved(triangles, coefficients)
        norms = np.linalg.norm(coefficients, axis=1, keepdims=True)
        coefficients /= norms
        if time <= end:
            growth.append(-np.log(norms[:, 0]))
    assert first is not None  # the marks have the end of the transient
    vectors.append(_vectors(first, coefficients))
    times.append(transient)
    grown = np.array(growth[::-1])
    return CovariantVectors(
        np.array(vectors[::-1]),
        np.array(times[::-1]),
        grown,
        grown.mean(axis=1).sum(axis=0) / ((end - transient) * source.time_step),
        source.unit,
    )


_NONE = np.empty(0)


def _vectors(frame: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Q C with vectors in rows; of unit length, as Q is orthonormal and the columns of C are of unit length."""
    return np.swapaxes(coefficients, 1, 2) @ frame


def _solved(triangles: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    from scipy.linalg import solve_triangular

    return np.array(
        [solve_triangular(R, C, check_finite=False) for R, C in zip(triangles, coefficients, strict=True)]
    )


def _refuse_singular(stretch: Stretch) -> None:
    lost = np.isneginf(stretch.log_diagonal)
    if lost.any():
        rank = int((~lost).sum(axis=1).min())
        raise ArgumentError(
            "count",
            f"be at most {rank}, the numerical rank of the Jacobian of step {stretch.start} on the "
            "frame: vectors cannot be followed back through a singular one",
            lost.shape[1],
        )
