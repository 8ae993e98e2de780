"""A recursive network with a readout, at the roots of trees or at all nodes, which can be trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError, floating_dtype, generator, integer, one_of
from ..engine import check
from ..engine.linear import linear, linear_adjoint
from ..results import Result
from ..trees import Graph, TreeCell, TreeGradients, TreeRun, backward, forward
from ..trees.running import over_children
from .batch import Batch, as_batch
from .leaves import arrays, check_tree
from .losses import LOSSES
from .prediction import KINDS, predicted
from .scored import Scored
from .trainable import check_generator, no_initial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACES = ("roots", "nodes")


@dataclass(frozen=True, eq=False)
class TreeModelRun(Result):
    """What `TreeModel.run` computed.

    Attributes
    ----------
    output : ndarray (trees, V) or (nodes, V)
        The readout at roots or at all nodes.
    run : TreeRun
    features : ndarray
        What the readout reads.
    weights : ndarray (V, H)
        Those of the readout.
    runs, final : list
        Empty: there is no run along time, and no state to hand on.
    """

    output: NDArray[Any]
    run: TreeRun
    features: NDArray[Any]
    weights: NDArray[Any]
    runs: tuple[()] = ()
    final: tuple[()] = ()

    _shown = ("output", "run")

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw a slot of the state of all nodes; see `recurrent_dynamics.plot.tree_states`."""
        return self.run.plot(ax=ax, **options)


@dataclass(frozen=True, eq=False)
class TreeModelGradients(Result):
    """What `TreeModel.backward` computed.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    tree : TreeGradients
        By everything that went into the run over the trees, the states of all nodes among it.
    """

    params: dict[str, Any]
    tree: TreeGradients

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by the state against the distance from the root."""
        return self.tree.plot(ax=ax, **options)


class TreeModel(Scored):
    """A cell over trees and a readout, for `recurrent_dynamics.training`: `fit`, `evaluate` and `measure` take it.

    Parameters
    ----------
    cell : TreeCell
        Such as `recurrent_dynamics.trees.child_sum_lstm`.
    hidden_size : int
        The number H of units.
    output_size : int
        V: the number of classes, or of predicted numbers.
    input_size : int, optional
        N, for real inputs (nodes, N).
    vocabulary_size : int, optional
        Number of classes, for class indices (nodes,).
    loss : {"cross_entropy", "mean_squared_error"}
    where : {"roots", "nodes"}
        Whether there is a target for each tree, or one for each node.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    Notes
    -----
    A batch is ``((graph, x), targets)``, with a mask behind for weights of the losses: ``x`` as `trees.forward` takes
    it, targets (trees,) or (nodes,) for the cross-entropy, (trees, V) or (nodes, V) for the mean squared error.

    Examples
    --------
    Whether a chain is of even length:

    >>> import recurrent_dynamics as rd
    >>> lengths = np.arange(1, 9)
    >>> chains = rd.trees.forest([[-1, *range(n - 1)] for n in lengths])
    >>> model = TreeModel(rd.trees.recursive(1), hidden_size=4, output_size=2, input_size=1)
    >>> batch = ((chains, np.ones((chains.nodes, 1), "float32")), lengths % 2)
    >>> result = rd.training.fit(model, model.init(rng=3), [batch], optimizer="adam", learning_rate=0.05, updates=300,
    ...                          progress=False)
    >>> bool((model.predict(result.params, batch[0], "class") == lengths % 2).all())
    True
    """

    def __init__(
        self,
        cell: TreeCell,
        hidden_size: int,
        output_size: int,
        input_size: int | None = None,
        vocabulary_size: int | None = None,
        loss: str = "cross_entropy",
        where: str = "roots",
    ) -> None:
        # One target for each row of the readout, as of a model that is pooled.
        super().__init__([], loss, "last")
        self.cell = over_children(cell)
        self.signals = self.cell.node.signals
        self.hidden_size = integer("hidden_size", hidden_size, at_least=1)
        self.output_size = integer("output_size", output_size, at_least=1)
        if (input_size is None) == (vocabulary_size is None):
            came = "both" if input_size is not None else "none"
            raise ArgumentError("input_size or vocabulary_size", "be given, one of them", came)
        self.input_size = None if input_size is None else integer("input_size", input_size, at_least=1)
        self.vocabulary_size = (
            None if vocabulary_size is None else integer("vocabulary_size", vocabulary_size, at_least=1)
        )
        self.where = one_of("where", where, PLACES)

    def __repr__(self) -> str:
        size = (
            f"{self.input_size} inputs" if self.vocabulary_size is None else f"{self.vocabulary_size} classes"
        )
        return (
            f"TreeModel({self.cell!r}, {size}, {self.hidden_size} units, {self.output_size} outputs at {self.where}, "
            f"{self.loss_name})"
        )

    @property
    def paths(self) -> list[str]:
        return []

    def cell_params(self, params: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
        """Empty: no layer of it runs along time."""
        return []

    def streamed(self, params: Mapping[str, Any]) -> NoReturn:
        """Refuse to run step by step."""
        raise ArgumentTypeError("model", "read sequences, to be run step by step", "a TreeModel")

    def init(
        self, rng: int | np.random.Generator = 0, dtype: str | np.dtype[Any] = "float32"
    ) -> dict[str, Any]:
        """Draw parameters.

        Returns
        -------
        dict
            ``{"tree": those of the cell, "readout": {"weights": (V, H), "bias": (V,)}}``.
        """
        draw, kind = generator("rng", rng), floating_dtype("dtype", dtype)
        tree = self.cell.init(self.vocabulary_size or self.input_size, self.hidden_size, draw, kind.name)
        width = self.read_size
        weights = draw.uniform(-1, 1, (self.output_size, width)) / math.sqrt(width)
        readout = {"weights": weights.astype(kind), "bias": np.zeros(self.output_size, kind)}
        return {"tree": tree, "readout": readout}

    @property
    def read_size(self) -> int:
        """The width of the slot that the readout reads."""
        name = self.cell.output if self.cell.children is None else f"{self.cell.output}_1"
        slot = next(s for s in self.cell.node.slots if s.name == name)
        return self.hidden_size if slot.width == "hidden" else int(slot.width)

    def run(
        self,
        params: Mapping[str, Any],
        batch: Batch | Sequence[Any],
        initial: Any = None,
        dropout_rng: np.random.Generator | None = None,
        copy_params: bool = True,
        tape: bool = True,
    ) -> TreeModelRun:
        """Compute the readout for a batch.

        Parameters
        ----------
        params : dict
        batch : Batch or tuple
        initial : None
            No state is handed on from batch to batch.
        dropout_rng, copy_params, tape
            As training gives them: there is no dropout, parameters are always copied, the tape is always kept.

        Returns
        -------
        TreeModelRun
        """
        b = as_batch(batch)
        for name in ("lengths", "reset"):
            if getattr(b, name) is not None:
                raise ArgumentError(name, "be None for a model of trees", "an array")
        no_initial(initial)
        check_generator(dropout_rng)
        graph, x = self._inputs(b.inputs)
        check_tree(params, ("tree", "readout"))
        if len(params) > 2:
            raise ArgumentError("params", "be a dict of tree and readout", ", ".join(map(str, params)))
        found = forward(self.cell, params["tree"], graph, x, signals=b.signals)
        shapes = {"weights": (self.output_size, self.read_size), "bias": (self.output_size,)}
        weights, bias = arrays("params['readout']", params["readout"], shapes, found.dtype)
        features = found.output if self.where == "nodes" else found.output[found.last]
        features = np.ascontiguousarray(features)
        weights = np.array(weights)
        return TreeModelRun(linear(features[None], weights, bias)[0], found, features, weights)

    def _inputs(self, given: Any) -> tuple[Graph, Any]:
        if not isinstance(given, (tuple, list)) or len(given) != 2 or not isinstance(given[0], Graph):
            raise ArgumentTypeError("inputs", "be a pair (graph, x)", type(given).__name__)
        graph, x = given
        x = check.array("x", x)
        if (x.dtype.kind in "iu") != (self.vocabulary_size is not None):
            wanted = "real numbers" if self.vocabulary_size is None else "class indices"
            raise ArgumentTypeError("x", f"be {wanted}, as {self!r} reads", x.dtype)
        return graph, x

    def backward(self, run: TreeModelRun, d_output: NDArray[Any] | None) -> TreeModelGradients:
        """Go back from the derivative of a loss by `TreeModelRun.output`; 0 where it is None."""
        d = np.zeros_like(run.output) if d_output is None else check.array("d_output", d_output)
        check.shape("d_output", d, run.output.shape)
        d_features, d_weights, d_bias = linear_adjoint(
            np.ascontiguousarray(d)[None], run.features[None], run.weights
        )
        d_nodes = d_features[0]
        if self.where == "roots":
            d_nodes = np.zeros(run.run.output.shape, run.run.dtype)
            d_nodes[run.run.last] = d_features[0]
        try:
            tree = backward(run.run, d_nodes)
        except ValueError:
            if np.isfinite(d_nodes).all():
                raise
            raise FloatingPointError("the gradient by the states of the trees is not finite") from None
        params = {"tree": tree.params, "readout": {"weights": d_weights, "bias": d_bias}}
        return TreeModelGradients(params, tree)

    def score(self, output: NDArray[Any], batch: Batch | Sequence[Any]) -> tuple[float, NDArray[Any]]:
        """Mean loss of the readout over a batch, and its gradient, shaped as the readout."""
        b = as_batch(batch)
        return LOSSES[self.loss_name](output, b.targets, b.mask)

    def predict(  # type: ignore[override]  # of trees instead of sequences
        self,
        params: Mapping[str, Any],
        inputs: tuple[Graph, Any],
        kind: str = "output",
        *,
        signals: Mapping[str, NDArray[Any]] | None = None,
    ) -> NDArray[Any]:
        """What is predicted for trees.

        Parameters
        ----------
        params : dict
        inputs : tuple
            (graph, x).
        kind : {"output", "probabilities", "class"}
            The readout itself, its softmax, or the index of its largest entry.
        signals : dict, optional

        Returns
        -------
        ndarray (trees, V) or (nodes, V), or without the last axis for classes
        """
        one_of("kind", kind, KINDS)
        if kind != "output" and self.loss_name != "cross_entropy":
            raise ArgumentError(
                "kind", f"be 'output' for a model that predicts numbers ({self.loss_name})", repr(kind)
            )
        batch = Batch(inputs, np.empty(0), signals=signals)  # type: ignore[arg-type]
        return predicted(self.run(params, batch).output, kind, None)
