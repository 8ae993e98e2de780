"""Composed layers: both directions of an LSTM, forward and backward."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import nn

from .common import SIZES, lengths_of


class Bidirectional:
    """Float32: the outputs of both directions with their gradients by parameters and input."""

    params = (["T100 B32 N64 H64", "T100 B32 N128 H128"], ["whole", "ragged"])
    param_names = ("size", "sequences")
    timeout = 300
    warmup_time = 0.2

    def setup(self, size: str, sequences: str) -> None:
        steps, batch, inputs, units = SIZES[size]
        rng, direction = np.random.default_rng(0), nn.recurrent(rd.cells.lstm(), units, inputs)
        self.layer = nn.bidirectional(direction, direction)
        self.weights = self.layer.init(rng=0)
        self.x = rng.standard_normal((steps, batch, inputs)).astype("float32")
        self.d_y = rng.standard_normal((steps, batch, 2 * units)).astype("float32")
        lengths = lengths_of(SIZES[size]) if sequences == "ragged" else None
        self.context = nn.Context(lengths=lengths, copy_params=False)

    def time_forward_backward(self, size: str, sequences: str) -> None:
        _, pull = self.layer(self.weights, self.x, self.context)
        pull(self.d_y)
