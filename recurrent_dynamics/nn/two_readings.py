"""Two recurrent readings, one after the other, and one answer: questions about pictures, pairs of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, instance, one_of
from ..engine import check
from .encoder_decoder.bridge import in_order
from .encoder_decoder.conditioned import Conditioned
from .encoder_decoder.parts import GradientsOfTwo, RunOfTwo
from .layers import Layer, LayerGradients, Pull
from .layers.context import State
from .losses import LOSSES
from .pooling import POOLS, pooled, pooled_adjoint
from .prediction import KINDS, predicted
from .trainable import Losses, check_generator, no_initial

NAMES = ("source", "source_lengths", "inputs", "inputs_lengths", "targets")


class Read(NamedTuple):
    """What a batch holds; lengths (B,) are None for all steps, targets are None where only the output is wanted."""

    source: Any
    source_lengths: Any
    inputs: Any
    inputs_lengths: NDArray[Any] | None
    targets: Any


@dataclass(frozen=True)
class TwoReadingsRun(RunOfTwo):
    """What `TwoReadings.run` computed.

    Attributes
    ----------
    output : ndarray (B, V)
        The logits of the answers, or the predicted numbers.
    summary : ndarray (B, F)
        The vector that the reader begins with.
    encoder, reader : Pull
        The ways back, with the runs of the recurrent layers.
    lengths : ndarray (B,) or None
        Valid steps of the reader.
    """

    output: NDArray[Any]
    summary: NDArray[Any]
    encoder: Pull
    reader: Pull
    lengths: NDArray[Any] | None
    _back: Callable[[NDArray[Any]], TwoReadingsGradients]

    _shown = ("output", "summary", "encoder", "reader", "lengths")

    @property
    def _parts(self) -> dict[str, Pull]:
        return {"encoder": self.encoder, "reader": self.reader}

    @property
    def statistics(self) -> dict[str, Any]:
        """The running statistics after a run of training, nested as the parameters; see `batch_norm`."""
        return {name: pull.statistics for name, pull in self._parts.items() if pull.statistics}


@dataclass(frozen=True)
class TwoReadingsGradients(GradientsOfTwo):
    """What `TwoReadings.backward` computed.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    source, inputs : ndarray or None
        By real numbers that were read, time first; None for class indices.
    summary : ndarray (B, F) or None
        By the vector that the reader begins with; None where it begins otherwise.
    encoder, reader : LayerGradients
        Those of the two layers, by every state too.
    """

    params: dict[str, Any]
    source: NDArray[Any] | None
    inputs: NDArray[Any] | None
    summary: NDArray[Any] | None
    encoder: LayerGradients
    reader: LayerGradients

    @property
    def _parts(self) -> dict[str, LayerGradients]:
        return {"encoder": self.encoder, "reader": self.reader}


class TwoReadings(Conditioned):
    """Two sequences with one answer for both, for `recurrent_dynamics.training`: `fit` and `measure` take it.

    The encoder reads the source. The reader then reads the inputs: it begins in states made from what the encoder knows
    at the end, and with a cell of `recurrent_dynamics.cells.attention` it reads the encoder's outputs at every step.
    Its output, pooled over time, is compared with the answer. So a question is read about a picture, or a claim about a
    text (Rocktaeschel et al. 2016).

    A batch is a dict of names, as `recurrent_dynamics.data.NamedBatches` makes it: ``source`` (S, B) or (S, B, N),
    ``inputs`` (T, B) or (T, B, M), ``targets`` (B,) of class indices or (B, K) of numbers, and ``source_lengths``,
    ``inputs_lengths`` (B,), which may be absent. A vector (B, N) for each source is read as one step.

    Parameters
    ----------
    encoder : Layer
        Its width is known.
    reader : Layer
        With a recurrent layer. Its output is the logits of the answers, or the predicted numbers.
    loss : {"cross_entropy", "mean_squared_error"}
    pool : {"last", "mean"}
        What is compared: the reader's output at its last valid step, or its mean over the valid steps.
    start : {"dense", "tanh", "copy", "zero"}
        How the reader's initial states come about, as in `encoder_decoder`.
    summary : {"states", "last", "mean"}, optional
        What is known of the source at its end, as in `encoder_decoder`.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    Rocktaeschel et al., "Reasoning about entailment with neural attention", ICLR 2016. Hermann et al., "Teaching
    machines to read and comprehend", NIPS 2015.

    Examples
    --------
    Whether a symbol stands in a sequence:

    >>> import recurrent_dynamics as rd
    >>> cell = rd.cells.attention(rd.cells.gru(), keys="8", values="8")
    >>> model = TwoReadings(rd.nn.embedding(5, 8),
    ...                     rd.nn.chain(rd.nn.embedding(5, 8), rd.nn.recurrent(cell, 16), rd.nn.dense(None, 2)))
    >>> rng = np.random.default_rng(0)
    >>> source, asked = rng.integers(0, 5, (3, 400)), rng.integers(0, 5, (1, 400))
    >>> batch = {"source": source, "inputs": asked, "targets": (source == asked).any(axis=0).astype(int)}
    >>> result = rd.training.fit(model, model.init(rng=0), [batch], optimizer="adam", learning_rate=0.02, updates=200,
    ...                          progress=False)
    >>> bool((model.predict(result.params, source, asked, "class") == batch["targets"]).mean() > 0.95)
    True
    """

    def __init__(
        self,
        encoder: Layer,
        reader: Layer,
        loss: str = "cross_entropy",
        pool: str = "last",
        start: str = "dense",
        summary: str | None = None,
    ) -> None:
        super().__init__(encoder, start, summary)
        instance("reader", reader, Layer)
        reader._closed()
        if not reader.cells:
            raise ArgumentError("reader", "have a recurrent layer", repr(reader))
        if reader.output_size is None:
            raise ArgumentError("reader", "have a width at its output", repr(reader))
        self.loss_name, self.pool = one_of("loss", loss, LOSSES), one_of("pool", pool, POOLS)
        self.reader, self.output_size = reader, reader.output_size
        self._behind("reader", reader)
        self.cells = [*encoder.cells.values(), *reader.cells.values()]

    def __repr__(self) -> str:
        more = f"{self.loss_name}, {self.pool}, {self.start}, {self.summary}"
        return f"TwoReadings({self.encoder!r} -> {self.reader!r}, {more})"

    @property
    def _layers(self) -> dict[str, Layer]:
        return self._of_source | {"reader": self.reader}

    def compared(self, batch: Any) -> Losses:
        """The answers; those to inputs of length 0 do not count."""
        given = _read(batch)
        if given.targets is None:
            raise ArgumentError("batch", f"have {', '.join(NAMES[::2])}", "no targets")
        targets, numbers = check.array("targets", given.targets), self.loss_name == "mean_squared_error"
        if targets.ndim != 1 + numbers:
            raise ArgumentError("targets", f"have shape {'(B, K)' if numbers else '(B,)'}", targets.shape)
        if given.inputs_lengths is None:
            return Losses(targets, None, float(len(targets)))
        counted = np.asarray(given.inputs_lengths) > 0
        if not counted.any():
            raise ArgumentError("inputs_lengths", "be above 0 for one sequence at least", "only 0")
        return Losses(targets, counted, float(np.count_nonzero(counted)))

    def run(
        self,
        params: Mapping[str, Any],
        batch: Any,
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> TwoReadingsRun:
        """Compute the output for a batch.

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
        TwoReadingsRun
        """
        no_initial(initial)
        check_generator(dropout_rng)
        given = _read(batch)
        options: dict[str, Any] = {"rng": dropout_rng, "copy_params": copy_params, "tape": tape}
        source = self._source(given.source, given.source_lengths)
        inputs = check.array("inputs", given.inputs)
        if inputs.ndim < 2 or inputs.shape[1] != source.size:
            raise ArgumentError("inputs", f"have {source.size} sequences, as the source has", inputs.shape)
        encoded = self._encoded(params, source, **options)
        ends = given.inputs_lengths
        if ends is not None:
            ends = check.lengths(ends, len(inputs), source.size, "inputs_lengths")
        context = self._context(encoded, ends, None, **options)
        y, pull = self.reader.called(params["reader"], inputs, context, "inputs")

        def back(d_output: NDArray[Any]) -> TwoReadingsGradients:
            d_y = pooled_adjoint(d_output, pull.steps, self.pool, ends)
            reader = pull.gradients(d_y, d_penalty=1.0)
            found = self._into_source(encoded, in_order(reader.initial, self.state_widths), reader.memory)
            of_all = found.params | {"reader": reader.params}
            ordered = {name: of_all[name] for name in self._layers}
            return TwoReadingsGradients(
                ordered, found.encoder.x, reader.x, found.summary, found.encoder, reader
            )

        return TwoReadingsRun(
            pooled(y, self.pool, ends), encoded.summary.value, encoded.pull, pull, ends, back
        )

    def backward(self, run: TwoReadingsRun, d_output: NDArray[Any] | None) -> TwoReadingsGradients:
        """Go back from the derivative of a loss by `TwoReadingsRun.output`; 0 where it is None."""
        instance("run", run, TwoReadingsRun)
        d = np.zeros_like(run.output) if d_output is None else check.array("d_output", d_output)
        check.shape("d_output", d, run.output.shape)
        return run._back(d)

    def predict(
        self,
        params: Mapping[str, Any],
        source: NDArray[Any],
        inputs: NDArray[Any],
        kind: str = "output",
        *,
        source_lengths: ArrayLike | None = None,
        inputs_lengths: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """What is answered, without dropout and without a tape.

        Parameters
        ----------
        params : dict
        source, inputs, source_lengths, inputs_lengths
            As in a batch.
        kind : {"output", "probabilities", "class"}
            The output itself (logits, or predicted numbers), its softmax, or the index of its largest entry; the last
            two with the cross-entropy alone.

        Returns
        -------
        ndarray (B, V), or (B,) of classes
            NaN or class -1 for inputs of length 0.
        """
        one_of("kind", kind, KINDS)
        if kind != "output" and self.loss_name != "cross_entropy":
            raise ArgumentError(
                "kind", f"be 'output' for a model that predicts numbers ({self.loss_name})", repr(kind)
            )
        batch = dict(zip(NAMES, (source, source_lengths, inputs, inputs_lengths), strict=False))
        run = self.run(params, batch, copy_params=False, tape=False)
        return predicted(run.output, kind, run.lengths)


def _read(batch: Any) -> Read:
    """The arrays of a batch by their names."""
    if not isinstance(batch, Mapping):
        raise ArgumentTypeError("batch", "be a dict with source, inputs and targets", type(batch).__name__)
    given = check.mapping("batch", batch, NAMES)
    if "source" not in given or "inputs" not in given:
        raise ArgumentError("batch", f"have {', '.join(NAMES[::2])}", ", ".join(map(str, batch)) or "none")
    return Read(*(given.get(name) for name in NAMES))
