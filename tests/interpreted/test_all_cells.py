"""Every cell and option through every verb, the programs run as NumPy code."""

from __future__ import annotations

from typing import Any

import cell_checks
import hypothesis.strategies as st
import numpy as np
import pytest
from cell_property import Draw, check_any_sizes, draws
from cell_variants import of
from hypothesis import given, settings

from recurrent_dynamics.cells import DIAGONAL, NAMED, Cell, heads, low_rank

VARIANTS = of("interpreted")
# A drive that sums nothing cannot be normalized.
NORMALIZED = {
    name: cell.with_normalization([d.name for d in cell.drives if d.input or d.operand != ()])
    for name, cell in VARIANTS.items()
    if cell.drives
}
# Cells whose blocks of U are square and free: any structure fits.
SQUARE = [
    name
    for name, make in NAMED.items()
    if name not in ("lstm_projected", "min_gru", "min_lstm", "cornn", "shplrnn") and not make().parametrize
]
STRUCTURES = {"heads": heads(2), "diagonal": DIAGONAL, "low rank": low_rank(2)}


@pytest.fixture(params=VARIANTS)
def cell(request: pytest.FixtureRequest) -> Cell:
    return VARIANTS[request.param]


def test_plain(cell: Cell, rng: np.random.Generator) -> None:
    cell_checks.check(cell_checks.case(cell, rng), rng)


def test_lengths_and_resets(cell: Cell, rng: np.random.Generator) -> None:
    cell_checks.check(cell_checks.case(cell, rng, steps=5, lengths=True, reset=True), rng, every_entry=False)


@pytest.mark.parametrize("name", NORMALIZED)
def test_normalized(name: str, rng: np.random.Generator) -> None:
    cell_checks.check(cell_checks.case(NORMALIZED[name], rng), rng, every_entry=False)


@pytest.mark.parametrize("kind", STRUCTURES)
@pytest.mark.parametrize("name", SQUARE)
def test_structured(name: str, kind: str, rng: np.random.Generator) -> None:
    cell_checks.check(
        cell_checks.case(NAMED[name]().with_structure(STRUCTURES[kind]), rng), rng, every_entry=False
    )


def test_second_order_entry_by_entry(rng: np.random.Generator) -> None:
    for name in ("gru", "lstm_peephole", "mut3"):
        cell_checks.check_second(
            cell_checks.case(NAMED[name](), rng, steps=3, batch=2), rng, every_entry=True
        )


@pytest.mark.parametrize("name", ["lstm", "gru", "mut3", "operands side by side", "means", "widths"])
@pytest.mark.parametrize("lengths", [False, True])
def test_no_uninitialized_memory_is_read(
    name: str, lengths: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = np.empty

    def poisoned(*args: Any, **options: Any) -> np.ndarray:
        array = empty(*args, **options)
        if array.dtype.kind == "f":
            array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", poisoned)
    case = cell_checks.case(VARIANTS[name], rng, lengths=lengths, reset=lengths)
    cell_checks.check(case, rng, every_entry=False)


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(VARIANTS)),
    drawn=draws(8),
    normalized=st.booleans(),
    kind=st.sampled_from([None, *STRUCTURES]),
)
def test_any_sizes_and_options(name: str, drawn: Draw, normalized: bool, kind: str | None) -> None:
    cell = VARIANTS[name]
    if kind is not None and name in SQUARE:
        cell = cell.with_structure(STRUCTURES[kind])
    elif normalized and name in NORMALIZED:
        cell = NORMALIZED[name]
    check_any_sizes(cell, drawn)
