"""A trained model as a dynamical system: the Lyapunov spectrum and the fixed points of every layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .. import dynamics, nn
from ..checks import ArgumentError, instance
from ..engine import Run, check
from ..nn.table import class_indices
from ..results import Result
from .constant_input import Held, held_characters

EXPONENTS = 24  # the leading ones, where a state has more
LONGEST, MOST = 300, 4  # steps and sequences of the text that is read
FEWEST = 50  # steps, for a spectrum to mean something

T = TypeVar("T")


@dataclass(frozen=True)
class Portrait(Result):
    """Exponents, trajectories and fixed points of one layer.

    Attributes
    ----------
    spectrum
        Its Lyapunov exponents while it reads text; None for a text too short.
    trajectories
        Its states while it reads text, ``(steps, sequences, S)``.
    held
        What it does while a character is repeated, one for each of the characters that the text repeats most.
    remarks
        What the analyses warned of.
    """

    spectrum: dynamics.LyapunovSpectrum | None
    trajectories: np.ndarray
    held: list[Held]
    remarks: tuple[str, ...]


def portraits(model: nn.Model, params: Any, tokens: np.ndarray) -> list[Portrait]:
    """Read stretches of text from their beginnings and find the exponents and fixed points of every layer.

    The exponents of a layer are those of its own state under the input that the layers below give it. Layers act on
    each other in one direction only, so that the exponents of all of them together are those of the whole model.

    Parameters
    ----------
    model, params
        A model that reads and predicts characters.
    tokens
        Class indices, shape (n,).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    """
    tokens = tokens_of(model, tokens)
    sequences = int(np.clip(len(tokens) // LONGEST, 1, MOST))
    steps = min(LONGEST, len(tokens) // sequences)
    starts = np.linspace(0, len(tokens) - steps, sequences).astype(np.intp)
    text = tokens[starts + np.arange(steps)[:, None]]
    runs = model.forward(params, text).runs
    several = held_characters(model, params, runs, tokens)
    return [_portrait(run, held) for run, held in zip(runs, several, strict=True)]


def tokens_of(model: nn.Model, tokens: Any) -> np.ndarray:
    """The class indices (n,) of a text that the model reads."""
    instance("model", model, nn.Model)
    if model.vocabulary_size is None:
        raise ArgumentError("model", "read the characters of a vocabulary", repr(model))
    indices = check.array("tokens", tokens)
    if indices.ndim != 1 or not indices.size:
        raise ArgumentError("tokens", "have shape (n,), with at least one character", indices.shape)
    return class_indices(indices, model.vocabulary_size, "tokens")


def _portrait(run: Run, held: list[Held]) -> Portrait:
    spectrum = None
    remarks: list[str] = []
    if run.steps >= FEWEST:
        size = run.tape.layout.state_size
        spectrum, remarks = _heard(lambda: dynamics.lyapunov(run, count=min(size, EXPONENTS)))
    remarks += [remark for found in held for remark in found.remarks]
    return Portrait(spectrum, run.tape.after.astype(np.float64), held, tuple(dict.fromkeys(remarks)))


def _heard(analysis: Callable[[], T]) -> tuple[T, list[str]]:
    """The result, and the warnings on the way to it, which belong into the report."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = analysis()
    return found, [str(w.message) for w in caught]
