"""The next symbol from a model of classes, by the streaming steps of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, instance
from ...engine.stepper_state import State
from ..batch import Batch
from ..closed_loop import ClosedLoop, check_autonomous, rows_taken
from ..leaves import check_states
from ..scored import Scored


class Branches(NamedTuple):
    """Rows that go on from rows of the states of the recurrent layers: from `parents` (M,), or from all in their order.

    Taking rows copies no state. What a step computes of a row is computed once for all that go on from it.
    """

    states: list[State]
    parents: NDArray[np.intp] | None = None

    def take(self, index: NDArray[np.intp]) -> Branches:
        """Rows of these rows."""
        if not self.states:  # nothing is remembered, so rows do not count
            return self
        return self._replace(parents=rows_taken(self.parents, len(self.states[0].rows), index))


class ModelPredictor:
    """The next symbol from a model that reads and predicts the classes of one vocabulary.

    The first symbols are read by `Model.run`, the others one at a time by `rd.stepper` for all rows at once. A row
    has the same numbers, bit for bit, whatever the other rows are.

    Parameters
    ----------
    model : Model or Objective
        With a vocabulary, and logits of the same classes at every step. A layer that begins with a recurrent one, as
        wide at its input as at its output, reads the classes as one-hot vectors.
    params : dict
        They are packed here. Later changes of them do not count.
    initial : sequence of dict, optional
        The state of each recurrent layer before the first symbol, B rows each, as `ModelRun.final` holds it: where
        another network has read the sources. Zero when absent.

    Attributes
    ----------
    vocabulary_size : int

    Raises
    ------
    ValueError, TypeError
        When the model has no vocabulary, pools over time, reads signals or has a layer that needs the whole sequence.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> predictor = rd.nn.ModelPredictor(model, model.init(rng=0))
    >>> log_probabilities, state = predictor.start(np.array([[0, 2]]))
    >>> log_probabilities.shape
    (2, 3)
    >>> both = predictor.take(state, np.array([1, 1]))
    >>> log_probabilities, both = predictor.step(both, np.array([0, 1]))
    >>> np.exp(log_probabilities).sum(axis=1)
    array([1., 1.])
    """

    def __init__(
        self,
        model: Scored,
        params: Mapping[str, Any],
        initial: Sequence[Mapping[str, NDArray[Any]]] | None = None,
    ) -> None:
        check_autonomous(model)
        classes = model.symbols
        if classes is None or model.output_size != classes or model.loss_name != "cross_entropy":
            raise ArgumentError("model", "read and predict the classes of one vocabulary", repr(model))
        self.vocabulary_size: int = classes
        self._model, self._params = model, params
        if initial is not None:
            check_states("initial", initial, len(model.cells))
            for state in initial:
                instance("initial", state, Mapping)
        self._initial = None if initial is None else [dict(state) for state in initial]
        self._loop = ClosedLoop(model, params)

    def __repr__(self) -> str:
        return f"ModelPredictor({self._model!r})"

    def start(self, prime: NDArray[np.intp]) -> tuple[NDArray[np.float64], Branches]:
        """Read the first symbols (n, B); see `Predictor`."""
        run = self._model.run(self._params, Batch(prime, np.empty(0)), self._initial, tape=False)
        return log_softmax(run.output[-1]), Branches(self._loop.begin(run.final))

    def step(self, state: Branches, symbols: NDArray[np.intp]) -> tuple[NDArray[np.float64], Branches]:
        """Read one symbol more of each row; see `Predictor`."""
        logits, states = self._loop(symbols, *state)
        return log_softmax(logits), Branches(states)

    def take(self, state: Branches, index: NDArray[np.intp]) -> Branches:
        """A state of rows of another one; see `Predictor`."""
        return state.take(index)


def log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Log-probabilities (n, V) in float64."""
    from .. import softmax  # imports Numba

    found = softmax.log_softmax(logits)
    if found is None:
        raise ArgumentError("params", "give a model with finite outputs", "infinity or NaN")
    return found
