"""Medians of interleaved runs against other libraries: ``python benchmarks/peers.py --threads 2``.

All libraries run by turns in one process (for ``inference`` and ``memory`` each in its own), on the same weights, with
pauses in which each one's idle threads go to sleep. Before anything is timed, their numbers are compared: a table whose
sides disagree is not printed. Libraries that are not installed are skipped. The tables themselves are in
``peer_tables/``.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from peer_tables import CELLS, TABLES
from peer_tables.instructions import without_avx512


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(":")[0])
    parser.add_argument("--threads", type=int, default=2, help="threads of each library (default: 2)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each entry (default: 2)")
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS, help="default: all three")
    parser.add_argument(
        "--tables", nargs="+", default=list(TABLES), choices=list(TABLES), help="default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one tiny size: does every table run, and do the numbers agree?"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="keep the numbers in a file too, beside its other tables"
    )
    parser.add_argument(
        "--instructions",
        choices=["avx2"],
        help="hold ours, PyTorch and JAX to AVX2 on a processor that has AVX-512 (ONNX Runtime cannot be held)",
    )
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"--threads must be at least 1; came {options.threads}")

    for library in ("NUMBA", "OMP", "OPENBLAS", "MKL"):  # before any of them is loaded
        os.environ[f"{library}_NUM_THREADS"] = str(options.threads)
    os.environ["NPROC"] = str(options.threads)  # of XLA, on which JAX runs
    if options.instructions is not None:
        os.environ |= without_avx512()
    from peer_tables.comparison import Comparison, Disagreement

    comparison = Comparison(options.threads, options.seconds, options.cells, options.quick)
    refused = False
    try:
        for name in options.tables:
            try:
                getattr(import_module(f"peer_tables.{TABLES[name]}"), name)(comparison)
            except Disagreement as error:
                print(f"\nno table {name!r}: {error}", file=sys.stderr)
                refused = True
    finally:
        if options.csv is not None:
            comparison.write_csv(options.csv)
    sys.exit(refused)


if __name__ == "__main__":
    main()
