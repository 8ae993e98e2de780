"""Stability of the fixed points of a map, and the times of its modes, from the eigenvalues of its Jacobian."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...checks import complexes, number

KINDS = ("stable", "saddle", "unstable", "centre-like")


def time_constants(eigenvalues: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """The time in which each mode of a map falls to 1/e: ``tau = -dt / ln |lambda|``.

    Parameters
    ----------
    eigenvalues : array_like
        Of the Jacobian of a map, of any shape, real or complex.
    dt
        The time of one step; 1 gives tau in steps.

    Returns
    -------
    ndarray
        float64, shaped as `eigenvalues`: negative for a mode that grows, by the factor e within ``|tau|``; inf where
        the modulus is 1; 0 for the eigenvalue 0.

    Raises
    ------
    ValueError
        When `dt` is not above 0.

    Examples
    --------
    >>> time_constants([np.exp(-0.1), np.exp(0.5), 1.0], dt=0.01).round(3).tolist()
    [0.1, -0.02, inf]
    """
    number("dt", dt, above=0)
    modulus = np.abs(complexes("eigenvalues", eigenvalues))
    with np.errstate(divide="ignore"):
        logs = np.asarray(np.log(modulus), dtype=np.float64)
        return np.where(logs == 0, np.inf, -dt / np.where(logs == 0, 1.0, logs)) + 0.0  # of -0 it makes 0


def frequencies(eigenvalues: ArrayLike, dt: float = 1.0) -> np.ndarray:
    """How often each mode of a map turns in a unit of time: the angle of lambda over 2 pi dt.

    Parameters
    ----------
    eigenvalues : array_like
        Of the Jacobian of a map, of any shape, real or complex.
    dt
        The time of one step; 1 gives cycles per step, with dt in seconds it is Hz.

    Returns
    -------
    ndarray
        float64, shaped as `eigenvalues`, in (-1 / (2 dt), 1 / (2 dt)]: of a conjugate pair one is negative; a negative
        real eigenvalue alternates, at 1 / (2 dt).

    Raises
    ------
    ValueError
        When `dt` is not above 0.

    Examples
    --------
    >>> frequencies([1j, -1.0, 0.5], dt=0.01).round(6).tolist()
    [25.0, 50.0, 0.0]
    """
    number("dt", dt, above=0)
    values = complexes("eigenvalues", eigenvalues)
    angles = np.where((values.imag == 0) & (values.real < 0), np.pi, np.angle(values))
    return angles / (2 * np.pi * dt)


class Modes:
    """What has the eigenvalues of the Jacobian of a map, and so the times of its modes."""

    eigenvalues: np.ndarray

    def _step(self, dt: float) -> float:
        """The time in which the map acts once; that of a cycle takes all its steps."""
        return getattr(self, "period", 1) * number("dt", dt, above=0)

    def time_constants(self, dt: float = 1.0) -> np.ndarray:
        """``tau = -dt / ln |lambda|`` of every eigenvalue; see `recurrent_dynamics.dynamics.time_constants`."""
        return time_constants(self.eigenvalues, self._step(dt))

    def frequencies(self, dt: float = 1.0) -> np.ndarray:
        """The angle of every eigenvalue over 2 pi dt; see `recurrent_dynamics.dynamics.frequencies`."""
        return frequencies(self.eigenvalues, self._step(dt))


def unstable_directions(eigenvalues: np.ndarray, centre: float) -> np.ndarray:
    """How many of the eigenvalues (..., S) lie outside the unit circle, by more than `centre`."""
    return np.sum(np.abs(eigenvalues) > 1 + centre, axis=-1)


def kinds(eigenvalues: np.ndarray, centre: float) -> np.ndarray:
    """The name of the class of every point, from its eigenvalues (K, S).

    Examples
    --------
    >>> kinds(np.array([[0.5, 0.1], [2.0, 0.1], [2.0, -3.0], [1.0, 0.5]]), 1e-6).tolist()
    ['stable', 'saddle', 'unstable', 'centre-like']
    """
    modulus = np.abs(eigenvalues)
    outside = unstable_directions(eigenvalues, centre)
    named = np.where(outside == 0, "stable", np.where(outside == eigenvalues.shape[-1], "unstable", "saddle"))
    return np.where((np.abs(modulus - 1) <= centre).any(axis=-1), "centre-like", named)
