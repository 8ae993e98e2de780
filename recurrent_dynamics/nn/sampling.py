"""Sampling sequences of class indices from a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, ArgumentTypeError, integer, number
from .closed_loop import ClosedLoop, check_autonomous
from .model import Model
from .table import embed


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
    """Continue a sequence, feeding each drawn class back as the next input.

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
    classes = model.vocabulary_size
    if classes is None or model.output_size != classes:
        raise ArgumentError("model", "read and predict the classes of one vocabulary", repr(model))
    check_autonomous(model)
    start = _prime(prime)
    length = integer("length", length, at_least=0)
    temperature = number("temperature", temperature, at_least=0)
    if top_k is not None:
        top_k = integer("top_k", top_k, at_least=1, at_most=classes)
    if top_p is not None:
        top_p = number("top_p", top_p, above=0, at_most=1)
    if stop is not None:
        stop = integer("stop", stop, at_least=0, at_most=classes - 1)
    rng = np.random.default_rng(rng)
    single = start.ndim == 1
    run = model.forward(params, start[:, None] if single else start, tape=False)
    loop, logits = ClosedLoop(model, params, run), run.output[-1]
    table = params["embedding"]["table"]
    drawn = np.empty((length, len(logits)), np.intp)
    ended = np.zeros(len(logits), bool)
    for n in range(length):
        drawn[n] = _draw(logits, temperature, rng, top_k, top_p)
        if stop is not None:
            drawn[n, ended] = stop
            ended |= drawn[n] == stop
            if ended.all():
                drawn = drawn[: n + 1]
                break
        if n + 1 < length:
            logits = loop(embed(table, drawn[n]))
    return drawn[:, 0] if single else drawn


def _prime(prime: ArrayLike) -> NDArray[Any]:
    if isinstance(prime, str):
        raise ArgumentTypeError(
            "prime",
            "be class indices",
            f"the text {prime[:20]!r}: encode it by the vocabulary of the model, vocabulary.encode(prime)",
        )
    start = np.asarray(prime)
    if start.ndim not in (1, 2) or start.size == 0:
        raise ArgumentError(
            "prime", "hold at least one class index, shape (n,) or (n, B)", f"shape {start.shape}"
        )
    return start


def _draw(
    logits: NDArray[Any], temperature: float, rng: np.random.Generator, top_k: int | None, top_p: float | None
) -> NDArray[np.intp]:
    """A class (B,) for each row of logits (B, V)."""
    if not np.isfinite(logits).all():
        raise ArgumentError("params", "give a model with finite outputs", "infinity or NaN")
    if temperature == 0:
        return logits.argmax(axis=-1)
    shares = np.exp((logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)) / temperature)
    if top_k is not None or top_p is not None:
        shares = _most_likely(shares, top_k, top_p)
    cumulative = np.cumsum(shares, axis=-1)
    thresholds = rng.random(len(logits)) * cumulative[:, -1]
    # side="right" never draws a class of probability 0; the clip guards the rounding of the last product.
    index = [np.searchsorted(c, u, side="right") for c, u in zip(cumulative, thresholds, strict=True)]
    return np.minimum(index, logits.shape[-1] - 1)


def _most_likely(shares: NDArray[Any], top_k: int | None, top_p: float | None) -> NDArray[Any]:
    """Shares (B, V) with 0 for all but the most likely classes; of equally likely ones the first are kept."""
    order = np.argsort(-shares, axis=-1, kind="stable")
    kept = np.take_along_axis(shares, order, axis=-1)
    if top_k is not None:
        kept[:, top_k:] = 0
    if top_p is not None:
        before = np.cumsum(kept, axis=-1) - kept
        kept[before >= top_p * kept.sum(axis=-1, keepdims=True)] = 0
    found = np.zeros_like(shares)
    np.put_along_axis(found, order, kept, axis=-1)
    return found
