"""Forward, backward and Jacobians on a GPU; left out where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell

from .common import problem_of
from .events import medians, ready

SIZES = {  # T, B, N, H: a walk in blocks, on a grid, and around cuBLAS
    "T1000 B16 N64 H116": (1000, 16, 64, 116),
    "T1000 B64 N256 H256": (1000, 64, 256, 256),
    "T1000 B64 N512 H512": (1000, 64, 512, 512),
    "T100 B64 N512 H2048": (100, 64, 512, 2048),
}
VARIANTS = ["lstm", "lstm float64", "gru", "normalized lstm", "indrnn"]
SECONDS = 0.5


def run_of(variant: str, size: tuple[int, int, int, int]) -> tuple[Cell, Any, Any, Any]:
    """A cell with parameters, input and cotangent that lie on the device."""
    xp = ready()
    name, dtype = variant.split()[-1], "float32"
    if name == "float64":
        name, dtype = "lstm", "float64"
    cell = getattr(rd.cells, name)()
    if variant.startswith("normalized"):
        cell = cell.with_normalization()
    problem = problem_of(cell, size, dtype)
    params = {key: xp.asarray(value) for key, value in problem.params.items()}
    return cell, params, xp.asarray(problem.x), xp.asarray(problem.d_output)


class Cuda:
    """Milliseconds of a pass on arrays that lie on the device: medians by events."""

    params = (VARIANTS, list(SIZES))
    param_names = ("variant", "size")
    timeout = 300
    unit = "ms"

    def setup(self, variant: str, size: str) -> None:
        self.cell, self.weights, self.x, self.d_output = run_of(variant, SIZES[size])
        self.run = rd.forward(self.cell, self.weights, self.x, device="cuda")

    def track_forward(self, variant: str, size: str) -> float:
        forward = lambda: rd.forward(self.cell, self.weights, self.x, device="cuda")
        return medians({"forward": forward}, SECONDS)["forward"]

    def track_backward(self, variant: str, size: str) -> float:
        return medians({"backward": lambda: rd.backward(self.run, self.d_output)}, SECONDS)["backward"]


class CudaAttention:
    """Milliseconds of a decoder with additive attention, an LSTM: medians by events."""

    timeout = 300
    unit = "ms"
    size, positions = (50, 64, 256, 256), 50  # T, B, N, H, and of the memory

    def setup(self) -> None:
        xp, cell = ready(), rd.cells.attention(rd.cells.lstm())
        problem, rng = problem_of(cell, self.size), np.random.default_rng(0)
        shape = (self.positions, self.size[1], self.size[3])
        memory = {name: xp.asarray(rng.standard_normal(shape), "float32") for name in ("keys", "values")}
        params = {name: xp.asarray(value) for name, value in problem.params.items()}
        x, self.d_output = xp.asarray(problem.x), xp.asarray(problem.d_output)
        self.forward = lambda: rd.forward(cell, params, x, memory=memory, device="cuda")
        self.run = self.forward()

    def track_forward(self) -> float:
        return medians({"forward": self.forward}, SECONDS)["forward"]

    def track_backward(self) -> float:
        return medians({"backward": lambda: rd.backward(self.run, self.d_output)}, SECONDS)["backward"]


class CudaJacobians:
    """Bytes a second that the Jacobians of a whole run are written with."""

    params = (["lstm", "gru"],)
    param_names = ("cell",)
    timeout = 300
    unit = "GB/s"
    size = (1000, 32, 64, 128)

    def setup(self, name: str) -> None:
        cell, params, x, _ = run_of(name, self.size)
        self.run = rd.forward(cell, params, x, device="cuda")
        self.bytes = rd.jacobian(self.run, [0]).nbytes * self.size[0]

    def track_jacobians(self, name: str) -> float:
        return self.bytes / (1e6 * medians({"jacobian": lambda: rd.jacobian(self.run)}, SECONDS)["jacobian"])
