"""What a model computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..results import Result
from .table import FoldedEmbedding

if TYPE_CHECKING:
    from matplotlib.axes import Axes

State = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ModelRun(Result):
    """What `Model.forward` computed; nothing that runs later changes it, if it has copies of the parameters.

    Attributes
    ----------
    output : ndarray (T, B, V)
        The readout: logits, or predicted numbers; (B, V) of a model that pools over time.
    runs : list
        The run of each layer, as `rd.forward` returns it.
    final : list of dict
        The state of each layer after the last step.
    indices : ndarray (T, B) or None
        Class indices that the model reads.
    dropout : list of (ndarray or None)
        The factors that each layer's input was multiplied with.
    merged : FoldedEmbedding or None
        The embedding and the W of the first layer, where that layer's run reads class indices by their product.
    features : ndarray (T, B, H)
        What the readout reads: the output of the last layer; (1, B, H) where the model pools it.
    readout : ndarray (V, H)
        The weights of the readout.
    pulls : list of callable
        For each layer the map from the gradients of its cell's parameters to those of the model's.
    lengths : ndarray (B,) or None
        Valid steps of each sequence, as they were given.
    """

    output: NDArray[Any]
    runs: list[Any]
    final: list[State]
    indices: NDArray[Any] | None
    dropout: list[NDArray[Any] | None]
    merged: FoldedEmbedding | None
    features: NDArray[Any]
    readout: NDArray[Any]
    pulls: list[Callable[[Any], dict[str, Any]]]
    lengths: NDArray[Any] | None = None

    _shown = ("output", "runs", "final", "features", "readout", "indices")

    def plot(self, axes: Sequence[Axes] | None = None, **options: Any) -> NDArray[Any]:
        """Draw the states of every layer, an array of axes; see `recurrent_dynamics.plot.states`."""
        from ..plot import given_or_panels, states

        drawn = given_or_panels(axes, len(self.runs))
        for k, (run, ax) in enumerate(zip(self.runs, drawn, strict=True)):
            states(run, ax=ax, **options).set_title(f"layer {k + 1}", fontsize="medium")
        return drawn


@dataclass(frozen=True)
class ModelGradients(Result):
    """What `Model.backward` computed.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    layers : list
        The gradients of each layer, as `rd.backward` returns them, with `states` (T, B, H) per slot. Those of a first
        layer that reads class indices have the W of its run, the product with the embedding.
    initial : list of dict
        Derivative by the initial state of each layer.
    inputs : ndarray (T, B, N) or None
        Derivative by real inputs; None for class indices.
    signals : dict of ndarray
        Derivative by each signal, shaped as it came: the sum over the layers that read it.
    """

    params: dict[str, Any]
    layers: list[Any]
    initial: list[State]
    inputs: NDArray[Any] | None
    signals: dict[str, NDArray[Any]]

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the norm of the gradient by each layer's states over the steps; see `recurrent_dynamics.plot.norms`."""
        from ..plot import norms

        states = {
            f"layer {k + 1}, {slot}": values
            for k, layer in enumerate(self.layers)
            for slot, values in layer.states.items()
        }
        return norms(
            states, what=r"$\Vert\,\partial L / \partial\, \mathrm{state}_t\,\Vert$", ax=ax, **options
        )
