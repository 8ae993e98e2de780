"""The contract of a layer: a value and its pull-back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...cells import Cell
from ...checks import ArgumentError, ArgumentTypeError, floating_dtype, generator, instance
from ...engine import check
from ...engine.derivatives import Gradients
from ...engine.run import Run, within_lengths
from ..streaming import Memory, Streamed
from ..table import class_indices
from .context import Context, Inputs, States, looked_at
from .pull import Pull

Tree = dict[str, Any]


class Back(NamedTuple):
    """Derivatives by the parameters, the input (None for class indices), signals, of runs by path, by the memory."""

    params: Tree
    x: NDArray[Any] | None
    signals: dict[str, NDArray[Any]]
    runs: dict[str, Gradients]
    memory: Mapping[str, NDArray[Any]] = MappingProxyType({})


class Value(NamedTuple):
    """What a layer computes: its output, runs by path, and the way back from (d_y, d_final by path).

    New running statistics come by the paths of their parameters, penalties by the paths of their layers; the derivative
    by a penalty is "penalty" in the d_final of its path.
    """

    y: NDArray[Any]
    runs: dict[str, Run]
    back: Callable[[NDArray[Any], States], Back]
    statistics: dict[str, NDArray[Any]] = {}  # noqa: RUF012  never changed
    penalties: dict[str, float] = {}  # noqa: RUF012


class Layer(ABC):
    """A function of parameters and sequences, with its derivative.

    ``y, pull = layer(params, x, context)`` computes it, ``d_params, d_x = pull(d_y)`` goes back. A layer has no
    parameters of its own and is never changed: the same one may stand in several places.

    Attributes
    ----------
    input_size : int or None
        Width of the input; None while it is open, to be found in a chain, and for class indices.
    output_size : int or None
        Width of the output.
    classes : int or None
        Number of classes of a layer that reads class indices (T, B) by an embedding.
    cells : dict of Cell
        The cell of every recurrent layer, by the path of its parameters, such as "1/forward".
    shapes : dict of (tuple or None)
        The shape of each parameter by its path, such as "1/forward/W"; None where free parameters stand.
    statistics : tuple of str
        The paths of the parameters that are running statistics of the data, which are not trained.

    See Also
    --------
    chain, bidirectional, recurrent, dense, embedding, dropout, concatenate, residual : Make one.
    """

    statistics: tuple[str, ...] = ()
    input_size: int | None = None
    output_size: int | None = None
    classes: int | None = None
    has_params = True
    has_reversed = False  # whether a part reads the sequences from their end
    folds = False  # whether `apply` takes class indices and the table of an embedding, whose gradient it gives as `x`

    @property
    def cells(self) -> dict[str, Cell]:
        return {}

    @property
    def from_end(self) -> frozenset[str]:
        """Paths of the recurrent layers that read the sequences from their end."""
        return frozenset()

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        return {}

    def cell_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of every recurrent layer as `recurrent_dynamics.forward` takes them, by its path."""
        return {}

    @property
    def state_widths(self) -> dict[str, dict[str, int]]:
        """The width of each state of the recurrent layers, by their path and the slot."""
        return {}

    @property
    def memory_widths(self) -> dict[str, int]:
        """The width of each array of the memory that cells with attention read."""
        return {}

    @abstractmethod
    def with_input(self, size: int) -> Layer:
        """The same layer for an input of a width; an error if it has another."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> Tree:
        """Parameters at random."""

    @abstractmethod
    def apply(
        self, params: Mapping[str, Any], x: NDArray[Any], inputs: Inputs, table: NDArray[Any] | None = None
    ) -> Value:
        """The value, of arguments that were looked at.

        With a `table`, x are class indices, which stand for its rows, and the way back has the gradient by the table
        in place of that by x.
        """

    def streamed(self, params: Mapping[str, Any], memory: Memory | None = None) -> Streamed:
        """The layer one step at a time; the default is for layers that need the whole sequence."""
        raise ArgumentError("model", "be made of layers that go step by step", repr(self))

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters.

        Parameters
        ----------
        rng : int or Generator
        dtype : {"float32", "float64"}

        Returns
        -------
        dict
            Nested as the layer: a chain has the parameters of its layers under "0", "1", ..., two directions theirs
            under "forward" and "backward". A layer without parameters has no key.

        Raises
        ------
        ValueError
            When the width of an input is open, or the dtype is another.
        """
        kind = floating_dtype("dtype", dtype)
        self._closed()
        return self.draw(generator("rng", rng), kind)

    def _closed(self) -> None:
        if self.input_size is None and self.classes is None and self.has_params:
            raise ArgumentError("input_size", "be given to the first layer that has a width", "None")

    def __call__(
        self, params: Mapping[str, Any], x: NDArray[Any], context: Context | None = None
    ) -> tuple[NDArray[Any], Pull]:
        """Compute the layer.

        Parameters
        ----------
        params : dict
            As `init` makes them.
        x : ndarray (T, B, N), or (T, B) of int
            The input, time first: numbers in the dtype of the parameters, or class indices where the layer begins with
            an embedding. A layer that begins with a recurrent one, whose W alone reads the input, takes class indices
            for one-hot vectors.
        context : Context, optional
            Lengths, resets, signals, initial states, and the generator of the dropout.

        Returns
        -------
        y : ndarray (T, B, M)
            0 beyond the lengths.
        pull : Pull
            The way back, ``d_params, d_x = pull(d_y)``, with the runs and final states of the recurrent layers.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came.
        FloatingPointError
            When a state becomes infinite or NaN.
        """
        return self.called(params, x, Context() if context is None else context)

    def called(
        self, params: Mapping[str, Any], x: NDArray[Any], context: Context, name: str = "x"
    ) -> tuple[NDArray[Any], Pull]:
        """Compute the layer; errors call the input by its name."""
        instance("context", context, Context)
        self._closed()
        x = check.array(name, x)
        indices = x.dtype.kind in "iu"
        if self.classes is not None:
            if x.ndim != 2 or not indices:
                raise ArgumentError(
                    name, "be class indices (integers) of shape (T, B)", f"{x.dtype} {x.shape}"
                )
        elif indices and self.folds:
            if x.ndim != 2:
                raise ArgumentError(name, "be class indices of shape (T, B)", x.shape)
        elif x.ndim != 3 or self.input_size not in (None, x.shape[2]):
            width = "N" if self.input_size is None else self.input_size
            raise ArgumentError(name, f"be real numbers of shape (T, B, {width})", f"{x.dtype} {x.shape}")
        if 0 in x.shape[:2]:
            raise ArgumentError(name, "have at least one step and one sequence", x.shape)
        cells = self.cells
        signals = dict.fromkeys(s for cell in cells.values() for s in cell.signals if s != "x")
        memory = tuple(self.memory_widths)
        inputs = looked_at(context, len(x), x.shape[1], tuple(cells), tuple(signals), memory)
        within = None if inputs.lengths is None else within_lengths(len(x), inputs.lengths)
        dtypes = list(dict.fromkeys(a.dtype for a in _leaves(params)))
        if len(dtypes) > 1:
            raise ArgumentTypeError("params", "have one dtype", " and ".join(map(str, dtypes)))
        if indices:
            x = np.array(x) if within is None else np.where(within, x, x.dtype.type(0))
            class_indices(x, (self.classes if self.classes is not None else self.input_size) or 0, name)
        else:
            x = check.floating(
                name, x, dtypes[0] if dtypes else None, within=None if within is None else within[..., None]
            )
        value = self.apply(params, x, inputs)
        return _masked(value.y, within), Pull(
            value.y, value.runs, value.back, within, value.statistics, value.penalties
        )


def _masked(a: NDArray[Any], within: NDArray[Any] | None) -> NDArray[Any]:
    return a if within is None else np.where(within[..., None], a, a.dtype.type(0))


def _leaves(params: Any) -> Any:
    if not isinstance(params, Mapping):
        yield check.real("params", params)
        return
    for value in params.values():
        yield from _leaves(value)
