"""The nonlinearities of the device against those of NumPy, at their edges too."""

from __future__ import annotations

import numpy as np
import pytest

from recurrent_dynamics.engine.cuda.scalars import scalars
from recurrent_dynamics.equations.nonlinearities import NONLINEARITIES

EDGES = [0.0, -0.0, 1e-30, -1e-30, 0.5, -0.5, 3.0, -3.0, 20.0, -20.0, 87.0, -87.0, np.inf, -np.inf, np.nan]


def test_all_are_there():
    assert set(scalars("float32")) == set(NONLINEARITIES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NONLINEARITIES)
def test_values(name, dtype, rng):
    real, wanted = np.dtype(dtype).type, NONLINEARITIES[name]
    points = [real(x) for x in EDGES + list(4 * rng.standard_normal(50))]
    if wanted.arity == 2:
        pairs = [(x, y) for x in points[:20] for y in points[:20]]
    else:
        pairs = [(x,) for x in points]
    for arguments in pairs:
        with np.errstate(all="ignore"):
            came, expected = scalars(dtype)[name](*arguments), wanted(*arguments)
        assert np.asarray(came).dtype == real
        np.testing.assert_allclose(came, expected, rtol=8 * np.finfo(real).eps, err_msg=f"{name}{arguments}")
