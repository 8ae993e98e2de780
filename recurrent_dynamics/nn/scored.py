"""Losses of one sequence: what a model reads and what it predicts go side by side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cells import Cell
from ..checks import ArgumentError, one_of
from ..engine import check
from .batch import Batch, as_batch
from .losses import LOSSES
from .pooling import POOLS
from .prediction import KINDS, predicted
from .results import State
from .streaming import Streamed
from .trainable import Losses, Trainable


class Scored(Trainable):
    """A loss of what is computed of one sequence beside its steps: `Model`, `Objective`.

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
        self.loss_name = one_of("loss", loss, LOSSES)
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
    def cell_params(self, params: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """The parameters of each recurrent layer as the verbs take them, with U made from its free parameters."""

    @abstractmethod
    def streamed(self, params: Mapping[str, Any]) -> Streamed:
        """The model one step at a time, without pooling; its steppers are those of the recurrent layers."""

    def compared(self, batch: Any) -> Losses:
        """What the outputs of a batch are compared with."""
        b, pooled = as_batch(batch), self.pool is not None
        targets = check.array("targets", b.targets)
        self._check_targets(targets.shape)
        return Losses(targets, b.weights(pooled), b.weight(pooled))

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
        ends = None if lengths is None else check.array("lengths", lengths)
        batch = Batch(inputs, np.empty(0), lengths=ends, reset=reset, signals=signals)
        run = self.run(params, batch, initial, copy_params=False, tape=False)
        return predicted(run.output, kind, ends)
