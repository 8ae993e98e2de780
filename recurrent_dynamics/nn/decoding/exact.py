"""Exact search: depth first, without the branches that cannot win."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...checks import integer
from .beam import Beam
from .hypotheses import Floats
from .length_rule import LengthRule
from .predictor import Checked, Predictor, checked_prime
from .result import Decoded


def exact_search(
    predictor: Predictor[Any],
    prime: ArrayLike,
    length: int,
    *,
    stop: int | None = None,
    length_penalty: float = 0.0,
    minimum_length: int = 0,
    coverage_penalty: float = 0.0,
    width: int = 10,
    limit: int = 100_000,
) -> Decoded:
    """The most probable continuation of each sequence among all that there are.

    A beam search gives a sequence to compare with. Where it is not exact, the tree of all sequences is walked depth
    first, the most probable branch first, without the branches that cannot come to a higher score [1]_. This takes
    long where many sequences are about as probable as the best.

    Parameters
    ----------
    predictor : Predictor
    prime : array_like of int (n,) or (n, B)
    length : int
    stop : int, optional
    length_penalty : float
    minimum_length : int
    coverage_penalty : float
        As in `beam_search`.
    width : int
        Hypotheses of the beam search that comes first.
    limit : int
        The largest number of predictions of a source after the beam search, about. The walk ends there, and the best
        sequence so far is returned with `Decoded.exact` false.

    Returns
    -------
    Decoded
        One sequence for each source.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    References
    ----------
    .. [1] Stahlberg and Byrne, On NMT search errors and model errors: cat got your tongue?, EMNLP 2019.

    Examples
    --------
    >>> import recurrent_dynamics as rd
    >>> model = rd.nn.Model(rd.cells.lstm(), hidden_size=4, vocabulary_size=3)
    >>> predictor = rd.nn.ModelPredictor(model, model.init(rng=0))
    >>> found = exact_search(predictor, [0], length=8, stop=2, length_penalty=1.0)
    >>> found.exact
    array([ True])
    """
    checked = Checked(predictor)
    start, _ = checked_prime(prime, checked.vocabulary_size)
    rule = LengthRule(checked.vocabulary_size, length, stop, length_penalty, minimum_length)
    checked.weigh_coverage(coverage_penalty)
    limit = integer("limit", limit, at_least=1)
    found = Beam(checked, rule, start, integer("width", width, at_least=1), 1).result()
    open_sources = np.flatnonzero(~found.exact)
    if not len(open_sources):
        return found
    begun = checked.start(start)
    walks = {int(b): _Walk(checked, rule, begun, found, int(b), limit) for b in open_sources}
    return _with_walks(found, rule, walks)


class _Branch(NamedTuple):
    """A sequence without its end, and the row of log-probabilities of what may follow."""

    symbols: tuple[int, ...]
    log_probability: float
    bound: float
    following: Floats  # (V,)
    coverage: float  # what is added to the score where it ends
    state: Any
    row: int


class _Walk:
    """The walk through the tree of one source: the best sequence, and the bound of the branches not walked."""

    def __init__(
        self,
        predictor: Checked,
        rule: LengthRule,
        begun: tuple[Floats, Any],
        beam: Decoded,
        source: int,
        limit: int,
    ) -> None:
        self.predictor, self.rule = predictor, rule
        self.symbols = tuple(beam.sequence(source).tolist())
        self.log_probability = float(beam.log_probabilities[source, 0])
        self.ended = bool(beam.ended[source, 0])
        complete = self.ended or rule.stop is None
        self.score = float(beam.scores[source, 0]) if complete else -np.inf
        following, state = begun
        self.predictions = 1
        bound, coverage = float(rule.bound(np.zeros(()), 0)), predictor.coverage(state, len(following))
        stack = [_Branch((), 0.0, bound, following[source], float(coverage[source]), state, source)]
        while stack and self.predictions <= limit:
            branch = stack.pop()
            if branch.bound > self.score:
                stack += self._extended(branch)
        self.bound = max((branch.bound for branch in stack), default=-np.inf)

    def _extended(self, branch: _Branch) -> list[_Branch]:
        """The branches one symbol longer that can still win, the most probable last."""
        rule, t = self.rule, len(branch.symbols) + 1
        candidates = branch.log_probability + branch.following
        if rule.stop is not None:
            if not rule.blocks_end(t):
                self._compare(branch.symbols, candidates[rule.stop], t, branch.coverage, ended=True)
            candidates[rule.stop] = -np.inf
        if t == rule.longest:
            if rule.stop is None:
                last = int(candidates.argmax())
                self._compare((*branch.symbols, last), candidates[last], t, branch.coverage, ended=False)
            return []
        bounds = rule.bound(candidates, t)
        symbols = np.flatnonzero(bounds > self.score)
        symbols = symbols[np.argsort(candidates[symbols], kind="stable")]
        if not len(symbols):
            return []
        rows = np.full(len(symbols), branch.row)
        following, state = self.predictor.step(self.predictor.take(branch.state, rows), symbols)
        self.predictions += len(symbols)
        coverage = self.predictor.coverage(state, len(symbols))
        return [
            _Branch(
                (*branch.symbols, symbol),
                float(candidates[symbol]),
                float(bounds[symbol]),
                f,
                float(coverage[row]),
                state,
                row,
            )
            for row, (symbol, f) in enumerate(zip(symbols.tolist(), following, strict=True))
        ]

    def _compare(
        self, symbols: tuple[int, ...], log_probability: float, t: int, coverage: float, ended: bool
    ) -> None:
        score = float(self.rule.score(log_probability, t)) + coverage
        if score > self.score:
            self.symbols, self.log_probability, self.score = symbols, float(log_probability), score
            self.ended = ended


def _with_walks(found: Decoded, rule: LengthRule, walks: dict[int, _Walk]) -> Decoded:
    """The result of the beam search, with those of the walks in place of theirs."""
    sources = len(found.lengths)
    best = [walks[b].symbols if b in walks else tuple(found.sequence(b).tolist()) for b in range(sources)]
    lengths = np.array([[len(symbols)] for symbols in best], np.intp)
    fill = 0 if rule.stop is None else rule.stop
    sequences = np.full((lengths.max(), sources, 1), fill, np.intp)
    for b, symbols in enumerate(best):
        sequences[: len(symbols), b, 0] = symbols
    log_probabilities, scores, ended = found.log_probabilities.copy(), found.scores.copy(), found.ended.copy()
    exact, bounds = found.exact.copy(), found.bounds.copy()
    for b, walk in walks.items():
        log_probabilities[b], ended[b], bounds[b] = walk.log_probability, walk.ended, walk.bound
        if walk.score > -np.inf:  # else nothing can end: the unfinished one of the beam stays
            scores[b], exact[b] = walk.score, walk.score >= walk.bound
    return replace(
        found, sequences=sequences, lengths=lengths, log_probabilities=log_probabilities, scores=scores,
        ended=ended, exact=exact, bounds=bounds,
        predictions=found.predictions + sum(walk.predictions for walk in walks.values()),
    )  # fmt: skip
