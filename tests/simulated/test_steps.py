"""Walk 3, step by step around products of whole arrays, against the frozen reference."""

from __future__ import annotations

import cell_checks
import pytest
from device_cases import SMALL, case, check
from odd_cells import ODD

from recurrent_dynamics import cells
from recurrent_dynamics.cells import NAMED, Cell, heads, low_rank
from recurrent_dynamics.engine.cuda import choose, verbs


@pytest.fixture(autouse=True)
def by_steps(monkeypatch):
    """Every cell with a product walks step by step."""

    def walk(cell, layout, verb, sizes, device):
        found = choose.steps(cell, layout, verb, sizes, device)
        return found[0] if found else choose.plan_walk(cell, layout, verb, sizes, device)

    monkeypatch.setattr(verbs, "current_device", lambda: SMALL)
    monkeypatch.setattr(verbs, "plan_walk", walk)


QUICK: dict[str, Cell] = {
    "lstm": cells.lstm(),
    "two stages": cells.gru_reset_before(),
    "normalized": cells.lstm().with_normalization(),
    "projected": cells.lstm_projected(2),
    "in heads": cells.elman().with_structure(heads(2)),
}
EVERY: dict[str, Cell] = {
    **{name: make() for name, make in NAMED.items() if name != "lstm_projected"},
    **ODD,
    "gru of low rank": cells.gru().with_structure(low_rank(2)),
    "normalized gru": cells.gru().with_normalization(),
}


@pytest.mark.parametrize(
    "name", [n if n in ("two stages", "in heads") else pytest.param(n, marks=pytest.mark.full) for n in QUICK]
)
def test_cell(name, rng):
    c = case(QUICK[name], rng, steps=3, batch=3)
    tape = c.run().engine_tape
    assert {verbs.planned(tape, verb).kind for verb in ("forward", "tangent", "adjoint")} == {"steps"}
    check(c, rng)


@pytest.mark.parametrize("name", ["lstm", "two stages"])
def test_lengths_and_resets(name, rng):
    check(case(QUICK[name], rng, steps=4, batch=3, lengths=True, reset=True), rng)


def test_many_steps_are_counted_by_the_blocks(rng):
    """More steps than a graph holds, one more than a multiple of it."""
    c = case(QUICK["lstm"], rng, steps=2 * choose.CAPTURED_STEPS + 1, batch=2)
    cell_checks.check_forward(c)
    cell_checks.check_backward(c, rng, every_entry=False)


@pytest.mark.full
@pytest.mark.parametrize("name", EVERY)
def test_every_cell(name, rng):
    check(case(EVERY[name], rng, steps=3, batch=3, lengths=len(name) % 2 == 0, reset=len(name) % 3 == 0), rng)
