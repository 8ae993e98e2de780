"""Forward, backward and Jacobian over sizes."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

from .common import CELLS, LARGE, SIZES, against_limits, flops, lengths_of, problem, problem_of


class Verbs:
    """Times of the verbs of a cell that is compiled already."""

    params = (CELLS, list(SIZES))
    param_names = ("cell", "size")
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str, size: str) -> None:
        self.cell, self.weights, self.x, self.d_output = problem(name, size)
        self.run = rd.forward(self.cell, self.weights, self.x)
        rd.backward(self.run, self.d_output)

    def time_forward(self, name: str, size: str) -> None:
        rd.forward(self.cell, self.weights, self.x)

    def time_backward(self, name: str, size: str) -> None:
        rd.backward(self.run, self.d_output)


class Variants:
    """Forward and backward of an LSTM: float64, layer-normalized, with lengths uniform in 1..T, of class indices."""

    params = (
        ["float64", "normalized", "ragged", "class indices"],
        ["T100 B32 N128 H128", "T1000 B16 N64 H128"],
    )
    param_names = ("variant", "size")
    timeout = 300
    warmup_time = 0.2

    def setup(self, variant: str, size: str) -> None:
        cell = rd.cells.lstm()
        if variant == "normalized":
            cell = cell.with_normalization()
        dtype = "float64" if variant == "float64" else "float32"
        self.problem = problem_of(cell, SIZES[size], dtype)
        self.lengths = lengths_of(SIZES[size]) if variant == "ragged" else None
        if variant == "class indices":
            self.problem = self.problem._replace(x=np.abs(self.problem.x).argmax(axis=2))
        self.time_forward_backward(variant, size)

    def time_forward_backward(self, variant: str, size: str) -> None:
        cell, weights, x, d_output = self.problem
        rd.backward(rd.forward(cell, weights, x, lengths=self.lengths), d_output)


class Inference:
    """Forward without a tape, with ordinary and with frozen parameters."""

    params = (["lstm", "gru"], ["T100 B1 N32 H32", "T100 B32 N128 H128"], ["ordinary", "frozen"])
    param_names = ("cell", "size", "parameters")
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str, size: str, parameters: str) -> None:
        self.cell, self.weights, self.x, _ = problem(name, size)
        if parameters == "frozen":
            self.weights = rd.freeze(self.cell, self.weights)
        self.time_forward(name, size, parameters)

    def time_forward(self, name: str, size: str, parameters: str) -> None:
        rd.forward(self.cell, self.weights, self.x, tape=False)


class Peak:
    """Forward and backward as a percentage of the machine's multiply-adds, both measured by turns."""

    params = (CELLS, list(LARGE))
    param_names = ("cell", "size")
    timeout = 300
    unit = "percent"

    def setup(self, name: str, size: str) -> None:
        self.problem = problem(name, size)

    def track_percent_of_peak(self, name: str, size: str) -> float:
        from .machine import multiply_adds  # here: other benchmarks do without

        cell, weights, x, d_output = self.problem

        def both() -> object:
            return rd.backward(rd.forward(cell, weights, x), d_output)

        operations = multiply_adds()
        times = against_limits({"ours": both}, {"peak": multiply_adds}, seconds=0.5)
        return 100 * (1e-9 * flops(weights, LARGE[size]) / times["ours"]) / (operations / times["peak"])


class Stepper:
    """One step of one sequence from Python, 64 inputs and 64 units, into a buffer that is there."""

    params = (CELLS,)
    param_names = ("cell",)
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str) -> None:
        cell, weights, x, _ = problem_of(getattr(rd.cells, name)(), (1, 1, 64, 64))
        self.x = x[0]
        self.step = rd.stepper(cell, weights)
        self.state, self.other = self.step.zeros(), self.step.zeros()
        self.time_step(name)

    def time_step(self, name: str) -> None:
        self.state, self.other = self.step(self.x, self.state, out=self.other), self.state


class Jacobians:
    """Dense Jacobians of ten steps, and the same Jacobians applied without being formed."""

    params = (CELLS, ["T100 B1 N32 H32", "T100 B32 N64 H64", "T100 B32 N128 H128"])
    param_names = ("cell", "size")
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str, size: str) -> None:
        cell, weights, x, _ = problem(name, size, "float64")
        self.run = rd.forward(cell, weights, x)
        self.operator = rd.jacobian_operator(self.run)
        self.v = rd.jacobian(self.run)[..., 0].copy()
        self.operator.matvec(self.v)
        self.operator.rmatvec(self.v)

    def time_jacobian(self, name: str, size: str) -> None:
        rd.jacobian(self.run, steps=slice(0, 10))

    def time_matvec(self, name: str, size: str) -> None:
        self.operator.matvec(self.v)

    def time_rmatvec(self, name: str, size: str) -> None:
        self.operator.rmatvec(self.v)


class PeakMemory:
    """Memory of a process that runs a forward and a backward pass."""

    params = (CELLS, ["T100 B64 N256 H256", "T1000 B16 N64 H128"])
    param_names = ("cell", "size")
    timeout = 300

    def setup_cache(self) -> None:
        """Compile in another process: a compiler's memory is not the passes'."""
        for name in CELLS:
            cell, weights, x, d_output = problem(name, "T100 B1 N32 H32")
            rd.backward(rd.forward(cell, weights, x), d_output)

    def setup(self, name: str, size: str) -> None:
        self.problem = problem(name, size)

    def peakmem_backward(self, name: str, size: str) -> None:
        cell, weights, x, d_output = self.problem
        rd.backward(rd.forward(cell, weights, x), d_output)
