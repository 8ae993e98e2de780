"""What is trained: a run of a batch, the loss of its output, and the gradient by the parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..checks import ArgumentError, ArgumentTypeError
from .losses import LOSSES
from .results import State


class Losses(NamedTuple):
    """What the outputs of a batch are compared with.

    Attributes
    ----------
    targets : ndarray
    weights : ndarray or None
        Of the losses; None where all count alike.
    weight : float
        Their sum: how many losses the mean is taken over.
    """

    targets: NDArray[Any]
    weights: NDArray[Any] | None
    weight: float


def check_generator(dropout_rng: Any) -> None:
    """Refuse what cannot draw the dropout: a seed would draw the same one in every update."""
    if dropout_rng is not None and not isinstance(dropout_rng, np.random.Generator):
        raise ArgumentTypeError("dropout_rng", "be None or a NumPy generator", f"{dropout_rng!r:.60}")


def no_initial(initial: Any) -> None:
    """Refuse states where every batch begins anew."""
    if initial is not None:
        raise ArgumentError("initial", "be None: no state goes from batch to batch", type(initial).__name__)


class Trainable(ABC):
    """All that training asks for, made of a run of a batch and the way back along it.

    Attributes
    ----------
    cells : list of Cell
        Those of the recurrent layers.
    loss_name : {"cross_entropy", "mean_squared_error"}
    """

    cells: list[Cell]
    loss_name: str

    @property
    def statistics(self) -> tuple[str, ...]:
        """The paths of parameters that are running statistics of the data: a run of training brings new ones."""
        return ()

    @abstractmethod
    def run(
        self,
        params: Mapping[str, Any],
        batch: Any,
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> Any:
        """What is computed of a batch: `output`, `runs` and `final` states of the recurrent layers."""

    @abstractmethod
    def backward(self, run: Any, d_output: NDArray[Any] | None) -> Any:
        """Gradients, those by the parameters as `params`."""

    @abstractmethod
    def compared(self, batch: Any) -> Losses:
        """What the outputs of a batch are compared with."""

    def at(self, update: int) -> Self:
        """The same at the number of an update from 0, for what changes with it in training."""
        return self

    def score(self, output: NDArray[Any], batch: Any) -> tuple[float, NDArray[Any]]:
        """Mean loss of the readout over a batch, and its gradient, shaped as the readout."""
        losses = self.compared(batch)
        return LOSSES[self.loss_name](output, losses.targets, losses.weights)

    def differentiate(
        self,
        params: Mapping[str, Any],
        batch: Any,
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
        run = self.run(params, batch, initial, dropout_rng, copy_params)
        loss, d_output = self.score(run.output, batch)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss}")
        return loss, run, self.backward(run, d_output)

    def loss_and_grad(
        self,
        params: Mapping[str, Any],
        batch: Any,
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
    ) -> tuple[float, dict[str, Any]]:
        """Mean loss of a batch (in nats for the cross-entropy) and its gradient by the parameters.

        Parameters
        ----------
        params : dict
        batch : Batch or tuple
            (inputs, targets[, mask[, lengths[, reset[, signals]]]]); `Pairs` for an `EncoderDecoder`.
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

    def loss(self, params: Mapping[str, Any], batch: Any, initial: Sequence[State] | None = None) -> float:
        """Mean loss of a batch, without dropout."""
        return self.score(self.run(params, batch, initial, tape=False).output, batch)[0]
