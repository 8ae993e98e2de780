"""Forward, backward and Jacobian over sizes."""

from __future__ import annotations

import recurrent_dynamics as rd

from .common import CELLS, SIZES, problem


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
