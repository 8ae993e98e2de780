"""What predicts the next symbol: the interface of the searches, and checks of what comes through it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, ArgumentTypeError, number
from ...engine import check

S = TypeVar("S")
ROUNDING = 1e-5  # by which a logarithm of a probability may exceed 0


class Predictor(Protocol[S]):
    """Anything that predicts the next symbol of n sequences side by side, and keeps a state of n rows for them.

    `beam_search`, `exact_search` and `sample` ask for nothing else. Any class with these members is a predictor; it
    need not inherit from this one.

    Attributes
    ----------
    vocabulary_size : int
        The number V of symbols, which are integers in 0..V-1.

    See Also
    --------
    ModelPredictor : From a model of classes.
    FunctionPredictor : From a function whose state is a dict of arrays.
    """

    @property
    def vocabulary_size(self) -> int: ...

    def start(self, prime: NDArray[np.intp]) -> tuple[NDArray[Any], S]:
        """Read the first symbols (n, B) of B sources, at least one of each.

        Returns
        -------
        log_probabilities : ndarray (B, V)
            Of the next symbol, in nats; ``-inf`` for a symbol that cannot come.
        state : object
            With B rows, one for each source.
        """
        ...

    def step(self, state: S, symbols: NDArray[np.intp]) -> tuple[NDArray[Any], S]:
        """Read one symbol (n,) more of each row. The state that is given must stay as it is.

        Returns
        -------
        log_probabilities : ndarray (n, V)
        state : object
            With n rows.
        """
        ...

    def take(self, state: S, index: NDArray[np.intp]) -> S:
        """A state of the rows (m,) of another one, in this order; a row may be taken several times, or not at all."""
        ...


class Checked:
    """A predictor whose log-probabilities are looked at; they come as float64 and at most 0."""

    def __init__(self, predictor: Predictor[Any]) -> None:
        for name in ("vocabulary_size", "start", "step", "take"):
            if not hasattr(predictor, name):
                came = f"{type(predictor).__name__} without {name}"
                raise ArgumentTypeError("predictor", "have vocabulary_size, start, step and take", came)
        self.predictor, self.vocabulary_size = predictor, predictor.vocabulary_size
        self.take = predictor.take
        self._coverage_penalty = 0.0

    def weigh_coverage(self, penalty: Any) -> None:
        """From now on `coverage` is weighted by it."""
        self._coverage_penalty = number("coverage_penalty", penalty, at_least=0)
        if self._coverage_penalty and not hasattr(self.predictor, "coverage"):
            raise ArgumentTypeError(
                "predictor", "have coverage, for a coverage penalty", type(self.predictor).__name__
            )

    def coverage(self, state: Any, rows: int) -> NDArray[np.float64]:
        """(n,) what is added to the score of a sequence that ends after each row, at most 0."""
        if not self._coverage_penalty:
            return np.zeros(rows)
        found = np.asarray(self.predictor.coverage(state), np.float64)  # type: ignore[attr-defined]
        if found.shape != (rows,) or not found.max(initial=-np.inf) <= ROUNDING:
            raise ArgumentError(
                "predictor.coverage", f"return {rows} numbers of at most 0", f"shape {found.shape}"
            )
        return self._coverage_penalty * np.minimum(found, 0.0)

    def start(self, prime: NDArray[np.intp]) -> tuple[NDArray[np.float64], Any]:
        found, state = self.predictor.start(prime)
        return self._checked("start", found, prime.shape[1]), state

    def step(self, state: Any, symbols: NDArray[np.intp]) -> tuple[NDArray[np.float64], Any]:
        found, state = self.predictor.step(state, symbols)
        return self._checked("step", found, len(symbols)), state

    def _checked(self, verb: str, found: Any, rows: int) -> NDArray[np.float64]:
        name, shape = f"predictor.{verb}", (rows, self.vocabulary_size)
        a = np.asarray(found)
        if a.shape != shape or a.dtype.kind != "f":
            raise ArgumentError(
                name, f"return log-probabilities of shape {shape} first", f"{a.dtype} of shape {a.shape}"
            )
        largest = a.max(initial=-np.inf)
        if not largest <= ROUNDING:  # NaN is not either
            raise ArgumentError(name, "return logarithms of probabilities, which are at most 0", largest)
        if largest <= 0 and a.dtype == np.float64:
            return a
        return np.minimum(a, 0.0, dtype=np.float64)


def checked_prime(prime: ArrayLike, vocabulary_size: int) -> tuple[NDArray[np.intp], bool]:
    """The first symbols (n, B), and whether they came as a single sequence (n,)."""
    if isinstance(prime, str):
        raise ArgumentTypeError(
            "prime",
            "be class indices",
            f"the text {prime[:20]!r}: encode it by the vocabulary of the model, vocabulary.encode(prime)",
        )
    start = check.array("prime", prime)
    if start.ndim not in (1, 2) or start.size == 0:
        raise ArgumentError(
            "prime", "hold at least one class index, shape (n,) or (n, B)", f"shape {start.shape}"
        )
    if start.dtype.kind not in "iu":
        raise ArgumentTypeError("prime", "be class indices (integers)", start.dtype)
    low, high = start.min(), start.max()
    if low < 0 or high >= vocabulary_size:
        raise ArgumentError(
            "prime", f"be class indices in 0..{vocabulary_size - 1}", low if low < 0 else high
        )
    single = start.ndim == 1
    return (start[:, None] if single else start).astype(np.intp), single
