"""Train on the copying task over a long delay: ``python docs/make_copying_table.py``.

Writes ``docs/_static/data/copying.csv``: the loss of every network, as means over 20 updates, and the processor time
that it took. The orthogonal networks and the LSTMs have about as many parameters, see the same batches and make as many
updates.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import recurrent_dynamics as rd
from recurrent_dynamics import parametrize

COMMAND = "python docs/make_copying_table.py"
TABLE = Path(__file__).parent / "_static" / "data" / "copying.csv"
DELAY, BATCH, UPDATES, MEAN, SEED = 1000, 32, 2500, 20, 0
RATE, UNITS = 2e-3, 128
NETWORKS: dict[str, Any] = {  # what makes U
    "Householder": parametrize.householder,
    "Cayley": parametrize.Cayley(negative=UNITS // 2, initial="henaff"),
    "exponential": parametrize.exponential,
    "unconstrained": {},
}
LSTMS = ("LSTM", "LSTM, chrono")


def network(name: str) -> tuple[rd.nn.Model, dict[str, Any]]:
    """A model and where it starts."""
    if name not in LSTMS:
        model = rd.nn.Model(
            rd.cells.modrelu_rnn(), UNITS, vocabulary_size=10, output_size=9, embedding_size=10,
            parametrize=NETWORKS[name],
        )  # fmt: skip
        return model, model.init(rng=SEED)
    wanted = rd.ravel(network("Householder")[1])[0].size
    cell = rd.cells.lstm()
    units = next(
        h for h in range(8, 256)
        if 4 * h * (h + 11) + 9 * (h + 1) + 100 >= wanted
    )  # fmt: skip
    model = rd.nn.Model(cell, units, vocabulary_size=10, output_size=9, embedding_size=10)
    params = model.init(rng=SEED)
    layer = rd.cells.with_bias(cell, params["layers"]["0"], f=1.0)
    if name == "LSTM, chrono":
        layer = rd.cells.chrono(cell, layer, longest=DELAY, rng=SEED)
    params["layers"]["0"] = layer
    return model, params


def train(name: str, updates: int) -> list[list[str]]:
    """Rows (network, update, loss, seconds)."""
    model, params = network(name)
    task = rd.data.CopyingMemory(DELAY, BATCH, seed=SEED)
    start = time.process_time()
    schedule = rd.training.cosine(RATE, updates)
    result = rd.training.fit(
        model, params, task, optimizer=rd.training.adam(), learning_rate=schedule, updates=updates, clip_norm=1.0,
        progress=False,
    )  # fmt: skip
    losses = result.history["loss"].reshape(-1, MEAN).mean(1)
    seconds = time.process_time() - start
    size = rd.ravel(params)[0].size
    share = f"{losses[-1] / task.baseline:.3f} of the baseline"
    print(f"{name}, {size} parameters, {seconds:.0f} s: {share}", flush=True)
    return [[name, str(MEAN * (i + 1)), f"{v:.3g}", f"{seconds:.0f}"] for i, v in enumerate(losses)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help="some of the networks, all by default")
    parser.add_argument("--updates", type=int, default=UPDATES)
    given = parser.parse_args()
    names = given.networks or [*NETWORKS, *LSTMS]
    kept: list[list[str]] = []
    if given.networks and TABLE.exists():  # the others stay as they are
        with TABLE.open() as file:
            rows = list(csv.reader(line for line in file if not line.startswith("#")))
        kept = [row for row in rows[1:] if row[0] not in names]
    for name in names:
        kept += train(name, given.updates)
    with TABLE.open("w", newline="") as file:
        file.write(f"# {COMMAND}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["network", "update", "loss", "seconds"], *kept])


if __name__ == "__main__":
    main()
