"""What the benchmarks share: sizes, and a run to measure."""

from __future__ import annotations

import numpy as np

import recurrent_dynamics as rd

CELLS = ["lstm", "gru", "elman"]
SIZES = {  # T, B, N, H: steps, sequences side by side, inputs, units
    "T100 B1 N32 H32": (100, 1, 32, 32),
    "T100 B32 N64 H64": (100, 32, 64, 64),
    "T100 B32 N128 H128": (100, 32, 128, 128),
    "T100 B64 N256 H256": (100, 64, 256, 256),
    "T1000 B16 N64 H128": (1000, 16, 64, 128),
}


def problem(
    name: str, size: str, dtype: str = "float32"
) -> tuple[rd.cells.Cell, dict, np.ndarray, np.ndarray]:
    """Return a cell, its parameters, an input and the derivative of a loss by the output."""
    steps, batch, inputs, units = SIZES[size]
    rng = np.random.default_rng(0)
    cell = getattr(rd.cells, name)()
    params = cell.init(input_size=inputs, hidden_size=units, rng=0, dtype=dtype)
    x = rng.standard_normal((steps, batch, inputs)).astype(dtype)
    d_output = rng.standard_normal((steps, batch, units)).astype(dtype)
    return cell, params, x, d_output
