"""A loss of a composed layer, which can be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...checks import ArgumentError, instance
from ...engine import check
from ...engine.run import Run
from ...results import Result
from ..batch import Batch, as_batch
from ..leaves import check_states
from ..pooling import pooled, pooled_adjoint
from ..scored import Scored
from ..streaming import Streamed
from ..trainable import check_generator
from .base import Layer
from .context import Context, State, nested
from .pull import LayerGradients, Pull

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class ObjectiveRun(Result):
    """What `Objective.run` computed.

    Attributes
    ----------
    output : ndarray (T, B, V)
        That of the layer; (B, V) where it is pooled over time.
    pull : Pull
        The way back of the layer, with its runs.
    lengths : ndarray (B,) or None
        Valid steps of each sequence.
    """

    output: NDArray[Any]
    pull: Pull
    lengths: NDArray[Any] | None

    @property
    def runs(self) -> list[Run]:
        """The run of each recurrent layer."""
        return list(self.pull.runs.values())

    @property
    def final(self) -> list[State]:
        """The state of each recurrent layer after its last step."""
        return [dict(run.final) for run in self.runs]

    @property
    def statistics(self) -> dict[str, Any]:
        """The running statistics after a run of training, nested as the parameters; see `batch_norm`."""
        return self.pull.statistics

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the states of every recurrent layer, an array of axes; see `recurrent_dynamics.plot.states`."""
        return self.pull.plot(axes, **options)


class Objective(Scored):
    """The loss of a layer, for `recurrent_dynamics.training`: `fit`, `evaluate` and `measure` take it as a model.

    Parameters
    ----------
    layer : Layer
        Its output is the logits, or the predicted numbers.
    loss : {"cross_entropy", "mean_squared_error"}
    pool : {None, "last", "mean"}
        None: there is a target for each step. "last" and "mean": there is one target for each sequence, and what is
        compared with it is the output at the last valid step, or its mean over the valid steps.

    Attributes
    ----------
    layer : Layer

    See Also
    --------
    Model : The usual stack of layers in one direction, from which sequences are sampled too.
    save, load : Keep it in a file with its parameters.

    Examples
    --------
    Of each symbol in a sequence, whether the next one is the same:

    >>> import recurrent_dynamics as rd
    >>> gru = rd.nn.recurrent(rd.cells.gru(), 6)
    >>> layer = rd.nn.chain(rd.nn.embedding(3, 4), rd.nn.bidirectional(gru, gru), rd.nn.dense(None, 2))
    >>> objective = Objective(layer)
    >>> symbols = np.random.default_rng(0).integers(0, 3, (8, 20))
    >>> same = (symbols == np.roll(symbols, -1, axis=0)).astype(int)
    >>> same[-1] = 0
    >>> result = rd.training.fit(objective, objective.init(rng=0), [(symbols, same)], optimizer="adam",
    ...                          learning_rate=0.05, updates=100, progress=False)
    >>> bool((objective.predict(result.params, symbols, "class") == same).all())
    True
    """

    def __init__(self, layer: Layer, loss: str = "cross_entropy", pool: str | None = None) -> None:
        instance("layer", layer, Layer)
        super().__init__(list(layer.cells.values()), loss, pool)
        self.layer = layer
        self.input_size, self.output_size = layer.input_size, layer.output_size
        self.vocabulary_size = layer.classes

    @property
    def paths(self) -> list[str]:
        return list(self.layer.cells)

    @property
    def statistics(self) -> tuple[str, ...]:
        return self.layer.statistics

    @property
    def from_end(self) -> list[bool]:
        return [path in self.layer.from_end for path in self.layer.cells]

    @property
    def symbols(self) -> int | None:
        return self.input_size if self.vocabulary_size is None and self.layer.folds else self.vocabulary_size

    def __repr__(self) -> str:
        return f"Objective({self.layer!r}, {self.loss_name}{f', {self.pool}' if self.pool else ''})"

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters, as the layer does."""
        return self.layer.init(rng, dtype)

    def cell_params(self, params: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """The parameters of each recurrent layer as the verbs take them, with U made from its free parameters."""
        self.layer._closed()
        return list(self.layer.cell_params(params).values())

    def run(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> ObjectiveRun:
        """Compute the output for a batch.

        Parameters
        ----------
        params : dict
        batch : Batch or tuple
        initial : sequence of dict, optional
            The state of each recurrent layer before the first step, as `ObjectiveRun.final` holds it. Not for layers
            with a direction from the end.
        dropout_rng : Generator, optional
            Draws the dropout; absent in evaluation.
        copy_params, tape : bool
            As in `Context`.

        Returns
        -------
        ObjectiveRun
        """
        b, start = as_batch(batch), None
        if initial is not None:
            if self.layer.has_reversed:
                raise ArgumentError(
                    "initial",
                    "be None for a layer with a direction from the end: no state goes from window to window",
                    f"{len(initial)} states",
                )
            check_states("initial", initial, len(self.cells))
            start = nested(dict(zip(self.layer.cells, initial, strict=True)))
        check_generator(dropout_rng)
        context = Context(b.lengths, b.reset, b.signals, dropout_rng, start, copy_params, tape)
        y, pull = self.layer.called(params, b.inputs, context, "inputs")
        ends = None if b.lengths is None else np.array(b.lengths)
        return ObjectiveRun(y if self.pool is None else pooled(y, self.pool, ends), pull, ends)

    def streamed(self, params: Mapping[str, Any]) -> Streamed:
        self.layer._closed()
        return self.layer.streamed(params)

    def backward(self, run: ObjectiveRun, d_output: NDArray[Any] | None) -> LayerGradients:
        """Go back from the derivative of a loss by `ObjectiveRun.output`; 0 where it is None.

        Penalties of activations are a part of what is differentiated.
        """
        instance("run", run, ObjectiveRun)
        d = np.zeros_like(run.output) if d_output is None else check.array("d_output", d_output)
        if self.pool is not None:
            check.shape("d_output", d, run.output.shape)
            d = pooled_adjoint(d, run.pull.steps, self.pool, run.lengths)
        return run.pull.gradients(d, d_penalty=1.0)
