"""What is trained: a run of a batch, the loss of its output, and the gradient by the parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cells import Cell
from ..checks import ArgumentError, one_of
from .batch import Batch, as_batch
from .losses import LOSSES
from .pooling import POOLS
from .prediction import KINDS, predicted
from .results import State
from .streaming import Streamed


class Scored(ABC):
    """All that training asks for, made of a run of a batch and the way back along it: `Model`, `Objective`.

    Attributes
    ----------
    cells : list of Cell
        Those of the recurrent layers.
    signals : tuple of str
        What the layers read besides their input: the time since the sample before, "dt", in cells with irregular steps.
        A batch brings an array for each; a layer gets those of the names that its cell declares.
    loss_name : {"cross_entropy", "mean_squared_error"}
    pool : {None, "last", "mean"}
        Whether there is a target for each step, or one for each sequence.
    input_size, output_size : int or None
        Widths N of the input and V of the output.
    vocabulary_size : int or None
        Number of classes of inputs of class indices; None for real inputs.
    from_end : list of bool
        For each recurrent layer, whether it reads the sequences from their end.
    """

    input_size: Any  # an int of a model, None of layers that leave it open
    output_size: Any
    vocabulary_size: int | None

    def __init__(self, cells: Sequence[Cell], loss: str, pool: str | None) -> None:
        self.cells = list(cells)
        self.loss_name: str = one_of("loss", loss, LOSSES)
        self.pool: str | None = None if pool is None else one_of("pool", pool, POOLS)
        named = (s for cell in self.cells for s in cell.needed)
        self.signals: tuple[str, ...] = tuple(dict.fromkeys(named))

    @property
    @abstractmethod
    def paths(self) -> list[str]:
        """Where the parameters of each recurrent layer stand, keys joined by "/"."""

    @property
    def from_end(self) -> list[bool]:
        return [False] * len(self.cells)

    @property
    def symbols(self) -> int | None:
        """Number of classes of inputs of class indices, of one-hot vectors that can be given so too."""
        return self.vocabulary_size

    @abstractmethod
    def run(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> Any:
        """What is computed of a batch: `output`, `runs` and `final` states of the recurrent layers."""

    @abstractmethod
    def cell_params(self, params: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """The parameters of each recurrent layer as the verbs take them, with U made from its free parameters."""

    @abstractmethod
    def streamed(self, params: Mapping[str, Any]) -> Streamed:
        """The model one step at a time, without pooling; its steppers are those of the recurrent layers."""

    @abstractmethod
    def backward(self, run: Any, d_output: NDArray[Any] | None) -> Any:
        """Gradients, those by the parameters as `params`."""

    def score(self, output: NDArray[Any], batch: Batch | Sequence[Any]) -> tuple[float, NDArray[Any]]:
        """Mean loss of the readout over a batch, and its gradient, shaped as the readout."""
        batch = as_batch(batch)
        self._check_targets(np.shape(batch.targets))
        return LOSSES[self.loss_name](output, batch.targets, batch.weights(self.pool is not None))

    def _check_targets(self, shape: tuple[int, ...]) -> None:
        """Say how a target a sequence differs from one a step; the loss looks at the rest."""
        values = self.loss_name == "mean_squared_error"
        wanted = (1 if self.pool else 2) + values
        if len(shape) == wanted:
            return
        words = ("(B, K)" if values else "(B,)") if self.pool else ("(T, B, K)" if values else "(T, B)")
        hint = ""
        if len(shape) == wanted - 1 and self.pool is None:
            hint = "; a model of one target for each sequence is made with pool='last' or pool='mean'"
        elif len(shape) == wanted + 1 and self.pool is not None:
            hint = "; a model of one target for each step is made with pool=None"
        raise ArgumentError("targets", f"have shape {words}, as {self!r} predicts them", f"{shape}{hint}")

    def differentiate(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
    ) -> tuple[float, Any, Any]:
        """Mean loss of a batch with the run and the gradients behind it.

        Without `copy_params` the run is good for as long as the parameters are not changed.

        Raises
        ------
        FloatingPointError
            When the loss, a state or a gradient becomes infinite or NaN.
        """
        batch = as_batch(batch)
        run = self.run(params, batch, initial, dropout_rng, copy_params)
        loss, d_output = self.score(run.output, batch)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss}")
        return loss, run, self.backward(run, d_output)

    def loss_and_grad(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
    ) -> tuple[float, dict[str, Any]]:
        """Mean loss of a batch (in nats for the cross-entropy) and its gradient by the parameters.

        Parameters
        ----------
        params : dict
        batch : Batch or tuple
            (inputs, targets[, mask[, lengths[, reset[, signals]]]]).
        initial : sequence of dict, optional
        dropout_rng : Generator, optional

        Returns
        -------
        loss : float
        grads : dict
            Nested as the parameters.
        """
        loss, _, gradients = self.differentiate(params, batch, initial, dropout_rng)
        return loss, gradients.params

    def loss(
        self, params: Mapping[str, Any], batch: Batch | Sequence[Any], initial: Sequence[State] | None = None
    ) -> float:
        """Mean loss of a batch, without dropout."""
        return self.score(self.run(params, batch, initial, tape=False).output, batch)[0]

    def predict(
        self,
        params: Mapping[str, Any],
        inputs: NDArray[Any],
        kind: str = "output",
        *,
        lengths: ArrayLike | None = None,
        initial: Sequence[State] | None = None,
        reset: NDArray[Any] | None = None,
        signals: Mapping[str, NDArray[Any]] | None = None,
    ) -> NDArray[Any]:
        """What is predicted, without dropout and without a tape.

        Parameters
        ----------
        params : dict
        inputs : ndarray
            Class indices (T, B), or real numbers (T, B, N).
        kind : {"output", "probabilities", "class"}
            The output itself (logits, or predicted numbers), its softmax, or the index of its largest entry; the last
            two with the cross-entropy alone.
        lengths, reset, signals
            As in `Batch`.
        initial : sequence of dict, optional
            The state of each recurrent layer before the first step; see `run`.

        Returns
        -------
        ndarray (T, B, V), or (T, B) of classes
            (B, V) or (B,) where it is pooled over time. Beyond the length of a sequence, where nothing is predicted,
            NaN or class -1; so too for a sequence of length 0 where it is pooled.

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came.

        Examples
        --------
        >>> import recurrent_dynamics as rd
        >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, input_size=1, output_size=2)
        >>> model.predict(model.init(rng=0), np.ones((3, 2, 1), "float32"), "class", lengths=[3, 1])[:, 1] == -1
        array([False,  True,  True])
        """
        one_of("kind", kind, KINDS)
        if kind != "output" and self.loss_name != "cross_entropy":
            raise ArgumentError(
                "kind", f"be 'output' for a model that predicts numbers ({self.loss_name})", repr(kind)
            )
        ends = None if lengths is None else np.asarray(lengths)
        batch = Batch(inputs, np.empty(0), lengths=ends, reset=reset, signals=signals)
        run = self.run(params, batch, initial, copy_params=False, tape=False)
        return predicted(run.output, kind, ends)
