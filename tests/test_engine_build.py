"""The compiled code itself: kept on disk, and trapping in a checked build."""

from __future__ import annotations

import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu import rows

SCRIPT = pathlib.Path(__file__).with_name("engine_in_a_process.py")


def process(task: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), task], env=environment, capture_output=True, text=True, timeout=900
    )


def test_a_second_process_finds_compiled_code_on_disk(clean_environment):
    cell = rd.cells.elman()
    run = rd.forward(cell, cell.init(3, 5, dtype="float64"), np.ones((4, 2, 3)))
    rd.hvp(run, run.output)  # walks back, along and at second order
    rd.jacobian(run)
    second = process("compiled_before", clean_environment)
    assert second.returncode == 0, second.stderr


def test_an_index_out_of_range_ends_a_checked_build(clean_environment, tmp_path):
    """By a signal, not by an exception: a compiled walk has nowhere to put one."""
    checked = {"RECURRENT_DYNAMICS_CHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    second = process("bad_index", clean_environment | checked)
    assert second.stdout == "in range\n", second.stderr
    assert second.returncode < 0


@pytest.mark.full
def test_no_verb_leaves_its_arrays(clean_environment, tmp_path):
    checked = {"RECURRENT_DYNAMICS_CHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    second = process("derivatives", clean_environment | checked)
    assert second.returncode == 0, second.stderr


@pytest.mark.full
@pytest.mark.parametrize("width", [16, 32])
def test_products_are_right_with_narrower_vectors_than_the_host_has(width):
    tests = pathlib.Path(__file__).with_name("test_product.py")
    environment = os.environ | {"RECURRENT_DYNAMICS_VECTOR_BYTES": str(width)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert not done.returncode, done.stdout + done.stderr


def test_code_that_another_build_compiled_is_not_found(monkeypatch):
    """A type read back from the index on disk must differ from that of the same cell in a changed library."""
    cell = rd.cells.lstm()
    written = pickle.dumps(rows.CellType(cell.name, cell.fingerprint))
    assert pickle.loads(written) == rows.CellType(cell.name, cell.fingerprint)
    monkeypatch.setattr(rows, "BUILD", "another")
    assert pickle.loads(written) != rows.CellType(cell.name, cell.fingerprint)
