"""Searches over a model of 70 characters with 256 units: 64 sources, 50 steps."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

VOCABULARY, SOURCES, STEPS = 70, 64, 50


class Decoding:
    """Float32: beams of several widths, which is a streaming step of as many rows for each source, and samples."""

    params = ([1, 10],)
    param_names = ("width",)
    timeout = 300
    warmup_time = 0.2

    def setup(self, width: int) -> None:
        self.model = rd.nn.Model(rd.cells.lstm(), hidden_size=256, vocabulary_size=VOCABULARY)
        self.weights = self.model.init(rng=0)
        self.predictor = rd.nn.ModelPredictor(self.model, self.weights)
        self.primes = np.random.default_rng(0).integers(0, VOCABULARY, (5, SOURCES))

    def time_beam_search(self, width: int) -> None:
        rd.nn.beam_search(self.predictor, self.primes, STEPS, width, n_best=width)


class Choice:
    """A step of the search alone, where the prediction costs nothing: a Markov chain of 70 symbols."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        logarithms = np.log(rng.dirichlet(np.ones(VOCABULARY), VOCABULARY))
        self.chain = rd.nn.FunctionPredictor(lambda state, last: (logarithms[last], state), VOCABULARY)
        self.primes = rng.integers(0, VOCABULARY, (1, SOURCES))

    def time_beam_search(self) -> None:
        rd.nn.beam_search(self.chain, self.primes, STEPS, 10, n_best=10)

    def time_sample(self) -> None:
        rd.nn.sample(self.chain, self.primes, STEPS)
