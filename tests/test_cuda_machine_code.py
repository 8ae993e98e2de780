"""Kernels compiled to machine code without a GPU: no spills, no double precision where there is none, limits kept."""

from __future__ import annotations

from dataclasses import replace

import machine_code
import pytest
from cell_variants import VARIANTS
from machine_code import CAPABILITIES, check, launches

from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, NAMED, Cell
from recurrent_dynamics.engine.cuda import choose
from recurrent_dynamics.engine.cuda.device_model import H200

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'recurrent-dynamics[cuda-compiler]'")
pytestmark = pytest.mark.skipif(
    machine_code.assembler() is None,
    reason="needs NVIDIA's assembler: pip install 'recurrent-dynamics[cuda-compiler]'",
)

VERBS = ("forward", "tangent", "adjoint")
CELLS: dict[str, Cell] = {
    "lstm": cells.lstm(),
    "gru": cells.gru(),
    "two stages": cells.gru_reset_before(),
    "normalized": cells.lstm().with_normalization(),
    "diagonal": cells.elman().with_structure(DIAGONAL),
}
DTYPES = ("float32", "float64")
ALL_READS = ("attention_monotonic", "attention_covering")  # all that reads a memory is in one of them
OLDER, NEWEST = CAPABILITIES[:1], CAPABILITIES[1:]
READERS = {name: variant.cell for name, variant in VARIANTS.items() if variant.cell.memory}


def full_or_exhaustive(full: bool) -> pytest.MarkDecorator:
    return pytest.mark.full if full else pytest.mark.exhaustive


# Walks that a plan would not take for these sizes, as the simulator's tests choose them.
WALKS = {
    "grid": lambda cell, layout, verb, sizes, device: choose.grids(cell, layout, verb, sizes, device)[0],
    "grid, U in L2": lambda cell, layout, verb, sizes, device: choose.grids(
        cell, layout, verb, sizes, replace(device, shared_bytes=64 << 10)
    )[-1],
    "steps": lambda cell, layout, verb, sizes, device: choose.steps(cell, layout, verb, sizes, device)[0],
    "tiles": lambda cell, layout, verb, sizes, device: choose.blocks(
        cell, layout, verb, sizes, replace(device, multiprocessors=1)
    )[0],
    "tiles, U in L2": lambda cell, layout, verb, sizes, device: choose.blocks(
        cell, layout, verb, sizes, replace(device, multiprocessors=1, shared_bytes=24 << 10)
    )[0],
}
HIDDEN = {"grid": 512, "grid, U in L2": 256, "tiles, U in L2": 48}


def walking(cell: Cell, dtype: str, walk: str) -> list[machine_code.Launch]:
    found = launches(cell, dtype, VERBS, hidden=HIDDEN.get(walk, 16), batch=8, walk=WALKS[walk])
    kind = "block" if "tiles" in walk else walk.partition(",")[0].removesuffix("s")
    passes = {f"{kind}_kernels.forward_pass", f"{kind}_kernels.backward_pass"}
    assert {launch.name.split()[-1] for launch in found} == passes
    return found


def test_lstm():
    check(launches(CELLS["lstm"], "float32", ["forward"]))


@pytest.mark.full
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CELLS)
def test_every_kernel(name, dtype):
    """Of every verb, in the default walk of a small network, and Jacobians."""
    check(launches(CELLS[name], dtype, (*VERBS, "jacobian")), CAPABILITIES if name == "lstm" else NEWEST)


WIDE = [name for name in CELLS if name != "diagonal"]


@pytest.mark.parametrize("walk", ["grid", "steps"])
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=full_or_exhaustive(name == "lstm" or dtype == "float32"))
        for name in WIDE
        for dtype in DTYPES
    ],
)
def test_every_kernel_of_larger_networks(name, dtype, walk):
    check(walking(CELLS[name], dtype, walk), CAPABILITIES if name == "lstm" else NEWEST)


@pytest.mark.exhaustive
@pytest.mark.parametrize("walk", [None, "grid", "steps"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in CELLS if name != "lstm"])
def test_every_kernel_on_an_older_device(name, dtype, walk):
    if walk is None:
        check(launches(CELLS[name], dtype, (*VERBS, "jacobian")), OLDER)
    elif name in WIDE:
        check(walking(CELLS[name], dtype, walk), OLDER)


@pytest.mark.full
@pytest.mark.parametrize("walk", ["grid, U in L2", "tiles", "tiles, U in L2"])
def test_other_walks(walk):
    """U in L2, and as many instances a block as there ever are."""
    check(walking(CELLS["lstm"], "float32", walk), CAPABILITIES)


@pytest.mark.full
def test_a_projected_network_by_steps():
    check(walking(cells.lstm_projected(8), "float32", "steps"))


@pytest.mark.full
def test_kernels_of_a_rounded_tape():
    """Rounding is of integers alone."""
    found = launches(CELLS["lstm"], "float32", VERBS, tape_dtype="bfloat16")
    rounding = [launch for launch in found if launch.function.__name__ in ("narrow", "widen")]
    assert len(rounding) == 2
    check(found, CAPABILITIES)
    for launch in rounding:
        ptx = machine_code.made(launch.function, launch.types, CAPABILITIES[0])[0]
        assert ".f32" not in ptx.split(".entry")[1]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=full_or_exhaustive(name in ALL_READS or dtype == "float32"))
        for name in READERS
        for dtype in DTYPES
    ],
)
def test_cells_that_read_a_memory(name, dtype):
    """Forward, tangent and adjoint by steps: softmax, shift, scan, sums over units and over positions."""
    found = launches(READERS[name], dtype, VERBS)
    assert {launch.name.split()[-1] for launch in found} == {
        "step_kernels.forward_pass",
        "step_kernels.backward_pass",
    }
    check(found, CAPABILITIES if name in ALL_READS else NEWEST)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in READERS if name not in ALL_READS])
def test_cells_that_read_a_memory_on_an_older_device(name, dtype):
    check(launches(READERS[name], dtype, VERBS), OLDER)


OTHERS = [n for n in NAMED if n not in ("lstm", "gru", "gru_reset_before")]


@pytest.mark.full
@pytest.mark.parametrize("name", OTHERS)
def test_every_cell(name):
    check(launches(NAMED[name](), "float32", ["forward", "adjoint"]))


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OTHERS)
def test_every_kernel_of_every_cell(name, dtype):
    cell = NAMED[name]()
    check(launches(cell, dtype, (*VERBS, "jacobian")), CAPABILITIES)
    layout = cell.layout(8, 512)
    if layout.products:
        wide = ["grid", "grid, U in L2"] if len(layout.widths) == 1 else []
        for walk in [*wide, "steps", "tiles", "tiles, U in L2"]:
            check(walking(cell, dtype, walk), CAPABILITIES)


def test_faults_are_found():
    """What the assembler and NVVM would say of a kernel that is not as it should be."""
    launch = machine_code.Launch("lstm, float32", None, threads=384, shared_bytes=232448, types=())
    good = "Used 168 registers\n0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"
    asked = "ld.param.f64x, mul.f32 // .f64"
    find = lambda ptx=asked, said=good, cooperative=False, **changes: machine_code.faults(
        replace(launch, **changes), ptx, said, cooperative, H200
    )
    assert find() == []
    assert "spills" in find(said=good.replace("0 bytes spill stores", "8 bytes spill stores"))[0]
    assert "spills" in find(said="Used 168 registers")[0]
    assert "Used 168 registers with 416" in find(threads=416)[0]
    assert "32 bytes smem" in find(said=good + ", 32 bytes smem")[0]
    assert "232449 bytes" in find(shared_bytes=232449)[0]
    assert "mul.f64" in find(ptx="\t@%p1 mul.f64 %fd1, %fd2;")[0]
    assert find(ptx="\tmul.f64 %fd1, %fd2;", name="lstm, float64") == []
    assert "cooperative" in find(cooperative=True)[0]
    assert "cooperative" in find(ptx="call cudaCGSynchronize, ();")[0]
