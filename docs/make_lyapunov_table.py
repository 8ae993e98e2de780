"""Time Lyapunov spectra against loops by hand: ``python docs/make_lyapunov_table.py``; needs PyTorch for one of them.

Writes ``docs/_static/data/lyapunov.csv``: steps per second of all exponents of an LSTM in double precision, forward
pass included, all with a QR as often as ours. Each loop runs by turns with ours; times are medians. With ``--first`` it
adds the first exponent of 1024 tanh units to ``docs/_static/data/lyapunov_first.csv`` instead.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numba
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from peer_tables.comparison import processor  # noqa: E402
from suite.common import medians  # noqa: E402
from suite.lyapunov import REST, SIZES, STEPS, Spectrum, contestant, gaussian  # noqa: E402

from recurrent_dynamics.dynamics import lyapunov  # noqa: E402

COMMAND = "python docs/make_lyapunov_table.py"
LOOPS = {"numpy": "NumPy, formula", "scipy": "SciPy's QR, formula", "torch": "PyTorch, `vmap(jacrev)`"}
MEAN_FIELD = {1.5: 0.0652172, 2.0: 0.1547242, 3.0: 0.3102493, 5.0: 0.5324279, 10.0: 0.8564352}


def spectra() -> list[tuple[object, ...]]:
    """Return the lines of the first table."""
    rows = []
    for size, (units, batch) in SIZES.items():
        own = Spectrum()
        own.setup(size)
        for library, name in LOOPS.items():
            loop = lambda library=library, own=own: contestant(library, own.weights, own.x, own.interval)
            times = medians({"ours": own.spectrum, "theirs": loop}, seconds=0.5, pause=REST)
            speeds = [f"{1e3 * STEPS / times[who]:.0f}" for who in ("ours", "theirs")]
            rows.append((units, batch, own.interval, name, *speeds, f"{times['theirs'] / times['ours']:.1f}"))
            print(*rows[-1], flush=True)
    return rows


def first_exponents() -> list[tuple[object, ...]]:
    """Return the lines of the second table."""
    rows = []
    for gain, exact in MEAN_FIELD.items():
        cell, params, start = gaussian(1024, gain)
        found = lyapunov(cell, params, initial=start, steps=1500, count=1, transient=300, tolerance=0.02)
        value, error = found.exponents[0], found.standard_errors[0]
        rows.append((f"{gain:g}", f"{exact:.4f}", f"{value:.4f}", f"{error:.4f}"))
        print(*rows[-1], flush=True)
    return rows


def write(name: str, command: str, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Write a table, above it the command and where it ran."""
    libraries = ", ".join(f"{p} {version(p)}" for p in ("numpy", "scipy", "torch"))
    where = (
        f"{processor()}, {numba.get_num_threads()} threads, Python {platform.python_version()}, {libraries}"
    )
    with (HERE / "_static" / "data" / name).open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {command}; {where}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--first", action="store_true", help="the first exponent of 1024 units")
    if parser.parse_args().first:
        header = ("gain", "mean field", "first exponent", "standard error")
        write("lyapunov_first.csv", f"{COMMAND} --first", header, first_exponents())
    else:
        header = (
            "units",
            "trajectories",
            "steps between QR",
            "loop",
            "our steps per second",
            "its",
            "times as fast",
        )
        write("lyapunov.csv", COMMAND, header, spectra())


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
