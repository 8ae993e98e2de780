"""The CUDA engine on the GPU at hand, checked, timed and compared, in minutes: ``python benchmarks/gpu.py``.

First every walk gives the numbers of the CPU engine or nothing is timed. Times are medians by CUDA events, of calls on
arrays that lie on the device, beside what `rd.engine.plan` predicts for the walk alone. PyTorch's cuDNN, where it is
installed, is timed in the same process on layers of the same sizes, with TF32 off.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, Cell
from recurrent_dynamics.engine.cuda import driver

TOLERANCE = {"float32": 1e-4, "float64": 1e-11}
# The cell and (T, B, N, H): at least one of each kind of walk.
CHECKED: dict[str, tuple[Cell, tuple[int, int, int, int]]] = {
    "LSTM in a block": (cells.lstm(), (200, 5, 16, 96)),
    "LSTM on a grid": (cells.lstm(), (1000, 16, 16, 320)),
    "LSTM on a grid, U in L2": (cells.lstm(), (20, 8, 16, 1700)),
    "GRU on a grid": (cells.gru(), (200, 16, 16, 320)),
    "two stages in a block": (cells.gru_reset_before(), (100, 5, 16, 64)),
    "two stages on a grid": (cells.gru_reset_before(), (100, 16, 16, 320)),
    "normalized in a block": (cells.lstm().with_normalization(), (100, 5, 16, 64)),
    "normalized on a grid": (cells.lstm().with_normalization(), (100, 16, 16, 320)),
    "projected, U in L2": (cells.lstm_projected(32), (50, 5, 16, 320)),
    "peepholes": (cells.lstm_peephole(), (100, 5, 16, 64)),
    "IndRNN by columns": (cells.indrnn(), (500, 5, 16, 300)),
    "diagonal LSTM by columns": (cells.lstm().with_structure(DIAGONAL), (500, 5, 16, 300)),
}
# What is printed, the cell, PyTorch's layer if it has one, dtype, sizes.
TIMED: list[tuple[str, Cell, str | None, str, tuple[int, int, int, int]]] = [
    ("LSTM", cells.lstm(), "LSTM", "float32", (1000, 16, 64, 116)),
    ("LSTM", cells.lstm(), "LSTM", "float32", (1000, 64, 256, 256)),
    ("LSTM", cells.lstm(), "LSTM", "float32", (1000, 64, 512, 512)),
    ("GRU", cells.gru(), "GRU", "float32", (1000, 64, 256, 256)),
    ("GRU", cells.gru(), "GRU", "float32", (1000, 64, 512, 512)),
    ("LSTM", cells.lstm(), "LSTM", "float64", (1000, 64, 128, 128)),
    ("LSTM", cells.lstm(), "LSTM", "float64", (1000, 64, 512, 512)),
    ("normalized LSTM", cells.lstm().with_normalization(), None, "float32", (1000, 64, 256, 256)),
    ("IndRNN", cells.indrnn(), None, "float32", (4096, 8, 256, 256)),
]


def problem(
    cell: Cell, size: tuple[int, int, int, int], dtype: str, seed: int
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Parameters, input and cotangent, as NumPy arrays."""
    T, B, N, H = size
    rng = np.random.default_rng(seed)
    params = cell.init(N, H, seed, dtype)
    width = next(s.width for s in cell.layout(N, H).slots if s.name == cell.output)
    x, d = rng.standard_normal((T, B, N)), rng.standard_normal((T, B, width))
    return params, x.astype(dtype), d.astype(dtype)


def error(came: np.ndarray, wanted: np.ndarray) -> float:
    """Largest error over largest entry."""
    return float(np.abs(came - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def check(name: str, cell: Cell, size: tuple[int, int, int, int], dtype: str, seed: int) -> float:
    """The largest relative error of outputs, gradients, tangents and Jacobians against the CPU engine."""
    params, x, d = problem(cell, size, dtype, seed)
    T, B = size[:2]
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {}
    if seed == 1:  # ragged, and with resets
        options = {"lengths": rng.integers(T // 2, T + 1, B), "reset": rng.random((T, B)) < 0.01}
    runs = [rd.forward(cell, params, x, device=where, **options) for where in ("cpu", "cuda")]
    errors = {"output": error(runs[1].output, runs[0].output)}
    wanted, came = (rd.backward(run, d) for run in runs)
    errors |= {f"d {key}": error(came.params[key], value) for key, value in wanted.params.items()}
    errors["d x"] = error(came.x, wanted.x)
    direction = {key: rng.standard_normal(value.shape).astype(dtype) for key, value in params.items()}
    errors["tangent"] = error(*(rd.jvp(run, d_params=direction).output for run in runs[::-1]))
    if size[3] <= 320:
        errors["Jacobian"] = error(*(rd.jacobian(run, [0, T - 1]) for run in runs[::-1]))
    worst = max(errors, key=lambda key: errors[key])
    if not errors[worst] < TOLERANCE[dtype]:
        raise SystemExit(
            f"{name}, {dtype}, seed {seed}: {worst} is wrong by {errors[worst]:.1e}; nothing was timed"
        )
    return errors[worst]


def milliseconds(xp: Any, call: Callable[[], Any], seconds: float) -> float:
    """Median by CUDA events."""
    call()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 5:
        first, last = xp.cuda.Event(), xp.cuda.Event()
        first.record()
        call()
        last.record()
        last.synchronize()
        taken.append(xp.cuda.get_elapsed_time(first, last))
    return statistics.median(taken)


def torch_layer(kind: str, size: tuple[int, int, int, int], dtype: str) -> Any:
    """PyTorch's layer on the GPU, or None."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return getattr(torch.nn, kind)(size[2], size[3], dtype=getattr(torch, dtype), device="cuda")


def time_one(
    xp: Any,
    seconds: float,
    name: str,
    cell: Cell,
    kind: str | None,
    dtype: str,
    size: tuple[int, int, int, int],
) -> None:
    """One line: forward, forward and backward, the model, and PyTorch's."""
    params, x, d = problem(cell, size, dtype, 0)
    T, B, _, H = size
    on_device = {key: xp.asarray(value) for key, value in params.items()}
    x_device, d_device = xp.asarray(x), xp.asarray(d)
    forward = milliseconds(xp, lambda: rd.forward(cell, on_device, x_device), seconds)
    both = milliseconds(xp, lambda: rd.backward(rd.forward(cell, on_device, x_device), d_device), seconds)
    walks = rd.engine.plan(cell, size, dtype, driver.limits()).walks
    ours = [1e3 * walks[verb].seconds for verb in ("forward", "adjoint")]
    line = (
        f"{name:16s} {dtype} T={T} B={B} H={H:4d}  {walks['forward'].kind:8s} forward {forward:8.2f} ms "
        f"({1e3 * forward / T:6.2f} us a step; walk predicted {ours[0]:7.2f}), both {both:8.2f} ms "
        f"(walks predicted {sum(ours):7.2f})"
    )
    layer = torch_layer(kind, size, dtype) if kind else None
    if layer is not None:
        import torch

        there = torch.as_tensor(x, device="cuda").requires_grad_()
        cotangent = torch.as_tensor(d, device="cuda")
        theirs = milliseconds(xp, lambda: layer(there)[0].backward(cotangent), seconds)
        line += f", PyTorch {theirs:8.2f} ms, ratio {theirs / both:.2f}"
    print(line, flush=True)


def time_jacobians(xp: Any, seconds: float) -> None:
    """Jacobians of a whole run, and how much of the memory's bandwidth writing them takes."""
    cell, size = cells.lstm(), (100, 16, 64, 128)
    params, x, _ = problem(cell, size, "float32", 0)
    run = rd.forward(cell, {key: xp.asarray(value) for key, value in params.items()}, xp.asarray(x))
    taken = milliseconds(xp, lambda: rd.jacobian(run), seconds)
    written = size[0] * size[1] * (2 * size[3]) ** 2 * 4
    share = written / (taken * 1e-3) / driver.limits().bandwidth
    print(
        f"Jacobians of an LSTM, T=100 B=16 H=128: {taken:.2f} ms, {100 * share:.0f} % of the bandwidth of an H200"
    )


def main() -> None:
    """Check, then time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each entry (default: 2)")
    parser.add_argument("--seeds", type=int, default=3, help="of the checks (default: 3)")
    parser.add_argument("--only-check", action="store_true", help="no times")
    options = parser.parse_args()
    driver.ready()
    xp = driver.array_module()
    print(f"{driver.limits()}, NumPy {np.__version__}, Python {sys.version.split()[0]}")
    for name, (cell, size) in CHECKED.items():
        for dtype in TOLERANCE:
            kinds = {walk.kind for walk in rd.engine.plan(cell, size, dtype, driver.limits()).walks.values()}
            worst = max(check(name, cell, size, dtype, seed) for seed in range(options.seeds))
            print(
                f"{name:26s} {dtype}: {', '.join(sorted(kinds))}, largest relative error {worst:.1e}",
                flush=True,
            )
    if not options.only_check:
        for timed in TIMED:
            time_one(xp, options.seconds, *timed)
        time_jacobians(xp, options.seconds)


if __name__ == "__main__":
    main()
