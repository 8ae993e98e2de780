"""What is trained: a run of a batch, the loss of its output, and the gradient by the parameters."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import Cell
from ..checks import ArgumentError, one_of
from .batch import Batch, as_batch
from .losses import LOSSES
from .prediction import KINDS
from .results import State


class Scored(ABC):
    """All that training asks for, made of a run of a batch and the way back along it.

    Attributes
    ----------
    cells : list of Cell
        Those of the recurrent layers.
    loss_name : {"cross_entropy", "mean_squared_error"}
    pool : {None, "last", "mean"}
        Whether there is a target for each step, or one for each sequence.
    """

    cells: list[Cell]
    loss_name: str
    pool: str | None

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

    def _check_kind(self, kind: str) -> None:
        one_of("kind", kind, KINDS)
        if kind != "output" and self.loss_name != "cross_entropy":
            raise ArgumentError(
                "kind", f"be 'output' for a model that predicts numbers ({self.loss_name})", repr(kind)
            )
