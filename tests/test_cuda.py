"""The CUDA engine where there is no GPU: in the simulator, what it plans, and what it says."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, NAMED
from recurrent_dynamics.engine import plan
from recurrent_dynamics.engine.cuda import choose
from recurrent_dynamics.engine.cuda.device_model import H200, Sizes

pytest.importorskip(
    "numba.cuda", reason="this Numba has no CUDA target of its own, and numba-cuda is not installed"
)

CELL = cells.lstm()
PARAMS = CELL.init(2, 3)
X = np.ones((2, 2, 2), "float32")


def simulate(environment: dict[str, str], *options: str) -> None:
    here = pathlib.Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(here / "simulated"), "-q", "-p", "no:cacheprovider", *options],
        cwd=here.parent,
        env=environment | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_walks_in_the_simulator(clean_environment):
    simulate(clean_environment)


@pytest.mark.full
def test_every_cell_in_the_simulator(clean_environment):
    simulate(clean_environment, "-m", "full")


# What is missing


@pytest.fixture
def driver(monkeypatch):
    """The driver module, as on a machine with everything."""
    from recurrent_dynamics.engine.cuda import driver, verbs  # noqa: F401 - kernels are made before `cuda` is replaced

    fake = SimpleNamespace(implementation="NVIDIA", is_available=lambda: True, cuda_error=lambda: None)
    monkeypatch.setattr(driver, "cuda", fake)
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: object())
    return driver


def test_with_everything_nothing_is_missing(driver):
    driver.ready()


@pytest.mark.parametrize(
    ("state", "kind", "words"),
    [
        (
            {"implementation": "Built-in"},
            ModuleNotFoundError,
            r"numba-cuda.*recurrent-dynamics\[cu12\].*\[cu13\]",
        ),
        (
            {"cuda_error": lambda: "\nno library found.\n"},
            RuntimeError,
            "driver.*no library found. Install.*'cpu'",
        ),
        (
            {"cuda_error": lambda: "CUDA_ERROR_NO_DEVICE (100)"},
            RuntimeError,
            "needs a GPU.*CUDA_VISIBLE_DEVICES",
        ),
        ({"is_available": lambda: False}, ModuleNotFoundError, r"libnvvm.*recurrent-dynamics\[cu12\]"),
    ],
)
def test_what_is_missing_is_said(driver, state, kind, words):
    vars(driver.cuda).update(state)
    with pytest.raises(kind, match=words):
        rd.forward(CELL, PARAMS, X, device="cuda")


def test_a_missing_cupy_is_said(driver, monkeypatch):
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"CuPy.*recurrent-dynamics\[cu12\]"):
        rd.forward(CELL, PARAMS, X, device="cuda")


def test_other_devices_are_refused():
    with refused("device", ("'cpu'", "'cuda'"), "'tpu'"):
        rd.forward(CELL, PARAMS, X, device="tpu")


def test_an_array_on_a_device_goes_there_or_is_refused(driver):
    vars(driver.cuda).update(implementation="Built-in")
    there = SimpleNamespace(__cuda_array_interface__={}, shape=X.shape, dtype=X.dtype)
    with refused(wrong_type("device", "'cuda'", "'cpu' and x on a GPU")):
        rd.forward(CELL, PARAMS, there, device="cpu")
    for arguments in ((PARAMS, there), (PARAMS | {"U": there}, X)):
        with pytest.raises(ModuleNotFoundError, match="numba-cuda"):
            rd.forward(CELL, *arguments)


def test_shared_memory_beyond_48_kilobytes_is_asked_for_before_the_launch(driver, monkeypatch):
    happened = []
    loaded = SimpleNamespace(handle="handle", device=SimpleNamespace(id=3))
    names = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    driver.cuda.cudadrv = SimpleNamespace(
        driver=SimpleNamespace(
            binding=SimpleNamespace(CUfunction_attribute=names),
            driver=SimpleNamespace(cuKernelSetAttribute=lambda *a: happened.append(("attribute", *a))),
        )
    )

    class Kernel:
        typeof_pyval = staticmethod(type)

        def compile(self, types):
            happened.append(("compiled", types))
            return SimpleNamespace(_codelibrary=SimpleNamespace(get_cufunc=lambda: loaded))

        def __getitem__(self, configuration):
            return lambda *arguments: happened.append(("launched", configuration, arguments))

    stream = SimpleNamespace(get_current_stream=lambda: SimpleNamespace(ptr=0))
    monkeypatch.setattr(driver, "array_module", lambda: SimpleNamespace(cuda=stream))
    driver.launch(Kernel(), 2, 64, 48 << 10, 1.0)
    assert happened == [("launched", (2, 64, 0, 48 << 10), (1.0,))]
    happened.clear()
    driver.launch(Kernel(), 2, 64, 200_000, 1.0, 2)
    assert happened == [
        ("compiled", (float, int)),
        ("attribute", 8, 200_000, "handle", 3),
        ("launched", (2, 64, 0, 200_000), (1.0, 2)),
    ]


# Plans


@pytest.mark.parametrize(("name", "largest"), [("lstm", 119), ("gru", 138), ("elman", 239)])
def test_a_block_keeps_u_in_shared_memory_as_long_as_it_fits(name, largest):
    for H, resident in ((largest, True), (largest + 3, False)):
        block = choose.blocks(
            NAMED[name](), NAMED[name]().layout(8, H), "forward", Sizes(10, 16, 8, H, 4), H200
        )
        assert [w.resident for w in block] == [resident]


@pytest.mark.parametrize(("cell", "H"), [(cells.lstm(), 1300), (cells.gru(), 1400), (cells.elman(), 2600)])
def test_a_grid_keeps_u_in_all_shared_memory_as_long_as_it_fits(cell, H):
    walk = plan(cell, (10, 64, 8, H)).walks["forward"]
    assert (walk.kind, walk.resident, walk.grid_barriers) == ("grid", True, 1)
    walk = plan(cell, (100, 64, 8, H * 5 // 4)).walks["forward"]
    assert (walk.kind, walk.resident, walk.grid_barriers) == ("steps", False, 0)
    assert walk.launches >= 2  # of products and of kernels
    assert walk.captured == choose.CAPTURED_STEPS
    assert plan(cell, (10, 64, 8, H * 5 // 4)).walks["forward"].captured == 0  # too few steps to capture any
    assert plan(cells.gru_reset_before(), (10, 64, 8, 512)).walks["forward"].grid_barriers == 2


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(100, 1, 3, 8), (100, 64, 32, 100), (10, 1000, 64, 256)])
def test_plans_stay_within_the_device(name, dtype, sizes):
    device = rd.engine.Device("H200")
    for verb, walk in plan(NAMED[name](), sizes, dtype).walks.items():
        assert walk.verb == verb
        assert walk.shared_bytes <= device.shared_bytes
        assert 0 < walk.threads <= device.threads
        each = {
            "columns": walk.threads * walk.blocks,
            **dict.fromkeys(("block", "steps"), walk.blocks * walk.tile),
        }
        held = each.get(walk.kind, walk.groups * walk.tile)
        assert held >= sizes[1] * (sizes[3] if walk.kind == "columns" else 1)
        assert walk.kind != "grid" or walk.blocks <= device.multiprocessors
        assert walk.seconds > 0
        assert (walk.flops == 0) == (walk.kind == "columns")


def test_cells_whose_units_never_meet_walk_by_columns():
    for cell in (cells.indrnn(), cells.gru().with_structure(DIAGONAL)):
        walk = plan(cell, (4096, 8, 16, 256)).walks["forward"]
        assert (walk.kind, walk.barriers, walk.shared_bytes) == ("columns", 0, 0)
    assert plan(cells.indrnn().with_normalization(), (10, 8, 16, 256)).walks["forward"].kind == "block"


def test_what_is_counted():
    """Of an LSTM: 8 H^2 operations an instance, and rows of values and states."""
    walk = plan(cells.lstm(), (10, 4, 8, 32)).walks["forward"]
    assert walk.flops == 2 * 4 * 32 * 32 * 4
    assert walk.memory_bytes == (2 * 4 * 32 + 2 * 32) * 4 * 4
    assert walk.cache_bytes == 0
    grid = plan(cells.lstm(), (10, 64, 8, 512)).walks["forward"]
    assert (
        grid.cache_bytes == 512 * 64 // grid.groups * 4 * grid.blocks
    )  # every block reads the states of its group


def test_a_cell_that_reads_a_memory_walks_by_steps():
    """Operations and bytes: those of its products, and of both memories at every position."""
    cell, S, B, H = cells.attention(cells.lstm()), 50, 64, 256
    made = plan(cell, (50, B, H, H), positions=S)
    matrices, read = 4 * H * 2 * H + H * H, 2 * S * H
    for verb, programs, numbers in (("forward", 1, 1), ("tangent", 2, 2), ("adjoint", 2, 3)):
        walk = made.walks[verb]
        assert (walk.kind, walk.launches, walk.captured) == ("steps", 4, choose.CAPTURED_STEPS)
        assert walk.flops == 2 * B * (matrices + programs * read)
        assert walk.cache_bytes == 4 * (matrices + numbers * B * read)
        assert walk.shared_bytes == 4 * walk.threads  # one sum at a time
    longer = plan(cell, (50, B, H, H), positions=20 * S).walks["forward"]
    assert longer.shared_bytes == made.walks["forward"].shared_bytes
    assert longer.seconds > 5 * made.walks["forward"].seconds
    assert "H = 256, S = 50, float32" in str(made)
    covering = plan(cells.attention(location=2, coverage=True), (50, B, H, H), positions=S).walks["adjoint"]
    assert covering.shared_bytes == 6 * 4 * covering.threads  # five shifts and the coverage
    with refused("positions", "which reads a memory", "None"):
        plan(cell, (50, B, H, H))
    with refused("positions", "at least 1", "0"):
        plan(cell, (50, B, H, H), positions=0)
    with refused("positions", "which reads no memory", "3"):
        plan(CELL, (1, 1, 2, 3), positions=3)
    with refused("tape_dtype", "which reads a memory", "bfloat16"):
        plan(cell, (50, B, H, H), positions=S, tape_dtype="bfloat16")


def test_wrong_sizes_are_named():
    means = cells.elman().with_structure(DIAGONAL).with_normalization()  # which cuBLAS has nothing to do for
    with refused("sizes", "(T, B, N, H)", "(1, 2, 3)"):
        plan(CELL, (1, 2, 3))
    with refused("sizes", "(T, B, N, H)", "{'T': 1"):
        plan(CELL, dict.fromkeys("TBNH", 1))
    with refused("B", "1", "0"):
        plan(CELL, (1, 0, 3, 4))
    with refused(wrong_type("dtype", "float32 or float64", "float16")):
        plan(CELL, (1, 1, 3, 4), "float16")
    small = rd.engine.Device("a small device", shared_bytes=128)
    with pytest.raises(
        ValueError, match=r"forward walk of cell 'layer-normalized elman' with 40 units keeps .* has 128"
    ):
        plan(means, (1, 1, 3, 40), device=small)


def test_a_plan_prints_a_line_for_each_walk():
    lines = str(plan(CELL, (1000, 16, 64, 100))).splitlines()
    assert lines[0] == "lstm on H200: T = 1000, B = 16, N = 64, H = 100, float32"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "forward", "tangent", "adjoint", "input and gradients", "memory",
    ]  # fmt: skip
    large = str(plan(CELL, (1000, 64, 64, 2048), tf32=True)).splitlines()[1]
    assert "steps around products of cuBLAS in TF32, 2 launches a step, 8 steps in a graph" in large


@pytest.fixture
def tables(monkeypatch):
    """What docs/cuda.rst shows of the model."""
    monkeypatch.syspath_prepend(pathlib.Path(__file__).parent.parent / "docs" / "_extensions")
    pytest.importorskip("sphinx", reason="the tables are those of the documentation")
    return importlib.import_module("predicted_walks")


def test_the_page_shows_what_is_counted(tables):
    """Every walk is in the table, and a line says what a plan holds."""
    for verb in ("forward", "adjoint"):
        rows = tables.rows(verb)
        assert {row[3] for row in rows} == {"columns", "block", "grid", "steps"}
        (row,) = [r for r in rows if r[:3] == ["LSTM", "64", "512"]]
        walk = plan(CELL, (1000, 64, 512, 512)).walks[verb]
        assert row[4:7] == ["134", f"{walk.memory_bytes / 1e3:,.0f}", f"{walk.cache_bytes / 1e3:,.0f}"]
        assert row[7:] == [str(walk.barriers), "1", "1 in all", f"{1e3 * walk.seconds:.2f}"]
        assert all(len(row) == len(tables.HEADER) for row in rows)


def test_the_page_shows_what_is_wanted(tables):
    lines = {line[0]: line for line in tables.reach()}
    assert len(lines) == 10
    _, wanted, predicted = lines["LSTM, B = 64, H = 512, both ways"]
    walks = plan(CELL, (1000, 64, 512, 512)).walks
    products = 2 * 64000 * (3 * 2048 * 512 + 2048 * 512) / 67e12
    assert wanted == "cuDNN"
    assert predicted == f"{1e3 * (walks['forward'].seconds + walks['adjoint'].seconds + products):.1f} ms"
    small = plan(CELL, (1000, 16, 64, 116)).walks["forward"].seconds
    assert lines["LSTM, B = 16, H = 116, forward"][1:] == ["at most 2 µs a step", f"{1e3 * small:.2f} µs"]
