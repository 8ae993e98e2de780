"""Every walk of the CUDA engine against the frozen reference, by the checks that the CPU engine passes."""

from __future__ import annotations

from dataclasses import replace

import cell_checks
import numpy as np
import pytest
from cell_variants import of
from device_cases import SMALL, case, check
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics import cells
from recurrent_dynamics.cells import DIAGONAL, Cell
from recurrent_dynamics.engine.cuda import choose as planning
from recurrent_dynamics.engine.cuda import driver, verbs
from recurrent_dynamics.engine.cuda.device_model import Sizes


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """`device(...)` changes what the walks are planned for."""

    def use(**changes):
        monkeypatch.setattr(verbs, "current_device", lambda: replace(SMALL, **changes))

    use()
    return use


def kinds(c) -> set[str]:
    tape = c.run().engine_tape
    return {verbs.planned(tape, verb).kind for verb in ("forward", "tangent", "adjoint")}


EVERY = of("simulated")
QUICK: dict[str, Cell] = {
    "lstm": EVERY["lstm"],
    "gru": EVERY["gru"],
    "two stages": EVERY["gru_reset_before"],
    "normalized": cells.lstm().with_normalization(),
    "diagonal": cells.elman().with_structure(DIAGONAL),
}


def test_the_simulator_runs():
    assert driver.SIMULATED


@pytest.mark.parametrize("name", [n for n in QUICK if n != "two stages"])
def test_cell(name, rng):
    c = case(QUICK[name], rng, steps=3, batch=3)
    assert kinds(c) == {"columns" if name == "diagonal" else "block"}
    check(c, rng)


@pytest.mark.parametrize("name", ["two stages", "diagonal"])
def test_lengths_and_resets(name, rng):
    check(case(QUICK[name], rng, steps=4, batch=3, lengths=True, reset=True), rng)


@pytest.mark.parametrize("shared", [16 << 10, 5 << 10])
def test_tiles_and_slices(shared, device, rng):
    """Several instances a block, more threads than rows, U in shared memory or not."""
    device(multiprocessors=1, threads=48, shared_bytes=shared)
    c = case(cells.gru_reset_before(), rng, steps=2, batch=5, hidden=16)
    tape = c.run().engine_tape
    walk = verbs.planned(tape, "adjoint")
    assert walk.resident == (shared > 8 << 10)
    assert walk.tile > 1 or not walk.resident
    assert max(walk.slices) > 1
    cell_checks.check_forward(c)
    cell_checks.check_backward(c, rng, every_entry=False)
    cell_checks.check_tangent(c, rng)


class Tensor:
    """An array of another library that lies on the device."""

    def __init__(self, array):
        self.array, self.__cuda_array_interface__ = array, {}

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_arrays_on_the_device_stay_there(monkeypatch, rng):
    c = case(QUICK["diagonal"], rng)
    params = {name: Tensor(value) for name, value in cell_checks.group(c.point, "params").items()}
    initial = {name: Tensor(value) for name, value in cell_checks.group(c.point, "initial").items()}
    with monkeypatch.context() as patch:
        patch.setattr(verbs, "to_host", lambda a: pytest.fail("copied to the host"))
        run = rd.forward(c.cell, params, Tensor(c.x), initial=initial)
        assert run.device == "cuda"
        cell_checks.close("output", run.output, c.reference(c.point)["h"], 1e-12)
        grads = rd.backward(run, Tensor(np.ones(run.output.shape)))
        assert grads.x.shape == c.x.shape
        assert rd.jacobian(run, 0).shape == (3, 4, 4)
    ragged = rd.forward(c.cell, params, Tensor(c.x), lengths=Tensor(np.array([2, 4, 1])))
    assert not ragged.output[2:, 0].any()
    assert ragged.output[1, 0].any()


def test_hvp_of_a_run_on_a_device_is_refused(rng):
    run = case(QUICK["diagonal"], rng).run()
    with refused("run", "hvp", "'cuda'"):
        rd.hvp(run, run.output)


def test_numbers_that_are_not_finite_are_refused_and_located(rng):
    c = case(QUICK["diagonal"], rng)
    with refused("x", came="nan at index (2, 1, 0)"):
        c.run({**c.point, ("x", ""): np.where(np.arange(36).reshape(4, 3, 3) == 21, np.nan, c.x)})
    run = c.run()
    with refused("d_output", came="inf"):
        rd.backward(run, np.full(run.output.shape, np.inf))
    with refused(wrong_type("d_output", "float64", "float32")):
        rd.backward(run, run.output.astype("float32"))


def test_float32_stays_float32(rng):
    c = case(QUICK["normalized"], rng, steps=3).astype("float32")
    run = c.run()
    assert {run.output.dtype, run.states["c"].dtype, rd.jacobian(run).dtype} == {np.dtype("float32")}
    wanted = c.reference({key: value.astype("float64") for key, value in c.point.items()})
    for slot, value in wanted.items():
        cell_checks.close(slot, run.states[slot], value, 1e-4)
    assert {g.dtype for g in rd.backward(run, run.output).params.values()} == {np.dtype("float32")}


def test_too_many_units_are_refused(device, rng):
    """Where only a block can walk: units that meet in a mean alone."""
    device(shared_bytes=128)
    normalized = cells.elman().with_structure(DIAGONAL).with_normalization()
    with pytest.raises(ValueError, match=r"forward walk of cell .* with 4 units keeps \d+ bytes .* has 128"):
        case(normalized, rng).run()


@pytest.fixture
def on_a_grid(monkeypatch):
    """Grids where a block would be faster; `on_a_grid(...)` says which of them."""

    def use(choose=lambda walks: walks[-1]):
        def walk(cell, layout, verb, sizes, device):
            found = planning.grids(cell, layout, verb, sizes, device)
            return choose(found) if found else planning.plan_walk(cell, layout, verb, sizes, device)

        monkeypatch.setattr(verbs, "plan_walk", walk)

    return use


GRID = {"multiprocessors": 5, "shared_bytes": 16 << 10, "threads": 16, "lanes": 4}


@pytest.mark.parametrize("name", ["lstm", pytest.param("normalized", marks=pytest.mark.full)])
def test_grid(name, device, on_a_grid, rng):
    """Two groups of two blocks, whose shares of three instances and five units differ."""
    device(**GRID)
    on_a_grid(lambda walks: walks[1])
    c = case(QUICK[name], rng, steps=3, batch=3, hidden=5)
    walk = verbs.planned(c.run().engine_tape, "adjoint")
    assert (walk.kind, walk.groups, walk.blocks, walk.resident) == ("grid", 2, 4, True)
    check(c, rng)


def test_grid_with_lengths_and_resets(device, on_a_grid, rng):
    device(**GRID)
    on_a_grid(lambda walks: walks[1])
    check(case(QUICK["lstm"], rng, steps=4, batch=3, lengths=True, reset=True), rng)


def test_grid_of_one_block_takes_all_phases_in_one_launch(device, on_a_grid, rng):
    device(**GRID | {"multiprocessors": 1})
    on_a_grid()
    c = case(QUICK["two stages"], rng, steps=3, batch=2)
    assert verbs.planned(c.run().engine_tape, "forward").blocks == 1
    check(c, rng)


@pytest.mark.full
def test_grid_without_u_in_shared_memory(device, on_a_grid, rng):
    device(**GRID | {"shared_bytes": 2 << 10})
    on_a_grid()
    c = case(QUICK["gru"], rng, steps=2, batch=3, hidden=16)
    walk = verbs.planned(c.run().engine_tape, "forward")
    assert (walk.kind, walk.resident) == ("grid", False)
    check(c, rng)


@pytest.mark.full
@pytest.mark.parametrize("name", EVERY)
def test_every_cell(name, rng):
    check(case(EVERY[name], rng, steps=3, batch=3, lengths=len(name) % 2 == 0, reset=len(name) % 3 == 0), rng)


@pytest.mark.full
@pytest.mark.parametrize("name", EVERY)
def test_every_cell_on_a_grid(name, device, on_a_grid, rng):
    c = case(EVERY[name], rng, steps=3, batch=3, lengths=len(name) % 2 == 1, reset=len(name) % 3 == 1)
    device(**GRID)
    if not planning.grids(
        c.cell, c.cell.layout(c.x.shape[-1], 4), "forward", Sizes(3, 3, 3, 4, 8), verbs.current_device()
    ):
        pytest.skip("has no product, or widths other than H")
    on_a_grid(lambda walks: walks[1])
    check(c, rng)
