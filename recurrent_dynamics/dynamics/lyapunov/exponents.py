"""Lyapunov spectra: the rates at which a trajectory's tangent space grows and shrinks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...cells.cell import Cell
from ...checks import ArgumentError, boolean, generator, integer, number
from ...engine.check import of_layer
from ...engine.run import Run
from ..trajectories.sources import source_of
from ..trajectories.systems import Flow, Map
from .frames import walk
from .spectrum import LyapunovSpectrum
from .statistics import MeanErrors, drift, mean_errors, stationary_from
from .sums import Sums

WINDOWS = 200  # of finite-time exponents, from which transient and errors are found
FEWEST_STEPS = 16
ACCEPTED_DRIFT = 1e-3  # between the halves of a run, where no tolerance is given
UNLIKELY = 5.0  # standard errors


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
    sums = Sums(source, marks, count, boolean("check", check), draws)
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
