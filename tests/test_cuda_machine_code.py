"""Kernels compiled to machine code without a GPU: no spills, no double precision where there is none, limits kept.

NVVM makes PTX of a kernel and `ptxas` makes machine code of that; both come in NVIDIA's wheels. Only the question for
the compute capability of the current device needs an answer from us.
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
from unittest import mock

import numpy as np
import pytest
from numba import types

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, NAMED, Cell
from recurrent_dynamics.engine.cuda.walks import REGISTERS
from recurrent_dynamics.equations.schedule import width_labels

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'recurrent-dynamics[cuda-compiler]'")
dispatcher = pytest.importorskip("numba.cuda.dispatcher")


def assembler() -> pathlib.Path | None:
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for found in sorted(pathlib.Path(folder).glob("*/bin/ptxas")):
            return found
    return None


PTXAS = assembler()
pytestmark = pytest.mark.skipif(
    PTXAS is None, reason="needs NVIDIA's assembler: pip install 'recurrent-dynamics[cuda-compiler]'"
)

VERBS = ("forward", "tangent", "adjoint")
CELLS: dict[str, Cell] = {
    "lstm": cells.lstm(),
    "gru": cells.gru(),
    "two stages": cells.gru_reset_before(),
    "normalized": cells.lstm().with_normalization(),
    "diagonal": cells.elman().with_structure(DIAGONAL),
}


def signature(kind: str, verb: str, real: types.Type, labels: int) -> tuple[types.Type, ...]:
    array, size = real[::1], types.int64
    head = (size,) * (5 if verb == "adjoint" else 4) + (types.UniTuple(size, labels), size)
    tail = (size[::1], types.boolean[::1], types.boolean)
    if kind == "columns":
        return head + (array,) * {"forward": 6, "tangent": 9, "adjoint": 8}[verb] + tail
    head += (types.Array(size, 2, "C"), size, array)
    if kind == "grid":
        return (size,) * 3 + head + (array,) * 9 + tail
    return head + (array,) * (8 if verb == "adjoint" else 9) + tail


def compiled(function, argument_types, capability, registers, tmp_path) -> tuple[str, str]:
    """PTX, and what the assembler says of the machine code."""
    from numba import cuda

    device = mock.Mock(compute_capability=capability)
    with mock.patch.object(dispatcher, "get_current_device", create=True, return_value=device):
        ptx, _ = cuda.compile_ptx(function.py_func, argument_types, cc=capability)
    text, code = tmp_path / "kernel.ptx", tmp_path / "kernel.cubin"
    text.write_text(ptx)
    arch = f"-arch=sm_{capability[0]}{capability[1]}"
    done = subprocess.run(
        [PTXAS, "-c", arch, "-v", f"--maxrregcount={registers}", text, "-o", code],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert code.stat().st_size > 0
    return ptx, done.stdout + done.stderr


def check(cell, verb, dtype, capability, tmp_path, kind=None, tile=1, resident=True):
    from recurrent_dynamics.engine.cuda import blocks, columns, grid

    walk = rd.engine.plan(cell, (10, 64, 8, 512 if kind == "grid" else 16), dtype).walks[verb]
    assert walk.kind == (kind or walk.kind)
    kind = walk.kind
    if kind == "columns":
        kernel = columns.walk(cell, verb, dtype)
    elif kind == "grid":
        kernel = grid.walk(cell, verb, dtype, resident, 32)
    else:
        kernel = blocks.walk(cell, verb, dtype, tile, resident)
    real, most = getattr(types, dtype), REGISTERS[kind][np.dtype(dtype).itemsize]
    argument_types = signature(kind, verb, real, len(width_labels(cell)))
    ptx, said = compiled(kernel, argument_types, capability, most, tmp_path)
    assert ("cudaCGSynchronize" in ptx) == (kind == "grid")  # a cooperative launch
    spilt = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert spilt is not None, said
    assert [int(n) for n in spilt.groups()] == [0, 0, 0], said
    assert int(re.search(r"Used (\d+) registers", said)[1]) * walk.threads <= 65536, said
    assert "bytes smem" not in said, "shared memory that `plan` does not count"
    # An instruction, not the comment or a directive: `cvt.rn.f64.f32`, `mul.f64`, `ld.shared.f64`.
    double = re.search(r"^\s*(@%p\d+ )?[a-z][\w.]*\.f64\b", ptx, re.MULTILINE)
    assert (double is not None) == (dtype == "float64"), double


def test_lstm(tmp_path):
    check(CELLS["lstm"], "forward", "float32", (9, 0), tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    ("dtype", "capability"), [("float32", (8, 0)), ("float32", (9, 0)), ("float64", (9, 0))]
)
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", CELLS)
def test_every_verb(name, verb, dtype, capability, tmp_path):
    check(CELLS[name], verb, dtype, capability, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", [n for n in CELLS if n != "diagonal"])
def test_every_verb_on_a_grid(name, verb, tmp_path):
    check(CELLS[name], verb, "float32", (9, 0), tmp_path, kind="grid")


@pytest.mark.full
@pytest.mark.parametrize("verb", VERBS)
def test_other_grids(verb, tmp_path):
    check(CELLS["normalized"], verb, "float64", (9, 0), tmp_path, kind="grid")
    check(CELLS["lstm"], verb, "float32", (8, 0), tmp_path, kind="grid", resident=False)


@pytest.mark.full
@pytest.mark.parametrize("verb", VERBS)
def test_large_tiles(verb, tmp_path):
    check(CELLS["lstm"], verb, "float32", (9, 0), tmp_path, tile=8, resident=False)


@pytest.mark.full
@pytest.mark.parametrize("verb", ["forward", "adjoint"])
@pytest.mark.parametrize(
    "name", [n for n in NAMED if n not in ("lstm", "gru", "gru_reset_before", "lstm_projected")]
)
def test_every_cell(name, verb, tmp_path):
    check(NAMED[name](), verb, "float32", (9, 0), tmp_path)
