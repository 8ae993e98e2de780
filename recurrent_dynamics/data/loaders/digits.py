"""Small pictures of handwritten digits."""

from __future__ import annotations

import gzip
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, integer, one_of, reals
from .files import package_file

SIZE, INK = 8, 16


class Digits(NamedTuple):
    """Pictures of digits.

    Attributes
    ----------
    images : ndarray (n, 8, 8)
        Between 0, paper, and 1, ink. As sequences, ``images.transpose(1, 0, 2)`` reads each from top to bottom.
    labels : ndarray of int (n,)
        The digits.
    """

    images: NDArray[np.floating]
    labels: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"Digits({len(self.labels)} pictures of 8 x 8)"


def digits(dtype: str = "float32") -> Digits:
    """1797 handwritten digits of 8 x 8 pixels, which the package ``scikit-learn`` brings.

    They are the test part of a larger collection, written by 13 people (Alpaydin and Kaynak 1998). It does not say who
    wrote which.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Returns
    -------
    Digits

    Raises
    ------
    ModuleNotFoundError
        When ``scikit-learn`` is not installed. It is not imported; its file is read.

    References
    ----------
    Alpaydin and Kaynak, "Cascading classifiers", Kybernetika 34, 1998.

    Examples
    --------
    .. code-block:: python

       images, labels = rd.data.digits()
       rows = images.transpose(1, 0, 2)                 # (T = 8 rows, B = 1797, N = 8 pixels)
       squares = rd.data.patches(images, 4)             # (T = 4 patches, B = 1797, N = 16 pixels)
    """
    one_of("dtype", dtype, ("float32", "float64"))
    path = package_file("sklearn", "scikit-learn", "digits", "datasets", "data", "digits.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return read_digits(file.read(), dtype)


def read_digits(text: str, dtype: str) -> Digits:
    """Digits of lines of 64 levels of ink and the digit."""
    table = np.array([line.split(",") for line in text.splitlines() if line.strip()], np.float64)
    if table.ndim != 2 or table.shape[1] != SIZE * SIZE + 1:
        raise ArgumentError("text", f"have {SIZE * SIZE + 1} numbers in each line", table.shape)
    images = (table[:, :-1] / INK).reshape(-1, SIZE, SIZE).astype(dtype)
    return Digits(images, table[:, -1].astype(np.int64))


def patches(images: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """Pictures cut into squares, from left to right and from top to bottom, as sequences.

    Parameters
    ----------
    images : ndarray (n, height, width)
    size : int
        Pixels of the side of a square; it divides height and width.

    Returns
    -------
    ndarray (P, n, size * size)
        P = (height / size) (width / size) patches, in the dtype of the images.

    Examples
    --------
    >>> picture = np.arange(16.0).reshape(1, 4, 4)
    >>> patches(picture, 2)[:, 0]
    array([[ 0.,  1.,  4.,  5.],
           [ 2.,  3.,  6.,  7.],
           [ 8.,  9., 12., 13.],
           [10., 11., 14., 15.]])
    """
    a = reals("images", images)
    size = integer("size", size, at_least=1)
    if a.ndim != 3 or a.shape[1] % size or a.shape[2] % size:
        raise ArgumentError("images", f"have shape (n, height, width) of multiples of {size}", a.shape)
    n, height, width = a.shape
    cut = a.reshape(n, height // size, size, width // size, size).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(cut).reshape(height * width // size**2, n, size * size)
