"""A diagnosis of a trained network, and the search for units that track signals."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

STEPS, UNITS = 100, 64


class Diagnose:
    """Say why a network of 64 units does not learn to add over 100 steps, from parameters, a batch and a history."""

    params = (["elman", "lstm"],)
    param_names = ("cell",)
    timeout = 300

    def setup(self, cell: str) -> None:
        """Train for some updates."""
        task = rd.data.AddingProblem(STEPS, batch_size=32)
        self.model = rd.nn.Model(
            getattr(rd.cells, cell)(), UNITS, input_size=2, output_size=1, loss="mean_squared_error"
        )
        self.optimizer = rd.training.adam()
        trained = rd.training.fit(
            self.model, self.model.init(rng=0), task, optimizer=self.optimizer, learning_rate=1e-3, updates=30,
            progress=False,
        )  # fmt: skip
        self.parameters, self.history = trained.params, trained.history
        self.batch, self.baseline = task.batch(10**6), task.baseline
        self.time_with_trials(cell)
        found = self.time_without_trials(cell)
        # The numbers alone, as they come from another library too.
        self.numbers = {
            "flows": [flow.norms for flow in found.data["flows"]],
            "losses": self.history["loss"],
            "gradient_norms": self.history["grad_norm"],
            "baseline": self.baseline,
        }

    def time_with_trials(self, cell: str) -> None:
        """Take the time of gradients, units and twenty trial updates at two rates."""
        rd.diagnose(
            self.model, self.batch, self.history, params=self.parameters, baseline=self.baseline,
            optimizer=self.optimizer,
        )  # fmt: skip

    def time_without_trials(self, cell: str) -> rd.dynamics.Diagnosis:
        """Take the time of the same without trying any update."""
        return rd.diagnose(
            self.model, self.batch, self.history, params=self.parameters, baseline=self.baseline
        )

    def time_numbers_alone(self, cell: str) -> None:
        """Take the time of the verdict on arrays."""
        rd.dynamics.diagnose(**self.numbers)


class Tracking:
    """Correlate 256 units with the signals of 50,000 characters of Python."""

    timeout = 120

    def setup(self) -> None:
        """Draw the units."""
        self.text = rd.data.standard_library(50_000)[:50_000]
        self.signals = rd.data.text_signals(self.text)
        self.values = np.random.default_rng(0).standard_normal((len(self.text), 256))

    def time_tracking(self) -> None:
        """Take the time of choosing the best units and judging them."""
        rd.dynamics.tracking(self.values, self.signals)

    def time_signals(self) -> None:
        """Take the time of the signals themselves."""
        rd.data.text_signals(self.text)
