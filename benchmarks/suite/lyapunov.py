"""Lyapunov spectra against the loops that one would write with NumPy and SciPy, or with PyTorch's jacrev."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_limits

import recurrent_dynamics as rd
from recurrent_dynamics.dynamics import finite_time_exponents, flossing, lyapunov

from .common import medians

SIZES = {"H16 B8": (16, 8), "H64 B8": (64, 8), "H64 B1": (64, 1)}  # units, trajectories
STEPS, INPUTS = 400, 8
REST = 0.1  # seconds for which the idle threads of a BLAS look for work, at the cost of whoever is next


def lstm(size: str) -> tuple[rd.cells.Cell, dict[str, np.ndarray], np.ndarray]:
    """Return an LSTM in double precision and an input (T, B, N)."""
    units, batch = SIZES[size]
    cell = rd.cells.lstm()
    params = cell.init(INPUTS, units, rng=0, dtype="float64")
    return cell, params, np.random.default_rng(0).standard_normal((STEPS, batch, INPUTS))


def sigmoid(v: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-v))."""
    return 1 / (1 + np.exp(-v))


def by_hand(params: dict[str, np.ndarray], x: np.ndarray, interval: int, library: str) -> np.ndarray:
    """Return the exponents of an LSTM by its analytic Jacobian, all trajectories at once, QR every `interval` steps."""
    W, U, b = params["W"], params["U"], params["b"]
    steps, batch, units = len(x), x.shape[1], U.shape[1]
    drives = x @ W.T + b
    h, c = np.zeros((2, batch, units))
    frame = np.linalg.qr(np.random.default_rng(0).standard_normal((batch, 2 * units, 2 * units)))[0]
    J = np.zeros((batch, 2 * units, 2 * units))
    Ui, Uf, Ug, Uo = U.reshape(4, units, units)
    diagonal = np.arange(units)
    sums = np.zeros((batch, 2 * units))
    for t in range(steps):
        i, f, g, o = np.split(drives[t] + h @ U.T, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        squashed = np.tanh(new)
        cell_by_h = (
            (c * f * (1 - f))[:, :, None] * Uf
            + (g * i * (1 - i))[:, :, None] * Ui
            + (i * (1 - g**2))[:, :, None] * Ug
        )
        through = o * (1 - squashed**2)
        J[:, units:, :units] = cell_by_h
        J[:, units + diagonal, units + diagonal] = f
        J[:, :units, :units] = through[:, :, None] * cell_by_h + (squashed * o * (1 - o))[:, :, None] * Uo
        J[:, diagonal, units + diagonal] = through * f
        h, c = o * squashed, new
        frame = J @ frame
        if (t + 1) % interval == 0 or t + 1 == steps:
            if library == "numpy":
                frame, R = np.linalg.qr(frame)
                sums += np.log(np.abs(np.diagonal(R, axis1=1, axis2=2)))
            else:
                for k in range(batch):
                    frame[k], R = scipy.linalg.qr(
                        frame[k], mode="economic", overwrite_a=True, check_finite=False
                    )
                    sums[k] += np.log(np.abs(np.diagonal(R)))
    return (sums / steps).mean(axis=0)


def by_jacrev(params: dict[str, np.ndarray], x: np.ndarray, interval: int) -> np.ndarray:
    """Return the same by automatic differentiation of a step, all trajectories and rows at once; needs PyTorch."""
    import torch

    W, U, b = (torch.from_numpy(params[name]) for name in ("W", "U", "b"))
    steps, batch, units = len(x), x.shape[1], U.shape[1]
    drives = torch.from_numpy(x) @ W.T + b

    def step(z: Any, drive: Any) -> Any:
        h, c = z[:units], z[units:]
        i, f, g, o = (drive + U @ h).split(units)
        new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        after = torch.cat([torch.sigmoid(o) * torch.tanh(new), new])
        return after, after

    jacobian = torch.func.vmap(torch.func.jacrev(step, has_aux=True))
    start = np.random.default_rng(0).standard_normal((batch, 2 * units, 2 * units))
    frame, z = torch.from_numpy(np.linalg.qr(start)[0]), torch.zeros(batch, 2 * units, dtype=drives.dtype)
    sums = torch.zeros(batch, 2 * units, dtype=drives.dtype)
    for t in range(steps):
        J, z = jacobian(z, drives[t])
        frame = J @ frame
        if (t + 1) % interval == 0 or t + 1 == steps:
            frame, R = torch.linalg.qr(frame)
            sums += torch.log(torch.abs(torch.diagonal(R, dim1=1, dim2=2)))
    return (sums / steps).mean(dim=0).numpy()


def contestant(library: str, params: dict[str, np.ndarray], x: np.ndarray, interval: int) -> np.ndarray:
    """Return the exponents by one of the loops: "numpy", "scipy" or "torch".

    NumPy and SciPy bring a BLAS each, whose idle threads would keep each other from the cores (20 times as long): with
    SciPy's QR both run on one thread, which is the faster way.
    """
    if library == "torch":
        return by_jacrev(params, x, interval)
    with threadpool_limits(1, "blas") if library == "scipy" else nullcontext():
        return by_hand(params, x, interval, library)


class Spectrum:
    """Steps per second of all exponents of an LSTM, and how many times those of the loop by hand."""

    params = (list(SIZES),)
    param_names = ("size",)
    timeout = 600

    def setup(self, size: str) -> None:
        self.cell, self.weights, self.x = lstm(size)
        self.interval = max(1, round(self.spectrum().interval))

    def spectrum(self) -> Any:
        """Return the spectrum along a run, forward pass included."""
        return lyapunov(rd.forward(self.cell, self.weights, self.x), transient=0)

    def track_steps_per_second(self, size: str) -> float:
        return 1e3 * STEPS / medians({"ours": self.spectrum}, seconds=2.0)["ours"]

    track_steps_per_second.unit = "steps per second"

    def track_times_as_fast_as_numpy(self, size: str) -> float:
        return self._against("numpy")

    def track_times_as_fast_as_scipy(self, size: str) -> float:
        return self._against("scipy")

    def track_times_as_fast_as_jacrev(self, size: str) -> float:
        return self._against("torch") if find_spec("torch") else float("nan")

    def _against(self, library: str) -> float:
        loop = lambda: contestant(library, self.weights, self.x, self.interval)
        times = medians({"ours": self.spectrum, "theirs": loop}, seconds=2.0, pause=REST)
        return times["theirs"] / times["ours"]


class Flossing:
    """Milliseconds for the loss of gradient flossing with its gradient, beside those of the exponents alone."""

    params = (["elman", "lstm"],)
    param_names = ("cell",)

    def setup(self, cell: str) -> None:
        units = 48
        self.cell = getattr(rd.cells, cell)()
        self.weights = self.cell.init(INPUTS, units, rng=0, dtype="float64")
        self.x = np.random.default_rng(0).standard_normal((40, 4, INPUTS))
        self.time_loss_and_gradient(cell)

    def time_loss_and_gradient(self, cell: str) -> None:
        flossing(rd.forward(self.cell, self.weights, self.x), 16)

    def time_exponents_alone(self, cell: str) -> None:
        finite_time_exponents(rd.forward(self.cell, self.weights, self.x), 16)


def gaussian(units: int, gain: float) -> tuple[rd.cells.Cell, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a network of tanh units with U_ij ~ N(0, gain^2 / units), and a state to start from."""
    cell = rd.cells.elman()
    params = cell.init(0, units, dtype="float64")
    rng = np.random.default_rng(0)
    params["U"] = gain * rng.standard_normal((units, units)) / np.sqrt(units)
    params["b"] = np.zeros(units)
    return cell, params, {"h": rng.standard_normal(units)}


class Leading:
    """Seconds for the first exponent of 1024 tanh units over 200 steps."""

    timeout = 600

    def setup(self) -> None:
        self.cell, self.weights, self.start = gaussian(1024, 3.0)

    def time_first_exponent(self) -> None:
        lyapunov(
            self.cell, self.weights, initial=self.start, steps=200, count=1, transient=20, tolerance=10.0
        )
