"""Connectionist temporal classification as what is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, boolean, instance, integer
from ..engine import check
from .ctc import ctc_loss
from .ctc_search import CtcLabels, ctc_decode
from .layers import Context, Layer, LayerGradients, ObjectiveRun
from .layers.context import State
from .trainable import Losses, Trainable, check_generator, no_initial

NAMES = ("inputs", "inputs_lengths", "targets", "targets_lengths")


class Labelled(NamedTuple):
    """Inputs (T, B, ...) and targets (U, B) with their lengths (B,), None for all steps."""

    inputs: NDArray[Any]
    inputs_lengths: NDArray[Any] | None
    targets: NDArray[Any]
    targets_lengths: NDArray[Any] | None


class CtcObjective(Trainable):
    """Labels that are not aligned with the steps, for `recurrent_dynamics.training`; see `ctc_loss`.

    A batch is a dict of names, as `recurrent_dynamics.data.NamedBatches` makes it: ``inputs`` (T, B) or (T, B, N),
    ``targets`` (U, B) of class indices without the blank, and ``inputs_lengths``, ``targets_lengths`` (B,), which may
    be absent. The loss is the mean over the sequences, in nats.

    Parameters
    ----------
    layer : Layer
        Its output has `frames` times V numbers, V classes with the blank.
    frames : int
        Predictions that each step makes, one after another. A target needs as many predictions as it has labels, and
        one more for each pair of equal neighbours. Where inputs are shorter than their targets, such as letters and
        phonemes, a step has to make several.
    blank : int
        Index of the blank.
    zero_infinity : bool
        Whether targets without any alignment have the loss 0 instead of infinity, which ends the training.

    See Also
    --------
    ctc_loss : The loss and its gradient.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> gru = rd.nn.recurrent(rd.cells.gru(), 16)
    >>> layer = rd.nn.chain(rd.nn.embedding(4, 8), rd.nn.bidirectional(gru, gru), rd.nn.dense(None, 6))
    >>> objective = CtcObjective(layer, frames=2)
    >>> data = rd.data.NamedBatches({"inputs": [[0, 1], [3]], "targets": [[1, 2, 1], [2]]}, batch_size=2)
    >>> result = rd.training.fit(
    ...     objective, objective.init(rng=0), data, optimizer="adam", learning_rate=0.02, updates=60)
    >>> batch = data.batch(0)
    >>> found = objective.decode(result.params, batch["inputs"], batch["inputs_lengths"])
    >>> [labels[0].labels.tolist() for labels in found]
    [[2], [1, 2, 1]]
    """

    def __init__(self, layer: Layer, frames: int = 1, blank: int = 0, zero_infinity: bool = False) -> None:
        instance("layer", layer, Layer)
        self.layer, self.cells, self.loss_name = layer, list(layer.cells.values()), "ctc"
        self.frames = integer("frames", frames, at_least=1)
        if layer.output_size is None or layer.output_size % self.frames:
            raise ArgumentError(
                "layer", f"have an output of a multiple of {self.frames} numbers", layer.output_size
            )
        self.classes = layer.output_size // self.frames
        self.blank = integer("blank", blank, at_least=0, below=self.classes)
        self.zero_infinity = boolean("zero_infinity", zero_infinity)

    def __repr__(self) -> str:
        return f"CtcObjective({self.layer!r}, {self.frames} frames of {self.classes} classes, blank {self.blank})"

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters, as the layer does."""
        return self.layer.init(rng, dtype)

    def compared(self, batch: Any) -> Losses:
        """The targets; each sequence counts once."""
        targets = labelled(batch).targets
        return Losses(targets, None, float(np.shape(targets)[-1]))

    def run(
        self,
        params: Mapping[str, Any],
        batch: Any,
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> ObjectiveRun:
        """Compute the logits (frames T, B, V) for a batch.

        Parameters
        ----------
        params : dict
        batch : dict
            ``targets`` are not read.
        initial : None
            No state goes from batch to batch.
        dropout_rng : Generator, optional
            Draws the dropout; absent in evaluation.
        copy_params, tape : bool
            As in `Context`.

        Returns
        -------
        ObjectiveRun
            With the lengths in predictions.
        """
        no_initial(initial)
        check_generator(dropout_rng)
        given = labelled(batch)
        ends = given.inputs_lengths
        if ends is not None:
            ends = np.array(check.array("inputs_lengths", ends))
        context = Context(ends, rng=dropout_rng, copy_params=copy_params, tape=tape)
        y, pull = self.layer.called(params, given.inputs, context, "inputs")
        return ObjectiveRun(self._as_frames(y), pull, None if ends is None else ends * self.frames)

    def backward(self, run: ObjectiveRun, d_output: NDArray[Any] | None) -> LayerGradients:
        """Go back from the derivative of a loss by the logits; 0 where it is None."""
        d = np.zeros_like(run.output) if d_output is None else d_output
        check.shape("d_output", d, run.output.shape)
        steps, size = len(d) // self.frames, d.shape[1]
        d = d.reshape(steps, self.frames, size, self.classes).transpose(0, 2, 1, 3)
        return run.pull.gradients(np.ascontiguousarray(d).reshape(steps, size, -1))

    def score(self, output: NDArray[Any], batch: Any) -> tuple[float, NDArray[Any]]:
        """Mean loss of the sequences of a batch, and its gradient by the logits."""
        given = labelled(batch)
        ends = None if given.inputs_lengths is None else np.asarray(given.inputs_lengths) * self.frames
        size = output.shape[1]
        try:
            losses, d_output = ctc_loss(
                output, np.asarray(given.targets).T, ends, given.targets_lengths, self.blank, self.zero_infinity,
                weights=np.full(size, 1 / size),
            )  # fmt: skip
        except ArgumentError as error:
            if error.argument != "logits":
                raise
            # They are of the model, and not an argument: the training has diverged.
            raise FloatingPointError(f"the logits became {error.came}") from None
        return float(losses.mean(dtype=np.float64)), d_output

    def decode(
        self,
        params: Mapping[str, Any],
        inputs: NDArray[Any],
        lengths: ArrayLike | None = None,
        width: int = 1,
        n_best: int = 1,
    ) -> list[list[CtcLabels]]:
        """The labels of each sequence, without dropout.

        Parameters
        ----------
        params : dict
        inputs : ndarray (T, B) or (T, B, N)
        lengths : array_like of int (B,), optional
        width, n_best : int
            As of `ctc_decode`.

        Returns
        -------
        list of (list of CtcLabels)
        """
        ends = None if lengths is None else check.array("lengths", lengths)
        batch = {"inputs": inputs, "inputs_lengths": ends, "targets": np.empty((0, 0), int)}
        run = self.run(params, batch, copy_params=False, tape=False)
        return ctc_decode(run.output, run.lengths, width, n_best, self.blank)

    def _as_frames(self, y: NDArray[Any]) -> NDArray[Any]:
        """(T, B, frames V) as (frames T, B, V)."""
        steps, size = y.shape[:2]
        found = y.reshape(steps, size, self.frames, self.classes).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(found).reshape(steps * self.frames, size, self.classes)


def labelled(batch: Any) -> Labelled:
    """The arrays of a batch by their names."""
    if not isinstance(batch, Mapping):
        raise ArgumentTypeError("batch", "be a dict with inputs and targets", type(batch).__name__)
    given = check.mapping("batch", batch, NAMES)
    if "inputs" not in given or "targets" not in given:
        raise ArgumentError("batch", "have inputs and targets", ", ".join(map(str, batch)) or "none")
    return Labelled(
        given["inputs"], given.get("inputs_lengths"), given["targets"], given.get("targets_lengths")
    )
