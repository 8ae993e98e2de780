"""What every layer does while one character is repeated: where it drifts, and the fixed points it has there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dynamics, nn
from ..engine import Run
from ..results import Result

CHARACTERS = 4
BEGINNINGS = 6  # states of the text from which a character is repeated
REPEATED = (0, 30, 300, 2000)  # repetitions after which a search for fixed points starts
DRAWN = 300  # repetitions of which the states are kept
ITERATIONS = 30  # most of those that arrive do so within 10


@dataclass(frozen=True)
class Held(Result):
    """One layer while one character is repeated.

    Attributes
    ----------
    token
        The character's index.
    longest
        How often it stands in a row in the text at most.
    path
        The states from some of the text's on, ``(steps, BEGINNINGS, S)``.
    points
        Fixed points of the whole state under this input, most often reached first; None for a layer above one where
        none was found, which gets no constant input.
    reached
        Share of the starts that ended in a fixed point.
    distance
        Of every point from the mean of the text's states, over that of the farthest of these: above 1 it lies outside
        of the region that the text visits.
    pace
        Length of a step after `longest` repetitions and after the last one that was tried, over the median length of a
        step while text is read.
    remarks
        What the search warned of, besides starts that led nowhere.
    """

    token: int
    longest: int
    path: np.ndarray
    points: dynamics.FixedPoints | None
    reached: float
    distance: np.ndarray
    pace: tuple[float, float]
    remarks: tuple[str, ...]


def held_characters(
    model: nn.Model, params: Any, runs: Sequence[Run], tokens: np.ndarray
) -> list[list[Held]]:
    """Repeat the characters that stand longest in a row in the text, and search for fixed points on the way.

    Such characters are constant inputs that the network does read, unlike the mean of all. A layer above the first gets
    the output of the layer below at its fixed point, so that all of them together are a fixed point of the network.
    From states of the text alone Newton's method finds little where gates hold the state, as the nearest point may be
    far outside; a layer is therefore also followed to where it drifts, and searched from there.

    Parameters
    ----------
    model, params
        A model that reads characters.
    runs
        Of its layers, over stretches of text.
    tokens
        The text, class indices (n,).

    Returns
    -------
    list of list of Held
        By layer, and by character.
    """
    flat = [run.tape.after.reshape(-1, run.tape.layout.state_size).astype(np.float64) for run in runs]
    # Of the second half, when the states that the runs began with are forgotten.
    chosen = np.linspace(len(flat[0]) // 2, len(flat[0]) - 1, BEGINNINGS).astype(np.intp)
    begin = [{slot: v.reshape(-1, v.shape[-1])[chosen] for slot, v in run.states.items()} for run in runs]
    found: list[list[Held]] = [[] for _ in runs]
    for token, longest in repeated(tokens, CHARACTERS):
        held = np.full((REPEATED[-1] + 1, BEGINNINGS), token)
        runs_held = model.forward(params, held, initial=begin).runs
        output: np.ndarray | None = runs_held[0].tape.x[0, 0]
        for index, run in enumerate(runs_held):
            layer = _held(run, runs[index], flat[index], flat[index][chosen], token, longest, output)
            found[index].append(layer)
            output = None
            if layer.points is not None and len(layer.points):
                output = layer.points.states[run.cell.output][0]
    return found


def repeated(tokens: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The characters with the longest runs of themselves, the more frequent first among equals, and these lengths."""
    edges = np.flatnonzero(np.diff(tokens)) + 1
    begins = np.concatenate([[0], edges])
    lengths = np.diff(np.append(begins, len(tokens)))
    longest, often = np.zeros(tokens.max() + 1, np.intp), np.bincount(tokens)
    np.maximum.at(longest, tokens[begins], lengths)
    order = np.lexsort((-often, -longest))
    return [(int(k), int(longest[k])) for k in order[:count] if longest[k]]


def _held(
    run: Run,
    text: Run,
    states: np.ndarray,
    begin: np.ndarray,
    token: int,
    longest: int,
    output: np.ndarray | None,
) -> Held:
    """One layer, from its run over the repeated character, and one over text."""
    middle = states.mean(axis=0)
    radius = max(float(np.linalg.norm(states - middle, axis=1).max()), np.finfo(np.float64).tiny)
    path = np.concatenate([begin[None], run.tape.after.astype(np.float64)])
    usual = np.median(np.linalg.norm(np.diff(text.tape.after, axis=0), axis=2)) if text.steps > 1 else np.nan
    pace = [
        float(np.median(np.linalg.norm(path[k + 1] - path[k], axis=1)) / usual)
        for k in (min(longest, REPEATED[-1]), REPEATED[-1])
    ]
    points, distance, reached = None, np.empty(0), 0.0
    remarks: list[str] = []
    if output is not None:
        reach = float(np.linalg.norm(path - middle, axis=2).max())
        points, remarks = _search(run, path, output, 4 * max(reach, radius))
        distance = np.linalg.norm(points.points - middle, axis=1) / radius
        reached = float(points.hits.sum()) / (len(REPEATED) * BEGINNINGS)
    return Held(token, longest, path[:DRAWN], points, reached, distance, (pace[0], pace[1]), tuple(remarks))


def _search(
    run: Run, path: np.ndarray, input: np.ndarray, within: float
) -> tuple[dynamics.FixedPoints, list[str]]:
    """Fixed points from the states of a path, and what was remarked on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        points = dynamics.fixed_points(
            run.cell,
            run.params,
            path[list(REPEATED)].reshape(-1, path.shape[2]),
            input.astype(np.float64),
            iterations=ITERATIONS,
            within=within,
        )
    # How many starts led nowhere is part of the result.
    said = [str(w.message) for w in caught if " starts d" not in str(w.message)]
    return points, said
