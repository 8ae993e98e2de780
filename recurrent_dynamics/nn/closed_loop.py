"""A model that goes on by itself, one step at a time, from the state in which a run left it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError
from ..engine import stepper
from .model import Model
from .results import ModelRun


class ClosedLoop:
    """Readouts (B, V) of inputs (B, N) that are given one step at a time; keeps the states of the layers.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = Model(rd.cells.lstm(), hidden_size=4, input_size=1, output_size=1)
    >>> params = model.init(rng=0, dtype="float64")
    >>> x = np.linspace(0, 1, 6).reshape(3, 2, 1)
    >>> loop = ClosedLoop(model, params, model.forward(params, x[:2]))
    >>> bool(np.allclose(loop(x[2]), model.forward(params, x).output[-1]))
    True
    """

    def __init__(self, model: Model, params: Mapping[str, Any], run: ModelRun) -> None:
        self.names = [cell.output or cell.state[0] for cell in model.cells]
        self.steps = [
            stepper(cell, p) for cell, p in zip(model.cells, model.cell_params(params), strict=True)
        ]
        self.states: list[Mapping[str, NDArray[Any]]] = list(run.final)
        self.readout = params["readout"]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """The readout after a step with an input."""
        for i, (name, step) in enumerate(zip(self.names, self.steps, strict=True)):
            self.states[i] = step(x, self.states[i])
            x = self.states[i][name]
        # Products row by row: one with a matrix of several rows rounds otherwise, and a sequence would depend on
        # those beside it.
        return np.stack([self.readout["W"] @ row + self.readout["b"] for row in x])


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
