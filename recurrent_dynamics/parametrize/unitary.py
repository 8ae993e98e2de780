"""Unitary matrices: of full capacity by the Cayley transform, and as the first product that was trained.

States are complex, as two slots side by side, real parts and imaginary parts (`recurrent_dynamics.cells.unitary_rnn`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import ArgumentError, integer
from . import skew
from .contract import Array, Parametrization, Pull, even, named, of_shape, square
from .pairs import as_pairs, from_pairs, unitarity
from .resolvent import inverse


@dataclass(frozen=True)
class UnitaryCayley(Parametrization):
    """U = (I + A)^-1 (I - A) D, A^H = -A, D a diagonal of phases (Maduranga et al. 2019): every unitary matrix.

    `free` is {"A": (n, n), "theta": (n,)} for n complex units. Above its diagonal the array "A" holds the real parts
    of the matrix A, below and on it the imaginary ones; D = diag(e^(i theta)). U is real, (2 n, 2 n), and acts on real
    parts followed by imaginary parts.

    Notes
    -----
    `initials` of A: "cayley_torus", "henaff" (as `Cayley`), "haar" (U from the Haar measure on unitary matrices), with
    phases uniform in (-pi, pi); "zero" for both.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.unitary_cayley.sample(6, dtype="float64")
    >>> U, pull = rd.parametrize.unitary_cayley(free)
    >>> U.shape, rd.parametrize.unitary_cayley.check(U) < 1e-14
    ((6, 6), True)
    """

    initials = ("cayley_torus", "henaff", "haar", "zero")

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        F, theta = named(free, A=2, theta=1)
        n = square(*F.shape)
        of_shape("free['theta']", theta, (n,))
        upper, lower = np.triu(F, 1), np.tril(F)
        A = (upper - upper.T) + 1j * (lower + lower.T)
        A.flat[:: n + 1] = 1 + 1j * np.diag(F)
        M = inverse(A)
        phases = np.exp(1j * theta)
        W = 2 * M
        W.flat[:: n + 1] -= 1
        W *= phases

        def pull(d_U: Array) -> dict[str, Array]:
            d = from_pairs(d_U)
            d_theta = (d.imag * W.real - d.real * W.imag).sum(0)
            back = M.conj().T
            d_A = back @ ((d * (-2 * phases.conj())) @ back)
            d_F = np.triu(d_A.real - d_A.real.T, 1) + np.tril(d_A.imag + d_A.imag.T, -1)
            d_F.flat[:: n + 1] = np.diag(d_A.imag)
            return {"A": d_F, "theta": d_theta}

        return as_pairs(W), pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = even(square(rows, columns)) // 2
        if initial == "haar":
            q, r = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
            W = q * (np.diag(r) / np.abs(np.diag(r)))  # (Mezzadri 2007)
            of_W = np.linalg.solve(np.eye(n) + W, np.eye(n) - W)
            A = np.triu(of_W.real, 1) + np.tril(of_W.imag)
        else:
            A = np.triu(skew.matrix(skew.draw(rng, n, initial)))
        return {"A": A, "theta": np.zeros(n) if initial == "zero" else rng.uniform(-np.pi, np.pi, n)}

    def _check(self, U: Array) -> float:
        return unitarity(U)


@dataclass(frozen=True)
class UnitaryProduct(Parametrization):
    """U = D_3 R_2 F^-1 D_2 P R_1 F D_1, the unitary evolution network of Arjovsky et al. 2016: 7 n numbers.

    D are diagonals of phases, R = I - 2 v v^H / v^H v reflections, F the unitary Fourier transform, P a fixed random
    permutation. `free` is {"theta": (3, n), "v": (2, 2, n)} for n complex units, the reflections' real parts followed
    by their imaginary parts. U is real, (2 n, 2 n), and acts on real parts followed by imaginary parts.

    Parameters
    ----------
    seed : int
        Of the permutation.

    Notes
    -----
    `initials`: "uniform" draws phases in (-pi, pi) and vectors in (-1, 1), as the paper does.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> free = rd.parametrize.unitary_product.sample(6, dtype="float64")
    >>> U, pull = rd.parametrize.unitary_product(free)
    >>> {name: array.shape for name, array in pull(U).items()}
    {'theta': (3, 3), 'v': (2, 2, 3)}
    """

    seed: int = 0
    initials = ("uniform",)

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("seed", self.seed, at_least=0)

    def _map(self, free: dict[str, Array]) -> tuple[Array, Pull]:
        theta, v = named(free, theta=2, v=3)
        n = theta.shape[1]
        of_shape("free['theta']", theta, (3, n))
        of_shape("free['v']", v, (2, 2, n))
        if not (v * v).sum((1, 2)).all():
            raise ArgumentError("free['v']", "hold vectors with a direction", "one of length 0")
        phases = np.exp(1j * theta)[..., None]
        vectors = (v[:, 0] + 1j * v[:, 1])[..., None]
        order = np.random.default_rng(self.seed).permutation(n)
        first = np.fft.fft(phases[0] * np.eye(n, dtype=phases.dtype), axis=0, norm="ortho")
        second = phases[1] * _reflected(first, vectors[0])[order]
        third = np.fft.ifft(second, axis=0, norm="ortho")
        W = phases[2] * _reflected(third, vectors[1])

        def pull(d_U: Array) -> dict[str, Array]:
            d = from_pairs(d_U)
            d_theta, d_v = np.empty_like(theta), np.empty_like(v)
            d_theta[2] = (d.imag * W.real - d.real * W.imag).sum(1)
            d, d_v[1] = _reflection_adjoint(phases[2].conj() * d, third, vectors[1])
            d = np.fft.fft(d, axis=0, norm="ortho")
            d_theta[1] = (d.imag * second.real - d.real * second.imag).sum(1)
            back = np.empty_like(d)
            back[order] = phases[1].conj() * d
            d, d_v[0] = _reflection_adjoint(back, first, vectors[0])
            d = np.fft.ifft(d, axis=0, norm="ortho")
            diagonal, value = np.diag(d), phases[0, :, 0]
            d_theta[0] = diagonal.imag * value.real - diagonal.real * value.imag
            return {"theta": d_theta, "v": d_v}

        return as_pairs(W), pull

    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> dict[str, Array]:
        n = even(square(rows, columns)) // 2
        return {"theta": rng.uniform(-np.pi, np.pi, (3, n)), "v": rng.uniform(-1, 1, (2, 2, n))}

    def _check(self, U: Array) -> float:
        return unitarity(U)


def _reflected(M: Array, v: Array) -> Array:
    """M - 2 v (v^H M) / v^H v, for v (n, 1)."""
    return M - v * (v.conj() * M).sum(0) * (2 / np.vdot(v, v).real)


def _reflection_adjoint(d: Array, M: Array, v: Array) -> tuple[Array, Array]:
    """From the derivative by a reflected M: that by M, and that by v as real and imaginary parts (2, n)."""
    length = np.vdot(v, v).real
    of_M, of_d = (v.conj() * M).sum(0), (v.conj() * d).sum(0)
    # L = -2 Re(conj(d) v v^H M) / v^H v, by v, by v^H and by the length.
    by_v = -(2 / length) * ((d * of_M.conj()).sum(1) + (M * of_d.conj()).sum(1))
    by_v += v[:, 0] * (4 / length**2) * (of_d.conj() * of_M).sum().real
    return _reflected(d, v), np.stack([by_v.real, by_v.imag])


unitary_cayley, unitary_product = UnitaryCayley(), UnitaryProduct()
