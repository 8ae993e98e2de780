"""Fixed points of a network from many starts, and one of them followed through a parameter."""

from __future__ import annotations

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


class Continuation:
    """The fixed point of a network of 64 units followed from no recurrence on."""

    def setup(self) -> None:
        """Draw the network."""
        self.cell, self.parameters = network(1.0)

    def time_branch(self) -> None:
        """Follow the branch to 0.9 of the weights, before it loses its stability."""
        rd.dynamics.continuation(self.cell, self.parameters, np.zeros(UNITS), "U", (0.0, 0.9), begin=0.0)
