"""All cells in the quick tier: one process without compilation, where the engine's programs are plain NumPy code."""

from __future__ import annotations

import pathlib
import subprocess
import sys


def test_all_cells_as_numpy_code(clean_environment: dict[str, str]) -> None:
    here = pathlib.Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(here / "interpreted"), "-q", "-p", "no:cacheprovider"],
        cwd=here.parent,
        env=clean_environment | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
