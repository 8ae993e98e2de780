"""The exponential of an antisymmetric matrix and its adjoint.

Pade approximants with scaling and squaring (Higham 2005). A is normal, so its spectral norm chooses the degree, and
the 1-norms of A^2 and A^4, which are at hand, bound that closely. Even powers of A are symmetric, odd ones
antisymmetric, and so are all their changes. Therefore the adjoint of a product X X of a symmetric X is one product and
its transpose; and the denominator is the numerator's transpose, which keeps the value orthogonal to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import ArgumentError
from .contract import Array, Pull
from .matrix_products import product

# Numerators (the denominator has alternating signs) and up to which norm they are exact in a dtype (Higham 2005).
PADE = {
    5: (30240, 15120, 3360, 420, 30, 1),
    7: (17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1),
    9: (17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1),
    13: (
        64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
        670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
    ),
}  # fmt: skip
LARGEST = {
    np.dtype("float32"): {5: 1.880152677804762, 7: 3.925724783138660},
    np.dtype("float64"): {
        5: 2.539398330063230e-1,
        7: 9.504178996162932e-1,
        9: 2.097847961257068,
        13: 5.371920351148152,
    },
}


def expm(A: Array) -> tuple[Array, Pull]:
    """Exp(A) for an antisymmetric A, and the map from dL/dexp(A) to dL/dA.

    Of the derivative only the antisymmetric part is right: the others belong to changes that leave A not antisymmetric.

    Examples
    --------
    >>> E, pull = expm(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    >>> E.round(6)
    array([[ 0.540302,  0.841471],
           [-0.841471,  0.540302]])
    """
    powers = [A]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(2):
            powers.append(powers[-1] @ powers[-1])  # A, A^2, A^4
        norm = min(float(np.abs(p).sum(0).max()) ** (1 / k) for p, k in zip(powers, (1, 2, 4), strict=True))
    if not norm < 1e4:  # beyond, the angles have hardly a digit left in float32
        raise ArgumentError("free", "give an A of norm below 1e4 for its exponential", f"norm {norm:.3g}")
    limits = LARGEST[A.dtype]
    degree = next((m for m, limit in limits.items() if norm <= limit), max(limits))
    squarings = max(0, math.ceil(math.log2(norm / limits[degree]))) if norm else 0
    if squarings:
        powers = [p * p.dtype.type(0.5 ** (squarings * k)) for p, k in zip(powers, (1, 2, 4), strict=True)]
    A, A2, A4 = powers
    odd, even, pull_polynomials = _polynomials(A2, A4, degree)
    U = product(A, odd)
    numerator = even + U
    solve = _solver(numerator.T)  # the denominator is the numerator's transpose
    values = [solve(numerator, False)]
    for _ in range(squarings):
        values.append(values[-1] @ values[-1])

    def pull(d_E: Array) -> Array:
        for E in reversed(values[:-1]):
            d_E = product(E.T, d_E) + product(d_E, E.T)
        by_numerator = solve(d_E, True)
        by_numerator = by_numerator - product(
            values[0], by_numerator.T
        )  # it is the denominator's transpose too
        d_U = _antisymmetric(by_numerator)
        d_A2 = pull_polynomials(-_symmetric(product(A, d_U)), _symmetric(by_numerator))
        return _antisymmetric(product(d_U, odd) - 2 * (product(d_A2, A))) * A.dtype.type(0.5**squarings)

    return np.array(values[-1], order="C"), pull


def _solver(a: Array) -> Callable[[Array, bool], Array]:
    """The solution x of a x = b, or of a^T x = b."""
    if (
        len(a) <= 64
    ):  # measured: LAPACK's solution from its factors starts threads for the smallest, NumPy's does not
        return lambda b, transposed: np.linalg.solve(a.T if transposed else a, b)
    from scipy.linalg import get_lapack_funcs

    factor, solve = get_lapack_funcs(("getrf", "getrs"), (a,))
    lu, pivots, _ = factor(a)
    return lambda b, transposed: solve(lu, pivots, b, trans=int(transposed))[0]


def _polynomials(A2: Array, A4: Array, degree: int) -> tuple[Array, Array, Callable[[Array, Array], Array]]:
    """The odd part of the numerator divided by A, its even part, and the map from their derivatives to that by A^2."""
    b, n = PADE[degree], len(A2)
    powers = {2: A2, 4: A4}
    if degree > 5:
        powers[6] = product(A2, A4)
    if degree == 9:
        powers[8] = product(A4, A4)
    last = max(powers)
    odd: Any = sum(b[k + 1] * powers[k] for k in powers)
    even: Any = sum(b[k] * powers[k] for k in powers)
    if degree == 13:  # the higher powers are A^6 times lower ones
        higher_odd: Any = sum(b[k + 7] * powers[k] for k in powers)
        higher_even: Any = sum(b[k + 6] * powers[k] for k in powers)
        odd += product(powers[6], higher_odd)
        even += product(powers[6], higher_even)
    odd.flat[:: n + 1] += b[1]
    even.flat[:: n + 1] += b[0]

    def pull(d_odd: Array, d_even: Array) -> Array:
        d = {k: b[k + 1] * d_odd + b[k] * d_even for k in powers}
        if degree == 13:
            d[6] += _symmetric(product(d_odd, higher_odd) + product(d_even, higher_even))
            d_higher_odd = _symmetric(product(powers[6], d_odd))
            d_higher_even = _symmetric(product(powers[6], d_even))
            for k in powers:
                d[k] += b[k + 7] * d_higher_odd + b[k + 6] * d_higher_even
        if last == 8:
            d[4] += 2 * _symmetric(product(d[8], A4))
        if last >= 6:
            d[4] += _symmetric(product(d[6], A2))
            d[2] += _symmetric(product(d[6], A4))
        return d[2] + 2 * _symmetric(product(d[4], A2))

    return odd, even, pull


def _symmetric(x: Array) -> Array:
    return (x + x.T) * x.dtype.type(0.5)


def _antisymmetric(x: Array) -> Array:
    return (x - x.T) * x.dtype.type(0.5)
