"""A cell that steps a field, compiled: a tied block of U is one block to every verb, in both dtypes."""

from __future__ import annotations

import cell_checks
import numpy as np
import pytest
from ode_fields import EXPLICIT

import recurrent_dynamics as rd
from recurrent_dynamics.ode import discretize

pytestmark = pytest.mark.full

CELL = discretize(EXPLICIT["called"], "heun", 0.4, step="input")


def test_every_verb(rng: np.random.Generator) -> None:
    c = cell_checks.case(CELL, rng, steps=5, batch=7, inputs=3, hidden=18)
    cell_checks.check(c, rng, every_entry=False)


def test_single_precision(rng: np.random.Generator) -> None:
    c = cell_checks.case(CELL, rng, steps=5, batch=7, inputs=3, hidden=18)
    exact, single = c.run(), c.astype("float32").run()
    assert single.output.dtype == np.float32
    np.testing.assert_allclose(single.output, exact.output, atol=1e-5)
    d = rng.standard_normal(exact.output.shape)
    wanted = rd.backward(exact, d).params["U"]
    np.testing.assert_allclose(rd.backward(single, d.astype("float32")).params["U"], wanted, atol=1e-4)
