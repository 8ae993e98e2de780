"""Beam search: the most probable sequences that a few hypotheses side by side lead to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import integer
from .hypotheses import Floats, History, Ints, Open, Pool
from .length_rule import LengthRule
from .predictor import Checked, Predictor, checked_prime
from .result import Decoded


def beam_search(
    predictor: Predictor[Any],
    prime: ArrayLike,
    length: int,
    width: int = 10,
    *,
    n_best: int = 1,
    stop: int | None = None,
    length_penalty: float = 0.0,
    minimum_length: int = 0,
    coverage_penalty: float = 0.0,
) -> Decoded:
    """The most probable continuations of sequences, among those that a beam of hypotheses reaches.

    A step extends all open hypotheses of a source by every symbol. Of these candidates those that end are kept, if they
    are among the `width` most probable ones; the most probable others, `width` of them, stay open. The search of a
    source is over when no open hypothesis can come to a higher score than the sequences found, or at `length`. The best
    sequence is therefore the same for every `n_best`. A beam of width 1 without a length penalty is the greedy choice
    of `sample` with temperature 0.

    Parameters
    ----------
    predictor : Predictor
        What predicts the next symbol, such as a `ModelPredictor`.
    prime : array_like of int (n,) or (n, B)
        At least one symbol to start from, of one source or of B sources side by side.
    length : int
        The largest number of symbols to predict, the end symbol included.
    width : int
        Open hypotheses of each source, at least 1. There may be more of them than symbols.
    n_best : int
        How many sequences to return for each source, at most `width`.
    stop : int, optional
        The symbol that ends a sequence. Without it all sequences have `length` symbols.
    length_penalty : float
        The exponent a, from -10 to 10, of the score ``log_probability / L ** a``, where L counts the predicted symbols,
        the end symbol included. 0 is the log-probability; 1 its mean over the symbols; a positive one favours longer
        sequences [1]_, a negative one shorter ones.
    minimum_length : int
        Symbols before the end symbol may come. The probability that it would have had is not shared out.
    coverage_penalty : float
        b, at least 0: adds b times the coverage of its source to the score of a sequence [1]_, the sum over the
        positions of ``log(min(what attention read of it, 1))``. For a predictor with attention, such as that of an
        `EncoderDecoder`. The coverage counts among the sequences found; it does not choose between open hypotheses.

    Returns
    -------
    Decoded
        If fewer than `n_best` hypotheses have ended, unfinished ones follow, marked by `Decoded.ended`.
        `Decoded.exact` says for each source whether the best sequence is provably the best of all, as no hypothesis
        that the beam dropped could have led to a higher score.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.

    See Also
    --------
    exact_search : Goes on until the best sequence is certain.
    sample : Draws sequences, or takes the most probable symbol at every step.

    References
    ----------
    .. [1] Wu et al., Google's neural machine translation system, arXiv:1609.08144 (2016), section 7, with
           ``((5 + L) / 6) ** a`` in place of ``L ** a``.

    Examples
    --------
    The most probable first symbol, 1, leads to improbable sequences:

    >>> import recurrent_dynamics as rd
    >>> transition = np.array([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.1, 0.0, 0.9]])
    >>> with np.errstate(divide="ignore"):
    ...     logarithms = np.log(transition)
    >>> chain = rd.nn.FunctionPredictor(lambda state, symbols: (logarithms[symbols], state), vocabulary_size=3)
    >>> rd.nn.sample(chain, [0], length=3, temperature=0)
    array([1, 0, 1])
    >>> found = beam_search(chain, [0], length=3, width=2, n_best=2)
    >>> found.sequence()
    array([2, 2, 2])
    >>> np.exp(found.log_probabilities).round(3), found.exact
    (array([[0.324, 0.144]]), array([ True]))
    """
    checked = Checked(predictor)
    start, _ = checked_prime(prime, checked.vocabulary_size)
    rule = LengthRule(checked.vocabulary_size, length, stop, length_penalty, minimum_length)
    checked.weigh_coverage(coverage_penalty)
    width = integer("width", width, at_least=1)
    n_best = integer("n_best", n_best, at_least=1, at_most=width)
    return Beam(checked, rule, start, width, n_best).result()


class Beam:
    """A search that is done, with what led to it."""

    def __init__(self, predictor: Checked, rule: LengthRule, start: Ints, width: int, n_best: int) -> None:
        sources = start.shape[1]
        self.rule, self.width, self.n_best = rule, width, n_best
        self.ended, self.history = Pool(sources, width), History()
        self.coverage = np.zeros(sources)  # of the open hypotheses, as of their last prediction
        self.bounds = np.full(sources, -np.inf)  # of the scores of what was left out
        self.predictions = sources
        # One hypothesis for each source: several equal ones would fill the beam with copies.
        self.open = Open(np.arange(sources), np.zeros(sources), np.zeros(sources, np.intp))
        found, state = predictor.start(start)
        for t in range(1, rule.longest + 1):
            row, symbol = self._step(t, found, predictor.coverage(state, len(found)))
            if t == rule.longest or not len(row):
                break
            found, state = predictor.step(predictor.take(state, row), symbol)
            self.predictions += len(row)

    def _step(self, t: int, found: Floats, coverage: Floats) -> tuple[Ints, Ints]:
        """Extend the hypotheses by the symbol number t: the rows that stay open, and the symbol of each."""
        source, log_probability, row, symbol = self._extended(t, found)
        self.history.add(self.open.node[row], symbol)
        is_end = symbol == self.rule.stop
        end, node = np.flatnonzero(is_end), np.flatnonzero(~is_end)
        if len(end):
            scores = self.rule.score(log_probability[end], t) + coverage[row[end]]
            lost = self.ended.add(source[end], log_probability[end], scores, t, end)
            self.bounds = np.maximum(self.bounds, lost)
        if t < self.rule.longest:
            node = node[self._can_win(t, source[node], log_probability[node])[source[node]]]
        self.open, self.coverage = Open(source[node], log_probability[node], node), coverage[row[node]]
        return row[node], symbol[node]

    def _extended(self, t: int, found: Floats) -> tuple[Ints, Floats, Ints, Ints]:
        """Source, log-probability, row before and symbol of what ends or stays open, by falling log-probability."""
        from .extension import extended  # imports Numba

        rule, (source, log_probability, _) = self.rule, self.open
        begins = np.flatnonzero(np.diff(source, prepend=-1))
        made = extended(
            log_probability, found, np.append(begins, len(source)), self.width,
            -1 if rule.stop is None else rule.stop, rule.blocks_end(t),
        )  # fmt: skip
        active = source[begins]
        # What the hypotheses that have no place could have come to.
        bounds = np.maximum(self.bounds[active], rule.bound(made.largest_open, t))
        if rule.stop is not None:
            bounds = np.maximum(bounds, rule.score(made.largest_end, t))
        self.bounds[active] = bounds
        return np.repeat(active, made.counts), made.log_probability, made.row, made.symbol

    def _can_win(self, t: int, source: Ints, log_probability: Floats) -> NDArray[np.bool_]:
        """Whether the open hypotheses of each source (B,) can come to a higher score than what was found."""
        highest = np.full(len(self.bounds), -np.inf)
        np.maximum.at(highest, source, log_probability)
        bound = self.rule.bound(highest, t)
        open_still = bound > self.ended.score[:, self.n_best - 1]
        self.bounds = np.where(open_still, self.bounds, np.maximum(self.bounds, bound))
        return np.asarray(open_still)

    def result(self) -> Decoded:
        """The best sequences of each source: those that have ended, then those that have not."""
        rule, sources, width = self.rule, len(self.bounds), self.width
        unfinished, last = Pool(sources, width), len(self.history.steps)
        source, log_probability, node = self.open
        score = rule.score(log_probability, last) + self.coverage
        order = np.lexsort((-score, source))  # a pool takes them by source
        unfinished.add(source[order], log_probability[order], score[order], last, node[order])
        both = (self.ended, unfinished)
        score = np.concatenate([s.score for s in both], axis=1)
        ended = np.repeat([True, False], width) & (score > -np.inf)
        order = np.lexsort((-score, ~ended))[:, : self.n_best]

        def best(arrays: list[NDArray[Any]]) -> NDArray[Any]:
            return np.take_along_axis(np.concatenate(arrays, axis=1), order, axis=1)

        score, ended = np.take_along_axis(score, order, axis=1), np.take_along_axis(ended, order, axis=1)
        step, node = best([s.step for s in both]), best([s.node for s in both])
        fill = 0 if rule.stop is None else rule.stop
        sequences = self.history.sequences(step.ravel(), node.ravel(), fill)
        lengths = step - ended
        complete = score[:, 0] > -np.inf if rule.stop is None else ended[:, 0]
        return Decoded(
            sequences=sequences[: lengths.max()].reshape(-1, sources, self.n_best),
            lengths=lengths,
            log_probabilities=best([s.log_probability for s in both]),
            scores=score,
            ended=ended,
            exact=complete & (score[:, 0] >= self.bounds),
            bounds=self.bounds,
            predictions=self.predictions,
            length_penalty=rule.penalty,
            stop=rule.stop,
        )
