"""All Jacobians of an LSTM run: derived and compiled, by automatic differentiation, and by hand in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from suite.common import problem_of
from suite.machine import fill

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, Size, differences, text

if PYTORCH:
    import torch

SIZE: Size = (100, 8, 64, 128)  # T, B, N, H: 0.4 GB of Jacobians in double precision
TOLERANCE = 1e-12


def jacobians(comparison: Comparison) -> None:
    """The whole array (T, B, 2H, 2H), the run being there, against other ways and against plain stores."""
    (size,) = comparison.sizes([SIZE])
    cell, params, x, _ = problem_of(rd.cells.lstm(), size, "float64")
    run = rd.forward(cell, params, x)
    ways: dict[str, Callable[[], Any]] = {"ours": lambda: rd.jacobian(run), "NumPy": by_hand(run)}
    if PYTORCH:
        ways["PyTorch"] = by_autodiff(run)
    numbers = {way: {"Jacobians": np.asarray(make())} for way, make in ways.items()}
    errors = differences(f"jacobians: {text(size)}", numbers, TOLERANCE)
    shape = numbers["ours"]["Jacobians"].shape
    del numbers
    warm = np.empty((shape[0] * shape[1], shape[2] * shape[3]))

    def fresh_stores() -> np.ndarray:
        array = np.empty_like(warm)
        fill(array)
        return array

    limits: dict[str, Callable[[], Any]] = {
        "stores, fresh array": fresh_stores,
        "stores, warm array": lambda: fill(warm),
    }
    # The slow ways run apart: what they leave in caches and allocator is not ours to pay for.
    times = comparison.against_limits({"ours": ways["ours"]}, limits)
    for way in list(ways)[1:]:
        times |= comparison.medians({way: ways[way]})
    name_of = {
        "ours": "ours: `rd.jacobian(run)`",
        "NumPy": "NumPy: the formula, into one array",
        "PyTorch": "PyTorch: `vmap(jacrev(step))`",
        "stores, fresh array": "stores of all threads, fresh array",
        "stores, warm array": "stores of all threads, warm array",
    }
    title = f"All Jacobians of an LSTM run, float64, T, B, N, H = {text(size)}"
    comparison.table("jacobians", title, ["what"], ["milliseconds", "GB/s", "time over ours"])
    for what in name_of:
        if what in times:
            ms = times[what]
            comparison.row([name_of[what]], [ms, 1e-6 * warm.nbytes / ms, ms / times["ours"]])
    shares = {limit: 100 * times[limit] / times["ours"] for limit in limits}
    comparison.summary("ours, share of the store bandwidth", shares, " %")
    comparison.agreement(errors, TOLERANCE)


def by_hand(run: Any) -> Callable[[], np.ndarray]:
    """The analytic formula, vectorized; each block is made where it stands."""
    H = run.output.shape[-1]
    U = dict(zip("ifgo", run.params["U"].reshape(4, H, H), strict=True))
    before = np.concatenate([run.initial["c"][None], run.states["c"][:-1]])

    def jacobian() -> np.ndarray:
        i, f, o = (1 / (1 + np.exp(-run.drives[gate])) for gate in "ifo")
        g, tanh_c = np.tanh(run.drives["g"]), np.tanh(run.states["c"])
        by_c = o * (1 - tanh_c * tanh_c)  # d h / d c
        J = np.empty((*f.shape[:2], 2 * H, 2 * H))
        c_by_h, h_by_h, scratch = J[:, :, H:, :H], J[:, :, :H, :H], np.empty((*f.shape[:2], H, H))
        np.multiply((before * f * (1 - f))[..., None], U["f"], out=c_by_h)
        c_by_h += np.multiply((g * i * (1 - i))[..., None], U["i"], out=scratch)
        c_by_h += np.multiply((i * (1 - g * g))[..., None], U["g"], out=scratch)
        np.multiply(by_c[..., None], c_by_h, out=h_by_h)
        h_by_h += np.multiply((tanh_c * o * (1 - o))[..., None], U["o"], out=scratch)
        J[:, :, :, H:] = 0
        unit = np.arange(H)
        J[:, :, unit, H + unit] = by_c * f
        J[:, :, H + unit, H + unit] = f
        return J

    return jacobian


def by_autodiff(run: Any) -> Callable[[], Any]:
    """Reverse mode through one step, mapped over all steps and instances at once."""
    cell, H = run.cell, run.output.shape[-1]
    before = [np.concatenate([run.initial[slot][None], run.states[slot][:-1]]) for slot in cell.state]
    state = torch.tensor(np.concatenate(before, axis=-1)).flatten(0, 1)
    U = torch.tensor(run.params["U"])
    from_input = torch.tensor(run.x @ run.params["W"].T + run.params["b"]).flatten(0, 1)

    def step(state: Any, from_input: Any) -> Any:
        h, c = state[:H], state[H:]
        i, f, g, o = (U @ h + from_input).view(4, H).unbind()
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.cat([torch.sigmoid(o) * torch.tanh(c), c])

    over_all = torch.func.vmap(torch.func.jacrev(step))
    return lambda: over_all(state, from_input).view(*run.output.shape[:2], 2 * H, 2 * H)
