"""Train networks with a known trouble, diagnose each, and count: ``python docs/make_diagnosis_table.py [--fix]``.

The thresholds of ``recurrent_dynamics/dynamics/diagnosis/thresholds.py`` were chosen by looking at 32 units and seed 0,
which ``--fix`` shows. Without it other seeds and sizes are diagnosed, and ``docs/_static/data/diagnosis.csv`` is
written: one row for each training.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics.parametrize import initialize

COMMAND = "python docs/make_diagnosis_table.py"
TABLE = Path(__file__).parent / "_static" / "data" / "diagnosis.csv"
FIXED = ((32, 0),)
OTHERS = tuple((units, seed) for units in (20, 64) for seed in (4, 5, 6))


@dataclass
class Case:
    """A kind of training: its true name, and a function of (units, seed) that returns what is diagnosed."""

    truth: str
    name: str
    make: Callable[[int, int], rd.dynamics.Diagnosis]


def trained(
    cell: rd.cells.Cell,
    task: Any,
    units: int,
    seed: int,
    *,
    optimizer: rd.training.Optimizer,
    rate: float,
    updates: int,
    change: Callable[[dict[str, Any], int], dict[str, Any]] = lambda layer, seed: layer,
    clip_norm: float | None = None,
    validation: Any = None,
    classes: int | None = None,
) -> rd.dynamics.Diagnosis:
    """Train a network whose layer was changed, and diagnose it; if it failed, where it began."""
    if classes:
        model = rd.nn.Model(cell, units, vocabulary_size=classes, output_size=classes)
    else:
        model = rd.nn.Model(
            cell, units, input_size=task.input_size, output_size=task.output_size, loss="mean_squared_error"
        )
    params = model.init(rng=seed)
    params["layers"]["0"] = change(params["layers"]["0"], seed)
    data = task if validation is None else [task]
    held_out = (
        {} if validation is None else {"validation": [validation], "validate_every": max(1, updates // 20)}
    )
    try:
        result = rd.training.fit(
            model, params, data, optimizer=optimizer, learning_rate=rate, updates=updates, clip_norm=clip_norm,
            rng=seed, progress=False, **held_out,
        )  # fmt: skip
        history = result.history
        failed = validation is None and np.median(history["loss"][-20:]) > 0.8 * task.baseline
        params = initial(model, change, seed) if failed else result.params
    except rd.training.DivergenceError as error:
        history = error.history
    batch = task.batch(10**6) if validation is None else task
    return rd.diagnose(
        model, batch, history, params=params, validation=validation, baseline=getattr(task, "baseline", None),
        optimizer=optimizer,
    )  # fmt: skip


def initial(model: rd.nn.Model, change: Callable[..., Any], seed: int) -> dict[str, Any]:
    """Return the parameters that a training began with."""
    params = model.init(rng=seed)
    params["layers"]["0"] = change(params["layers"]["0"], seed)
    return params


def gaussian(gain: float) -> Callable[[dict[str, Any], int], dict[str, Any]]:
    """Return a change of U to independent normal entries of variance gain^2 / H."""

    def change(layer: dict[str, Any], seed: int) -> dict[str, Any]:
        U = initialize.gaussian(gain)(np.random.default_rng(seed), *layer["U"].shape)
        return {**layer, "U": U.astype(layer["U"].dtype)}

    return change


def biases(**values: float) -> Callable[[dict[str, Any], int], dict[str, Any]]:
    """Return a change of the biases of the gates of an LSTM."""
    return lambda layer, seed: rd.cells.with_bias(rd.cells.lstm(), layer, **values)


def strong_input(layer: dict[str, Any], seed: int) -> dict[str, Any]:
    """Inputs and biases so large that tanh is at its ends."""
    W = 10 * np.random.default_rng(seed).standard_normal(layer["W"].shape)
    b = np.random.default_rng(seed + 1).choice([-20, 20], layer["b"].shape)
    return {**layer, "W": W.astype("float32"), "b": b.astype("float32")}


def orthogonal(layer: dict[str, Any], seed: int) -> dict[str, Any]:
    """An orthogonal recurrent matrix and small inputs."""
    U = initialize.orthogonal(np.random.default_rng(seed), *layer["U"].shape)
    return {**layer, "U": U.astype("float32"), "b": 0 * layer["b"]}


def sequences(seed: int, count: int = 24, steps: int = 40, classes: int = 6) -> rd.nn.Batch:
    """Random symbols, where the next one cannot be known but by heart."""
    drawn = np.random.default_rng((seed, 99)).integers(0, classes, (steps + 1, count))
    return rd.nn.Batch(drawn[:-1], drawn[1:])


def cases() -> Iterator[Case]:
    """Yield the kinds of training, with what an expert who set them up calls them."""
    sgd, adam = rd.training.sgd(), rd.training.adam()
    elman, lstm, gru = rd.cells.elman(), rd.cells.lstm(), rd.cells.gru()
    adding = lambda seed, steps=50: rd.data.AddingProblem(steps, 20, seed=seed)
    flip = lambda seed: rd.data.FlipFlop(30, 20, bits=2, seed=seed)

    yield Case("vanishing", "tanh, small U, adding problem of 50 steps", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=adam, rate=1e-3, updates=150, change=gaussian(0.5)))  # fmt: skip
    yield Case("vanishing", "LSTM, forget gates shut, adding problem of 50 steps", lambda n, s: trained(
        lstm, adding(s), n, s, optimizer=adam, rate=1e-3, updates=150, change=biases(f=-2.0)))  # fmt: skip
    yield Case("exploding (Jacobian)", "tanh, large U, gradient descent", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=sgd, rate=0.01, updates=60, change=gaussian(3.0)))  # fmt: skip
    yield Case("exploding (Jacobian)", "the same, clipped", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=sgd, rate=0.01, updates=60, change=gaussian(3.0), clip_norm=1.0))  # fmt: skip
    yield Case("exploding (learning rate)", "tanh, small U, rate too large", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=sgd, rate=1.5, updates=60, change=gaussian(0.5)))  # fmt: skip
    yield Case("exploding (learning rate)", "GRU, flip-flop, Adam, rate too large", lambda n, s: trained(
        gru, flip(s), n, s, optimizer=adam, rate=1.0, updates=60))  # fmt: skip
    yield Case("saturated", "tanh, weights of 10 and biases of 20", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=adam, rate=1e-3, updates=100, change=strong_input))  # fmt: skip
    yield Case("saturated", "LSTM, output gates shut", lambda n, s: trained(
        lstm, adding(s), n, s, optimizer=adam, rate=1e-3, updates=100, change=biases(o=-9.0)))  # fmt: skip
    yield Case("overfitting (long-range memory)", "LSTM, 24 random sequences", lambda n, s: trained(
        lstm, sequences(s), n, s, optimizer=adam, rate=0.02, updates=400, change=biases(f=1.0),
        validation=sequences(s + 1000), classes=6))  # fmt: skip
    yield Case("healthy", "GRU, flip-flop", lambda n, s: trained(
        gru, flip(s), n, s, optimizer=adam, rate=5e-3, updates=300))  # fmt: skip
    yield Case("healthy", "tanh, orthogonal U, adding problem of 12 steps", lambda n, s: trained(
        elman, adding(s, 12), n, s, optimizer=adam, rate=3e-3, updates=1500, change=orthogonal))  # fmt: skip
    yield Case("unsure", "tanh, large U and a rate too large at once", lambda n, s: trained(
        elman, adding(s), n, s, optimizer=sgd, rate=1.5, updates=60, change=gaussian(3.0)))  # fmt: skip


def named(found: rd.dynamics.Diagnosis) -> str:
    """Return verdict and, where it tells kinds of trouble apart, cause."""
    tells = found.verdict in ("exploding", "overfitting")
    return f"{found.verdict} ({found.cause})" if tells else found.verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fix", action="store_true", help="show the size and seed on which thresholds were fixed"
    )
    parser.add_argument("--only", default="", help="cases whose truth or name contains this, printed in full")
    options = parser.parse_args()
    rows = []
    for case in cases():
        if options.only not in case.truth + case.name:
            continue
        for units, seed in FIXED if options.fix else OTHERS:
            found = case.make(units, seed)
            rows.append((case.truth, case.name, units, seed, named(found)))
            mark = " " if rows[-1][-1] == case.truth else "X"
            print(mark, case.truth, "|", case.name, "|", units, seed, "->", rows[-1][-1], flush=True)
            if options.only or (options.fix and mark == "X"):
                print(found, "\n", file=sys.stderr, flush=True)
    right = sum(row[0] == row[-1] for row in rows)
    print(f"{right} of {len(rows)}")
    if not (options.fix or options.only):
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            file.write(f"# {COMMAND}\n")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("truth", "case", "units", "seed", "verdict"))
            writer.writerows(rows)


if __name__ == "__main__":
    main()
