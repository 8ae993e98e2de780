"""What a user waits for: import, the first gradient of a compiled cell, and compilation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

CELLS = [  # fixed, so that results of several versions can be compared
    "linear",
    "elman",
    "leaky",
    "indrnn",
    "lstm",
    "lstm_peephole",
    "lstm_coupled",
    "lstm_projected",
    "gru",
    "gru_reset_before",
    "minimal_gated_unit",
    "mut1",
    "mut2",
    "mut3",
    "min_gru",
    "min_lstm",
]
FIRST_GRADIENT = """
import numpy as np
import recurrent_dynamics as rd
cell = rd.cells.{name}()
params = cell.init(input_size=64, hidden_size=64, rng=0)
x = np.ones((20, 8, 64), "float32")
run = rd.forward(cell, params, x)
rd.backward(run, np.ones_like(run.output))
"""
EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["RECURRENT_DYNAMICS_CACHE_DIR"] = folder.name
"""
CACHE_OF_ANOTHER_CELL = """
import os, shutil, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["RECURRENT_DYNAMICS_CACHE_DIR"] = folder.name
shutil.copytree({cache!r}, folder.name, dirs_exist_ok=True)
"""


class Start:
    """New processes, timed from the first import."""

    timeout = 300
    number = 1

    def setup_cache(self) -> None:
        """See to it that a warm start finds the compiled cell."""
        subprocess.run([sys.executable, "-c", FIRST_GRADIENT.format(name="lstm")], check=True)

    def timeraw_import(self) -> str:
        return "import recurrent_dynamics"

    def timeraw_warm_start(self) -> str:
        return FIRST_GRADIENT.format(name="lstm")


class ColdStart:
    """The first gradient where nothing at all was compiled before."""

    timeout = 600
    number = 1
    repeat = 1

    def timeraw_cold_start(self) -> tuple[str, str]:
        return FIRST_GRADIENT.format(name="lstm"), EMPTY_CACHE


class Compile:
    """Import, forward and backward of each cell where another cell was compiled before."""

    params = (CELLS,)
    param_names = ("cell",)
    timeout = 600
    number = 1
    repeat = 1

    def setup_cache(self) -> str:
        """Compile what all cells share, with a cell that is not in the library."""
        folder = tempfile.mkdtemp(prefix="asv-numba-", dir=Path.cwd())  # asv removes its working folder
        program = FIRST_GRADIENT.replace("cell = rd.cells.{name}()", ANOTHER_CELL)
        environment = os.environ | {"RECURRENT_DYNAMICS_CACHE_DIR": folder}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        return folder

    def timeraw_compile(self, cache: str, name: str) -> tuple[str, str]:
        return FIRST_GRADIENT.format(name=name), CACHE_OF_ANOTHER_CELL.format(cache=cache)


ANOTHER_CELL = """
def update(drive, state):
    return {"h": 0.5 * state.h + 0.5 * drive.a}
cell = rd.cells.Cell("half", state=("h",), drives=("a",), update=update)
"""
