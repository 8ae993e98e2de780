"""Labels out of the logits of CTC, and the best alignment of given labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import ArgumentError, boolean, integer
from ..engine.run import within_lengths
from ..results import Result
from .ctc import checked, checked_lengths, checked_logits, refuse_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_OPERATIONS = 40  # of a class or a state of a search, about


class CtcLabels(NamedTuple):
    """Labels and the logarithm of their probability.

    Attributes
    ----------
    labels : ndarray of int (u,)
    log_prob : float
    """

    labels: NDArray[np.int64]
    log_prob: float


@dataclass(frozen=True, repr=False)
class CtcAlignment(Result):
    """The most likely alignment of each target.

    Attributes
    ----------
    path : ndarray of int (T, B)
        The class at each step, the blank among them; -1 beyond the length.
    positions : ndarray of int (T, B)
        Index into the target of the label at each step; -1 at blanks and beyond the length.
    log_probs : ndarray (B,)
        Log-probability of the alignment.
    """

    path: NDArray[np.int64]
    positions: NDArray[np.int64]
    log_probs: NDArray[np.float64]

    def plot(self, sequence: int = 0, ax: Axes | None = None) -> Axes:
        """Draw the position in the target against the step, for one sequence of the batch."""
        from ..plot import ctc_alignment

        return ctc_alignment(self, sequence, ax=ax)


def ctc_decode(
    logits: NDArray[Any],
    lengths: ArrayLike | None = None,
    width: int = 1,
    n_best: int = 1,
    blank: int = 0,
    *,
    log_probs: bool = False,
) -> list[list[CtcLabels]]:
    """Labels of each sequence: of the best path, or by prefix beam search.

    With ``width=1`` these are the labels of the most likely alignment, and its log-probability (greedy). A wider beam
    adds up the probabilities of all alignments of a prefix that its beam has kept. What it returns is a lower bound of
    the probability of the labels, which is exact where the beam was never full.

    Parameters
    ----------
    logits : ndarray (T, B, V)
        Unnormalized log-probabilities, finite or minus infinity, float32 or float64.
    lengths : array_like of int (B,), optional
        Steps of each sequence, T by default.
    width : int
        How many prefixes are kept after each step.
    n_best : int
        How many labellings are wanted; at most `width`.
    blank : int
        Index of the blank.
    log_probs : bool
        Whether `logits` are log-probabilities.

    Returns
    -------
    list of list of CtcLabels
        For each sequence at most `n_best`, the most likely first. They are distinct, and none has probability 0.

    Raises
    ------
    TypeError, ValueError
        Naming the argument: more labellings wanted than the beam is wide, NaN or plus infinity, rows of
        log-probabilities whose probabilities do not sum to 1.

    References
    ----------
    .. [1] Graves, Jaitly, "Towards End-to-End Speech Recognition with Recurrent Neural Networks", ICML 2014.
    .. [2] Hannun, Maas, Jurafsky, Ng, "First-Pass Large Vocabulary Continuous Speech Recognition using
       Bi-Directional Recurrent DNNs", arXiv:1408.2873.

    Examples
    --------
    The best path is all blanks, yet "1" is more likely than no label at all, as more alignments read so:

    >>> logits = np.log(np.array([[[0.6, 0.4]], [[0.6, 0.4]]]))
    >>> [best] = ctc_decode(logits)[0]
    >>> best.labels, round(float(np.exp(best.log_prob)), 2)
    (array([], dtype=int64), 0.36)
    >>> [best] = ctc_decode(logits, width=4)[0]
    >>> best.labels, round(float(np.exp(best.log_prob)), 2)
    (array([1]), 0.64)
    """
    logits, blank = checked_logits(logits, blank)
    steps, batch, classes = logits.shape
    ends = checked_lengths("lengths", lengths, batch, steps)
    width = integer("width", width, at_least=1)
    n_best = integer("n_best", n_best, at_least=1)
    if n_best > width:
        raise ArgumentError("n_best", f"be at most width = {width}, the prefixes that are kept", n_best)
    log_probs = boolean("log_probs", log_probs)
    _check_rows(logits, ends, log_probs)
    if width == 1:
        return _best_path(logits, ends, blank, log_probs)
    from ..kernels.threads import POOL, launch, threads_for
    from .ctc_search_kernels import best_prefixes

    labels, counts = np.empty((batch, n_best, steps), np.int64), np.empty((batch, n_best), np.int64)
    scores = np.empty((batch, n_best))
    with POOL, np.errstate(all="ignore"):  # for interpreted code
        launch(
            threads_for(batch, steps * classes * width * STEP_OPERATIONS), best_prefixes, logits.reshape(-1), ends,
            steps, batch, classes, blank, log_probs, width, n_best, labels.reshape(-1), counts.reshape(-1),
            scores.reshape(-1),
        )  # fmt: skip
    return [
        [
            CtcLabels(labels[b, j, : counts[b, j]].copy(), float(scores[b, j]))
            for j in range(n_best)
            if counts[b, j] >= 0
        ]
        for b in range(batch)
    ]


def ctc_align(
    logits: NDArray[Any],
    targets: ArrayLike,
    lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    blank: int = 0,
    *,
    log_probs: bool = False,
) -> CtcAlignment:
    """The most likely alignment of each target with its sequence (Viterbi).

    Parameters
    ----------
    logits, targets, lengths, target_lengths, blank, log_probs
        As for `ctc_loss`.

    Returns
    -------
    CtcAlignment

    Raises
    ------
    TypeError, ValueError
        As for `ctc_loss`, and for a target that has no alignment, as it has more labels than there are steps or only
        alignments of probability 0.

    Examples
    --------
    >>> logits = np.zeros((5, 1, 3))
    >>> logits[:, 0, 0] = 2.0
    >>> logits[[1, 3], 0, [1, 2]] = 4.0
    >>> found = ctc_align(logits, [[1, 2]])
    >>> found.path[:, 0], found.positions[:, 0]
    (array([0, 1, 0, 2, 0]), array([-1,  0, -1,  1, -1]))
    """
    problem = checked(logits, targets, lengths, target_lengths, blank)
    steps, batch, classes = problem.logits.shape
    log_probs = boolean("log_probs", log_probs)
    _check_rows(problem.logits, problem.lengths, log_probs)
    repeats = problem.targets[:, 1:] == problem.targets[:, :-1]
    within = np.arange(1, problem.targets.shape[1]) < problem.target_lengths[:, None]
    needed = problem.target_lengths + (repeats & within).sum(axis=1)
    short = np.flatnonzero(needed > problem.lengths)
    if len(short):
        b = int(short[0])
        raise ArgumentError(
            "lengths",
            f"be at least {needed[b]} for sequence {b}: its labels, and a blank between equal ones",
            problem.lengths[b],
        )
    from ..kernels.threads import POOL, launch, threads_for
    from .ctc_search_kernels import ZERO_PROBABILITY, best_paths

    width = problem.targets.shape[1]
    path, positions = np.empty((steps, batch), np.int64), np.empty((steps, batch), np.int64)
    scores = np.empty(batch)
    with POOL, np.errstate(all="ignore"):  # for interpreted code
        launch(
            threads_for(batch, steps * (classes + 2 * width + 1) * STEP_OPERATIONS), best_paths,
            problem.logits.reshape(-1), problem.targets.reshape(-1), problem.lengths, problem.target_lengths, steps,
            batch, classes, width, problem.blank, log_probs, path.reshape(-1), positions.reshape(-1), scores,
        )  # fmt: skip
    impossible = np.flatnonzero(scores <= ZERO_PROBABILITY)
    if len(impossible):
        raise ArgumentError(
            "targets", "have an alignment of a probability above 0", f"none for sequence {int(impossible[0])}"
        )
    return CtcAlignment(path, positions, scores)


def _check_rows(logits: NDArray[Any], lengths: NDArray[np.int64], normalized: bool) -> None:
    refuse_rows(logits, lengths)
    if normalized:
        within = within_lengths(len(logits), lengths)
        sums = np.where(
            within, np.exp(np.where(within[..., None], logits, 0.0).astype(np.float64)).sum(axis=2), 1
        )
        wrong = np.argwhere(np.abs(sums - 1) > (1e-3 if logits.dtype == np.float32 else 1e-6))
        if len(wrong):
            t, b = map(int, wrong[0])
            raise ArgumentError(
                "logits",
                "be log-probabilities with log_probs=True",
                f"a sum of {sums[t, b]:.6g} at step {t} of sequence {b}",
            )


def _best_path(
    logits: NDArray[Any], lengths: NDArray[np.int64], blank: int, normalized: bool
) -> list[list[CtcLabels]]:
    best = logits.argmax(axis=2)
    scores = np.take_along_axis(logits, best[..., None], 2)[..., 0].astype(np.float64)
    if not normalized:
        largest = logits.max(axis=2, keepdims=True)
        with np.errstate(invalid="ignore"):  # beyond the lengths
            scores -= np.log(np.exp((logits - largest).astype(np.float64)).sum(axis=2)) + largest[..., 0]
    found = []
    for b, length in enumerate(lengths):
        path = best[:length, b]
        merged = path[np.insert(path[1:] != path[:-1], 0, True)] if length else path
        found.append([CtcLabels(merged[merged != blank].astype(np.int64), float(scores[:length, b].sum()))])
    return found
