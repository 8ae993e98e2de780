"""Forecasts of real numbers: a model that reads its own predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer
from ..engine import check
from .batch import Batch
from .closed_loop import ClosedLoop, check_autonomous
from .scored import Scored

Feedback = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


def forecast(
    model: Scored,
    params: Mapping[str, Any],
    warm_up: NDArray[Any],
    steps: int,
    feedback: Feedback | None = None,
    *,
    lengths: ArrayLike | None = None,
) -> NDArray[Any]:
    """Go on from a known part of series, feeding each prediction back as the next input.

    Parameters
    ----------
    model : Model or Objective
        With real inputs and the mean squared error, trained to predict the next step from those before.
    params : dict
    warm_up : ndarray (T, B, N), or (T, N) for one series
        What is known; at least one step.
    steps : int
        How many steps to predict. The first is the output at the last known step.
    feedback : callable, optional
        From an output (B, K) and the input (B, N) that it came from to the next input (B, N), for a model that
        predicts differences, ``lambda output, x: x + output``, or that reads more than it predicts, such as the hour
        of the day or whether a value was observed. The output itself when absent, for which K must be N.
    lengths : array_like of int (B,), optional
        Known steps of each series, at least 1.

    Returns
    -------
    ndarray (steps, B, K), or (steps, K) for one series
        The outputs.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    FloatingPointError
        When the fed back predictions grow beyond all bounds.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, input_size=2, output_size=2, loss="mean_squared_error")
    >>> forecast(model, model.init(rng=0), np.ones((10, 3, 2), "float32"), steps=5).shape
    (5, 3, 2)
    """
    check_autonomous(model)
    if model.vocabulary_size is not None or model.loss_name != "mean_squared_error":
        raise ArgumentError("model", "read and predict real numbers", f"{model!r}: see generate for classes")
    if feedback is None and model.output_size != model.input_size:
        raise ArgumentError(
            "feedback",
            f"be given for a model of {model.input_size} inputs and {model.output_size} outputs",
            "None",
        )
    if feedback is not None and not callable(feedback):
        raise ArgumentTypeError(
            "feedback", "be a function of the output and the input before", repr(feedback)
        )
    steps = integer("steps", steps, at_least=0)
    known = check.real("warm_up", warm_up)
    single = known.ndim == 2
    if single:
        known = known[:, None]
    if known.ndim != 3 or not len(known) or known.shape[2] != model.input_size:
        raise ArgumentError(
            "warm_up",
            f"have shape (T, B, {model.input_size}) or (T, {model.input_size}) with at least one step",
            np.shape(warm_up),
        )
    ends = np.full(known.shape[1], len(known)) if lengths is None else check.array("lengths", lengths)
    run = model.run(params, Batch(known, np.empty(0), lengths=ends), tape=False)
    if ends.min(initial=1) < 1:
        raise ArgumentError("lengths", "be at least 1, since there must be a step to go on from", ends.min())
    loop, last = ClosedLoop(model, params), (ends - 1, np.arange(len(ends)))
    states = loop.begin(run.final)
    output, x = run.output[last], known[last]
    found = np.empty((steps, *output.shape), output.dtype)
    for n in range(steps):
        found[n] = output
        if n + 1 < steps:
            x = output if feedback is None else _next_input(feedback(output, x), x)
            output, states = loop(x, states)
    return found[:, 0] if single else found


def _next_input(x: Any, before: NDArray[Any]) -> NDArray[Any]:
    found = np.asarray(x)
    if found.shape != before.shape or found.dtype.kind != "f":
        raise ArgumentError(
            "feedback", f"return real numbers of shape {before.shape}", f"{found.dtype} {found.shape}"
        )
    return found.astype(before.dtype, copy=False)
