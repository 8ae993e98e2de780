"""What a model computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

State = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class ModelRun:
    """What `Model.forward` computed; nothing that runs later changes it.

    Attributes
    ----------
    output : ndarray (T, B, V)
        The readout: logits, or predicted numbers.
    runs : list
        The run of each layer, as `rd.forward` returns it.
    final : list of dict
        The state of each layer after the last step.
    indices : ndarray (T, B) or None
        Class indices that went through the embedding.
    dropout : list of (ndarray or None)
        The factors that each layer's input was multiplied with.
    readout : ndarray (V, H)
        The weights of the readout.
    pulls : list of callable
        For each layer the map from the gradients of its cell's parameters to those of the model's.
    """

    output: NDArray[Any]
    runs: list[Any]
    final: list[State]
    indices: NDArray[Any] | None
    dropout: list[NDArray[Any] | None]
    readout: NDArray[Any]
    pulls: list[Callable[[Any], dict[str, Any]]]


@dataclass(frozen=True)
class ModelGradients:
    """What `Model.backward` computed.

    Attributes
    ----------
    params : dict
        Nested as the parameters.
    layers : list
        The gradients of each layer, as `rd.backward` returns them, with `states` (T, B, H) per slot.
    initial : list of dict
        Derivative by the initial state of each layer.
    inputs : ndarray (T, B, N)
        Derivative by the input of the first layer: the embedded indices, or the real inputs.
    signals : dict of ndarray
        Derivative by each signal, shaped as it came: the sum over the layers that read it.
    """

    params: dict[str, Any]
    layers: list[Any]
    initial: list[State]
    inputs: NDArray[Any]
    signals: dict[str, NDArray[Any]]
