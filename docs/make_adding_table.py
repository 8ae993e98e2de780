"""Train gates of the ODE literature on the adding problem: ``python docs/make_adding_table.py``.

Writes ``docs/_static/data/adding.csv``: the mean squared error of every network, as means over 20 updates. Predicting 1
always costs 1/6.
"""

from __future__ import annotations

import csv
from pathlib import Path

import recurrent_dynamics as rd

COMMAND = "python docs/make_adding_table.py"
TABLE = Path(__file__).parent / "_static" / "data" / "adding.csv"
STEPS, BATCH, UNITS, UPDATES, RATE, MEAN, SEED = 400, 50, 64, 1500, 3e-3, 20, 0
CELLS = {
    "LEM": rd.cells.lem(),
    "leaky, alpha from the input": rd.cells.leaky(0.9, gate="input"),
    "leaky, alpha learnt": rd.cells.leaky(0.9, gate="learnt"),
}


def main() -> None:
    task = rd.data.AddingProblem(STEPS, BATCH, seed=SEED)
    held_out = [task.batch(10**6 + k) for k in range(20)]  # batches that training never draws
    rows, errors = [], []
    for name, cell in CELLS.items():
        model = rd.nn.Model(cell, UNITS, input_size=2, output_size=1, loss="mean_squared_error")
        result = rd.training.fit(
            model, model.init(rng=SEED), task, optimizer=rd.training.adam(), learning_rate=RATE, updates=UPDATES,
            clip_norm=1.0, progress=False,
        )  # fmt: skip
        losses = result.history["loss"].reshape(-1, MEAN).mean(1)
        errors.append(f"{name}: {rd.training.evaluate(model, result.params, held_out):.4f}")
        print(f"on new sequences {errors[-1]}; predicting 1 always {task.baseline:.4f}", flush=True)
        rows += [[name, MEAN * (i + 1), f"{loss:.3g}"] for i, loss in enumerate(losses)]
    with TABLE.open("w", newline="") as file:
        file.write(f"# {COMMAND}; on new sequences at the end {'; '.join(errors)}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "update", "loss"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
