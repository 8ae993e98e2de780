"""A decoder that attends to a memory at every step."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

import recurrent_dynamics as rd


class Attention:
    """Float32, 50 steps, 50 positions, 64 sequences, 256 units: an LSTM with one of the scores."""

    params: ClassVar[list[str]] = ["additive", "general"]
    param_names: ClassVar[list[str]] = ["score"]
    timeout = 300
    warmup_time = 0.2

    def setup(self, score: str) -> None:
        rng = np.random.default_rng(0)
        draw = lambda: rng.standard_normal((50, 64, 256)).astype("float32")
        self.cell = rd.cells.attention(rd.cells.lstm(), score)
        self.given = self.cell.init(256, 256, rng)
        self.x, self.d, self.memory = draw(), draw(), {"keys": draw(), "values": draw()}
        self.run = self.forward()

    def forward(self) -> rd.engine.Run:
        return rd.forward(self.cell, self.given, self.x, memory=self.memory, copy_params=False)

    def time_forward(self, score: str) -> None:
        self.forward()

    def time_backward(self, score: str) -> None:
        rd.backward(self.run, self.d)
