"""Connectionist temporal classification: loss with gradient, second order, searches."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd


class Ctc:
    """Float32, 200 steps, 32 sequences, 50 classes, 40 labels."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.logits = rng.standard_normal((200, 32, 50)).astype("float32")
        self.targets = rng.integers(1, 50, (32, 40))

    def time_loss(self) -> None:
        rd.nn.ctc_loss(self.logits, self.targets)

    def time_second_order(self) -> None:
        rd.nn.ctc_hvp(self.logits, self.targets, self.logits)

    def time_align(self) -> None:
        rd.nn.ctc_align(self.logits, self.targets)

    def time_beam_of_10(self) -> None:
        rd.nn.ctc_decode(self.logits, width=10)
