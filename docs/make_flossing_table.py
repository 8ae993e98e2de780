"""Train with and without gradient flossing, over delays and seeds: ``python docs/make_flossing_table.py``.

Writes ``docs/_static/data/flossing.csv``: the loss at the end, of repeating random signs after a delay.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

import recurrent_dynamics as rd

COMMAND = "python docs/make_flossing_table.py"
TABLE = Path(__file__).parent / "_static" / "data" / "flossing.csv"
UNITS, BATCH, PUSHED, UPDATES = 48, 32, 16, 800
DELAYS, SEEDS = (12, 24, 36, 48), (0, 1, 2)


def repeat(delay: int, seed: int, dtype: str = "float32") -> rd.nn.Batch:
    """Random signs, to be repeated after the delay; over three delays."""
    x = np.random.default_rng((seed, 7)).choice([-1.0, 1.0], (3 * delay, BATCH, 1)).astype(dtype)
    targets, mask = np.zeros_like(x), np.zeros(x.shape[:2], bool)
    targets[delay:], mask[delay:] = x[:-delay], True
    return rd.nn.Batch(x, targets, mask)


def floss(
    cell: rd.cells.Cell, layer: dict[str, Any], updates: int = 120, rate: float = 3e-3
) -> dict[str, Any]:
    """Push the first exponents to zero by Adam."""
    layer = {name: value.astype("float64") for name, value in layer.items()}
    adam = rd.training.adam()
    state = adam.init(layer)
    for k in range(updates):
        x = np.random.default_rng((k, 8)).choice([-1.0, 1.0], (40, 4, 1))
        _, grads, _ = rd.dynamics.flossing(rd.forward(cell, layer, x), PUSHED, rng=k)
        change, state = adam.update(grads.params, state, layer, rate)
        layer = rd.training.apply_updates(layer, change)
    return {name: value.astype("float32") for name, value in layer.items()}


def main() -> None:
    cell = rd.cells.elman()
    model = rd.nn.Model(cell, UNITS, input_size=1, output_size=1, loss="mean_squared_error")
    rows = []
    for seed in SEEDS:
        default = cell.init(1, UNITS, rng=seed)
        starts = {
            "default": default,
            "flossed": floss(cell, default),
            "orthogonal": cell.init(1, UNITS, rng=seed, recurrent="orthogonal"),
        }
        for start, layer in starts.items():
            for delay in DELAYS:
                params = model.init(rng=seed)
                params["layers"]["0"] = layer
                data = [repeat(delay, 100 * seed + k) for k in range(40)]
                result = rd.training.fit(
                    model, params, data, optimizer=rd.training.adam(), learning_rate=1e-3, updates=UPDATES,
                    clip_norm=1.0, progress=False,
                )  # fmt: skip
                loss = float(np.mean([model.loss(result.params, repeat(delay, 10**6 + k)) for k in range(5)]))
                rows.append((start, seed, delay, f"{loss:.4f}"))
                print(*rows[-1], flush=True)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {COMMAND}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("start", "seed", "delay", "loss"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
