"""Cells of several evaluations a step, whose drives share a block of U and whose step may be a signal."""

from __future__ import annotations

import pytest
from device_cases import SMALL, case, check
from ode_fields import EXPLICIT

from recurrent_dynamics.engine.cuda import choose, verbs
from recurrent_dynamics.ode import discretize

OFFERS = {
    "block": lambda *a: choose.blocks(*a)[0],
    "grid": lambda *a: choose.grids(*a)[-1],
    "steps": lambda *a: choose.steps(*a)[0],
}


@pytest.mark.parametrize(
    "kind", ["steps", *(pytest.param(k, marks=pytest.mark.full) for k in ("block", "grid"))]
)
def test_two_evaluations_of_a_field(kind, monkeypatch, rng):
    monkeypatch.setattr(verbs, "current_device", lambda: SMALL)
    monkeypatch.setattr(verbs, "plan_walk", OFFERS[kind])
    c = case(
        discretize(EXPLICIT["rate network"], "midpoint", step="signal"), rng, steps=3, batch=3, reset=True
    )
    assert any(d.tied for d in c.cell.drives)
    assert c.cell.signals
    assert verbs.planned(c.run().engine_tape, "adjoint").kind == kind
    check(c, rng)
