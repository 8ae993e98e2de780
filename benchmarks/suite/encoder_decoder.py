"""An encoder and a decoder of 256 units, 64 pairs of 50 symbols of 70 without an end: gradients and searches."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

VOCABULARY, PAIRS, STEPS, UNITS = 70, 64, 50, 256


class EncoderDecoder:
    """Float32, LSTM; what the decoder reads in training, and beams of several widths."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        lstm = nn.recurrent(rd.cells.lstm(), UNITS)
        encoder = nn.chain(nn.embedding(VOCABULARY, 64), lstm)
        words = {"classes": VOCABULARY, "begin": 0, "start": "copy"}
        self.forced = nn.encoder_decoder(encoder, lstm, **words)
        self.sampled = nn.encoder_decoder(encoder, lstm, **words, feeding=nn.scheduled_sampling(0.5))
        self.weights, rng = self.forced.init(rng=0), np.random.default_rng(0)
        self.pairs = nn.Pairs(*rng.integers(2, VOCABULARY, (2, STEPS, PAIRS)))

    def time_teacher_forcing(self) -> None:
        self.forced.loss_and_grad(self.weights, self.pairs)

    def time_scheduled_sampling(self) -> None:
        self.sampled.loss_and_grad(self.weights, self.pairs, dropout_rng=np.random.default_rng(0))

    def time_greedy(self) -> None:
        self.forced.decode(self.weights, self.pairs.source, length=STEPS, width=1)

    def time_beam_search(self) -> None:
        self.forced.decode(self.weights, self.pairs.source, length=STEPS, width=10)


class Attention:
    """Float32: an LSTM decoder with additive attention over the outputs of an LSTM."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        cell = rd.cells.attention(rd.cells.lstm())
        encoder = nn.chain(nn.embedding(VOCABULARY, 64), nn.recurrent(rd.cells.lstm(), UNITS))
        self.model = nn.encoder_decoder(encoder, nn.recurrent(cell, UNITS), classes=VOCABULARY, begin=0)
        self.weights, rng = self.model.init(rng=0), np.random.default_rng(0)
        self.pairs = nn.Pairs(*rng.integers(2, VOCABULARY, (2, STEPS, PAIRS)))

    def time_gradient(self) -> None:
        self.model.loss_and_grad(self.weights, self.pairs)

    def time_beam_search(self) -> None:
        self.model.decode(self.weights, self.pairs.source, length=STEPS, width=10)


class TwoReadings:
    """Float32: an LSTM with additive attention reads a question about the outputs of an LSTM."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        cell = rd.cells.attention(rd.cells.lstm())
        encoder = nn.chain(nn.embedding(VOCABULARY, 64), nn.recurrent(rd.cells.lstm(), UNITS))
        reader = nn.chain(nn.embedding(VOCABULARY, 64), nn.recurrent(cell, UNITS), nn.dense(None, 10))
        self.model = nn.TwoReadings(encoder, reader)
        self.weights, rng = self.model.init(rng=0), np.random.default_rng(0)
        read, asked = rng.integers(0, VOCABULARY, (2, STEPS, PAIRS))
        self.batch = {"source": read, "inputs": asked[:10], "targets": rng.integers(0, 10, PAIRS)}

    def time_gradient(self) -> None:
        self.model.loss_and_grad(self.weights, self.batch)
