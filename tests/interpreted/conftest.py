"""Tests of the engine as plain NumPy code: only with NUMBA_DISABLE_JIT=1, see tests/test_cells_interpreted.py."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("NUMBA_DISABLE_JIT") == "1" else ["test_*.py"]
