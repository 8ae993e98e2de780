"""Matrices with known answers, and random ones, for the tests of the analyses of single matrices."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from refusals import Refusal, wrong_type


def normal(eigenvalues, rng):
    """A complex normal matrix with these eigenvalues."""
    n = len(eigenvalues)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
    return q @ np.diag(eigenvalues) @ q.conj().T


def jordan(n, eigenvalue=0.0):
    return eigenvalue * np.eye(n) + np.eye(n, k=1)


def grcar(n):
    return np.triu(np.tril(np.ones((n, n)), 3)) - np.eye(n, k=-1)


@st.composite
def square(draw, largest=4):
    """Real or complex matrices with entries of at most 4 in modulus, singular and defective ones among them."""
    n = draw(st.integers(1, largest))
    entries = hnp.arrays(np.float64, (2, n, n), elements=st.floats(-2.5, 2.5, width=16))
    real, imaginary = draw(entries)
    return real + 1j * imaginary if draw(st.booleans()) else real


REFUSED = [
    (
        np.ones((2, 3)),
        Refusal("matrices", "have shape (..., n, n) and not be empty", "shape (2, 3)"),
    ),
    (np.ones(4), Refusal("matrices", "have shape", "shape (4,)")),
    (np.ones((0, 0)), Refusal("matrices", "have shape", "shape (0, 0)")),
    (np.ones((0, 2, 2)), Refusal("matrices", "not be empty")),
    ([[1.0, 2.0], [3.0]], Refusal("matrices", "have shape")),
    (
        np.array([[1.0, np.nan], [0.0, 1.0]]),
        Refusal("matrices", "be finite", "nan at index (0, 1)"),
    ),
    (np.array([[np.inf]]), Refusal("matrices", "be finite", "inf at index (0, 0)")),
    (np.array([["a"]]), wrong_type("matrices", "hold real or complex numbers", "dtype")),
    (np.array([[True]]), wrong_type("matrices", "hold real or complex numbers", "dtype bool")),
]
