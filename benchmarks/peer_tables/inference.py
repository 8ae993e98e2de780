"""Forward alone, nothing kept for a way back: each library in a process of its own.

``python -m peer_tables.inference ours 2 1.0 lstm 100 64 256 256`` prints the median milliseconds of one such process,
on two threads for a second.
"""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
from suite.common import Problem, medians, problem_of

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, Size, differences, text

ONNX = all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))
CELLS = ["lstm", "gru"]
OPERATORS = {"lstm": ("LSTM", "iofg"), "gru": ("GRU", "zrn")}  # of ONNX, and its order of gates in our names
OURS = {"lstm": "ifgo", "gru": "rzn"}
OPSET = 14
TOLERANCE = 1e-4  # as in ``recurrences``: sums in another order
TURNS = 3  # processes of each library, as what a machine can do changes from one to the next


def inference(comparison: Comparison) -> None:
    """LSTM and GRU: frozen parameters and `tape=False`, PyTorch in inference mode, ONNX Runtime."""
    peers = (
        {"ours": ours} | ({"PyTorch": pytorch} if PYTORCH else {}) | ({"ONNX Runtime": onnx} if ONNX else {})
    )
    others = [peer for peer in peers if peer != "ours"]
    cells = [name for name in comparison.cells if name in CELLS]
    cases = [(name, size) for name in cells for size in comparison.sizes()]
    errors: dict[str, float] = {}
    for name, size in cases:
        problem = problem_of(getattr(rd.cells, name)(), size)
        numbers = {peer: {"output": make(problem, comparison.threads)()} for peer, make in peers.items()}
        for peer, error in differences(f"inference: {name} {text(size)}", numbers, TOLERANCE).items():
            errors[peer] = max(error, errors.get(peer, 0.0))
    title = "Inference: forward alone, float32, milliseconds, each library in a process of its own"
    ratio_names = [f"{peer} over ours" for peer in others]
    comparison.table("inference", title, ["cell", "T, B, N, H"], [*peers, *ratio_names])
    ratios: dict[str, list[list[float]]] = {name: [] for name in cells}
    for name, size in cases:
        times = _by_turns(comparison, list(peers), name, size)
        ratios[name].append([times[peer] / times["ours"] for peer in others])
        comparison.row([name, text(size)], [*times.values(), *ratios[name][-1]])
    for name, of_cell in ratios.items():
        for quantity, column in zip(ratio_names, zip(*of_cell, strict=True), strict=True):
            comparison.summary(
                f"{name}, {quantity}", {"geometric mean": geometric_mean(column), "worst": min(column)}
            )
    comparison.agreement(errors, TOLERANCE)


def ours(problem: Problem, threads: int) -> Callable[[], np.ndarray]:
    """Without a tape, with frozen parameters; the threads are those that Numba started."""
    cell, params, x, _ = problem
    frozen = rd.freeze(cell, params)
    return lambda: rd.forward(cell, frozen, x, tape=False).output


def pytorch(problem: Problem, threads: int) -> Callable[[], np.ndarray]:
    """PyTorch's own layer, in inference mode."""
    from .contestants import Layer, torch

    torch.set_num_threads(threads)
    layer = Layer(problem)
    module, x = layer.module, layer.x.detach()

    def run() -> np.ndarray:
        with torch.inference_mode():
            return module(x)[0].numpy()

    return run


def onnx(problem: Problem, threads: int) -> Callable[[], np.ndarray]:
    """ONNX Runtime on a graph of one node."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(graph(problem), options, providers=["CPUExecutionProvider"])
    given = {"X": problem.x}
    return lambda: session.run(["Y"], given)[0][:, 0]  # Y has an axis for the direction


def graph(problem: Problem) -> bytes:
    """Return the recurrence as a model of ONNX: one LSTM, or one GRU whose reset gate acts after the product."""
    from onnx import TensorProto, checker, helper, numpy_helper

    name, params = problem.cell.name, problem.params
    operator, order = OPERATORS[name]
    steps, batch, inputs = problem.x.shape
    units = problem.d_output.shape[2]

    def reordered(a: np.ndarray) -> np.ndarray:
        gates = dict(zip(OURS[name], np.split(a, len(OURS[name])), strict=True))
        return np.concatenate([gates[gate] for gate in order])

    recurrent = np.zeros_like(params["b"])  # ONNX has two biases
    if "b_h" in params:
        recurrent[-units:] = params["b_h"]
    arrays = {
        "W": reordered(params["W"])[None],
        "R": reordered(params["U"])[None],
        "B": np.concatenate([reordered(params["b"]), reordered(recurrent)])[None],
    }
    extra: dict[str, Any] = {"linear_before_reset": 1} if operator == "GRU" else {}
    node = helper.make_node(operator, ["X", *arrays], ["Y"], hidden_size=units, **extra)
    real = TensorProto.FLOAT
    made = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info("X", real, [steps, batch, inputs])],
        [helper.make_tensor_value_info("Y", real, [steps, 1, batch, units])],
        [numpy_helper.from_array(a, key) for key, a in arrays.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _by_turns(comparison: Comparison, peers: list[str], name: str, size: Size) -> dict[str, float]:
    """Medians of the medians of several processes of each library."""
    found: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(TURNS):
        for peer, times in found.items():
            times.append(_in_a_process(peer, comparison.threads, comparison.seconds / TURNS, name, size))
    return {peer: statistics.median(times) for peer, times in found.items()}


def _in_a_process(peer: str, threads: int, seconds: float, name: str, size: Size) -> float:
    command = [sys.executable, "-m", "peer_tables.inference", peer, str(threads), str(seconds), name]
    done = subprocess.run(
        [*command, *map(str, size)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(done.stdout)


def _measure(peer: str, threads: int, seconds: float, name: str, size: Size) -> float:
    make = {"ours": ours, "PyTorch": pytorch, "ONNX Runtime": onnx}[peer]
    run = make(problem_of(getattr(rd.cells, name)(), size), threads)
    return medians({peer: run}, seconds)[peer]


if __name__ == "__main__":
    peer, threads, seconds, name, *size = sys.argv[1:]
    print(_measure(peer, int(threads), float(seconds), name, tuple(map(int, size))))
