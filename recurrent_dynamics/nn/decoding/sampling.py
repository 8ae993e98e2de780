"""Drawing the next symbol: temperature, the most likely ones alone, or the most likely one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import ArgumentError, generator, integer, number
from ..prediction import by_uniform
from .predictor import Checked, Predictor, checked_prime


def sample(
    predictor: Predictor[Any],
    prime: ArrayLike,
    length: int,
    temperature: float = 1.0,
    rng: int | np.random.Generator = 0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    stop: int | None = None,
) -> NDArray[np.intp]:
    """Continue a sequence, feeding each drawn symbol back as the next input.

    Parameters
    ----------
    predictor : Predictor
        What predicts the next symbol. `generate` is the short way for a model.
    prime : array_like of int (n,) or (n, B)
        At least one symbol to start from; B of them side by side for as many sequences.
    length : int
        How many symbols to draw.
    temperature : float
        Log-probabilities are divided by it; 0 takes the most likely symbol (greedy), of equally likely ones the first.
    rng : int or Generator
    top_k : int, optional
        Draw among the k most likely symbols alone.
    top_p : float, optional
        Draw among the most likely symbols alone whose probabilities just reach this sum, in (0, 1] (nucleus sampling
        [1]_). After `top_k` where both are given.
    stop : int, optional
        A symbol that ends a sequence.

    Returns
    -------
    ndarray of int (length,) or (length, B)
        With `stop` a single sequence ends with that symbol if it is drawn; several are as long as the longest, and what
        is after the end of one is filled with that symbol.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    .. [1] Holtzman et al., The curious case of neural text degeneration, ICLR 2020.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> coin = rd.nn.FunctionPredictor(
    ...     lambda state, symbols: (np.log(np.tile([0.5, 0.5], (len(symbols), 1))), state), vocabulary_size=2)
    >>> sample(coin, [[0, 0, 0]], length=5, rng=1).shape
    (5, 3)
    """
    checked = Checked(predictor)
    start, single = checked_prime(prime, checked.vocabulary_size)
    classes = checked.vocabulary_size
    length = integer("length", length, at_least=0)
    temperature = number("temperature", temperature, at_least=0)
    if top_k is not None:
        top_k = integer("top_k", top_k, at_least=1, at_most=classes)
    if top_p is not None:
        top_p = number("top_p", top_p, above=0, at_most=1)
    if stop is not None:
        stop = integer("stop", stop, at_least=0, at_most=classes - 1)
    rng = generator("rng", rng)
    found, state = checked.start(start)
    drawn = np.empty((length, len(found)), np.intp)
    ended = np.zeros(len(found), bool)
    for n in range(length):
        drawn[n] = draw(found, temperature, rng, top_k, top_p)
        if stop is not None:
            drawn[n, ended] = stop
            ended |= drawn[n] == stop
            if ended.all():
                drawn = drawn[: n + 1]
                break
        if n + 1 < length:
            found, state = checked.step(state, drawn[n])
    return drawn[:, 0] if single else drawn


def draw(
    logarithms: NDArray[np.float64],
    temperature: float,
    rng: np.random.Generator,
    top_k: int | None,
    top_p: float | None,
) -> NDArray[np.intp]:
    """A symbol (B,) for each row of log-probabilities (B, V)."""
    highest = logarithms.max(axis=-1, keepdims=True)
    if not np.isfinite(highest).all():
        raise ArgumentError(
            "predictor", "give a symbol that can come next", "log-probabilities that are all -inf"
        )
    if temperature == 0:
        return logarithms.argmax(axis=-1)
    shares = np.exp((logarithms - highest) / temperature)
    if top_k is not None or top_p is not None:
        shares = _most_likely(shares, top_k, top_p)
    return by_uniform(shares, rng.random(len(logarithms)))


def _most_likely(shares: NDArray[Any], top_k: int | None, top_p: float | None) -> NDArray[Any]:
    """Shares (B, V) with 0 for all but the most likely symbols; of equally likely ones the first are kept."""
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
