"""A stack of recurrent layers between an embedding and a linear readout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cells import draw_masks
from ..checks import ArgumentError, boolean, instance
from ..engine import backward, check, forward
from ..engine.linear import contiguous, linear, linear_adjoint
from .architecture import Architecture
from .batch import Batch, as_batch
from .leaves import check_states
from .pooling import pooled, pooled_adjoint
from .results import ModelGradients, ModelRun, State
from .streaming import Streamed, in_a_chain, of_cell, of_linear, of_table
from .table import FoldedEmbedding, class_indices, scattered
from .trainable import check_generator


class Model(Architecture):
    """Embedding, recurrent layers with dropout between them, linear readout, loss.

    Parameters
    ----------
    cells : Cell or sequence of Cell
        One cell a layer, the first reads the input.
    hidden_size : int or sequence of int
        Units of each layer.
    input_size : int, optional
        Width N of real inputs (T, B, N). Exactly one of `input_size` and `vocabulary_size` is given.
    vocabulary_size : int, optional
        Number of classes V of inputs (T, B) of class indices.
    output_size : int, optional
        Width of the readout; the vocabulary size when there is one.
    embedding_size : int, optional
        Width E of the embedding, min(V, H of the first layer) when absent. With E = V it spans the same
        functions as one-hot input.
    dropout : float
        Rate in [0, 1) between layers: inverted, so that evaluation needs no scaling. Drawn only when a
        generator is given to `forward`.
    loss : {"cross_entropy", "mean_squared_error"}
    parametrize : Parametrization, dict, or sequence of them, optional
        What U of each layer is made from: a parametrization of `recurrent_dynamics.parametrize`, or a dict of them,
        such as ``{"U.n": rd.parametrize.cayley}`` for the rows of drive n alone; a sequence has one for each layer.
        The parameters hold the free ones in place of U, and U is made once a call. By default as each cell asks for;
        ``{}`` for no constraint. `cell_params` gives the matrices.
    pool : {None, "last", "mean"}
        What the readout reads. None: the output of the last layer at every step, so that there is a target for each.
        "last": the output at the last valid step of each sequence, "mean": its mean over the valid steps, for one
        target a sequence. Features of a sequence of length 0 are 0, and its loss does not count.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=8, vocabulary_size=5)
    >>> params = model.init(rng=0)
    >>> list(params), params["embedding"]["table"].shape
    (['embedding', 'layers', 'readout'], (5, 5))
    >>> inputs = np.array([[0], [1], [2]])
    >>> loss, grads = model.loss_and_grad(params, (inputs, inputs))
    >>> grads["readout"]["W"].shape
    (5, 8)

    One class for each sequence, read at the end of its length:

    >>> classifier = Model(rd.cells.lstm(), hidden_size=8, input_size=2, output_size=3, pool="last")
    >>> params = classifier.init(rng=0)
    >>> x = np.ones((6, 4, 2), "float32")
    >>> loss = classifier.loss(params, Batch(x, np.array([0, 1, 2, 0]), lengths=np.array([6, 5, 3, 1])))
    >>> classifier.predict(params, x, "class", lengths=[6, 5, 3, 1]).shape
    (4,)
    """

    def forward(
        self,
        params: Mapping[str, Any],
        inputs: NDArray[Any],
        initial: Sequence[State] | None = None,
        lengths: NDArray[Any] | None = None,
        reset: NDArray[Any] | None = None,
        dropout_rng: np.random.Generator | None = None,
        signals: Mapping[str, NDArray[Any]] | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> ModelRun:
        """Run the model through a window of time.

        Parameters
        ----------
        params : dict
        inputs : ndarray
            Class indices (T, B), or real numbers (T, B, N).
        initial : sequence of dict, optional
            The state of each layer before the first step, as `ModelRun.final` holds it; zero when absent.
        lengths, reset : ndarray, optional
            As in `rd.forward`.
        dropout_rng : Generator, optional
            Draws the dropout, and the noise of the cells; absent in evaluation.
        signals : dict of ndarray, optional
            All of `self.signals`, each (T, B), or (T, B, H) where every layer that reads it has H units; in the dtype
            of the parameters.
        copy_params : bool
            Whether later changes of the parameters do not reach the run, see `rd.forward`.
        tape : bool
            Whether the layers keep what `backward` needs, see `rd.forward`; without, it takes less time and memory.

        Returns
        -------
        ModelRun

        Raises
        ------
        ValueError, TypeError
            Naming the argument, what was expected and what came: a signal that is missing or that no layer reads, its
            shape, its dtype, and the first entry of it that is not finite within the lengths.
        """
        by_layer, (W, readout_bias) = self.by_layer(params), self.readout(params)
        copy_params, tape = boolean("copy_params", copy_params), boolean("tape", tape)
        check_generator(dropout_rng)
        own = np.array if copy_params else np.asarray
        inputs = check.array("inputs", inputs)
        if inputs.ndim > 1 and 0 in inputs.shape[:2]:
            raise ArgumentError("inputs", "have at least one step and one sequence", inputs.shape)
        indices = merged = None
        x = inputs
        if self.vocabulary_size is not None:
            if inputs.ndim != 2:
                raise ArgumentError("inputs", "be class indices of shape (T, B)", inputs.shape)
            indices = class_indices(inputs, self.vocabulary_size).copy()
            table = self.table(params)
            if self._reads_classes and self.vocabulary_size <= indices.size:
                merged = FoldedEmbedding(*map(own, (table, by_layer[0]["W"])))
                x = indices
            else:
                x = table[indices]
        elif inputs.ndim != 3 or inputs.shape[2] != self.input_size:
            raise ArgumentError("inputs", f"be real numbers of shape (T, B, {self.input_size})", inputs.shape)
        else:
            check.real("inputs", inputs, readout_bias.dtype)
        if initial is not None:
            check_states("initial", initial, len(self.cells))
        given = check.mapping("signals", signals, self.signals)
        runs: list[Any] = []
        pulls: list[Any] = []
        masks: list[NDArray[Any] | None] = []
        for i, cell in enumerate(self.cells):
            mask = None
            if i > 0 and self.dropout and dropout_rng is not None:
                mask = self._draw_dropout(dropout_rng, x.shape, x.dtype)
                x = x * mask
            masks.append(mask)
            state = None if initial is None else initial[i]
            weights, pull = self.constraints[i](by_layer[i])
            if i == 0 and merged is not None:
                weights = {**weights, "W": merged.product()}
            read = {name: value for name, value in given.items() if name in cell.signals}
            if dropout_rng is not None and cell.masks:
                read |= draw_masks(
                    cell, len(x), x.shape[1], self.hidden_size[i], dropout_rng, readout_bias.dtype
                )
            runs.append(
                forward(
                    cell, weights, x, initial=state, lengths=lengths, reset=reset, signals=read,
                    copy_params=copy_params, tape=tape,
                )
            )  # fmt: skip
            pulls.append(pull)
            x = runs[-1].output
        ends = None if lengths is None else np.array(lengths)
        x = contiguous(x if self.pool is None else pooled(x, self.pool, ends)[None])
        readout = own(W)
        output = linear(x, readout, readout_bias)
        if self.pool is not None:
            output = output[0]
        return ModelRun(
            output, runs, [r.final for r in runs], indices, masks, merged, x, readout, pulls, ends
        )

    def run(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Sequence[State] | None = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> ModelRun:
        """`forward` over everything that a batch says of its sequences."""
        b = as_batch(batch)
        return self.forward(
            params, b.inputs, initial, b.lengths, b.reset, dropout_rng, b.signals, copy_params, tape
        )

    def backward(
        self,
        run: ModelRun,
        d_output: NDArray[Any] | None,
        d_final: Sequence[State | None] | None = None,
    ) -> ModelGradients:
        """Backpropagate through time.

        Parameters
        ----------
        run : ModelRun
        d_output : ndarray (T, B, V) or None
            Derivative of the loss by the readout; (B, V) where the model pools.
        d_final : sequence of (dict or None), optional
            Derivative by the final state of each layer.

        Returns
        -------
        ModelGradients
        """
        instance("run", run, ModelRun)
        d_output = np.zeros_like(run.output) if d_output is None else check.array("d_output", d_output)
        if d_output.shape != run.output.shape or d_output.dtype != run.output.dtype:
            raise ArgumentError(
                "d_output",
                f"have dtype {run.output.dtype} and shape {run.output.shape}",
                f"{d_output.dtype} {d_output.shape}",
            )
        if d_final is not None:
            check_states("d_final", d_final, len(self.cells))
        if self.pool is not None:
            d_output = d_output[None]
        d, d_weights, d_bias = linear_adjoint(d_output, run.features, run.readout)
        if self.pool is not None:
            d = pooled_adjoint(d[0], len(run.runs[-1].output), self.pool, run.lengths)
        layers: list[Any] = []
        for i in reversed(range(len(self.cells))):
            try:
                layers.append(backward(run.runs[i], d, d_final=None if d_final is None else d_final[i]))
            except ValueError:
                if np.isfinite(d).all():
                    raise
                raise FloatingPointError(f"the gradient of the output of layer {i} is not finite") from None
            d = layers[-1].x
            mask = run.dropout[i]
            if mask is not None:
                d = d * mask
        layers.reverse()
        params: dict[str, Any] = {}
        by_layer = [g.params for g in layers]
        if run.merged is not None:
            d_table, d_W = run.merged.gradients(by_layer[0]["W"])
            params["embedding"], by_layer[0] = {"table": d_table}, {**by_layer[0], "W": d_W}
        elif run.indices is not None and self.vocabulary_size is not None:
            params["embedding"] = {"table": scattered(run.indices, d, self.vocabulary_size)}
        pulled = (pull(g) for pull, g in zip(run.pulls, by_layer, strict=True))
        params["layers"] = {str(i): grads for i, grads in enumerate(pulled)}
        params["readout"] = {"W": d_weights, "b": d_bias}
        signals: dict[str, NDArray[Any]] = {}
        for layer in layers:
            for name in (name for name in layer.signals if name in self.signals):
                value = layer.signals[name]
                signals[name] = signals[name] + value if name in signals else value
        return ModelGradients(
            params, layers, [g.initial for g in layers], None if run.indices is not None else d, signals
        )

    def streamed(self, params: Mapping[str, Any]) -> Streamed:
        parts = [of_cell(cell, own) for cell, own in zip(self.cells, self.cell_params(params), strict=True)]
        if self.vocabulary_size is not None:
            parts.insert(0, of_table(self.table(params)))
        return in_a_chain([*parts, of_linear(*self.readout(params))])

    def _draw_dropout(
        self, rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> NDArray[Any]:
        # Drawn in single precision for both dtypes, so that the same units fall.
        keep = rng.random(shape, dtype=np.float32) >= self.dropout
        return keep * dtype.type(1 / (1 - self.dropout))
