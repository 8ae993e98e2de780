"""Sampling sequences of class indices from a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .decoding import ModelPredictor, sample
from .scored import Scored


def generate(
    model: Scored,
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
    """Continue a sequence, feeding each drawn class back as the next input: the short form of `sample` for a model.

    Parameters
    ----------
    model : Model or Objective
        That reads and predicts the classes of one vocabulary at every step, from the beginning of a sequence alone.
    params : dict
    prime, length, temperature, rng, top_k, top_p, stop
        As in `sample`.

    Returns
    -------
    ndarray of int (length,) or (length, B)
        As of `sample`.

    Raises
    ------
    ValueError, TypeError
        As of `sample`; when the model has no vocabulary, pools over time, reads signals or has a layer that needs the
        whole sequence.

    See Also
    --------
    beam_search : The most likely sequences.
    forecast : The same for real numbers.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> params = model.init(rng=0)
    >>> generate(model, params, [0, 2], length=5).shape
    (5,)
    >>> generate(model, params, [[0, 1], [2, 2]], length=5, top_k=2).shape
    (5, 2)
    """
    return sample(
        ModelPredictor(model, params), prime, length, temperature, rng, top_k=top_k, top_p=top_p, stop=stop
    )
