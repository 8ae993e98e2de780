"""Linear stability of one-step methods: the stability function, its region, intervals and largest stable steps.

For the test equation y' = lambda y a method gives y_{n+1} = R(z) y_n with z = dt lambda; its region of absolute
stability is ``{z : |R(z)| <= 1}`` [1]_. Backpropagation through a step multiplies by the transpose of what the step
multiplies by, R(dt J)^T: the step of the adjoint equation, with the same limits.

.. [1] Hairer and Wanner, Solving Ordinary Differential Equations II, Springer 1996, chapter IV.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import polynomial

from ..checks import ArgumentError, complexes, integer, number, one_of
from .methods import LINEAR, PARTITIONED, Method, method_of

AXES = {"real": np.pi, "imaginary": np.pi / 2}
ROUNDING = 1e-13  # of a coefficient that is a difference of such of size 1
SAMPLES = 400  # along a ray, for methods whose boundary is no root of a polynomial


def stability_function(
    method: str | Method, z: Any, *, linear: Any = 0.0
) -> np.ndarray | np.complexfloating[Any, Any]:
    """The factor R(z) by which a step multiplies the solution of y' = lambda y, z = dt lambda.

    Parameters
    ----------
    method
        A name of `METHODS`, or what `runge_kutta` makes.
    z
        Complex numbers of any shape.
    linear
        For "exponential_euler" and "imex_euler": dt a, the part of z that is stated as linear, of a shape that
        broadcasts with z; R = 1 + phi_1(w) z and R = 1 + z / (1 - w), w = dt a. 0 makes both forward Euler, z itself
        exp(z) and 1 / (1 - z).

    Returns
    -------
    ndarray
        Complex, of the shape of z. For the methods of partitioned fields, q' = omega p, p' = -omega q with
        eigenvalues +-i omega, the multiplier of larger modulus of the two: roots of m^2 - (2 + z^2) m + 1.

    Raises
    ------
    ValueError
        For an unknown method, for numbers that are not finite, and for `linear` where a method has no use for it.

    Examples
    --------
    >>> stability_function("rk4", [-1.0, -2.785293563405]).real.round(9).tolist()
    [0.375, 1.0]
    >>> abs(stability_function("leapfrog", [1.9j, 2.1j])).round(6).tolist()
    [1.0, 1.877328]
    """
    m, points, w = method_of(method), _complex("z", z), _complex("linear", linear)
    if m.kind == LINEAR:
        if m.name == "imex_euler":
            return np.asarray(1 + points / (1 - w))[()]
        small = np.abs(w) < 1e-5
        safe = np.where(small, 1.0, w)
        return np.asarray(1 + points * np.where(small, 1 + w / 2 + w**2 / 6, np.expm1(safe) / safe))[()]
    if np.any(w != 0):
        raise ArgumentError(
            "linear", f"be 0 for method {m.name}, which has no stated linear part", repr(linear)
        )
    if m.kind == PARTITIONED:
        half = 1 + points**2 / 2
        root = np.sqrt(half**2 - 1 + 0j)
        return np.where(np.abs(half + root) >= np.abs(half - root), half + root, half - root)[()]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(
            polynomial.polyval(points, m.numerator) / polynomial.polyval(points, m.denominator)
        )[()]


def reach(method: str | Method, directions: Any, *, linear: Any = 0.0) -> np.ndarray | float:
    """The largest dt so that ``|R| <= 1`` for all steps from 0 to dt, for each eigenvalue.

    Exact up to rounding: the boundary is a root of ``|P|^2 - |Q|^2``, a polynomial in dt.

    Parameters
    ----------
    method
        A name of `METHODS`, or what `runge_kutta` makes.
    directions
        Eigenvalues lambda, complex numbers of any shape.
    linear
        For "exponential_euler" and "imex_euler": the coefficient a stated as linear, of a shape that broadcasts with
        the eigenvalues. The exponential method is sampled in dt and bisected.

    Returns
    -------
    float or ndarray
        inf where there is no limit, as for eigenvalue 0; 0 where even small steps are unstable, as for all with a
        positive real part, and for forward Euler on the imaginary axis.

    Examples
    --------
    >>> reach("euler", [-1.0, -4.0, -1 + 1j, 1j]).round(12).tolist()
    [2.0, 0.5, 1.0, 0.0]
    """
    m, given, a = method_of(method), _complex("directions", directions), _complex("linear", linear)
    if np.any(a.imag != 0):
        raise ArgumentError("linear", "be real, as the coefficients of a cell are", repr(linear))
    if m.kind != LINEAR and np.any(a != 0):
        raise ArgumentError(
            "linear", f"be 0 for method {m.name}, which has no stated linear part", repr(linear)
        )
    try:
        given, a = np.broadcast_arrays(given, a.real)
    except ValueError:
        raise ArgumentError(
            "linear", f"have a shape that broadcasts with {given.shape}", f"shape {a.shape}"
        ) from None
    flat, coefficient = given.ravel(), a.ravel()
    if m.kind == PARTITIONED:
        found = _oscillating(flat)
    elif m.name == "exponential_euler":
        found = np.array([_sampled(m, z, w) for z, w in zip(flat, coefficient)])
    else:
        size = np.where(flat == 0, 1.0, np.abs(flat))  # so that all coefficients are of size 1
        found = np.where(flat == 0, np.inf, _exits(_excess(m, flat / size, coefficient / size)) / size)
    return found.reshape(given.shape)[()]


def stability_interval(method: str | Method, axis: str = "real") -> float:
    """The length of the interval of stability on the negative real or on the imaginary axis, from 0 on.

    Parameters
    ----------
    method
        A name of `METHODS`, or what `runge_kutta` makes.
    axis
        "real" or "imaginary".

    Returns
    -------
    float

    Examples
    --------
    >>> [round(stability_interval(name), 7) for name in ("euler", "heun", "rk3", "rk4", "implicit_euler")]
    [2.0, 2.0, 2.5127453, 2.7852936, inf]
    >>> [round(stability_interval(name, "imaginary"), 7) for name in ("euler", "heun", "rk3", "rk4", "leapfrog")]
    [0.0, 0.0, 1.7320508, 2.8284271, 2.0]
    """
    angle = AXES[one_of("axis", axis, AXES)]
    return float(reach(method, -1.0 if axis == "real" else np.exp(1j * angle)))


def largest_stable_step(
    eigenvalues: Any, method: str | Method = "euler", *, linear: Any = 0.0
) -> np.ndarray | float:
    """The largest step with which no mode of a linear field grows.

    Parameters
    ----------
    eigenvalues
        Of the field's Jacobians, shape (..., n).
    method
        A name of `METHODS`, or what `runge_kutta` makes.
    linear
        As in `reach`.

    Returns
    -------
    float or ndarray (...)
        The smallest `reach` over the eigenvalues.

    Examples
    --------
    A damped oscillation -gamma +- i omega: forward Euler is stable for dt < 2 gamma / (gamma^2 + omega^2).

    >>> round(float(largest_stable_step([-0.1 + 1j, -0.1 - 1j])), 9), round(0.2 / 1.01, 9)
    (0.198019802, 0.198019802)
    """
    given = _complex("eigenvalues", eigenvalues)
    if given.ndim == 0 or not given.size:
        raise ArgumentError("eigenvalues", "have shape (..., n) and not be empty", f"shape {given.shape}")
    return np.asarray(reach(method, given, linear=linear)).min(axis=-1)[()]


def stability_boundary(method: str | Method, points: int = 256, *, linear: float = 0.0) -> np.ndarray:
    """The boundary of the region of stability: all z with R(z) on the unit circle.

    Parameters
    ----------
    method
        A name of `METHODS`, or what `runge_kutta` makes; not one for partitioned fields, whose region, a stretch of the
        imaginary axis, has no inside.
    points
        Number P of equally spaced arguments of R.
    linear
        For "exponential_euler" and "imex_euler": dt a, real.

    Returns
    -------
    ndarray (branches, P)
        Complex; as many branches as R has zeros, P(z) = e^{i phi} Q(z) for each argument phi. Where the degree falls,
        as at infinity, entries are nan.

    Examples
    --------
    >>> bool(np.allclose(1 + stability_boundary("euler", 4), [1, 1j, -1, -1j]))
    True
    """
    count = integer("points", points, at_least=1)
    return boundary_at(method_of(method), 2 * np.pi * np.arange(count) / count, number("linear", linear))


def boundary_at(m: Method, arguments: np.ndarray, linear: float) -> np.ndarray:
    """All z at which R(z) = e^{i phi}, for arguments phi (P,): shape (branches, P)."""
    turns = np.exp(1j * arguments)
    if m.kind == PARTITIONED:
        raise ArgumentError(
            "method",
            "have a stability region with an inside",
            f"{m.name!r}, whose region is a stretch of the imaginary axis",
        )
    if m.kind == LINEAR:
        slope = stability_function(m, 1.0, linear=linear) - 1
        return ((turns - 1) / slope)[None]
    if linear:
        raise ArgumentError(
            "linear", f"be 0 for method {m.name}, which has no stated linear part", repr(linear)
        )
    P, Q = m.numerator, m.denominator
    found = np.full((max(len(P), len(Q)) - 1, len(turns)), np.nan + 0j)
    for k, turn in enumerate(turns):
        roots = polynomial.polyroots(_trimmed(polynomial.polysub(P, turn * Q)))
        found[: len(roots), k] = roots
    return found


def _trimmed(coefficients: np.ndarray) -> np.ndarray:
    size = np.abs(coefficients)
    return coefficients[: np.flatnonzero(size > ROUNDING * size.max())[-1] + 1]


def _complex(name: str, value: Any) -> np.ndarray:
    a = complexes(name, value)
    if not np.isfinite(a).all():
        raise ArgumentError(name, "be finite", a[~np.isfinite(a)][0])
    return a


def _excess(m: Method, z: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Coefficients of ``|P(r z)|^2 - |Q(r z)|^2`` as polynomials in r, one a row; what is rounding is 0."""
    if m.kind == LINEAR:  # R = 1 + r z / (1 - r w)
        one = np.ones(len(z), np.complex128)
        both = [np.stack([one, z - w], axis=1), np.stack([one, -w], axis=1)]
    else:
        both = [c * z[:, None] ** np.arange(len(c)) for c in (m.numerator, m.denominator)]
    top, bottom = both
    size = max(top.shape[1], bottom.shape[1]) * 2 - 1
    difference: np.ndarray = np.zeros((len(z), size))
    scale = np.zeros((len(z), size))
    for sign, c in ((1, top), (-1, bottom)):
        for i in range(c.shape[1]):
            for j in range(c.shape[1]):
                difference[:, i + j] += sign * (c[:, i] * c[:, j].conj()).real
                scale[:, i + j] += np.abs(c[:, i] * c[:, j])
    difference[np.abs(difference) <= ROUNDING * scale] = 0
    return difference


def _exits(excess: np.ndarray) -> np.ndarray:
    """For each polynomial, from the constant coefficient on, where it first becomes positive on r > 0."""
    found = np.full(len(excess), np.inf)
    for k, row in enumerate(excess):
        nonzero = np.flatnonzero(row)
        if not nonzero.size:
            continue
        row = row[nonzero[0] : nonzero[-1] + 1]
        if row[0] > 0:
            found[k] = 0
            continue
        roots = polynomial.polyroots(row) if len(row) > 1 else np.empty(0)
        real = np.sort(roots.real[(np.abs(roots.imag) <= 1e-7 * np.abs(roots)) & (roots.real > 0)])
        for low, high in zip(real, np.append(real[1:], 2 * real[-1:])):
            if polynomial.polyval((low + high) / 2, row) > 0:
                found[k] = low
                break
    return found


def _oscillating(z: np.ndarray) -> np.ndarray:
    """Multipliers are on the unit circle for z^2 in [-4, 0]: for imaginary z up to 2 i."""
    size = np.abs(z)
    with np.errstate(divide="ignore"):
        return np.where(np.abs(z.real) <= ROUNDING * size, 2 / size, 0.0)


def _sampled(m: Method, z: complex, w: float) -> float:
    """The first step at which ``|R|`` exceeds 1, by steps that grow and then bisection."""
    if z == 0:
        return np.inf
    grid = np.geomspace(1e-6, 1e6, SAMPLES) / max(abs(z), abs(w))

    def grows(dt: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.abs(stability_function(m, dt * z, linear=dt * w)) > 1 + 1e-12

    beyond = np.flatnonzero(grows(grid))
    if not beyond.size:
        return np.inf
    if beyond[0] == 0:
        return 0.0
    low, high = grid[beyond[0] - 1], grid[beyond[0]]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return float(low)
