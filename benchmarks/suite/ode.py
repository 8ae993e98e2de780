"""Cells that step differential equations beside an Elman network, and what stability costs to find."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.equations import tanh

from .common import Problem, medians, problem, problem_of

SIZE = "T100 B32 N64 H64"
METHODS = ["euler", "heun", "rk4"]


def network() -> rd.ode.Field:
    """Return the rate network dh/dt = tanh(W x + U h + b) - h."""
    return rd.ode.Field("rate network", ("h",), ("n",), lambda drive, state: {"h": tanh(drive.n) - state.h})


def training_step(p: Problem) -> object:
    """Return the gradients of one forward and backward pass."""
    return rd.backward(rd.forward(p.cell, p.params, p.x), p.d_output)


class Steps:
    """A forward and backward pass of the cell of a method, in times that of an Elman network of the same size."""

    params = (METHODS,)
    param_names = ("method",)
    timeout = 600

    def setup(self, method: str) -> None:
        self.ours = problem_of(rd.ode.discretize(network(), method, dt=0.1), (100, 32, 64, 64))
        self.elman = problem("elman", SIZE)

    def track_times_an_elman_network(self, method: str) -> float:
        passes = {"ours": lambda: training_step(self.ours), "elman": lambda: training_step(self.elman)}
        times = medians(passes, seconds=2.0)
        return times["ours"] / times["elman"]

    track_times_an_elman_network.unit = "times"


def waves() -> rd.ode.Field:
    """Return q'' = -q - tanh(W x + U q + b)."""
    rate = lambda drive, state: {"q": state.p, "p": -state.q - tanh(drive.n)}
    return rd.ode.Field("waves", ("q", "p"), (rd.cells.Drive("n", ("q",)),), rate, positions=("q",))


class Walks:
    """Seconds of a forward and backward pass of the walks of their own."""

    timeout = 600

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((50, 8, 16))
        self.params = network().init(16, 32, dtype="float64")
        self.long = rng.standard_normal((1000, 8, 16))
        self.weights = waves().init(16, 32, dtype="float64")
        self.lengths = np.linspace(1, 50, 8).astype(int)
        self.time_implicit_euler()
        self.time_leapfrog_without_a_tape()

    def time_implicit_euler(self) -> None:
        run = rd.ode.implicit_forward(network(), self.params, self.x, dt=1.0)
        run.backward(np.ones_like(run.output))

    def time_implicit_euler_of_half_as_many_steps(self) -> None:
        run = rd.ode.implicit_forward(network(), self.params, self.x, dt=1.0, lengths=self.lengths)
        run.backward(np.ones_like(run.output))

    def time_leapfrog_without_a_tape(self) -> None:
        run = rd.ode.reversible_forward(waves(), self.weights, self.long, dt=0.1)
        run.backward(d_final={"q": np.ones((8, 32))})


class Irregular:
    """A training step of a model whose steps come with the data, in times that of the model with one step for all."""

    timeout = 600

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        x, targets = rng.standard_normal((2, 100, 32, 64)).astype("float32")
        gaps = rng.uniform(0.1, 1.0, (100, 32)).astype("float32")
        self.batches = [rd.nn.Batch(x, targets, signals={"dt": gaps}), rd.nn.Batch(x, targets)]
        self.models = [
            rd.nn.Model(rd.cells.cfc(dt), 64, input_size=64, output_size=64, loss="mean_squared_error")
            for dt in (None, 0.5)
        ]
        self.params = [model.init() for model in self.models]

    def track_times_a_fixed_step(self) -> float:
        ours, fixed = (
            lambda m=model, p=params, b=batch: m.loss_and_grad(p, b)
            for model, params, batch in zip(self.models, self.params, self.batches)
        )
        times = medians({"ours": ours, "fixed": fixed}, seconds=2.0)
        return times["ours"] / times["fixed"]

    track_times_a_fixed_step.unit = "times"


class Stability:
    """What of the modes of a network is computed after every so many updates."""

    timeout = 600

    def setup(self) -> None:
        rng = np.random.default_rng(0)
        self.eigenvalues = rng.standard_normal((50, 128)) + 1j * rng.standard_normal((50, 128)) - 1
        cell = rd.cells.elman()
        self.run = rd.forward(cell, cell.init(0, 128, dtype="float64"), steps=50)
        rd.ode.step_stability(self.run, 0)
        self.matrix = rng.standard_normal((64, 64)) / 16 - np.eye(64)

    def time_largest_stable_step_of_rk4(self) -> None:
        rd.ode.largest_stable_step(self.eigenvalues, "rk4")

    def time_step_stability_of_128_units(self) -> None:
        rd.ode.step_stability(self.run)

    def time_distance_to_instability(self) -> None:
        rd.ode.LinearStability.of(self.matrix, "rk4", dt=0.5).distance()
