"""The next symbol from a plain function whose state is a dict of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, ArgumentTypeError, instance, integer
from ...engine import check

Arrays = Mapping[str, NDArray[Any]]
Function = Callable[[Arrays, NDArray[np.intp]], tuple[NDArray[Any], Arrays]]


class FunctionPredictor:
    """The next symbol from a function: a Markov chain, an n-gram model, a network of another library.

    Parameters
    ----------
    function : callable
        ``log_probabilities, state = function(state, symbols)`` with a dict of arrays of n rows, symbols (n,) and
        log-probabilities (n, V). It must not change the arrays that it is given.
    vocabulary_size : int
        The number V of symbols.
    state : mapping of array_like, optional
        The state before the first symbol: arrays with a row for each source, or with one row for all of them. Empty
        when absent, for what depends on the last symbol alone.

    Attributes
    ----------
    vocabulary_size : int

    Raises
    ------
    ValueError
        When the arrays of a state differ in their number of rows.

    Examples
    --------
    A Markov chain, whose state is the last symbol:

    >>> import recurrent_dynamics as rd
    >>> transition = np.log([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.2, 0.2, 0.6]])
    >>> chain = rd.nn.FunctionPredictor(lambda state, symbols: (transition[symbols], state), vocabulary_size=3)
    >>> rd.nn.sample(chain, [0], length=6, temperature=0)
    array([1, 0, 1, 0, 1, 0])
    """

    def __init__(
        self, function: Function, vocabulary_size: int, state: Mapping[str, ArrayLike] | None = None
    ) -> None:
        if not callable(function):
            raise ArgumentTypeError("function", "be a function of the state and the symbols", repr(function))
        self.function = function
        self.vocabulary_size = integer("vocabulary_size", vocabulary_size, at_least=1)
        if state is not None:
            instance("state", state, Mapping)
        self.initial = {
            name: np.array(check.array(f"state[{name!r}]", a)) for name, a in (state or {}).items()
        }

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"FunctionPredictor({name}, {self.vocabulary_size} symbols)"

    def start(self, prime: NDArray[np.intp]) -> tuple[NDArray[Any], Arrays]:
        """Read the first symbols (n, B); see `Predictor`."""
        sources = prime.shape[1]
        state: Arrays = {
            name: np.repeat(a, sources, axis=0) if a.ndim and len(a) == 1 else a
            for name, a in self.initial.items()
        }
        _check_rows("state", state, sources)
        for symbols in prime:
            found, state = self.step(state, symbols)
        return found, state

    def step(self, state: Arrays, symbols: NDArray[np.intp]) -> tuple[NDArray[Any], Arrays]:
        """Read one symbol more of each row; see `Predictor`."""
        found, after = self.function(state, symbols)
        _check_rows("function", after, len(symbols))
        return found, after

    def take(self, state: Arrays, index: NDArray[np.intp]) -> Arrays:
        """A state of rows of another one; see `Predictor`."""
        try:
            return {name: a[index] for name, a in state.items()}
        except IndexError as error:
            raise ArgumentError("index", "hold some of the rows of the state", error) from None


def _check_rows(name: str, state: Arrays, rows: int) -> None:
    for key, a in state.items():
        if np.ndim(a) == 0 or len(a) != rows:
            verb = "return a state" if name == "function" else "hold arrays"
            raise ArgumentError(name, f"{verb} of {rows} rows", f"{key!r} of shape {np.shape(a)}")
