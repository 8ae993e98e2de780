"""A model that goes on by itself, one step at a time, from the state in which a run left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError
from ..engine import stepper
from ..engine.stepper import State
from .model import Model


class ClosedLoop:
    """Readouts (B, V) of inputs (B, N) that are given one step at a time, with the states of the layers.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = Model(rd.cells.lstm(), hidden_size=4, input_size=1, output_size=1)
    >>> params = model.init(rng=0, dtype="float64")
    >>> x = np.linspace(0, 1, 6).reshape(3, 2, 1)
    >>> loop = ClosedLoop(model, params)
    >>> output, states = loop(x[2], loop.begin(model.forward(params, x[:2]).final))
    >>> bool(np.allclose(output, model.forward(params, x).output[-1]))
    True
    """

    def __init__(self, model: Model, params: Mapping[str, Any]) -> None:
        self.names = [cell.output or cell.state[0] for cell in model.cells]
        self.steps = [
            stepper(cell, p) for cell, p in zip(model.cells, model.cell_params(params), strict=True)
        ]
        self.W, self.b = np.array(params["readout"]["W"]), np.array(params["readout"]["b"])

    def begin(self, final: Sequence[Mapping[str, NDArray[Any]]]) -> list[State]:
        """The states in which a run left the layers, `ModelRun.final`."""
        return [step.state(layer) for step, layer in zip(self.steps, final, strict=True)]

    def __call__(self, x: NDArray[Any], states: Sequence[State]) -> tuple[NDArray[Any], list[State]]:
        """The readout and the states after a step with an input."""
        after: list[State] = []
        for name, step, before in zip(self.names, self.steps, states, strict=True):
            after.append(step(x, before))
            x = after[-1][name]
        # Products row by row: one with a matrix of several rows rounds otherwise, and a sequence would depend on
        # those beside it.
        return np.matmul(self.W, x[:, :, None])[:, :, 0] + self.b, after


def check_autonomous(model: Model) -> None:
    """Refuse a model that needs more than its own predictions to go on."""
    if model.signals:
        raise ArgumentError(
            "model",
            "read nothing but its input, so that it can go on by itself",
            f"layers that read the signals {', '.join(model.signals)}",
        )
    if model.pool is not None:
        raise ArgumentError(
            "model", "predict at every step (pool=None), so that it can go on by itself", repr(model)
        )
