"""A trained model as a dynamical system: the Lyapunov spectrum and the fixed points of every layer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .. import dynamics, nn
from ..engine.run import Run

EXPONENTS = 24  # the leading ones, where a state has more
LONGEST, MOST = 300, 4  # steps and sequences of the text that is read
FEWEST = 50  # steps, for a spectrum to mean something
STARTS = 48  # of the search for fixed points: Newton's method solves with a dense Jacobian at each
ITERATIONS = 60

T = TypeVar("T")


@dataclass(frozen=True)
class Portrait:
    """One layer.

    Attributes
    ----------
    spectrum
        Its Lyapunov exponents while it reads text; None for a text too short.
    points
        Its fixed points and slow points under its mean input, among the states that it went through.
    remarks
        What the analyses warned of.
    """

    spectrum: dynamics.LyapunovSpectrum | None
    points: dynamics.FixedPoints
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
    """
    sequences = int(np.clip(len(tokens) // LONGEST, 1, MOST))
    steps = min(LONGEST, len(tokens) // sequences)
    starts = np.linspace(0, len(tokens) - steps, sequences).astype(np.intp)
    text = tokens[starts + np.arange(steps)[:, None]]
    return [_portrait(run) for run in model.forward(params, text).runs]


def _portrait(run: Run) -> Portrait:
    spectrum, remarks = None, []
    size = run.tape.layout.state_size
    if run.steps >= FEWEST:
        spectrum, said = _heard(lambda: dynamics.lyapunov(run, count=min(size, EXPONENTS)))
        remarks += said
    states = run.tape.after.reshape(-1, size).astype(np.float64)
    radius = float(np.linalg.norm(states - states.mean(axis=0), axis=1).max())
    points, said = _heard(
        lambda: dynamics.fixed_points(
            run.cell,
            run.params,
            run,
            None if run.x is None else run.x.mean(axis=(0, 1), dtype=np.float64),
            number=min(STARTS, len(states)),
            iterations=ITERATIONS,
            within=max(4 * radius, 1.0),
        )
    )
    return Portrait(spectrum, points, tuple(remarks + said))


def _heard(analysis: Callable[[], T]) -> tuple[T, list[str]]:
    """The result, and the warnings on the way to it, which belong into the report."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = analysis()
    return found, [str(w.message) for w in caught]
