"""Tests of the engine as plain NumPy code: only with NUMBA_DISABLE_JIT=1, see tests/test_cells_interpreted.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

collect_ignore_glob = [] if os.environ.get("NUMBA_DISABLE_JIT") == "1" else ["test_*.py"]


@pytest.fixture(autouse=True)
def _unused_edges() -> Iterator[None]:
    """The edges of a matrix product beyond its size are never read, but NumPy adds to what lies there."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        yield
