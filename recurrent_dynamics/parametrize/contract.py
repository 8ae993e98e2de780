"""The contract of a parametrization, and what all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, one_of, reals
from ..kernels.blas import one_thread

Array = NDArray[Any]
Pull = Callable[[Array], Any]
DTYPES = (np.dtype("float32"), np.dtype("float64"))


@dataclass(frozen=True, kw_only=True)
class Parametrization(ABC):
    """U as a function of free parameters, which any optimizer may move as it likes.

    ``U, pull = parametrization(free)`` gives the matrix and the map from dL/dU to dL/dfree, the exact derivative of the
    value that was computed. `free` is an array, or a dict of arrays; `pull` returns the same. Nothing is remembered
    between calls, and a later change of `free` does not reach what was returned.

    Parameters
    ----------
    initial : str, optional
        How `sample` draws where it is not told otherwise: one of `initials`, the first when absent.

    Attributes
    ----------
    initials : tuple of str
        Names of the ways in which `sample` draws.
    """

    initials: ClassVar[tuple[str, ...]]
    initial: str | None = None

    def __post_init__(self) -> None:
        if self.initial is not None:
            one_of("initial", self.initial, self.initials)

    def __call__(self, free: Any) -> tuple[Array, Pull]:
        """The matrix, and the map from dL/dU to dL/dfree.

        Parameters
        ----------
        free : ndarray or dict of ndarray
            float32 or float64, finite.

        Returns
        -------
        U : ndarray (rows, columns)
            In the dtype of `free`.
        pull : callable
            From dL/dU (rows, columns) to dL/dfree.

        Raises
        ------
        TypeError
            When dtypes are not float32 or float64, or are mixed.
        ValueError
            When shapes do not belong together, a number is not finite, or the map is not defined there.
        """
        arrays = free.values() if isinstance(free, Mapping) else (free,)
        size = sum(a.size for a in arrays if isinstance(a, np.ndarray))
        with one_thread(2 * size):
            U, pull = self._map(free)

        def checked(d_U: Array) -> Any:
            d_U = matrix("d_U", d_U)
            if d_U.dtype != U.dtype:
                raise ArgumentTypeError("d_U", f"have dtype {U.dtype}, as U has", d_U.dtype)
            if d_U.shape != U.shape:
                raise ArgumentError("d_U", f"have shape {U.shape}, as U has", d_U.shape)
            with one_thread(U.size):
                return pull(d_U)

        return U, checked

    def sample(
        self,
        size: int | tuple[int, int],
        rng: int | np.random.Generator = 0,
        dtype: DTypeLike = "float32",
        initial: str | None = None,
    ) -> Any:
        """Free parameters, drawn.

        Parameters
        ----------
        size : int or (int, int)
            Of U: (rows, columns), or one number for a square matrix.
        rng : int or Generator
        dtype : {"float32", "float64"}
        initial : str, optional
            One of `initials`; that of the parametrization when absent.

        Returns
        -------
        ndarray or dict of ndarray
        """
        rows, columns = (size, size) if isinstance(size, int | np.integer) else size
        if np.dtype(dtype) not in DTYPES:
            raise ArgumentTypeError("dtype", "be float32 or float64", np.dtype(dtype))
        if min(rows, columns) < 1:
            raise ArgumentError("size", "be at least 1", size)
        name = self.initial or self.initials[0] if initial is None else initial
        one_of("initial", name, self.initials)
        free = self._sample(int(rows), int(columns), np.random.default_rng(rng), name)
        cast = lambda a: np.ascontiguousarray(a, dtype=dtype)
        return {k: cast(v) for k, v in free.items()} if isinstance(free, dict) else cast(free)

    def check(self, U: Array) -> float:
        """How far a matrix is from those that this parametrization makes: 0 up to rounding for one of them.

        Raises
        ------
        ValueError
            When U is not a finite matrix, or not square where only square ones are made.
        """
        return float(self._check(finite("U", matrix("U", U)).astype(np.float64)))

    @abstractmethod
    def _map(self, free: Any) -> tuple[Array, Pull]: ...

    @abstractmethod
    def _sample(self, rows: int, columns: int, rng: np.random.Generator, initial: str) -> Any: ...

    @abstractmethod
    def _check(self, U: Array) -> float: ...


def matrix(name: str, a: Any) -> Array:
    """A real matrix."""
    a = reals(name, a)
    if a.ndim != 2 or a.dtype not in DTYPES:
        raise ArgumentError(name, "be a matrix in float32 or float64", f"{a.dtype} of shape {a.shape}")
    return a


def real(name: str, a: Any, ndim: int) -> Array:
    """A finite array of float32 or float64 with so many axes, copied: later changes do not reach it."""
    a = reals(name, a)
    if a.dtype not in DTYPES:
        raise ArgumentTypeError(name, "have dtype float32 or float64", a.dtype)
    if a.ndim != ndim or (not a.size and ndim > 1):
        raise ArgumentError(name, f"have {ndim} {('axis' if ndim == 1 else 'axes')}", f"shape {a.shape}")
    return finite(name, np.array(a, order="C"))


def named(free: Any, **axes: int) -> list[Array]:
    """The arrays of a dict of free parameters, with so many axes each, in one dtype."""
    if not isinstance(free, Mapping) or set(free) != set(axes):
        came = ", ".join(map(str, free)) if isinstance(free, Mapping) else type(free).__name__
        raise ArgumentError("free", f"be a dict of {', '.join(axes)}", came)
    arrays = [real(f"free[{name!r}]", free[name], ndim) for name, ndim in axes.items()]
    for name, a in zip(axes, arrays, strict=True):
        if a.dtype != arrays[0].dtype:
            raise ArgumentTypeError(
                f"free[{name!r}]", f"have dtype {arrays[0].dtype}, as the others", a.dtype
            )
    return arrays


def finite(name: str, a: Array) -> Array:
    """The array, or an error that says where it is not finite."""
    if not np.isfinite(a).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(a))[0])
        raise ArgumentError(name, "be finite", f"{a[where]} at index {where}")
    return a


def of_shape(name: str, a: Array, shape: tuple[int, ...]) -> Array:
    """The array, or an error that names its shape."""
    if a.shape != shape:
        raise ArgumentError(name, f"have shape {shape}", a.shape)
    return a


def square(rows: int, columns: int) -> int:
    """The size of a square matrix."""
    if rows != columns:
        raise ArgumentError("U", "be square", f"shape {(rows, columns)}")
    return rows


def even(n: int) -> int:
    """A size that is even."""
    if n % 2:
        raise ArgumentError("U", "have an even number of rows", n)
    return n


def orthogonality(U: Array) -> float:
    """The largest entry of ``|U^T U - I|`` for orthonormal columns, of ``|U U^T - I|`` for more columns than rows."""
    gram = U.T @ U if U.shape[0] >= U.shape[1] else U @ U.T
    return float(np.abs(gram - np.eye(len(gram))).max())
