"""What a newcomer and a new cell wait for: ``python benchmarks/start.py --rounds 5``.

Every entry is a whole process, from its start to its end, ours and JAX's by turns: seconds and seconds of all cores,
medians. Nothing else should run meanwhile. Where JAX is not installed, its columns are left out.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import llvmlite.binding as llvm

OURS = """
import numpy as np
import recurrent_dynamics as rd
{cell}
{ahead}
params = cell.init(input_size=32, hidden_size=64, rng=0)
x = np.ones((50, 16, 32), "float32")
run = rd.forward(cell, params, x)
rd.backward(run, np.ones_like(run.output))
{more}
"""
LSTM = "cell = rd.cells.lstm()"
NEW_CELL = """
from recurrent_dynamics.equations import sigmoid, tanh
def update(drive, state):
    z = sigmoid(drive.z)
    return {"h": z * state.h + (1 - z) * tanh(drive.n)}
cell = rd.cells.Cell("gated", state=("h",), drives=("z", "n"), update=update)
"""
AHEAD = "rd.compile(cell)"
MORE = {
    "Jacobians": "rd.jacobian(run)",
    "tangent": "rd.jvp(run, d_x=x)",
    "second order": "rd.hvp(run, run.output, d_x=x)",
}
JAX = """
import jax
import jax.numpy as jnp
import numpy as np
jax.config.update("jax_platforms", "cpu")
H, N = 64, 32
{step}
rng = np.random.default_rng(0)
G = {blocks} * H
params = {{"W": rng.standard_normal((G, N), "float32"), "U": rng.standard_normal((G, H), "float32"),
          "b": np.zeros(G, "float32")}}
x = np.ones((50, 16, N), "float32")
def loss(params, x):
    start = tuple(jnp.zeros((16, H)) for _ in range({slots}))
    return jax.lax.scan(lambda s, x: step(params, s, x), start, x)[1].sum()
jax.block_until_ready(jax.jit(jax.value_and_grad(loss))(params, x))
"""
JAX_LSTM = """
def step(p, state, x):
    h, c = state
    i, f, g, o = jnp.split(x @ p["W"].T + h @ p["U"].T + p["b"], 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h
"""
JAX_NEW_CELL = """
def step(p, state, x):
    (h,) = state
    z, n = jnp.split(x @ p["W"].T + h @ p["U"].T + p["b"], 2, axis=1)
    z = jax.nn.sigmoid(z)
    h = z * h + (1 - z) * jnp.tanh(n)
    return (h,), h
"""


@dataclass
class Entry:
    """One process of ours, and one of JAX that does the same; what each round begins with is a copy of `cache`."""

    name: str
    ours: str
    jax: str | None = None
    cache: Path | None = None  # an empty one if None
    times: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def timed(code: str, cache: Path) -> tuple[float, float]:
    """(seconds, seconds of all cores) of a process and of those that it starts."""
    environment = os.environ | {"RECURRENT_DYNAMICS_CACHE_DIR": str(cache)}
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)
    end, after = time.perf_counter(), os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return end - start, busy


def ours(cell: str = LSTM, ahead: str = "", more: str = "") -> str:
    """The program of a cell."""
    return OURS.format(cell=cell, ahead=ahead, more=more)


def entries(engine: Path, filled: Path) -> list[Entry]:
    """What is measured: `engine` has been compiled with another cell, `filled` with the cells themselves."""
    lstm = JAX.format(step=JAX_LSTM, blocks=4, slots=2)
    new = JAX.format(step=JAX_NEW_CELL, blocks=2, slots=1)
    found = [
        Entry("import alone", "import recurrent_dynamics", "import jax", filled),
        Entry("LSTM, everything on disk: first gradient", ours(), lstm, filled),
        Entry("a new cell, engine on disk: first gradient", ours(NEW_CELL), new, engine),
    ]
    found += [
        Entry(f"the same with {name}", ours(NEW_CELL, more=call), None, engine) for name, call in MORE.items()
    ]
    return [
        *found,
        Entry("LSTM from nothing, one core", ours(), lstm),
        Entry("LSTM from nothing, `rd.compile` first", ours(ahead=AHEAD), lstm),
    ]


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def measure(found: list[Entry], rounds: int, scratch: Path, say: Callable[[str], None]) -> None:
    """Run all entries by turns."""
    with_jax = find_spec("jax") is not None
    for number in range(rounds):
        for entry in found:
            for who, code in (("ours", entry.ours), ("jax", entry.jax if with_jax else None)):
                if code is None:
                    continue
                cache = scratch / "round"
                shutil.rmtree(cache, ignore_errors=True)
                shutil.copytree(entry.cache, cache) if entry.cache else cache.mkdir()
                entry.times.setdefault(who, []).append(timed(code, cache))
        say(f"round {number + 1} of {rounds}")


def report(found: list[Entry]) -> list[list[str]]:
    """One line an entry: medians, and the ratio of the seconds."""
    lines = [["process", "ours, s", "ours, s of all cores", "JAX, s", "JAX, s of all cores", "ours / JAX"]]
    for entry in found:
        line, medians = [entry.name], {}
        for who in ("ours", "jax"):
            if who in entry.times:
                medians[who] = [statistics.median(column) for column in zip(*entry.times[who], strict=True)]
                line += [f"{value:.2f}" for value in medians[who]]
            else:
                line += ["", ""]
        line.append(f"{medians['ours'][0] / medians['jax'][0]:.2f}" if "jax" in medians else "")
        lines.append(line)
    return lines


def hardware() -> str:
    """The processor, its cores and the versions."""
    names = ("recurrent-dynamics", "numba", "jax")
    versions = [f"{name} {version(name)}" for name in names if find_spec(name.replace("-", "_"))]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    vectors = "AVX-512" if llvm.get_host_cpu_features().get("avx512f") else "no AVX-512"
    python = f"Python {platform.python_version()}"
    return ", ".join([llvm.get_host_cpu_name(), f"{cores} cores", vectors, python, *versions])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of all entries by turns (default: 5)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="keep the numbers in a file too")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1; came {options.rounds}")
    say = lambda text: print(text, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        engine, filled, all_verbs = scratch / "engine", scratch / "filled", scratch / "all"
        every = "\n".join(MORE.values())
        say("filling the caches")
        timed(ours("cell = rd.cells.elman()", more=every), engine)
        timed(ours(), filled)
        for cell in ("lstm", "gru", "elman"):
            timed(ours(f"cell = rd.cells.{cell}()", more=every), all_verbs)
        found = entries(engine, filled)
        measure(found, options.rounds, scratch, say)
        lines = report(found)
        lines.append(
            ["cache of LSTM, GRU, Elman with all verbs, MB", f"{size(all_verbs) / 1e6:.2f}", "", "", "", ""]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    if options.csv is not None:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            file.write(f"# {shlex.join(['python', *sys.argv])}; {hardware()}\n")
            csv.writer(file).writerows(lines)


if __name__ == "__main__":
    main()
