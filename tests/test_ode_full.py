"""A cell that steps a field, compiled: a tied block of U is one block to every verb, in both dtypes."""

from __future__ import annotations

import cell_checks
import numpy as np
import pytest
from ode_fields import CHAIN, EXPLICIT

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Unit
from recurrent_dynamics.equations import softplus
from recurrent_dynamics.ode import Field, discretize

pytestmark = pytest.mark.full

STEPPED = {
    "heun": discretize(EXPLICIT["called"], "heun", 0.4, step="input"),
    "leapfrog": discretize(CHAIN, "leapfrog", 0.4, step="learnt"),
}


@pytest.mark.parametrize("name", STEPPED)
def test_every_verb(name: str, rng: np.random.Generator) -> None:
    c = cell_checks.case(
        STEPPED[name], rng, 5, 7, 3, 18, lengths=name == "leapfrog", reset=name == "leapfrog"
    )
    cell_checks.check(c, rng, every_entry=False)


@pytest.mark.parametrize("name", STEPPED)
def test_single_precision(name: str, rng: np.random.Generator) -> None:
    c = cell_checks.case(STEPPED[name], rng, steps=5, batch=7, inputs=3, hidden=18)
    exact, single = c.run(), c.astype("float32").run()
    assert single.output.dtype == np.float32
    np.testing.assert_allclose(single.output, exact.output, atol=1e-5)
    d = rng.standard_normal(exact.output.shape)
    wanted = rd.backward(exact, d).params["U"]
    np.testing.assert_allclose(rd.backward(single, d.astype("float32")).params["U"], wanted, atol=1e-4)


def test_training_on_irregular_samples(rng: np.random.Generator) -> None:
    """A leak with time constant 1 learns that of its data, 3, by the gaps between samples; without them it cannot."""
    gaps = rng.uniform(0.2, 4.0, (60, 16)).astype("float32")
    x, targets = rng.standard_normal((60, 16, 1)).astype("float32"), np.zeros((60, 16, 1), "float32")
    y = np.zeros((16, 1))
    for t in range(60):
        keep = np.exp(-gaps[t, :, None] / 3)
        y = targets[t] = keep * y + (1 - keep) * 0.5 * x[t]
    leak = Field(
        "leak", ("h",), ("n",), lambda drive, state, param: {"h": (drive.n - state.h) / param.tau},
        units=(Unit("tau", 1.0, low=0),), linear=lambda param: {"h": -1 / param.tau}, recurrent=(),
    )  # fmt: skip
    losses, taus = {}, {}
    for name, options in (("gaps", {"step": "signal"}), ("mean", {"dt": float(gaps.mean())})):
        cell = discretize(leak, "exponential_euler", **options)
        model = rd.nn.Model(cell, 1, input_size=1, output_size=1, loss="mean_squared_error")
        batch = rd.nn.Batch(x, targets, signals={"dt": gaps} if name == "gaps" else None)
        result = rd.training.fit(
            model, model.init(rng=0), [batch], updates=1000, optimizer=rd.training.adam(),
            learning_rate=rd.training.cosine(0.1, 1000), progress=False,
        )  # fmt: skip
        losses[name] = rd.training.evaluate(model, result.params, [batch])
        taus[name] = float(softplus(result.params["layers"]["0"]["tau"])[0])
    assert losses["gaps"] < 0.01 * losses["mean"]
    assert taus["gaps"] == pytest.approx(3, rel=1e-2)
