"""What an update costs beside the recurrence: two LSTM layers of 128 over 65 characters, batch 50, 50 steps."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

VOCABULARY, STEPS, BATCH = 65, 50, 50


class Training:
    """Float32: the loss with its gradient, each optimizer, and updates of the whole training loop."""

    timeout = 300
    warmup_time = 0.2

    def setup(self) -> None:
        rng, lstm = np.random.default_rng(0), rd.cells.lstm()
        self.model = rd.nn.Model([lstm, lstm], hidden_size=128, vocabulary_size=VOCABULARY)
        self.params = self.model.init(rng=0)
        self.text = rd.data.Streams(rng.integers(0, VOCABULARY, 20 * STEPS * BATCH + 1), BATCH, STEPS)
        self.logits = rng.standard_normal((STEPS, BATCH, VOCABULARY)).astype("float32")
        self.targets = self.text.batch(0).targets

    def time_cross_entropy(self) -> None:
        rd.nn.cross_entropy(self.logits, self.targets)

    def time_20_updates(self) -> None:
        rd.training.fit(
            self.model, self.params, self.text,
            optimizer=rd.training.adam(), learning_rate=2e-3, updates=20, clip_norm=5.0, progress=False,
        )  # fmt: skip


class Update:
    """An optimizer's step over the 243,000 parameters of that model, and clipping by their norm."""

    params = (["sgd", "rmsprop", "adam", "adamw"],)
    param_names = ("optimizer",)
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str) -> None:
        training = Training()
        training.setup()
        self.weights, self.optimizer = training.params, rd.training.OPTIMIZERS[name]()
        _, self.grads = training.model.loss_and_grad(self.weights, training.text.batch(0))
        self.state = self.optimizer.init(self.weights)

    def time_update(self, name: str) -> None:
        self.optimizer.update(self.grads, self.state, self.weights, 1e-3)

    def time_clip(self, name: str) -> None:
        rd.training.clip_by_global_norm(self.grads, 1e9)
