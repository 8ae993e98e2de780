"""A model that goes on by itself, one step at a time, from the state in which a run left it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import ArgumentError, ArgumentTypeError
from ..engine.stepper_state import State
from .layers.base import Layer
from .scored import Scored
from .streaming import Memory, Parents


def rows_taken(parents: Parents, size: int, index: NDArray[np.intp]) -> NDArray[np.intp]:
    """Which of `size` rows those of an index go on from, where `parents` already are some of them."""
    rows: NDArray[np.intp] = np.arange(size) if parents is None else parents
    try:
        if np.ndim(index) == 1:
            return rows[index]
        came: object = f"shape {np.shape(index)}"
    except IndexError as error:
        came = error
    raise ArgumentError("index", f"hold some of the rows 0..{len(rows) - 1}, shape (m,)", came)


class ClosedLoop:
    """Outputs (B, V) of inputs that are given one step at a time, (B, N) or class indices (B,), with the states.

    Examples
    --------
    >>> import numpy as np
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, input_size=1, output_size=1)
    >>> params = model.init(rng=0, dtype="float64")
    >>> x = np.linspace(0, 1, 6).reshape(3, 2, 1)
    >>> loop = ClosedLoop(model, params)
    >>> output, states = loop(x[2], loop.begin(model.forward(params, x[:2]).final))
    >>> bool(np.allclose(output, model.forward(params, x).output[-1]))
    True
    """

    def __init__(
        self, model: Scored | Layer, params: Mapping[str, Any], memory: Memory | None = None
    ) -> None:
        streamed = model.streamed(params, memory) if isinstance(model, Layer) else model.streamed(params)
        self.steps, self._step = streamed.steppers, streamed.step

    def begin(self, final: Sequence[Mapping[str, NDArray[Any]]]) -> list[State]:
        """The states in which a run left the recurrent layers, `ModelRun.final`."""
        return [step.state(layer) for step, layer in zip(self.steps, final, strict=True)]

    def __call__(
        self, x: NDArray[Any], states: Sequence[State], parents: Parents = None
    ) -> tuple[NDArray[Any], list[State]]:
        """The output and the states after a step with an input.

        With `parents` (M,), row m of the input goes on from that row of the states.
        """
        after: list[State] = []
        return self._step(x, states, parents, after), after


def check_autonomous(model: Scored) -> None:
    """Refuse a model that needs more than its own predictions to go on."""
    if not isinstance(model, Scored):
        raise ArgumentTypeError("model", "be a Model or an Objective", type(model).__name__)
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
    if any(model.from_end):
        raise ArgumentError(
            "model",
            "read sequences from their beginning alone, so that it can go on by itself",
            f"{model!r}, which has a direction from the end",
        )
