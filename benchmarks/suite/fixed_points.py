"""Fixed points of a network from many starts, and one of them followed through a parameter."""

from __future__ import annotations

import warnings

import numpy as np

import recurrent_dynamics as rd

STARTS, UNITS = 1024, 64


def network(gain: float) -> tuple[rd.cells.Cell, dict[str, np.ndarray]]:
    """Return a simple recurrent network with U random of standard deviation gain / sqrt(units), in double precision."""
    rng = np.random.default_rng(0)
    U = gain * rng.standard_normal((UNITS, UNITS)) / np.sqrt(UNITS)
    return rd.cells.elman(), {"U": U, "b": 0.1 * rng.standard_normal(UNITS)}


class Search:
    """Newton's method from 1024 random states; more points the further the gain is above 1."""

    params = ([1.2, 1.5],)
    param_names = ("gain",)
    timeout = 300

    def setup(self, gain: float) -> None:
        """Draw the network and the starts."""
        self.cell, self.parameters = network(gain)
        self.starts = np.tanh(np.random.default_rng(1).standard_normal((STARTS, UNITS)))
        self.search(self.starts[:2])

    def search(self, starts: np.ndarray) -> rd.dynamics.FixedPoints:
        """Return what is found from these starts."""
        return rd.dynamics.fixed_points(self.cell, self.parameters, starts)

    def time_search(self, gain: float) -> None:
        """Take the time of the whole search, certificates included."""
        self.search(self.starts)

    def track_points(self, gain: float) -> int:
        """Count the points that are found."""
        return len(self.search(self.starts))


class FlipFlop:
    """The memories of a trained network of 64 units and the saddles between them, from 1024 starts."""

    params = (["elman", "lstm"],)
    param_names = ("cell",)
    timeout = 300

    def setup(self, cell: str) -> None:
        """Train the network, and draw starts on the straight lines between two states of a run."""
        self.cell, updates = getattr(rd.cells, cell)(), 1500
        model = rd.nn.Model(
            self.cell, hidden_size=UNITS, input_size=3, output_size=3, loss="mean_squared_error"
        )
        trained = rd.training.fit(
            model, model.init(rng=0), rd.data.FlipFlop(steps=60, batch_size=32, seed=0),
            optimizer=rd.training.adam(), learning_rate=rd.training.cosine(3e-3, updates), updates=updates,
            clip_norm=1.0, progress=False,
        )  # fmt: skip
        self.parameters = trained.params["layers"]["0"]
        inputs = rd.data.FlipFlop(steps=100, batch_size=32, seed=5).batch(0).inputs
        run = rd.forward(self.cell, self.parameters, inputs)
        states = np.concatenate([run.states[slot].reshape(-1, UNITS) for slot in self.cell.state], axis=1)
        rng = np.random.default_rng(0)
        a, b = states[rng.integers(len(states), size=(2, STARTS))]
        self.starts = a + rng.random((STARTS, 1)) * (b - a)
        self.search()

    def search(self) -> rd.dynamics.FixedPoints:
        """Return what is found from these starts."""
        return rd.dynamics.fixed_points(self.cell, self.parameters, self.starts)

    def time_search(self, cell: str) -> None:
        """Take the time of the whole search, certificates included."""
        self.search()

    def track_stable_points(self, cell: str) -> int:
        """Count the memories: eight."""
        return int(np.sum(self.search().kind == "stable"))

    def track_index_sum(self, cell: str) -> int:
        """Add the signs of det(I - J) up: 1 if none is missing."""
        return self.search().index_sum

    def track_largest_q(self, cell: str) -> float:
        """Return the largest residual q."""
        return float(self.search().q.max())


class Cycles:
    """Cycles of period 2 of a network of 64 units that inhibits itself, from 256 random states."""

    timeout = 300

    def setup(self) -> None:
        """Draw the network and the starts."""
        self.cell, self.parameters = network(1.0)
        self.parameters["U"] -= 1.5 * np.eye(UNITS)
        self.starts = np.tanh(np.random.default_rng(1).standard_normal((256, UNITS)))
        self.time_search()

    def time_search(self) -> None:
        """Take the time of the whole search."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # some starts end at no cycle
            rd.dynamics.fixed_points(self.cell, self.parameters, self.starts, period=2)


class Continuation:
    """The fixed point of a network of 64 units followed from no recurrence on."""

    def setup(self) -> None:
        """Draw the network."""
        self.cell, self.parameters = network(1.0)

    def time_branch(self) -> None:
        """Follow the branch to 0.9 of the weights, before it loses its stability."""
        rd.dynamics.continuation(self.cell, self.parameters, np.zeros(UNITS), "U", (0.0, 0.9), begin=0.0)
