"""Embedding of class indices: rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer
from ..engine import check
from ..engine.linear import linear, linear_adjoint


def embed(table: NDArray[Any], indices: NDArray[Any]) -> NDArray[Any]:
    """Rows of a table.

    The same function as a product with one-hot vectors, which are never formed.

    Parameters
    ----------
    table : ndarray (V, E)
    indices : ndarray of int (...)
        In 0..V-1.

    Returns
    -------
    ndarray (..., E)

    Raises
    ------
    TypeError, ValueError
        When the indices are not integers, or one is out of range.

    Examples
    --------
    >>> embed(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0]))
    array([[3., 4.],
           [1., 2.]])
    """
    table = check.real("table", table)
    if table.ndim != 2 or not len(table):
        raise ArgumentError("table", "have shape (V, E) with at least one row", table.shape)
    return np.asarray(table[class_indices(indices, len(table), "indices")])


def class_indices(indices: NDArray[Any], size: int, name: str = "inputs") -> NDArray[Any]:
    """The indices, once it is sure that they are integers in 0..size-1."""
    indices = check.array(name, indices)
    if indices.dtype.kind not in "iu":
        raise ArgumentTypeError(name, "be class indices (integers)", indices.dtype)
    if not check.below(indices, size):
        bad = indices.min() if indices.min() < 0 else indices.max()
        raise ArgumentError(name, f"be class indices in 0..{size - 1}", bad)
    return indices


@dataclass(frozen=True)
class FoldedEmbedding:
    """An embedding, its table (V, E), folded into the W (g, E) of the first layer: one matrix (g, V).

    ``W_folded = W @ table.T``. The layer then takes class indices, and no product has the size of the text. It is
    worthwhile where there are fewer classes than characters in a window.
    """

    table: NDArray[Any]
    W: NDArray[Any]

    def product(self) -> NDArray[Any]:
        """(g, V): a column for each class."""
        # By the engine's own product: threads of BLAS would look for more work while those of the run need the cores.
        return linear(self.W[None], self.table, np.zeros(len(self.table), self.W.dtype))[0]

    def gradients(self, d_product: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Those by the table and by W."""
        d_W, d_table, _ = linear_adjoint(d_product[None], self.W[None], self.table)
        return d_table, d_W[0]


def embedding_gradient(indices: NDArray[Any], d_rows: NDArray[Any], size: int) -> NDArray[Any]:
    """Gradient by the table: sums of the rows' gradients that share an index.

    Parameters
    ----------
    indices : ndarray of int (...)
    d_rows : ndarray (..., E)
        Derivative by the rows that `embed` returned.
    size : int
        V, the number of rows of the table.

    Returns
    -------
    ndarray (V, E)

    Examples
    --------
    >>> embedding_gradient(np.array([1, 1]), np.array([[1.0], [2.0]]), 3)
    array([[0.],
           [3.],
           [0.]])
    """
    indices, d_rows = check.array("indices", indices), check.real("d_rows", d_rows)
    size = integer("size", size, at_least=1)
    if d_rows.ndim != indices.ndim + 1 or d_rows.shape[:-1] != indices.shape or not d_rows.shape[-1]:
        raise ArgumentError("d_rows", f"have shape {(*indices.shape, 'E')}, as indices", d_rows.shape)
    return scattered(class_indices(indices, size, "indices"), d_rows, size)


def scattered(indices: NDArray[Any], d_rows: NDArray[Any], size: int) -> NDArray[Any]:
    """`embedding_gradient` of arguments that were looked at; SciPy looks at none."""
    from scipy.sparse import csc_array  # measured: 4 times faster than add.reduceat, 35 times than np.add.at

    flat = np.ascontiguousarray(d_rows.reshape(-1, d_rows.shape[-1]))
    index = indices.reshape(-1)
    one_hot = csc_array(
        (np.ones(len(flat), flat.dtype), index, np.arange(len(flat) + 1)), shape=(size, len(flat))
    )
    return np.asarray(one_hot @ flat)
