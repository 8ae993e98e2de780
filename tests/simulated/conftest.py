"""Tests of the CUDA engine in Numba's simulator: only with NUMBA_ENABLE_CUDASIM=1, see tests/test_cuda.py."""

from __future__ import annotations

import os
import sys

collect_ignore_glob = [] if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else ["test_*.py"]
# The simulator has one Python thread for each of a block, and they wait for each other at every barrier.
sys.setswitchinterval(1e-5)
