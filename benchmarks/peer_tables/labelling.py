"""Losses over all alignments: connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import recurrent_dynamics as rd

from .comparison import PYTORCH, Comparison, differences

if PYTORCH:
    import torch

SIZES = [(200, 32, 50, 40), (1000, 16, 100, 100)]  # steps, sequences, classes with the blank, labels
TINY = [(5, 2, 4, 2)]
TOLERANCES = {
    "float32": 1e-2,
    "float64": 1e-9,
}  # PyTorch sums logarithms of thousands in the dtype of the logits


def ctc(comparison: Comparison) -> None:
    """Loss and gradient by logits, against PyTorch's loss of log-softmax and its way back."""
    ways = ["ours", *(["PyTorch"] if PYTORCH else [])]
    columns = [*ways, *(["PyTorch over ours"] if PYTORCH else [])]
    title = "CTC: loss and gradient by logits, milliseconds"
    comparison.table("ctc", title, ["dtype", "T, B, V, U"], columns)
    worst: dict[str, float] = {}
    for dtype in ("float32", "float64"):
        for size in TINY if comparison.quick else SIZES:
            logits, targets = problem(size, dtype)
            runs: dict[str, Callable[[], np.ndarray]] = {"ours": ours(logits, targets)}
            if PYTORCH:
                runs["PyTorch"] = pytorch(logits, targets)
            numbers = {way: {"gradient": run()} for way, run in runs.items()}
            for peer, error in differences(f"ctc: {dtype} {size}", numbers, TOLERANCES[dtype]).items():
                worst[peer] = max(worst.get(peer, 0.0), error)
            times = comparison.medians(runs)
            ratios = [times["PyTorch"] / times["ours"]] if PYTORCH else []
            comparison.row([dtype, ", ".join(map(str, size))], [*times.values(), *ratios])
    comparison.agreement(worst, TOLERANCES["float32"])


def problem(size: tuple[int, int, int, int], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits (T, B, V) and targets (B, U)."""
    steps, batch, classes, width = size
    rng = np.random.default_rng(0)
    return rng.standard_normal((steps, batch, classes)).astype(dtype), rng.integers(
        1, classes, (batch, width)
    )


def ours(logits: np.ndarray, targets: np.ndarray) -> Callable[[], np.ndarray]:
    """Loss and gradient by logits."""
    return lambda: rd.nn.ctc_loss(logits, targets)[1]


def pytorch(logits: np.ndarray, targets: np.ndarray) -> Callable[[], np.ndarray]:
    """Log-softmax, loss and gradient."""
    x, labels = torch.tensor(logits, requires_grad=True), torch.tensor(targets)
    lengths = torch.full((logits.shape[1],), logits.shape[0])
    counts = torch.full((len(targets),), targets.shape[1])

    def run() -> np.ndarray:
        x.grad = None
        torch.nn.functional.ctc_loss(x.log_softmax(2), labels, lengths, counts, reduction="sum").backward()
        return x.grad.numpy()

    return run
