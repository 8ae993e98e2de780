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


class Noise:
    """Float32, an LSTM of 128 units in training: what each kind of noise adds to a forward and backward pass."""

    params = (["none", "variational", "recurrent", "zoneout", "weight drop"],)
    param_names = ("kind",)
    timeout = 300
    warmup_time = 0.2

    def setup(self, kind: str) -> None:
        steps, batch, inputs, units = SIZES["T100 B32 N128 H128"]
        rng, lstm = np.random.default_rng(0), rd.cells.lstm()
        cell = {
            "variational": rd.cells.variational_dropout(lstm, 0.3),
            "recurrent": rd.cells.recurrent_dropout(lstm, 0.3),
            "zoneout": rd.cells.zoneout(lstm, 0.1),
        }.get(kind, lstm)
        self.layer = nn.recurrent(cell, units, inputs, weight_drop=0.5 if kind == "weight drop" else 0.0)
        self.weights = self.layer.init(rng=0)
        self.x = rng.standard_normal((steps, batch, inputs)).astype("float32")
        self.d_y = rng.standard_normal((steps, batch, units)).astype("float32")

    def time_forward_backward(self, kind: str) -> None:
        _, pull = self.layer(self.weights, self.x, nn.Context(rng=0, copy_params=False))
        pull(self.d_y)


class Normalization:
    """Float32, 100 steps of 32 sequences of 512 units, forward and backward in training."""

    params = (["batch_norm", "layer_norm"], ["whole", "ragged"])
    param_names = ("kind", "sequences")
    timeout = 300
    warmup_time = 0.2

    def setup(self, kind: str, sequences: str) -> None:
        rng = np.random.default_rng(0)
        self.layer = getattr(nn, kind)(512)
        self.weights = self.layer.init(rng=0)
        self.x, self.d_y = (rng.standard_normal((100, 32, 512)).astype("float32") for _ in range(2))
        self.lengths = rng.integers(1, 101, 32) if sequences == "ragged" else None

    def time_forward_backward(self, kind: str, sequences: str) -> None:
        _, pull = self.layer(self.weights, self.x, nn.Context(self.lengths, rng=0))
        pull(self.d_y)
