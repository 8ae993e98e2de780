"""What a parametrization costs beside the recurrence that it serves: an Elman network of 512 inputs and units."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

from .common import medians, problem_of

SIZE = (100, 64, 512, 512)  # T, B, N, H
MADE = [*rd.parametrize.NAMED, "householder of 64"]
KEPT = {  # what keeps U itself orthogonal, without free parameters
    "riemannian_sgd": rd.training.riemannian_sgd(),
    "riemannian_adam": rd.training.riemannian_adam(),
    "riemannian_adam, polar": rd.training.riemannian_adam(retraction="polar"),
    "projected": rd.training.projected(rd.training.sgd()),
}


def made_of(name: str) -> rd.parametrize.Parametrization:
    if name == "householder of 64":
        return rd.parametrize.Householder(reflections=64)
    return rd.parametrize.NAMED[name]


class Parametrize:
    """A matrix of 512 rows in float32: forward, adjoint, and both in per cent of a training step without them.

    A step is a forward and a backward pass, (T, B, N, H) = (100, 64, 512, 512), with and without U made anew in it, by
    turns.
    """

    params = (MADE,)
    param_names = ("parametrization",)
    timeout = 300
    warmup_time = 0.2
    unit = "percent"

    def setup(self, name: str) -> None:
        self.made = made_of(name)
        self.free = self.made.sample(SIZE[3])
        self.U, self.pull = self.made(self.free)
        self.d_U = np.random.default_rng(0).standard_normal(self.U.shape).astype("float32")

    def time_forward(self, name: str) -> None:
        self.made(self.free)

    def time_adjoint(self, name: str) -> None:
        self.pull(self.d_U)

    def track_percent_of_a_training_step(self, name: str) -> float:
        cell, params, x, d_output = problem_of(rd.cells.elman(), SIZE)

        def plain() -> object:
            return rd.backward(rd.forward(cell, params | {"U": self.U}, x), d_output)

        def with_it() -> object:
            U, pull = self.made(self.free)
            return pull(rd.backward(rd.forward(cell, params | {"U": U}, x), d_output).params["U"])

        times = medians({"plain": plain, "with it": with_it}, seconds=5)
        return 100 * (times["with it"] / times["plain"] - 1)


class KeepOrthogonal:
    """An update of a matrix of 512 rows in float32 that ends orthogonal, and the gradient of the soft penalty."""

    params = ([*KEPT, "penalty"],)
    param_names = ("kept by",)
    timeout = 300
    warmup_time = 0.2

    def setup(self, name: str) -> None:
        rng = np.random.default_rng(0)
        self.U = {"U": np.linalg.qr(rng.standard_normal((SIZE[3], SIZE[3])))[0].astype("float32")}
        self.d_U = {"U": rng.standard_normal(self.U["U"].shape).astype("float32")}
        if name in KEPT:
            self.state = KEPT[name].init(self.U)

    def time_update(self, name: str) -> None:
        if name in KEPT:
            KEPT[name].update(self.d_U, self.state, self.U, 1e-3)
        else:
            rd.parametrize.orthogonality_penalty(self.U["U"])
