"""`benchmarks/gpu.py` in Numba's simulator at tiny sizes: a first run on a GPU must not fail on a slip."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip(
    "numba.cuda", reason="this Numba has no CUDA target of its own, and numba-cuda is not installed"
)

pytestmark = pytest.mark.full

PROGRAM = pathlib.Path(__file__).parent.parent / "benchmarks" / "gpu.py"


def run(environment, folder, *options: str) -> tuple[subprocess.CompletedProcess[str], dict]:
    kept = folder / "found.json"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--dry-run", "--processes=1", f"--json={kept}", *options],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, json.loads(kept.read_text("utf-8")) if kept.exists() else {}


def bounds(found: dict, row: str) -> dict[str, tuple[float | None, float | None]]:
    return {f["what"]: (f["at_least"], f["at_most"]) for f in found["findings"] if f["row"] == row}


def test_a_row_that_fails_is_told_and_takes_no_other_along(clean_environment, tmp_path):
    """Without a seed there is no largest error: the check fails, and the time is taken."""
    done, found = run(
        clean_environment, tmp_path, "--seeds=0", "--rows", "LSTM, 96 units", "IndRNN over 4096 steps"
    )
    assert done.returncode == 1
    assert found["failed"] == ["LSTM, 96 units"]
    assert "max()" in done.stdout
    assert "FAILED: exit status 1" in done.stdout
    assert [f["row"] for f in found["findings"]] == ["IndRNN over 4096 steps"]


def test_what_there_is_no_time_for_is_left_out(clean_environment, tmp_path):
    done, found = run(clean_environment, tmp_path, "--minutes=0", "--rows", "LSTM, 96 units")
    assert done.returncode == 1
    assert found == {"environment": found["environment"], "findings": [], "failed": ["LSTM, 96 units"]}
    assert "left out: the time is up" in done.stdout


def test_without_a_gpu_it_says_so(clean_environment):
    from numba import cuda

    if importlib.util.find_spec("cupy") is not None and cuda.is_available():
        pytest.skip("there is one")
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=clean_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "device='cuda' needs" in done.stderr
    assert done.stdout == ""


def test_every_row(clean_environment, tmp_path):
    done, found = run(clean_environment, tmp_path, "--seeds=2", "--minutes=30", "--processes=2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["failed"] == []
    exact = [f for f in found["findings"] if "error" in f["what"]]
    assert len(exact) >= 30
    assert all(f["met"] for f in exact)
    assert set(bounds(found, "LSTM, 96 units").values()) == {(None, 1e-4), (None, 1e-11)}
    assert set(bounds(found, "LSTM of at most 120 units").values()) == {(None, 2.0)}


ASV = """
import sys
sys.path.insert(0, {folder!r})
if {simulated}:
    from gpu_rows import simulator
    simulator.install()
from suite import cuda
cuda.SIZES, cuda.SECONDS = dict.fromkeys(cuda.SIZES, (2, 2, 3, 4)), 0.0
cuda.CudaJacobians.size = (2, 2, 3, 4)
for name in cuda.VARIANTS:
    one = cuda.Cuda()
    one.setup(name, next(iter(cuda.SIZES)))
    assert one.track_forward(name, "") > 0 and one.track_backward(name, "") > 0
cuda.CudaAttention.size, cuda.CudaAttention.positions = (2, 2, 3, 4), 3
attention = cuda.CudaAttention()
attention.setup()
assert attention.track_forward() > 0 and attention.track_backward() > 0
jacobians = cuda.CudaJacobians()
jacobians.setup("gru")
assert jacobians.bytes == 2 * 2 * 4 * 4 * 4
assert jacobians.track_jacobians("gru") > 0
"""


def test_benchmarks_of_asv(clean_environment):
    """In the simulator they run; elsewhere without a GPU they are left out."""
    simulator = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    for environment in (simulator, {}):
        program = ASV.format(folder=str(PROGRAM.parent), simulated=bool(environment))
        done = subprocess.run(
            [sys.executable, "-c", program], env=clean_environment | environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if environment:
            assert done.returncode == 0, done.stderr
        elif done.returncode:
            assert "NotImplementedError: device='cuda' needs" in done.stderr
