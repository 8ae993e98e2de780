"""Initial weights: functions `(rng, rows, columns) -> array` by their names in the literature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..checks import ArgumentError

Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def glorot_uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Uniform with variance 2 / (rows + columns) (Glorot and Bengio 2010).

    Examples
    --------
    >>> draw = glorot_uniform(np.random.default_rng(0), 300, 500)
    >>> round(float(draw.var() * 400), 2)
    1.0
    """
    limit = np.sqrt(6 / (rows + columns))
    return rng.uniform(-limit, limit, (rows, columns))


def glorot_normal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Normal with variance 2 / (rows + columns) (Glorot and Bengio 2010)."""
    return rng.standard_normal((rows, columns)) * np.sqrt(2 / (rows + columns))


def he_uniform(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Uniform with variance 2 / columns, for ReLU (He et al. 2015)."""
    limit = np.sqrt(6 / max(columns, 1))
    return rng.uniform(-limit, limit, (rows, columns))


def he_normal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Normal with variance 2 / columns, for ReLU (He et al. 2015)."""
    return rng.standard_normal((rows, columns)) * np.sqrt(2 / max(columns, 1))


def orthogonal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Orthonormal rows or columns, drawn from the Haar measure (Saxe et al. 2014; Mezzadri 2007).

    Examples
    --------
    >>> q = orthogonal(np.random.default_rng(0), 4, 4)
    >>> bool(np.allclose(q @ q.T, np.eye(4)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else np.ascontiguousarray(q.T)


def identity(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """The identity: as U of a ReLU network with zero biases, the IRNN of Le et al. 2015."""
    return np.eye(rows, columns)


def henaff(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rotations of planes (0, 1), (2, 3), ... by angles uniform in (-pi, pi) (Henaff et al. 2016); square.

    Examples
    --------
    >>> u = henaff(np.random.default_rng(0), 4, 4)
    >>> bool(np.allclose(u @ u.T, np.eye(4))), int(np.count_nonzero(u))
    (True, 8)
    """
    return _rotations(rng.uniform(-np.pi, np.pi, rows // 2), rows, columns)


def cayley_torus(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Rotations of planes (0, 1), (2, 3), ... by angles uniform in (0, pi / 2) (Helfrich et al. 2018); square."""
    return _rotations(-rng.uniform(0, np.pi / 2, rows // 2), rows, columns)


def _rotations(angles: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The exponential of blocks [[0, s], [-s, 0]]."""
    if rows != columns:
        raise ArgumentError("U", "be square for rotations of planes", f"shape {(rows, columns)}")
    u, first = np.eye(rows), np.arange(rows // 2) * 2
    u[first, first] = u[first + 1, first + 1] = np.cos(angles)
    u[first, first + 1] = np.sin(angles)
    u[first + 1, first] = -np.sin(angles)
    return u


def zeros(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """All zero."""
    return np.zeros((rows, columns))


def gaussian(gain: float = 1.0) -> Draw:
    """Independent normal entries of variance gain^2 / columns: the random network of Sompolinsky et al. 1988.

    Examples
    --------
    >>> draw = gaussian(1.5)(np.random.default_rng(0), 400, 400)
    >>> round(float(np.linalg.norm(draw, 2) / 2), 1)
    1.5
    """

    def draw(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        return rng.standard_normal((rows, columns)) * (gain / np.sqrt(max(columns, 1)))

    return draw


def uniform(limit: float) -> Draw:
    """Uniform in (-limit, limit)."""

    def draw(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
        return rng.uniform(-limit, limit, (rows, columns))

    return draw


NAMED: dict[str, Draw] = {
    f.__name__: f
    for f in (
        glorot_uniform,
        glorot_normal,
        he_uniform,
        he_normal,
        orthogonal,
        identity,
        henaff,
        cayley_torus,
        zeros,
    )
}


def named(draw: str | Draw, hidden_size: int) -> Draw:
    """The function of a name; "uniform" has PyTorch's limit, 1 / sqrt(hidden size)."""
    if callable(draw):
        return draw
    if draw == "uniform":
        return uniform(1 / np.sqrt(hidden_size))
    if draw not in NAMED:
        raise ArgumentError(
            "weight and recurrent", f"be a function or one of uniform, {', '.join(NAMED)}", repr(draw)
        )
    return NAMED[draw]


def chrono(rng: np.random.Generator, units: int, longest: float) -> np.ndarray:
    """Biases of a forget gate for time scales up to `longest` steps: ln U(1, longest - 1) (Tallec and Ollivier 2018).

    The input gate's biases are the negative of these. A gate held open at sigmoid(b) forgets with the time constant
    -1 / ln sigmoid(b), which is about exp(b) steps.

    Examples
    --------
    >>> b = chrono(np.random.default_rng(0), 5, longest=100)
    >>> bool(np.all((b >= 0) & (b <= np.log(99))))
    True
    """
    if not longest > 2:
        raise ArgumentError("longest", "be more than 2 steps", repr(longest))
    return np.log(rng.uniform(1, longest - 1, units))
