"""What the tests of the build run in a process of its own: `python engine_in_a_process.py TASK`."""

from __future__ import annotations

import sys

import numpy as np
from cell_checks import case, check

import recurrent_dynamics as rd
from recurrent_dynamics.cells import DIAGONAL, Cell, Drive, Slot, Unit, heads, low_rank
from recurrent_dynamics.equations import sigmoid, tanh


def derivatives() -> None:
    """Every verb of two cells at ragged sizes, of networks without input too."""
    rng = np.random.default_rng(0)
    for cell in (rd.cells.lstm(), rd.cells.gru()):
        for steps, batch, inputs, hidden in ((3, 2, 3, 5), (2, 9, 1, 17), (2, 3, 9, 1)):
            for ragged in (False, True):
                c = case(cell, rng, steps, batch, inputs, hidden, lengths=ragged, reset=ragged)
                check(c, rng, every_entry=False)
        run = rd.forward(cell, cell.init(0, 5, dtype="float64"), steps=3)
        rd.hvp(run, run.output, d_initial={"h": np.ones(5)})
        rd.jacobian(run)


def bad_index() -> None:
    """Reads beyond the end of an array."""
    from numba import njit

    from recurrent_dynamics.engine.cpu.memory import get

    read = njit(lambda a, i: get(a, i))
    assert read(np.arange(4.0), 3) == 3.0
    print("in range", flush=True)
    read(np.arange(4.0), 4)


def compiled_before() -> None:
    """All verbs without SymPy, which compiling needs; every compiled function comes from the disk."""
    sys.modules["sympy"] = None  # type: ignore[assignment]
    cell = rd.cells.elman()
    run = rd.forward(cell, cell.init(3, 5, dtype="float64"), np.ones((4, 2, 3)))
    rd.backward(run, run.output)
    rd.hvp(run, run.output, {"b": np.ones(5)})
    rd.jacobian(run)

    from recurrent_dynamics.engine.cpu import jacobian, walks

    for function in (walks.forward, walks.adjoint, walks.tangent, walks.second, jacobian.jacobian):
        assert not function.stats.cache_misses, function
        assert len(function.stats.cache_hits) == 1, function


def _two(drive, state):
    return {"y": tanh(drive.a), "z": state.z + 0.1 * tanh(drive.b * state.y)}


def _projected(drive, state):
    c = sigmoid(drive.f) * state.c + sigmoid(drive.i) * tanh(drive.g)
    return {"h": drive.p(sigmoid(drive.o) * tanh(c)), "c": c}


def _scaled(drive, state, param, signal):
    z = sigmoid(drive.z)
    return {"h": z * state.h + (1 - z) * param.alpha * signal.x}


def _in_turn(drive, state, constant):
    a, b = constant.dt * sigmoid(drive.d1), constant.dt * sigmoid(drive.d2)
    z = (1 - a) * state.z + a * tanh(drive.z)
    return {"y": (1 - b) * state.y + b * tanh(drive.y(z)), "z": z}


def _timed(drive, state, signal):
    return {"h": state.h + signal.dt * (tanh(drive.n) - state.h)}


BOTH, NO_INPUT = ("y", "z"), {"input": False, "bias": False}
IN_TURN = (Drive("d1", operand=("y",)), Drive("d2", operand=("y",)), Drive("z", operand=("y",)), "y")
LAYOUTS = [
    rd.cells.lstm().with_normalization(),
    rd.cells.gru().with_normalization(),
    rd.cells.gru_reset_before().with_normalization(["n"]),
    rd.cells.gru().with_structure(heads(2)),
    rd.cells.elman().with_structure(DIAGONAL),
    rd.cells.lstm().with_structure(low_rank(2)),
    Cell("two operands", BOTH, (Drive("a", BOTH), Drive("b", ("z", "y"), input=False)), _two),
    Cell(
        "operands in heads",
        BOTH,
        (Drive("a", BOTH, structure=heads(2)), Drive("b", ("z",), **NO_INPUT)),
        _two,
    ),
    Cell(
        "low rank, normalized",
        BOTH,
        (Drive("a", BOTH, structure=low_rank(2)), Drive("b", ("z",), input=False, structure=DIAGONAL)),
        _two,
        normalized=("a",),
    ),
    Cell(
        "projected",
        (Slot("h", "3"), "c"),
        ("i", "f", "g", "o", Drive("p", width="3", **NO_INPUT)),
        _projected,
    ),
    Cell("scaled", ("h",), ("z",), _scaled, units=(Unit("alpha", (0.2, 0.8), 0, 1),), signals=("x",)),
    Cell("slots in turn", BOTH, IN_TURN, _in_turn, constants={"dt": 0.5}),
    Cell("timed", ("h",), ("n",), _timed, signals=("dt",)),
]


def layouts() -> None:
    """Every verb of cells that are laid out in unusual ways."""
    rng = np.random.default_rng(0)
    for cell in LAYOUTS:
        for ragged in (False, True):
            check(case(cell, rng, steps=3, batch=2, hidden=6, lengths=ragged, reset=ragged), rng)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
