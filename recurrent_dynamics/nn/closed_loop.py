"""A model that goes on by itself, one step at a time, from the state in which a run left it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError
from ..engine import stepper
from ..engine.stepper import State
from ..kernels.threads import num_threads
from .model import Model

# Products of a step, of all rows, above which another thread is started for it: half a millisecond of one thread.
WORTH_A_THREAD = 3e7


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
        by_layer = model.cell_params(params)
        self.steps = [stepper(cell, p) for cell, p in zip(model.cells, by_layer, strict=True)]
        self.W, self.b = np.array(params["readout"]["W"]), np.array(params["readout"]["b"])
        self._products = self.W.size + sum(np.size(a) for layer in by_layer for a in layer.values())

    def begin(self, final: Sequence[Mapping[str, NDArray[Any]]]) -> list[State]:
        """The states in which a run left the layers, `ModelRun.final`."""
        return [step.state(layer) for step, layer in zip(self.steps, final, strict=True)]

    def __call__(self, x: NDArray[Any], states: Sequence[State]) -> tuple[NDArray[Any], list[State]]:
        """The readout and the states after a step with an input."""
        rows = len(x)
        output, after = np.empty((rows, len(self.b)), x.dtype), [s.like() for s in states]
        threads = min(num_threads(), rows) if rows * self._products > WORTH_A_THREAD else 1
        bounds = [rows * i // threads for i in range(threads + 1)]
        parts = [slice(*pair) for pair in itertools.pairwise(bounds)]

        def compute(part: slice) -> None:
            self._compute(
                x[part], [s.part(part) for s in states], [s.part(part) for s in after], output[part]
            )

        if threads == 1:
            compute(parts[0])
            return output, after
        with ThreadPoolExecutor(threads - 1) as others:  # the steps hold no lock of Python's
            waiting = [others.submit(compute, part) for part in parts[1:]]
            compute(parts[0])
            for part in waiting:
                part.result()
        return output, after

    def _compute(
        self, x: NDArray[Any], before: Sequence[State], after: Sequence[State], output: NDArray[Any]
    ) -> None:
        for name, step, old, new in zip(self.names, self.steps, before, after, strict=True):
            x = step(x, old, out=new)[name]
        # Products row by row: one with a matrix of several rows rounds otherwise, and a sequence would depend on
        # those beside it.
        np.matmul(self.W, x[:, :, None], out=output[:, :, None])
        output += self.b


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
