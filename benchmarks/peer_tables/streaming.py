"""One step of one sequence at a time from Python: microseconds a call."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from suite.common import Problem, problem_of

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, Size, differences

if PYTORCH:
    import torch

SIZE: Size = (1000, 1, 64, 64)  # so many steps are timed together
TINY: Size = (3, 1, 4, 4)
TOLERANCE = 1e-4


def streaming(comparison: Comparison) -> None:
    """A stepper into buffers of the caller's, against the cells of PyTorch in inference mode."""
    size = TINY if comparison.quick else SIZE
    labels = ["cell", "ours: `step(x, state, out=...)`", "PyTorch: `LSTMCell`, `GRUCell`, `RNNCell`", "ratio"]
    title = (
        f"Streaming: microseconds a step from Python, batch 1, {size[2]} inputs, {size[3]} units, one thread"
    )
    comparison.table("streaming", title, labels[:1], labels[1:])
    worst: dict[str, float] = {}
    for name in comparison.cells:
        problem = problem_of(getattr(rd.cells, name)(), size)
        ways: dict[str, Callable[[], np.ndarray]] = {"ours": ours(problem)}
        if PYTORCH:
            ways["PyTorch"] = pytorch(problem)
        numbers = {way: {"state": run()} for way, run in ways.items()}
        for peer, error in differences(f"streaming: {name}", numbers, TOLERANCE).items():
            worst[peer] = max(worst.get(peer, 0.0), error)
        times = {way: 1e3 * ms / size[0] for way, ms in comparison.medians(ways).items()}
        theirs = times.get("PyTorch", float("nan"))
        comparison.row([name], [times["ours"], theirs, theirs / times["ours"]])
    comparison.agreement(worst, TOLERANCE)


def ours(problem: Problem) -> Callable[[], np.ndarray]:
    """Two states that take turns; gives the last hidden state."""
    step = rd.stepper(problem.cell, problem.params)

    def run() -> np.ndarray:
        state, other = step.zeros(), step.zeros()
        for x in problem.x:
            state, other = step(x, state, out=other), state
        return np.array(state["h"])

    return run


def pytorch(problem: Problem) -> Callable[[], np.ndarray]:
    """PyTorch's cell, called as one writes it."""
    inputs, units = problem.x.shape[2], problem.d_output.shape[2]
    kind = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "elman": torch.nn.RNNCell}[problem.cell.name]
    cell = kind(inputs, units)
    weights = rd.interop.to_torch((problem.cell, problem.params))
    cell.load_state_dict({name.removesuffix("_l0"): torch.tensor(value) for name, value in weights.items()})
    xs = torch.tensor(problem.x)

    def run() -> np.ndarray:
        h = torch.zeros(1, units)
        c = torch.zeros(1, units)
        with torch.inference_mode():
            for x in xs:
                if problem.cell.name == "lstm":
                    h, c = cell(x, (h, c))
                else:
                    h = cell(x, h)
        return h.numpy()

    return run
