"""Stability of the fixed points of a map, from the eigenvalues of its Jacobian."""

from __future__ import annotations

import numpy as np

KINDS = ("stable", "saddle", "unstable", "centre-like")


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
