"""Products of Jacobians: how perturbations of the state grow and shrink over many steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...checks import ArgumentError, integer, numbers, reals
from ...engine import Run, check, jacobian
from ...kernels.blas import one_thread
from ...kernels.tuning import current
from ...results import Tabular, grid_columns
from ..trajectories.sources import unbroken

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def powers_of_two(longest: int) -> tuple[int, ...]:
    """The powers of two up to `longest`, 1 the first.

    Examples
    --------
    >>> powers_of_two(20)
    (1, 2, 4, 8, 16)
    """
    return tuple(2**k for k in range(integer("longest", longest, at_least=1).bit_length()))


@dataclass(frozen=True)
class JacobianProducts(Tabular):
    """Singular values of the Jacobian products d state_{t+k} / d state_t.

    Attributes
    ----------
    steps
        The lengths k of the products, shape (K,).
    log_singular_values
        Natural logarithms, largest first, shape (K, B, S): length, sequence, rank. -inf where a value is
        zero.
    """

    steps: np.ndarray
    log_singular_values: np.ndarray

    @property
    def singular_values(self) -> np.ndarray:
        """The singular values themselves (K, B, S); very long products over- or underflow."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(self.log_singular_values))

    @property
    def largest(self) -> np.ndarray:
        """Geometric mean over the sequences of the largest singular value, shape (K,)."""
        return np.asarray(np.exp(self.log_singular_values[:, :, 0].mean(axis=1)))

    def rate(self) -> float:
        """Growth of the largest singular value per step, from the longest product."""
        return float(np.exp(self.log_singular_values[-1, :, 0].mean() / self.steps[-1]))

    def _columns(self) -> Mapping[str, Any]:
        _, sequences, ranks = map(np.arange, self.log_singular_values.shape)
        places = {"steps": self.steps, "sequence": sequences, "rank": ranks + 1}
        return grid_columns(places, log_singular_value=self.log_singular_values)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw them over the length of the product; see `recurrent_dynamics.plot.singular_values`."""
        from ...plot import singular_values

        return singular_values(self, ax=ax, **options)


def jacobian_products(
    jacobians: np.ndarray | Run, steps: Sequence[int] | None = None, *, start: int = 0
) -> JacobianProducts:
    """Singular values of the products of k Jacobians, J_{start+k-1} to J_start, for several k.

    A product formed as it stands keeps only singular values above rounding error times the largest one. Here
    every factor is triangularized, J_t Q_t = Q_{t+1} R_t, so that the product of the R_t stays graded, and
    its singular values are found by Jacobi's method, which gets small ones to high relative accuracy [1]_
    [2]_.

    Parameters
    ----------
    jacobians
        J_t = d state_{t+1} / d state_t, shape (T, S, S), or (T, B, S, S) for B sequences, as `rd.jacobian`
        gives them; or a run, whose Jacobians are formed a few steps at a time, so that memory stays bounded.
    steps
        The lengths k, increasing, at most T - start; 1, 2, 4, ... by default.
    start
        The first step of the span.

    Returns
    -------
    JacobianProducts

    Raises
    ------
    ValueError
        For a wrong shape, a length out of range, or entries that are not finite.

    References
    ----------
    .. [1] Stewart, On graded QR decompositions of products of matrices, ETNA 3 (1995).
    .. [2] Drmac and Veselic, New fast and accurate Jacobi SVD algorithm, SIAM J. Matrix Anal. Appl. 29
       (2008).

    Examples
    --------
    >>> import numpy as np
    >>> J = np.broadcast_to(np.diag([2.0, 0.01]), (16, 2, 2))
    >>> products = jacobian_products(J)
    >>> products.steps
    array([ 1,  2,  4,  8, 16])
    >>> np.round(products.log_singular_values[-1, 0] / 16 / np.log([2.0, 0.01]), 12)
    array([1., 1.])
    """
    jacobians = check.of_layer(jacobians)
    if isinstance(jacobians, Run):
        unbroken(jacobians)
        total, batch, size = jacobians.steps, jacobians.batch_size, jacobians.tape.layout.state_size
    else:
        jacobians = _checked(jacobians)
        total, batch, size = jacobians.shape[:3]
    start = integer("start", start, at_least=0, at_most=total - 1)
    lengths = product_lengths(steps, total - start)
    logs = np.empty((len(lengths), batch, size))
    with one_thread(size**2):  # NumPy's and SciPy's BLAS by turns: their threads would fight
        factors = _each(jacobians, start, start + lengths[-1])
        for k, (triangles, log_scale) in enumerate(_triangles(factors, set(lengths.tolist()), batch, size)):
            for b in range(batch):
                logs[k, b] = _log_singular_values(triangles[b]) + log_scale[b]
    return JacobianProducts(lengths, logs)


def _each(jacobians: np.ndarray | Run, start: int, end: int) -> Iterator[np.ndarray]:
    """The Jacobians (B, S, S) of one step after the other."""
    if not isinstance(jacobians, Run):
        yield from jacobians[start:end]
        return
    shape = (jacobians.batch_size, *2 * (jacobians.tape.layout.state_size,))
    some = max(1, current().jacobian_bytes // (8 * int(np.prod(shape))))
    for t in range(start, end, some):
        formed = jacobian(jacobians, slice(t, min(t + some, end))).reshape(-1, *shape)
        if not np.isfinite(formed).all():
            raise FloatingPointError(f"the Jacobians of the run are not finite from step {t} on")
        yield from formed


def _triangles(
    jacobians: Iterator[np.ndarray], wanted: set[int], batch: int, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The triangular factors (B, S, S) of every product asked for, and logs (B,) of scalars in front of them."""
    basis = triangles = np.broadcast_to(np.eye(size), (batch, size, size))
    log_scale = np.zeros(batch)
    for t, factors in enumerate(jacobians):
        basis, R = np.linalg.qr(factors.astype(np.float64) @ basis)
        triangles = np.triu(R @ triangles)
        scale = np.abs(triangles).max(axis=(1, 2))
        scale[scale == 0] = 1.0
        triangles /= scale[:, None, None]
        log_scale = log_scale + np.log(scale)
        if t + 1 in wanted:
            yield triangles, log_scale


def _log_singular_values(matrix: np.ndarray) -> np.ndarray:
    """Logarithms of all singular values, each to high relative accuracy if the rows or columns are graded."""
    from scipy.linalg import lapack

    if not matrix.any():
        return np.full(len(matrix), -np.inf)
    # joba 2: accurate for D1 C D2 with diagonal D1, D2; no vectors; small columns are not set to zero.
    values, _, _, work, _, info = lapack.dgejsv(matrix, joba=2, jobu=3, jobv=3, jobr=0, jobt=1, jobp=0)
    if info:
        raise RuntimeError(f"the singular values did not converge (LAPACK dgejsv, info = {info})")
    with np.errstate(divide="ignore"):
        return np.sort(np.log(values) + np.log(work[0] / work[1]))[::-1]


@dataclass(frozen=True)
class PathNorms(Tabular):
    """The direct path through a slot of the state against everything else.

    Norms are root mean squares over the units, `sqrt(sum of squared entries / H)`: the factor by which a
    random gradient is scaled on average.

    Attributes
    ----------
    steps
        The lengths k of the products, shape (K,).
    direct
        Of the product of the direct factors (forget gates, update gates, alphas), shape (K, B).
    rest
        Of what the slot's block of the Jacobian product has beside it, shape (K, B).
    slot
        The name of the slot.
    """

    steps: np.ndarray
    direct: np.ndarray
    rest: np.ndarray
    slot: str

    def _columns(self) -> Mapping[str, Any]:
        places = {"steps": self.steps, "sequence": np.arange(self.direct.shape[1])}
        return grid_columns(places, direct=self.direct, rest=self.rest)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw both over the length of the product; see `recurrent_dynamics.plot.path_norms`."""
        from ...plot import path_norms

        return path_norms(self, ax=ax, **options)


def path_norms(
    jacobians: np.ndarray,
    direct: np.ndarray,
    *,
    offset: int = 0,
    slot: str = "",
    steps: Sequence[int] | None = None,
) -> PathNorms:
    """Split a slot's block of the Jacobian products into the direct path and the rest.

    The direct path of an LSTM is the product of its forget gates along the cell state, the constant error
    carousel of Hochreiter and Schmidhuber (1997); of a GRU the product of its update gates; of a leaky
    network of its alphas. The rest are all paths that pass through a matrix at least once.

    Parameters
    ----------
    jacobians
        Shape (T, B, S, S), or (T, S, S).
    direct
        The direct factor of every step, shape (T, B, H), or (T, H); see `direct_factors`.
    offset
        Where the slot begins among the S entries of the state.
    slot
        Its name, kept for labels.
    steps
        The lengths k, increasing, at most T; 1, 2, 4, ... by default.

    Returns
    -------
    PathNorms

    Examples
    --------
    >>> import numpy as np
    >>> forget = np.full((4, 3), 0.5)
    >>> J = np.array([np.diag(f) for f in forget])
    >>> path_norms(J, forget).direct[:, 0].tolist()
    [0.5, 0.25, 0.0625]
    """
    jacobians = _checked(jacobians)
    direct = numbers("direct", direct)
    offset = integer("offset", offset, at_least=0)
    direct = direct[:, None] if direct.ndim == 2 else direct
    if (
        direct.shape[:2] != jacobians.shape[:2]
        or not direct.size
        or offset + direct.shape[2] > jacobians.shape[2]
    ):
        raise ArgumentError(
            "direct",
            f"have shape (T, B, H) for jacobians {jacobians.shape}, with H in 1..{jacobians.shape[2] - offset}",
            direct.shape,
        )
    lengths = product_lengths(steps, len(jacobians))
    block = slice(offset, offset + direct.shape[2])
    shape = (len(lengths), jacobians.shape[1])
    norms = {"direct": np.empty(shape), "rest": np.empty(shape)}
    rounding = 4 * np.finfo(np.result_type(jacobians, np.float32)).eps
    for b in range(jacobians.shape[1]):
        product, path = np.eye(jacobians.shape[2]), np.ones(direct.shape[2])
        for t in range(lengths[-1]):
            product = jacobians[t, b].astype(np.float64) @ product
            path = direct[t, b] * path
            for k in np.flatnonzero(lengths == t + 1):
                rest = product[block, block] - np.diag(path)
                rest[np.abs(rest) <= (t + 1) * rounding * np.abs(path).max()] = 0
                norms["direct"][k, b] = np.sqrt(np.mean(path**2))
                norms["rest"][k, b] = np.linalg.norm(rest) / np.sqrt(len(path))
    return PathNorms(lengths, slot=slot, **norms)


def _checked(jacobians: np.ndarray) -> np.ndarray:
    jacobians = reals("jacobians", jacobians)
    jacobians = jacobians[:, None] if jacobians.ndim == 3 else jacobians
    if jacobians.ndim != 4 or jacobians.shape[2] != jacobians.shape[3] or not jacobians.size:
        raise ArgumentError("jacobians", "have shape (T, S, S) or (T, B, S, S)", jacobians.shape)
    if not np.isfinite(jacobians).all():
        step = int(np.flatnonzero(~np.isfinite(jacobians).all(axis=(1, 2, 3)))[0])
        raise ArgumentError("jacobians", "be finite", f"other numbers at step {step}")
    return jacobians


def product_lengths(steps: Sequence[int] | None, longest: int) -> np.ndarray:
    """The chosen lengths of products, checked; powers of two by default."""
    lengths = reals("steps", powers_of_two(longest) if steps is None else steps)
    if lengths.ndim != 1 or not lengths.size or lengths.dtype.kind not in "iu":
        raise ArgumentError("steps", "be a sequence of integers", repr(steps))
    if (np.diff(lengths) <= 0).any() or lengths[0] < 1 or lengths[-1] > longest:
        raise ArgumentError("steps", f"increase and lie in 1..{longest}", lengths.tolist())
    return lengths
