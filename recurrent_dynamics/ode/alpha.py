"""Residual alpha-gating as a step in time: time constants, spectra, and the two methods it is.

A gated unit h' = alpha h + (1 - alpha) f(a) is a step of tau dh/dt = -h + f(a): of forward Euler with
alpha = 1 - dt / tau, and of exponential Euler with alpha = exp(-dt / tau). As both are the same cell, alpha alone does
not say which step was meant; its own time constant, that of the decay alpha^t, is -1 / ln alpha steps, and forward
Euler makes it shorter than tau: by dt / 2 for small steps.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import ArgumentError, numbers, one_of
from ..dynamics.matrices.matrix_stacks import square_matrices

GATINGS = ("exponential_euler", "euler")


def time_constant(alpha: Any, *, method: str = "exponential_euler") -> np.ndarray | float:
    """The time constant of a gate in steps: -1 / ln alpha, in which alpha^t falls to 1 / e.

    Parameters
    ----------
    alpha
        Gates, numbers in [0, 1] of any shape.
    method
        "exponential_euler" for -1 / ln alpha; "euler" for 1 / (1 - alpha), the time constant of the equation of which
        the gate is a step of forward Euler.

    Returns
    -------
    float or ndarray
        inf for alpha = 1.

    Examples
    --------
    >>> [round(float(time_constant(a)), 4) for a in (0.5, 0.9, 0.99)]
    [1.4427, 9.4912, 99.4992]
    >>> [round(float(time_constant(a, method="euler")), 4) for a in (0.5, 0.9, 0.99)]
    [2.0, 10.0, 100.0]
    """
    a = _gates(alpha)
    with np.errstate(divide="ignore"):
        if one_of("method", method, GATINGS) == "euler":
            return (1 / (1 - a))[()]
        return np.where(a == 0, 0.0, 1 / np.abs(np.log(np.where(a == 0, 0.5, a))))[()]


def gate(tau: Any, dt: Any = 1.0, *, method: str = "exponential_euler") -> np.ndarray | float:
    """The gate alpha of a step of tau dh/dt = -h + f.

    Parameters
    ----------
    tau
        Time constants, above 0, of any shape.
    dt
        Steps, at least 0, in the same unit, of a shape that broadcasts with tau: irregular steps give a gate each.
    method
        "exponential_euler" for exp(-dt / tau), which is exact where f is constant during the step, whatever the step;
        "euler" for 1 - dt / tau.

    Returns
    -------
    float or ndarray

    Raises
    ------
    ValueError
        Where forward Euler would need a negative gate, dt > tau.

    Examples
    --------
    >>> round(float(gate(10.0)), 6), round(float(gate(10.0, method="euler")), 6)
    (0.904837, 0.9)
    """
    taus, steps = numbers("tau", tau), numbers("dt", dt)
    if not (np.isfinite(taus) & (taus > 0)).all():
        raise ArgumentError("tau", "be finite and above 0", repr(tau))
    if not (np.isfinite(steps) & (steps >= 0)).all():
        raise ArgumentError("dt", "be finite and at least 0", repr(dt))
    try:
        share = steps / taus
    except ValueError:
        raise ArgumentError(
            "dt", f"have a shape that broadcasts with {taus.shape}, that of tau", steps.shape
        ) from None
    if one_of("method", method, GATINGS) == "exponential_euler":
        return np.exp(-share)[()]
    if (share > 1).any():
        raise ArgumentError(
            "dt",
            "be at most tau for forward Euler, whose gate 1 - dt / tau is not negative",
            f"dt / tau = {share.max():g}",
        )
    return (1 - share)[()]


def gated_spectrum(alpha: Any, matrices: Any) -> np.ndarray:
    """Eigenvalues of alpha I + (1 - alpha) J: what a gate does to the Jacobian J of the network without it.

    With one alpha for all units each eigenvalue mu moves on a straight line towards 1, to alpha + (1 - alpha) mu: real
    parts of up to 1 are damped by an alpha close enough to 1 (but the line from mu with a larger real part stays
    outside). With an alpha for each unit the matrix is diag(alpha) + diag(1 - alpha) J.

    Parameters
    ----------
    alpha
        One gate, or gates (n,), in [0, 1].
    matrices
        J, shape (..., n, n).

    Returns
    -------
    ndarray (..., n)
        Complex.

    Examples
    --------
    >>> gated_spectrum(0.5, [[0.0, 1.0], [-1.0, 0.0]]).round(12).tolist()
    [(0.5+0.5j), (0.5-0.5j)]
    """
    J, a = square_matrices(matrices), _gates(alpha)
    if a.ndim and a.shape != (J.shape[-1],):
        raise ArgumentError("alpha", f"be a number or have shape {(J.shape[-1],)}", f"shape {a.shape}")
    share = np.broadcast_to(a, (J.shape[-1],))
    return np.linalg.eigvals(np.diag(share) + (1 - share)[:, None] * J) + 0j


def smallest_gate(matrices: Any) -> np.ndarray | float:
    """The smallest alpha with which alpha I + (1 - alpha) J has no eigenvalue outside the unit circle.

    Each eigenvalue mu asks for a step 1 - alpha of at most 2 Re(1 - mu) / ``|1 - mu|^2``, forward Euler's limit. A
    larger alpha is stable too.

    Parameters
    ----------
    matrices
        J, the Jacobian of the network without a gate, shape (..., n, n).

    Returns
    -------
    float or ndarray (...)
        0 where no gate is needed; 1 where none helps, as Re mu > 1.

    Examples
    --------
    >>> round(float(smallest_gate([[0.0, 2.0], [-2.0, 0.0]])), 12)
    0.6
    """
    from .linear_stability import largest_stable_step

    step = largest_stable_step(np.linalg.eigvals(square_matrices(matrices)) - 1, "euler")
    return (1 - np.minimum(step, 1.0))[()]


def _gates(alpha: Any) -> np.ndarray:
    a = numbers("alpha", alpha)
    if not ((a >= 0) & (a <= 1)).all():
        raise ArgumentError("alpha", "lie in [0, 1]", repr(alpha))
    return a
