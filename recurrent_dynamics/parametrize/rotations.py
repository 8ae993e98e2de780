"""Orthogonal and unitary matrices as layers of rotations in planes of two coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import ArgumentError, integer, one_of
from .contract import Array, Parametrization, Pull, even, named, of_shape, orthogonality, real, square
from .pairs import as_pairs, from_pairs, unitarity

STYLES = ("neighbours", "butterfly")


def planes(layer: int, n: int, style: str) -> tuple[Array, Array]:
    """The n / 2 disjoint pairs of coordinates that a layer turns: first ones, second ones.

    "neighbours": (0, 1), (2, 3), ..., and by turns (1, 2), ..., (n - 1, 0): n layers reach every rotation (Clements et
    al. 2016). "butterfly": coordinates at distance 1, 2, 4, ..., as in the fast Fourier transform.
    """
    if style == "neighbours":
        first = np.arange(layer % 2, n, 2)
        return first, (first + 1) % n
    if n & (n - 1):
        raise ArgumentError("free", "belong to a power of two as the number of rows, for a butterfly", n)
    bit = 1 << (layer % max(n.bit_length() - 1, 1))
    first = np.arange(n)[np.arange(n) & bit == 0]
    return first, first + bit


def turned(a: Array, b: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
    """Rows of the planes after their rotations."""
    return cosine * a - sine * b, sine * a + cosine * b


@dataclass(frozen=True)
class _Layers(Parametrization):
    layers: int | None = None
    style: str = "neighbours"
    initials = ("uniform", "zero")

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("style", self.style, STYLES)
        if self.layers is not None:
            integer("layers", self.layers, at_least=1)

    def _angles(self, n: int, rng: np.random.Generator, initial: str) -> Array:
        planes(0, even(n), self.style)
        full = n if self.style == "neighbours" else max(n.bit_length() - 1, 1)
        shape = (full if self.layers is None else self.layers, n // 2)
        return rng.uniform(-np.pi, np.pi, shape) if initial == "uniform" else np.zeros(shape)


@dataclass(frozen=True)
class Givens(_Layers):
    """U = R_L ... R_2 R_1, each R_l turning n / 2 disjoint planes of two coordinates; n is even.

    `free` (L, n / 2) are the angles. With n layers of neighbours every rotation is of this form.

    Parameters
    ----------
    layers : int, optional
        L of `sample`; n when absent, log2(n) for a butterfly.
    style : {"neighbours", "butterfly"}
        Which coordinates share a plane: (0, 1), (2, 3), ... and by turns (1, 2), ..., (n - 1, 0); or those at distance
        1, 2, 4, ..., for n a power of two.

    Notes
    -----
    `initials`: angles "uniform" in (-pi, pi), "zero". The adjoint undoes the rotations one by one and stores nothing.
    Both ways take of the order of L n^2 operations on numbers, not on matrices: for large n and many layers the other
    parametrizations are faster.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> U, pull = rd.parametrize.givens(np.array([[np.pi / 2]]))
    >>> U.round(12)
    array([[ 0., -1.],
           [ 1.,  0.]])
    """

    def _map(self, free: Array) -> tuple[Array, Pull]:
        angles = real("free", free, 2)
        n = 2 * angles.shape[1]
        cosines, sines = np.cos(angles)[..., None], np.sin(angles)[..., None]
        places = [planes(layer, n, self.style) for layer in range(len(angles))]
        U = np.eye(n, dtype=angles.dtype)
        for (i, j), c, s in zip(places, cosines, sines, strict=True):
            U[i], U[j] = turned(U[i], U[j], c, s)

        def pull(d_U: Array) -> Array:
            d, value, d_angles = d_U.copy(), U.copy(), np.empty_like(angles)
            for layer in reversed(range(len(angles))):
                (i, j), c, s = places[layer], cosines[layer], sines[layer]
                d_angles[layer] = (d[j] * value[i] - d[i] * value[j]).sum(1)
                value[i], value[j] = turned(value[i], value[j], c, -s)
                d[i], d[j] = turned(d[i], d[j], c, -s)
            return d_angles

        return U.copy(), pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Array:
        return self._angles(square(rows, columns), rng, initial)

    def _check(self, U: Array) -> float:
        """Rotations only: a reflection is at least 2 away from all of them."""
        even(square(*U.shape))
        return max(orthogonality(U), 2.0 if np.linalg.det(U) < 0 else 0.0)


@dataclass(frozen=True)
class EUNN(_Layers):
    """The efficient unitary network (Jing et al. 2017): U = D R_L ... R_2 R_1 with complex rotations.

    Each R_l turns n / 2 disjoint planes of complex coordinates by [[e^(i phi) cos, -e^(i phi) sin], [sin, cos]], and D
    is a diagonal of phases e^(i omega). `free` is {"theta": (L, n / 2), "phi": (L, n / 2), "omega": (n,)} for n complex
    units, n even; U is real, (2 n, 2 n), and acts on real parts followed by imaginary parts.

    Parameters
    ----------
    layers : int, optional
        L, the capacity, of `sample`; n when absent (every unitary matrix), log2(n) for a butterfly.
    style : {"neighbours", "butterfly"}
        The tunable form and the one of the fast Fourier transform, as in `Givens`.

    Notes
    -----
    `initials`: all angles "uniform" in (-pi, pi), "zero". The adjoint undoes the rotations one by one.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.EUNN(layers=2).sample(8, dtype="float64")
    >>> U, pull = rd.parametrize.eunn(free)
    >>> U.shape, rd.parametrize.eunn.check(U) < 1e-14
    ((8, 8), True)
    """

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        theta, phi, omega = named(free, theta=2, phi=2, omega=1)
        n = 2 * theta.shape[1]
        of_shape("free['phi']", phi, theta.shape)
        of_shape("free['omega']", omega, (n,))
        cosines, sines = np.cos(theta)[..., None], np.sin(theta)[..., None]
        phases, last = np.exp(1j * phi)[..., None], np.exp(1j * omega)[:, None]
        places = [planes(layer, n, self.style) for layer in range(len(theta))]
        U = np.eye(n, dtype=phases.dtype)
        for (i, j), c, s, p in zip(places, cosines, sines, phases, strict=True):
            U[i], U[j] = turned(U[i], U[j], c, s)
            U[i] *= p
        U *= last

        def pull(d_U: Array) -> dict[str, Array]:
            d, value = from_pairs(d_U), U.copy()
            d_theta, d_phi = np.empty_like(theta), np.empty_like(phi)
            d_omega = _by_phase(d, value)
            value *= last.conj()
            d *= last.conj()
            for layer in reversed(range(len(theta))):
                (i, j), c, s, p = places[layer], cosines[layer], sines[layer], phases[layer].conj()
                d_phi[layer] = _by_phase(d[i], value[i])
                value[i] *= p
                d[i] *= p
                d_theta[layer] = (d[j].conj() * value[i] - d[i].conj() * value[j]).real.sum(1)
                value[i], value[j] = turned(value[i], value[j], c, -s)
                d[i], d[j] = turned(d[i], d[j], c, -s)
            return {"theta": d_theta, "phi": d_phi, "omega": d_omega}

        return as_pairs(U), pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = square(rows, columns) // 2
        if rows % 4:
            raise ArgumentError("U", "have two rows for each of an even number of complex units", rows)
        theta, phi = self._angles(n, rng, initial), self._angles(n, rng, initial)
        omega = rng.uniform(-np.pi, np.pi, n) if initial == "uniform" else np.zeros(n)
        return {"theta": theta, "phi": phi, "omega": omega}

    def _check(self, U: Array) -> float:
        return unitarity(U)


def _by_phase(d: Array, value: Array) -> Array:
    """The derivative by the phase of each row: value turns by i value."""
    return (d.imag * value.real - d.real * value.imag).sum(1)


givens, eunn = Givens(), EUNN()
