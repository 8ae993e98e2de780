"""Every cell compiled: all verbs in float64 against the reference, and float32 against float64.

Derivatives for any sizes, lengths and resets are in `test_engine`, for the cells of both tiers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cell_checks
import numpy as np
import pytest
from cell_checks import Case, arguments, case, gradients
from cell_variants import of

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell

pytestmark = pytest.mark.full

COMPILED = of("compiled")


@pytest.fixture(params=COMPILED)
def cell(request: pytest.FixtureRequest) -> Cell:
    return COMPILED[request.param]


def test_float64(cell: Cell, rng: np.random.Generator) -> None:
    cell_checks.check(case(cell, rng, steps=5, batch=7, inputs=3, hidden=6), rng, every_entry=False)
    cell_checks.check(
        case(cell, rng, steps=6, batch=5, inputs=9, hidden=18, lengths=True, reset=True),
        rng,
        every_entry=False,
    )


def verbs(c: Case, seed: int) -> dict[str, np.ndarray]:
    """Every verb's results, with directions and cotangents that do not depend on the dtype."""
    rng, dtype = np.random.default_rng(seed), c.x.dtype
    draw = lambda shape: rng.uniform(-1, 1, shape).astype(dtype)
    run = c.run()
    by = {key: draw(value.shape) for key, value in c.point.items()}
    d_output = draw(run.output.shape)
    tangent = rd.jvp(run, **arguments(by))
    back = gradients(rd.backward(run, d_output), c.point)
    second = gradients(
        rd.hvp(run, d_output, d_output_tangent=draw(run.output.shape), **arguments(by)), c.point
    )
    results = {f"state {slot}": value for slot, value in run.states.items()}
    results |= {f"tangent of {slot}": value for slot, value in tangent.states.items()}
    results |= {f"gradient by {' '.join(key)}": value for key, value in back.items()}
    results |= {f"second order by {' '.join(key)}": value for key, value in second.items()}
    results["Jacobian"] = rd.jacobian(run)
    return results


def test_float32(cell: Cell, rng: np.random.Generator) -> None:
    """As far from float64 as rounding can explain.

    A stable algorithm computes the exact result of data that differ by a few units in the last place (backward error),
    so its error is bounded by how much such a change moves the result: the largest move over eight random changes by
    one unit, times 16 for the number of operations in a row and for the luck of the draw.
    """
    single = case(cell, rng, steps=6, batch=5, inputs=7, hidden=12).astype("float32")
    exact = single.astype("float64")
    came, wanted = verbs(single, 0), verbs(exact, 0)
    eps = np.finfo("float32").eps
    moves: dict[str, float] = dict.fromkeys(wanted, 0.0)
    for _ in range(8):
        nudge = {key: 1 + eps * rng.choice([-1.0, 1.0], value.shape) for key, value in exact.point.items()}
        near = verbs(replace(exact, point={k: v * nudge[k] for k, v in exact.point.items()}), 0)
        moves = {name: max(moves[name], np.abs(near[name] - wanted[name]).max()) for name in wanted}
    for name, value in came.items():
        assert value.dtype == np.float32, name
        error = np.abs(value - wanted[name]).max()
        allowed = 16 * (moves[name] + eps * np.abs(wanted[name]).max())
        assert error <= allowed, f"{name}: error {error:.1e}, explained by rounding {allowed:.1e}"


def test_bitwise_the_same_for_any_number_of_threads(
    cell: Cell, rng: np.random.Generator, set_threads: Callable[[int], None]
) -> None:
    c = case(cell, rng, steps=4, batch=9, inputs=5, hidden=12)
    wanted = verbs(c, 0)
    for threads in (1, 2, 3, 7):
        set_threads(threads)
        for name, value in verbs(c, 0).items():
            assert np.array_equal(value, wanted[name]), f"{name} on {threads} threads"
