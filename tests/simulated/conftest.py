"""Tests of the CUDA engine in Numba's simulator: only with NUMBA_ENABLE_CUDASIM=1, see tests/test_cuda.py."""

from __future__ import annotations

import os
import pathlib
import sys

collect_ignore_glob = ["test_*.py"]
if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    sys.path.append(str(pathlib.Path(__file__).parents[2] / "benchmarks"))
    from gpu_rows import simulator

    simulator.install()
    collect_ignore_glob = []
