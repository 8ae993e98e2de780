"""Medians of interleaved runs against other libraries: ``python benchmarks/peers.py --threads 2``.

Both libraries run by turns in one process, on the same weights, with pauses in which each one's idle
threads go to sleep. The forward pass keeps what a backward pass needs; the backward pass gives the
gradients of the weights, of the input and of the initial state. Libraries that are not installed are
skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

SIZES = [  # T, B, N, H
    (100, 1, 32, 32),
    (100, 32, 64, 64),
    (100, 32, 128, 128),
    (100, 64, 256, 256),
    (50, 64, 512, 512),
    (1000, 16, 64, 128),
    (200, 1, 128, 256),
]
CELLS = ["lstm", "gru", "elman"]
PAUSE = 0.003  # seconds

Pass = Callable[[], object]


def ours(name: str, size: tuple[int, int, int, int]) -> tuple[Pass, Pass]:
    """Return the forward pass, and forward and backward together, of this library."""
    import recurrent_dynamics as rd

    cell, params, x, d_output = problem(name, size)

    def forward() -> object:
        return rd.forward(cell, params, x)

    def both() -> object:
        return rd.backward(rd.forward(cell, params, x), d_output)

    return forward, both


def pytorch(name: str, size: tuple[int, int, int, int]) -> tuple[Pass, Pass]:
    """Return the same of PyTorch."""
    import torch

    _, params, x, d_output = problem(name, size)
    _, batch, inputs, units = size
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}[name](inputs, units)
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(params["W"]))
        module.weight_hh_l0.copy_(torch.from_numpy(params["U"]))
    x_, d_output_ = torch.from_numpy(x).requires_grad_(), torch.from_numpy(d_output)
    h = torch.zeros(1, batch, units, requires_grad=True)
    initial = (h, torch.zeros(1, batch, units, requires_grad=True)) if name == "lstm" else h

    def forward() -> object:
        return module(x_, initial)

    def both() -> object:
        for leaf in (x_, h, *module.parameters()):
            leaf.grad = None
        module(x_, initial)[0].backward(d_output_)
        return x_.grad

    return forward, both


def problem(name: str, size: tuple[int, int, int, int]) -> tuple[object, dict, np.ndarray, np.ndarray]:
    """Return a cell, its weights, an input and the derivative of a loss by the output."""
    import recurrent_dynamics as rd

    steps, batch, inputs, units = size
    rng = np.random.default_rng(0)
    cell = rd.cells.elman("tanh") if name == "elman" else getattr(rd.cells, name)()
    params = cell.init(input_size=inputs, hidden_size=units, rng=0)
    x = rng.standard_normal((steps, batch, inputs)).astype("float32")
    return cell, params, x, rng.standard_normal((steps, batch, units)).astype("float32")


def medians(passes: dict[str, Pass], seconds: float) -> dict[str, float]:
    """Run the passes by turns for about so many seconds and return each one's median in milliseconds."""
    for run in passes.values():
        run()
        run()
    times: dict[str, list[float]] = {peer: [] for peer in passes}
    end = time.perf_counter() + seconds
    while len(times["ours"]) < 7 or time.perf_counter() < end:
        for peer, run in passes.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            run()
            times[peer].append(1e3 * (time.perf_counter() - start))
    return {peer: statistics.median(values) for peer, values in times.items()}


def processor() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Print a table for each pass."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads of each library (default: 2)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each entry (default: 2)")
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS, help="default: all three")
    options = parser.parse_args()

    os.environ["NUMBA_NUM_THREADS"] = str(options.threads)  # before numba is imported
    peers = {"ours": ours}
    packages = ["recurrent-dynamics", "numba", "numpy"]
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(options.threads)
        peers["pytorch"] = pytorch
        packages.append("torch")
    print(f"{processor()}, {options.threads} threads, float32, milliseconds (medians)")
    print(", ".join(f"{package} {version(package)}" for package in packages), "\n")

    columns = " | ".join(f"{peer} forward | {peer} forward + backward" for peer in peers)
    print(f"| cell | T, B, N, H | {columns} | ratio |")
    print("|" + "---|" * (2 * len(peers) + 3))
    for name in options.cells:
        for size in SIZES:
            passes = {peer: make(name, size) for peer, make in peers.items()}
            rows = [medians({peer: p[k] for peer, p in passes.items()}, options.seconds) for k in (0, 1)]
            entries = " | ".join(f"{row[peer]:.2f}" for peer in peers for row in rows)
            ratio = (
                " / ".join(f"{row['pytorch'] / row['ours']:.2f}" for row in rows) if len(peers) > 1 else ""
            )
            print(f"| {name} | {', '.join(map(str, size))} | {entries} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
