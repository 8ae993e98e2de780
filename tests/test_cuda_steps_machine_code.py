"""The kernels of walk 3, and those that round a tape, compiled to machine code without a GPU."""

from __future__ import annotations

import machine_code
import pytest
from machine_code import CAPABILITIES, Launch, check, launches

from recurrent_dynamics import cells
from recurrent_dynamics.engine.cuda import choose

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'recurrent-dynamics[cuda-compiler]'")
pytestmark = [
    pytest.mark.skipif(
        machine_code.assembler() is None,
        reason="needs NVIDIA's assembler: pip install 'recurrent-dynamics[cuda-compiler]'",
    ),
    pytest.mark.full,
]

CELLS = {
    "lstm": (cells.lstm(), "float32", ("forward", "tangent", "adjoint")),
    "lstm in float64": (cells.lstm(), "float64", ("forward", "adjoint")),
    "two stages": (cells.gru_reset_before(), "float32", ("adjoint",)),
    "normalized": (cells.lstm().with_normalization(), "float32", ("forward", "adjoint")),
    "projected": (cells.lstm_projected(8), "float32", ("forward",)),
}


def by_steps(cell, layout, verb, sizes, device):
    return choose.steps(cell, layout, verb, sizes, device)[0]


@pytest.mark.parametrize("name", CELLS)
def test_walk_by_steps(name):
    cell, dtype, verbs = CELLS[name]
    found = launches(cell, dtype, verbs, walk=by_steps)
    kernels = {"forward": "steps.forth", "tangent": "steps.forth", "adjoint": "steps.back"}
    assert {launch.name.split()[-1] for launch in found} == {kernels[verb] for verb in verbs}
    check(found, CAPABILITIES if name == "lstm" else CAPABILITIES[-1:])


def test_rounding():
    """Of integers alone."""
    from numba import types

    from recurrent_dynamics.engine.cuda import rounded

    head = (types.int64,) * 3 + (types.uint16[::1], types.uint32[::1])
    found = [
        Launch(f"float32 {name}", rounded._kernel(name), rounded.THREADS, 0, head)
        for name in ("narrow", "widen")
    ]
    check(found, CAPABILITIES)
    for launch in found:
        ptx = machine_code.made(launch.function, launch.types, CAPABILITIES[0])[0]
        assert ".f32" not in ptx.split(".entry")[1]
