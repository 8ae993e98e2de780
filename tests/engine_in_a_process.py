"""What the tests of the build run in a process of its own: `python engine_in_a_process.py TASK`."""

from __future__ import annotations

import sys

import numpy as np
from cell_checks import case, check

import recurrent_dynamics as rd


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

    from recurrent_dynamics.kernels.access import get

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


if __name__ == "__main__":
    globals()[sys.argv[1]]()
