"""Sampling sequences of class indices from a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .decoding import ModelPredictor, sample
from .model import Model


def generate(
    model: Model,
    params: Mapping[str, Any],
    prime: ArrayLike,
    length: int,
    temperature: float = 1.0,
    rng: int | np.random.Generator = 0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
) -> NDArray[np.intp]:
    """Continue a sequence, feeding each drawn class back as the next input: `sample` for a model.

    Parameters
    ----------
    model : Model
        With a vocabulary, and a readout over the same classes.
    params : dict
    prime : array_like of int (n,) or (n, B)
        At least one class index to start from; B of them side by side for as many sequences.
    length : int
        How many classes to draw.
    temperature : float
        Logits are divided by it; 0 takes the most likely class (greedy).
    rng : int or Generator
    top_k : int, optional
        Draw among the k most likely classes alone.
    top_p : float, optional
        Draw among the most likely classes alone whose probabilities just reach this sum, in (0, 1] (nucleus sampling
        [1]_). After `top_k` where both are given.
    stop : int, optional
        A class that ends a sequence.

    Returns
    -------
    ndarray of int (length,) or (length, B)
        With `stop` a single sequence ends with that class if it is drawn; several are as long as the longest, and what
        is after the end of one is filled with that class.

    Raises
    ------
    ValueError, TypeError
        When the prime is empty, out of range or text, another argument is out of range, or the model has no
        vocabulary, pools over time or reads signals.

    References
    ----------
    .. [1] Holtzman et al., The curious case of neural text degeneration, ICLR 2020.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> params = model.init(rng=0)
    >>> generate(model, params, [0, 2], length=5).shape
    (5,)
    >>> generate(model, params, [[0, 1], [2, 2]], length=5, top_k=2).shape
    (5, 2)
    """
    return sample(
        ModelPredictor(model, params), prime, length, temperature, rng, top_k=top_k, top_p=top_p, stop=stop
    )
