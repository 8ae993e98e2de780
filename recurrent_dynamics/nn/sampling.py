"""Sampling sequences of class indices from a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, integer, number
from ..engine import stepper
from .embedding import embed
from .model import Model


def generate(
    model: Model,
    params: Mapping[str, Any],
    prime: ArrayLike,
    length: int,
    temperature: float = 1.0,
    rng: int | np.random.Generator = 0,
) -> NDArray[np.intp]:
    """Continue a sequence, feeding each drawn class back as the next input.

    Parameters
    ----------
    model : Model
        With a vocabulary, and a readout over the same classes.
    params : dict
    prime : array_like of int (n,)
        At least one class index to start from.
    length : int
        How many classes to draw.
    temperature : float
        Logits are divided by it; 0 takes the most likely class (greedy).
    rng : int or Generator

    Returns
    -------
    ndarray of int (length,)

    Raises
    ------
    ValueError
        When the prime is empty or out of range, the temperature negative or not finite, or the model has no
        vocabulary or reads signals.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> generate(model, model.init(rng=0), [0, 2], length=5).shape
    (5,)
    """
    if model.vocabulary_size is None or model.output_size != model.vocabulary_size:
        raise ArgumentError("model", "read and predict the classes of one vocabulary", repr(model))
    if model.signals:
        raise ArgumentError(
            "model",
            "read nothing but the classes drawn, so that it can go on by itself",
            f"layers that read the signals {', '.join(model.signals)}",
        )
    start = np.asarray(prime)
    if start.ndim != 1 or start.size == 0:
        raise ArgumentError("prime", "hold at least one class index, shape (n,)", f"shape {start.shape}")
    length = integer("length", length, at_least=0)
    temperature = number("temperature", temperature, at_least=0)
    rng = np.random.default_rng(rng)
    run = model.forward(params, start[:, None], tape=False)
    logits, states = run.output[-1, 0], list(run.final)
    table, readout = params["embedding"]["table"], params["readout"]
    steps = [stepper(cell, p) for cell, p in zip(model.cells, model.cell_params(params), strict=True)]
    drawn = np.empty(length, np.intp)
    for n in range(length):
        drawn[n] = _draw(logits, temperature, rng)
        x = embed(table, drawn[n : n + 1])
        for i, (cell, step) in enumerate(zip(model.cells, steps, strict=True)):
            states[i] = step(x, states[i])
            x = states[i][cell.output or cell.state[0]]
        logits = readout["W"] @ x[0] + readout["b"]
    return drawn


def _draw(logits: NDArray[Any], temperature: float, rng: np.random.Generator) -> int:
    if not np.isfinite(logits).all():
        raise ArgumentError("params", "give a model with finite outputs", "infinity or NaN")
    if temperature == 0:
        return int(np.argmax(logits))
    scaled = (logits.astype(np.float64) - logits.max()) / temperature
    cumulative = np.cumsum(np.exp(scaled))
    # side="right" never draws a class of probability 0; the clip guards the rounding of the last product.
    index = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return int(min(index, len(cumulative) - 1))
