"""Dynamical systems of one's own: a map or a flow as functions with a Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import ArgumentError, number, one_of

METHODS = ("rk4", "RK45", "DOP853", "Radau", "BDF", "LSODA")


@dataclass(frozen=True)
class Map:
    """A map state' = f(state) of one's own.

    Parameters
    ----------
    function
        Takes states (B, S) and returns the next ones (B, S).
    jacobian
        Takes states (B, S) and returns d f_i / d state_j, (B, S, S).

    Examples
    --------
    The Henon map:

    >>> import numpy as np
    >>> from recurrent_dynamics.dynamics import lyapunov
    >>> def henon(s):
    ...     return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)
    >>> def jacobian(s):
    ...     J = np.zeros((len(s), 2, 2))
    ...     J[:, 0, 0], J[:, 0, 1], J[:, 1, 0] = -2.8 * s[:, 0], 1, 0.3
    ...     return J
    >>> spectrum = lyapunov(Map(henon, jacobian), initial=np.full((4, 2), 0.1), steps=2000)
    >>> spectrum.exponents.shape, round(float(np.exp(spectrum.sum)), 9)
    ((2,), 0.3)
    """

    function: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]

    time_step = 1.0
    unit = "nats per step"

    def advance(self, state: np.ndarray) -> np.ndarray:
        """The states (B, S) a step later."""
        return _shaped("function", self.function(state), state.shape)

    def advance_with_tangent(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The states a step later, and their derivatives (B, S, S) by the states before."""
        J = _shaped("jacobian", self.jacobian(state), (*state.shape, state.shape[1]))
        return self.advance(state), J


@dataclass(frozen=True)
class Flow:
    """An autonomous flow d state / dt = f(state), integrated together with its tangent.

    Parameters
    ----------
    field
        Takes states (B, S) and returns their velocities (B, S).
    jacobian
        Takes states (B, S) and returns d f_i / d state_j, (B, S, S).
    step
        What counts as one step, in units of time.
    method
        "rk4" is the classical Runge-Kutta method with this step; its tangent is the derivative of the numerical map,
        so that the exponents are exactly those of the map. The other names are methods of
        `scipy.integrate.solve_ivp`, with `tolerance` as `rtol`, and a hundredth of it as `atol`.
    tolerance
        For the methods of SciPy.

    Examples
    --------
    A damped oscillator, whose exponents are the real parts of its eigenvalues:

    >>> import numpy as np
    >>> from recurrent_dynamics.dynamics import lyapunov
    >>> A = np.array([[0.0, 1.0], [-1.0, -0.2]])
    >>> flow = Flow(lambda s: s @ A.T, lambda s: np.broadcast_to(A, (len(s), 2, 2)), step=0.05)
    >>> spectrum = lyapunov(flow, initial=[1.0, 0.0], steps=2000)
    >>> spectrum.unit, round(spectrum.sum, 6)
    ('nats per unit time', -0.2)
    """

    field: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray], np.ndarray]
    step: float = 0.01
    method: str = "rk4"
    tolerance: float = 1e-9

    unit = "nats per unit time"

    def __post_init__(self) -> None:
        number("step", self.step, above=0)
        number("tolerance", self.tolerance, above=0)
        one_of("method", self.method, METHODS)

    @property
    def time_step(self) -> float:
        """Units of time in a step."""
        return self.step

    def advance(self, state: np.ndarray) -> np.ndarray:
        """The states (B, S) a step later."""
        if self.method == "rk4":
            return _rk4(lambda s: _shaped("field", self.field(s), s.shape), state, self.step)
        field = lambda t, y: np.ravel(_shaped("field", self.field(y.reshape(state.shape)), state.shape))
        return self._integrate(field, state.ravel()).reshape(state.shape)

    def advance_with_tangent(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The states a step later, and their derivatives (B, S, S) by the states before."""
        batch, size = state.shape

        def both(z: np.ndarray) -> np.ndarray:
            s = np.ascontiguousarray(z[:, 0])
            J = _shaped("jacobian", self.jacobian(s), (batch, size, size))
            # One row for the state, below it the columns of the tangent map.
            velocity = _shaped("field", self.field(s), s.shape)[:, None]
            return np.concatenate([velocity, z[:, 1:] @ np.swapaxes(J, 1, 2)], axis=1)

        start = np.concatenate([state[:, None], np.broadcast_to(np.eye(size), (batch, size, size))], axis=1)
        if self.method == "rk4":
            end = _rk4(both, start, self.step)
        else:
            end = self._integrate(lambda t, y: both(y.reshape(start.shape)).ravel(), start.ravel())
            end = end.reshape(start.shape)
        return end[:, 0].copy(), np.swapaxes(end[:, 1:], 1, 2)

    def _integrate(self, field: Callable[[float, np.ndarray], np.ndarray], start: np.ndarray) -> np.ndarray:
        from scipy.integrate import solve_ivp

        found = solve_ivp(
            field, (0.0, self.step), start, self.method, rtol=self.tolerance, atol=self.tolerance / 100
        )
        if not found.success:
            raise FloatingPointError(f"solve_ivp with method {self.method!r} failed: {found.message}")
        return found.y[:, -1]


def _rk4(field: Callable[[np.ndarray], np.ndarray], s: np.ndarray, h: float) -> np.ndarray:
    k1 = field(s)
    k2 = field(s + h / 2 * k1)
    k3 = field(s + h / 2 * k2)
    k4 = field(s + h * k3)
    return s + h / 6 * (k1 + 2 * (k2 + k3) + k4)


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    value = np.asarray(value, dtype=np.float64)
    if value.shape != shape:
        raise ArgumentError(name, f"return an array of shape {shape}", value.shape)
    return value
