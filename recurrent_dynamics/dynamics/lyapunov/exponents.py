"""Lyapunov spectra: the rates at which a trajectory's tangent space grows and shrinks."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ...cells.cell import Cell
from ...checks import ArgumentError, boolean, generator, integer, number
from ...engine.check import of_layer
from ...engine.run import Run
from ...results import Result, Tabular
from ..trajectories.sources import Source, source_of
from ..trajectories.systems import Flow, Map
from .frames import Stretch, walk
from .statistics import MeanErrors, drift, mean_errors, stationary_from

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOWS = 200  # of finite-time exponents, from which transient and errors are found
FEWEST_STEPS = 16
ACCEPTED_DRIFT = 1e-3  # between the halves of a run, where no tolerance is given
UNLIKELY = 5.0  # standard errors
DISPLACEMENT = 1e-7  # of the trajectory nearby, relative to the size of a state
FARTHEST = (
    5.0  # nats that its distance may change by before it is set back, far from the size of the attractor
)


@dataclass(frozen=True)
class LyapunovChecks(Result):
    """The same rates found in other ways, in the unit of the exponents, over the steps that were averaged.

    Attributes
    ----------
    log_det
        Time average of ``ln |det J_t|``, for a full spectrum: the sum of all exponents. None otherwise.
    tangent
        Growth of one random tangent vector, for networks by `rd.jvp`: the first exponent.
    nearby
        Growth of the distance to a trajectory nearby, which knows nothing of Jacobians: the first exponent. None in
        single precision, where the distance is lost in rounding.
    """

    log_det: float | None
    tangent: float
    nearby: float | None


@dataclass(frozen=True)
class LyapunovSpectrum(Tabular):
    """Lyapunov exponents with their errors.

    Attributes
    ----------
    exponents
        Largest first, shape (k,): means over time and trajectories. -inf where Jacobians are singular.
    standard_errors
        Shape (k,); 0 where the exponent is -inf. From the variances of sums over overlapping windows of time, a line
        in their length that is followed to the whole time [1]_ [2]_, and from the spread between trajectories where
        there are four or more.
    per_trajectory
        Shape (B, k).
    finite_time
        Exponents of consecutive windows of time, shape (M, B, k).
    window_steps
        The lengths of the windows, shape (M,).
    transient, steps
        Steps that were dropped at the beginning, and steps that were averaged.
    interval
        Mean number of steps between orthonormalizations.
    size
        S, the dimension of the state.
    unit
        "nats per step" or "nats per unit time".
    time_step
        Units of time in a step.
    checks
        What `check=True` found.

    References
    ----------
    .. [1] Meketon and Schmeiser, Overlapping batch means: something for nothing?, Winter Simulation Conference (1984).
    .. [2] Vats and Flegal, Lugsail lag windows for estimating time-average covariance matrices, Biometrika 109 (2022).
    """

    exponents: np.ndarray
    standard_errors: np.ndarray
    per_trajectory: np.ndarray
    finite_time: np.ndarray
    window_steps: np.ndarray
    transient: int
    steps: int
    interval: float
    size: int
    unit: str
    time_step: float
    checks: LyapunovChecks | None = None

    @property
    def sum(self) -> float:
        """The sum of the exponents that were computed; of all, the rate at which volumes grow."""
        return float(self.exponents.sum())

    @property
    def entropy_rate(self) -> float:
        """The sum of the positive exponents: an upper bound of the entropy rate, equal to it by Pesin's identity.

        Raises ValueError if positive exponents may be missing.
        """
        if len(self.exponents) < self.size and self.exponents[-1] > 0:
            raise ArgumentError(
                "count",
                "be large enough for the entropy rate to have all positive exponents",
                f"{len(self.exponents)}, the last of them {self.exponents[-1]:.4g}",
            )
        return float(self.exponents[self.exponents > 0].sum())

    @property
    def kaplan_yorke_dimension(self) -> float:
        """The Kaplan-Yorke dimension (1979): where the sum of the first exponents, interpolated, passes zero.

        0 if the first exponent is negative, S if the sum of all is not. Raises ValueError if too few are known.
        """
        sums = np.cumsum(self.exponents)
        if sums[-1] >= 0:
            if len(sums) == self.size:
                return float(self.size)
            raise ArgumentError(
                "count",
                "be large enough for the dimension: the sum of the exponents must become negative",
                f"{len(sums)}, with the sum {sums[-1]:.4g}",
            )
        j = int(np.flatnonzero(sums < 0)[0])
        return j + (float(sums[j - 1] / -self.exponents[j]) if j else 0.0)

    def _columns(self) -> Mapping[str, Any]:
        return {
            "index": np.arange(1, len(self.exponents) + 1),
            "exponent": self.exponents,
            "standard_error": self.standard_errors,
        }

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the spectrum with its errors; see `recurrent_dynamics.plot.lyapunov`."""
        from ...plot import lyapunov

        return lyapunov(self, ax=ax, **options)


def lyapunov(
    system: Run | Cell | Map | Flow,
    params: Mapping[str, np.ndarray] | None = None,
    x: ArrayLike | None = None,
    *,
    initial: Any = None,
    steps: int | None = None,
    count: int | None = None,
    transient: int | str = "auto",
    tolerance: float | None = None,
    check: bool = False,
    rng: int | np.random.Generator = 0,
) -> LyapunovSpectrum:
    """Lyapunov exponents of a network along its run, of a network by itself, or of a map or flow of one's own.

    An orthonormal frame is carried along the trajectory by the exact Jacobians of the full state (of an LSTM h and c)
    and orthonormalized by QR again and again; the exponents are the means of ``ln |R_ii|`` [1]_ [2]_. How often follows
    the condition number of the pushed frame, which is kept below 1e5 (1e2 where a run in single precision carries few
    vectors) as long as single steps allow it.

    Parameters
    ----------
    system
        A run, whose steps are all read; a cell that runs by itself; a `Map` or a `Flow`.
    params, x
        Of a cell: its parameters, and the constant input (N,) or (B, N) if it has one.
    initial
        Of a cell the states by slot, (B, width) or (width,); of a map or flow (B, S) or (S,). B trajectories are
        walked at once.
    steps
        How many steps, the transient among them.
    count
        How many exponents, the largest ones; all by default.
    transient
        Steps dropped before averaging, on which the trajectory comes to its attractor and the frame aligns itself.
        "auto" drops windows of time, at most half, until the mean of what is left of each of the first eight exponents
        has its smallest standard error (the MSER rule [3]_).
    tolerance
        The standard error asked for, in the unit of the exponents.
    check
        Find the sum and the first exponent in other ways too; see `LyapunovChecks`. Takes about twice the time.
    rng
        For the first frame.

    Returns
    -------
    LyapunovSpectrum

    Warns
    -----
    UserWarning
        A standard error is above `tolerance`; the leading exponents still drift; a Jacobian is so ill-conditioned that
        small exponents are lost in rounding and given as -inf.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came. A run with resets or ragged lengths.
    FloatingPointError
        The trajectory diverged: at which step.

    References
    ----------
    .. [1] Benettin, Galgani, Giorgilli and Strelcyn, Lyapunov characteristic exponents for smooth dynamical systems
       and for Hamiltonian systems, Meccanica 15 (1980).
    .. [2] Engelken, Wolf and Abbott, Lyapunov spectra of chaotic recurrent neural networks, Physical Review Research 5
       (2023).
    .. [3] White, An effective truncation heuristic for bias reduction in simulation output, Simulation 69 (1997).

    Examples
    --------
    A linear network has the logarithms of the absolute eigenvalues:

    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.linear()
    >>> params = cell.init(input_size=0, hidden_size=2, dtype="float64")
    >>> params["U"][:] = [[0.9, 1.0], [0.0, 0.5]]
    >>> spectrum = rd.dynamics.lyapunov(cell, params, initial={"h": np.ones(2)}, steps=400)
    >>> np.round(spectrum.exponents / np.log([0.9, 0.5]), 6)
    array([1., 1.])
    >>> spectrum.unit, spectrum.kaplan_yorke_dimension
    ('nats per step', 0.0)
    """
    source = source_of(system, params, x, initial)
    steps = run_or_given_steps(system, steps)
    count = source.size if count is None else integer("count", count, at_least=1, at_most=source.size)
    if tolerance is not None:
        number("tolerance", tolerance, above=0)
    dropped = None
    if not (isinstance(transient, str) and transient == "auto"):
        dropped = integer("transient", transient, at_least=0, at_most=steps - FEWEST_STEPS)
    draws = generator("rng", rng)
    marks = _marks(steps, dropped or 0)
    sums = _Sums(source, marks, count, boolean("check", check), draws)
    for stretch in walk(source, count, steps, marks, draws):
        sums.add(stretch)
    lengths = np.diff(marks)
    rates = sums.logs / (lengths[:, None, None] * source.time_step)
    start = stationary_from(rates.mean(axis=1)[:, :8]) if dropped is None else int(dropped > 0)
    rates, lengths = rates[start:], lengths[start:]
    weights = lengths / lengths.sum()
    per_trajectory = np.einsum("m,mbk->bk", weights, np.where(np.isneginf(rates), 0.0, rates))
    per_trajectory[np.isneginf(rates).any(axis=0)] = -np.inf
    exponents = per_trajectory.mean(axis=0)
    errors = mean_errors(rates, lengths)
    order = np.argsort(-exponents, kind="stable")  # of degenerate exponents, whose estimates may cross
    spectrum = LyapunovSpectrum(
        exponents[order],
        errors.standard_errors[order],
        per_trajectory[:, order],
        rates[:, :, order],
        lengths,
        int(marks[start]),
        int(lengths.sum()),
        steps / sums.stretches,
        source.size,
        source.unit,
        source.time_step,
        sums.checks(start, int(lengths.sum())) if check else None,
    )
    _warn(spectrum, errors, tolerance)
    return spectrum


def run_or_given_steps(system: Any, steps: Any) -> int:
    """How many steps, of a run or as given."""
    system = of_layer(system)
    if not isinstance(system, Run):
        return integer("steps", steps, at_least=FEWEST_STEPS)
    if steps is not None:
        raise ArgumentError("steps", f"not be given with a run, which has {system.steps}", repr(steps))
    if system.steps < FEWEST_STEPS:
        raise ArgumentError("run", f"have at least {FEWEST_STEPS} steps", system.steps)
    return system.steps


def _marks(steps: int, transient: int) -> np.ndarray:
    """Where windows begin and end: 0, the end of a transient that is given, and the rest in equal parts."""
    windows = min(WINDOWS, steps - transient)
    marks = np.round(np.linspace(transient, steps, windows + 1)).astype(np.int64)
    return np.r_[0, marks] if transient else marks


class _Sums:
    """What is added up along the way, by window: (M, B, k) for the exponents, (M, B) for the checks."""

    def __init__(
        self, source: Source, marks: np.ndarray, count: int, check: bool, rng: np.random.Generator
    ) -> None:
        windows = len(marks) - 1
        self.marks, self.source, self.check = marks.tolist(), source, check
        self.logs = np.zeros((windows, source.batch, count))
        self.log_det, self.tangent, self.nearby = np.zeros((3, windows, source.batch))
        self.full, self.stretches, self.exact = count == source.size, 0, True
        self._unresolved = False
        self._vector = rng.standard_normal((source.batch, source.size))
        self._vector /= np.linalg.norm(self._vector, axis=1, keepdims=True)
        self._near, self._together = self._vector.copy(), 1

    def add(self, stretch: Stretch) -> None:
        window = bisect_right(self.marks, stretch.start) - 1
        if not self._unresolved and stretch.log_diagonal.min() == -math.inf:
            self._look_for_lost_exponents(stretch)
        self.logs[window] += stretch.log_diagonal
        self.stretches += 1
        if self.check:
            self._check(stretch, window)

    def _look_for_lost_exponents(self, stretch: Stretch) -> None:
        """Warn where R_ii is 0 to rounding but the Jacobian is not singular: its rows have unlike sizes."""
        a, count = stretch.offset, stretch.log_diagonal.shape[1]
        eye = np.broadcast_to(
            np.eye(self.source.size), (self.source.batch, self.source.size, self.source.size)
        )
        for b, J in enumerate(np.swapaxes(stretch.segment.push(eye, a, a + 1), 1, 2)):
            norms = np.linalg.norm(J, axis=1, keepdims=True)
            rank = np.linalg.matrix_rank(J / np.where(norms > 0, norms, 1))
            lost = int(np.isneginf(stretch.log_diagonal[b]).sum())
            if lost > max(count - rank, 0):
                self._unresolved = True
                warnings.warn(
                    f"the Jacobian of step {stretch.start} has rank {rank} of {self.source.size}, but in double "
                    f"precision {lost} of {count} exponents are lost in rounding beside the largest, and given as -inf "
                    f"(the rows have norms from {norms.min():.1e} to {norms.max():.1e})",
                    stacklevel=3,
                )
                return

    def _check(self, stretch: Stretch, window: int) -> None:
        segment, a, b = stretch.segment, stretch.offset, stretch.offset + stretch.steps
        if self.full:
            self.log_det[window] += segment.log_det(a, b)
        self.exact = self.exact and segment.double
        while a < b:
            steps = min(self._together, b - a) if segment.double else b - a
            vector, growth = _grown(segment.tangents(self._vector[:, None], a, a + steps)[:, 0], self._vector)
            most = float(np.abs(growth).max())
            if segment.double:
                small = DISPLACEMENT * np.maximum(
                    1.0, np.linalg.norm(segment.state(a), axis=1, keepdims=True)
                )
                near, apart = _grown(segment.difference(self._near * small, a, a + steps) / small, self._near)
                most = max(most, float(np.abs(apart).max()))
                if most > FARTHEST and steps > 1:
                    self._together = steps // 2
                    continue
                self._near = near
                self.nearby[window] += apart
            self._vector = vector
            self.tangent[window] += growth
            if 2 * most < FARTHEST:
                self._together = max(self._together, 2 * steps)
            a += steps

    def checks(self, start: int, steps: int) -> LyapunovChecks:
        time = steps * self.source.time_step
        log_det, tangent, nearby = (
            float(v[start:].mean(axis=1).sum() / time) for v in (self.log_det, self.tangent, self.nearby)
        )
        return LyapunovChecks(log_det if self.full else None, tangent, nearby if self.exact else None)


def _grown(moved: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (B, S) at unit length, and ln of what it was; where nothing is left the vector before, and -inf."""
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = np.divide(moved, norm, out=before.copy(), where=norm > 0)
    return unit, np.log(norm[:, 0], out=np.full(len(norm), -np.inf), where=norm[:, 0] > 0)


def _warn(spectrum: LyapunovSpectrum, means: MeanErrors, tolerance: float | None) -> None:
    errors, unit = spectrum.standard_errors, spectrum.unit
    worst = int(np.argmax(errors))
    if tolerance is not None and errors[worst] > tolerance:
        needed = spectrum.steps * means.longer(tolerance)
        warnings.warn(
            f"the standard error of exponent {worst} is {errors[worst]:.2g} {unit}, above the tolerance of "
            f"{tolerance:.2g}: {spectrum.steps} steps were averaged, about {needed:.2g} would do",
            stacklevel=3,
        )
    change, chance = drift(spectrum.finite_time, spectrum.window_steps)
    excess = change - np.maximum(UNLIKELY * chance, tolerance or ACCEPTED_DRIFT)
    if (excess > 0).any():
        first = int(np.argmax(excess))
        warnings.warn(
            f"exponent {first} has not converged: its mean over the two halves of the {spectrum.steps} steps after the "
            f"transient of {spectrum.transient} differs by {change[first]:.2g} {unit}, by chance it would by about "
            f"{chance[first]:.2g}",
            stacklevel=3,
        )
