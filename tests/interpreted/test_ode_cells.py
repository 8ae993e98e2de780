"""Cells that step fields, through every verb, and the stability of networks; the programs run as NumPy code."""

from __future__ import annotations

import cell_checks
import numpy as np
import pytest
from ode_fields import CHAIN, EXPLICIT, LINEAR, PARTITIONED
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import DIAGONAL, Cell, Drive, low_rank
from recurrent_dynamics.equations import sigmoid, tanh
from recurrent_dynamics.ode import (
    LinearStability,
    discretize,
    linear_stability,
    stability_function,
    vector_field,
)


def _twice(drive, state):
    a = tanh(drive.n)
    return {"h": a + sigmoid(drive.m(a * state.h)) + tanh(drive.l(a))}


def tied(**options) -> Cell:
    again = [Drive(name, input=False, bias=False, tied="n", **options) for name in "ml"]
    return Cell("tied", ("h",), (Drive("n", **options), *again), _twice)


STEPPED: dict[str, Cell] = {
    "tied": tied(),
    "tied diagonals": tied(structure=DIAGONAL),
    "tied factors": tied(structure=low_rank(2)),
    "rk4 of a rate network": discretize(EXPLICIT["rate network"], "rk4", 0.4),
    "heun of low rank": discretize(EXPLICIT["low rank"], "heun", 0.4),
    "midpoint in heads": discretize(EXPLICIT["heads"], "midpoint", 0.4),
    "rk3, drives apart": discretize(EXPLICIT["apart"], "rk3", 0.4, step="unit"),
    "heun, drives called": discretize(EXPLICIT["called"], "heun", 0.4, step="input"),
    "heun of a pair": discretize(EXPLICIT["pair"], "heun", step="signal"),
    "leapfrog": discretize(CHAIN, "leapfrog", 0.4, step="learnt"),
    "symplectic euler": discretize(PARTITIONED["both sides"], "symplectic_euler", 0.4),
    "back": discretize(PARTITIONED["both sides"], "symplectic_euler", 0.4, inverse=True),
    "exponential euler": discretize(LINEAR, "exponential_euler", 0.4, step="learnt"),
    "imex euler": discretize(LINEAR, "imex_euler", step="signal"),
}


@pytest.mark.parametrize("name", STEPPED)
def test_every_verb(name: str, rng: np.random.Generator) -> None:
    c = cell_checks.case(STEPPED[name], rng, steps=3, batch=2)
    cell_checks.check(c, rng, every_entry=False)


def test_the_latex_is_well_formed() -> None:
    for cell in STEPPED.values():
        text = cell._repr_latex_()
        assert text.count("{") == text.count("}")


@pytest.mark.parametrize("method", ["euler", "rk4", "implicit_euler", "imex_euler"])
def test_linear_stability(method: str, rng: np.random.Generator) -> None:
    """At a fixed point the modes of the step are the multipliers; margins and distances are what they say."""
    field = vector_field(rd.cells.elman(), tau=2.0)
    U = 0.8 * rng.standard_normal((5, 5)) / np.sqrt(5)
    params = field.init(0, 5, dtype="float64") | {"U": U, "b": np.zeros(5)}
    if method == "imex_euler":
        field = rd.ode.Field(
            "h", ("h",), ("n",), field.rate, linear=lambda constant: {"h": -1 / constant.tau}, constants={"tau": 2.0}
        )  # fmt: skip
    found = linear_stability(field, params, np.zeros((1, 5)), method, dt=0.6)
    wanted = (np.linalg.eigvals(U) - 1) / 2
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues[0]), np.sort_complex(wanted))
    np.testing.assert_allclose(
        found.multipliers, stability_function(method, 0.6 * found.eigenvalues, linear=found.linear)
    )
    if method != "implicit_euler":
        J = rd.jacobian(
            rd.forward(discretize(field, method, 0.6), params, steps=1, initial={"h": np.zeros(5)})
        )
        np.testing.assert_allclose(
            np.sort_complex(np.linalg.eigvals(J[0])), np.sort_complex(found.multipliers[0])
        )
    assert np.allclose(found.margin, 1 - np.abs(found.multipliers).max())
    assert found.stable.all()
    assert 0 < found.distance()[0]
    if np.isfinite(found.largest_step[0]):
        edge = linear_stability(field, params, np.zeros((1, 5)), method, dt=float(found.largest_step[0]))
        assert abs(edge.margin[0]) < 1e-9
    assert "LinearStability(" in repr(found)


def test_along_a_driven_trajectory(rng: np.random.Generator) -> None:
    """Each state with its own input: the modes are those of the Jacobians of the run."""
    cell = rd.cells.elman()
    field = vector_field(cell)
    params, x = field.init(3, 4, rng, "float64"), rng.standard_normal((6, 2, 3))
    run = rd.forward(cell, params, x)
    before = np.concatenate([run.initial["h"][None], run.output[:-1]])
    found = linear_stability(field, params, before, "rk4", dt=0.5, input=x)
    np.testing.assert_allclose(found.jacobians, rd.jacobian(run) - np.eye(4), atol=1e-13)
    assert found.margin.shape == (6, 2)
    flat = linear_stability(
        field, params, {"h": before.reshape(12, 4)}, "rk4", dt=0.5, input=x.reshape(12, 3)
    )
    np.testing.assert_array_equal(flat.margin, found.margin.ravel())
    one = linear_stability(field, params, before, "rk4", dt=0.5, input=x[0, 0])
    np.testing.assert_array_equal(one.margin[0, 0], found.margin[0, 0])
    with refused("input", ("(3,)", "(6, 2, 3)"), "(6, 3)"):
        linear_stability(field, params, before, "rk4", dt=0.5, input=x[:, 0])
    x[2, 1, 0] = np.nan
    with refused("input", came="nan at index (2, 1, 0)"):
        linear_stability(field, params, before, "rk4", dt=0.5, input=x)


def test_distance_and_numerical_range(rng: np.random.Generator) -> None:
    """A normal Jacobian has no surprise; for another one a perturbation of that norm is enough to reach the edge."""
    field = vector_field(rd.cells.elman())
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    normal = Q @ np.diag([0.5, -0.5, 0.2, 0.0]) @ Q.T
    shear = np.array([[-0.5, 0, 0, 0], [3, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.1]])
    for U in (normal, shear):
        params = field.init(0, 4, dtype="float64") | {"U": U, "b": np.zeros(4)}
        found = linear_stability(field, params, np.zeros(4), "euler", dt=0.9)
        eigenvalues, dt = found.eigenvalues, 0.9
        to_edge = (1 - np.abs(1 + dt * eigenvalues)).min()
        limit = found.numerical_range_step()
        if U is normal:
            np.testing.assert_allclose(found.distance(), to_edge, rtol=1e-5)
            np.testing.assert_allclose(limit, found.largest_step, rtol=1e-6)
        else:
            assert found.distance() < 0.5 * to_edge
            assert limit == 0  # the numerical abscissa is positive
            worst = 1 - rd.dynamics.pseudospectral_radius(
                np.eye(4) + dt * found.jacobians, float(found.distance())
            )
            assert abs(worst) < 1e-6
    damped = found.jacobians - 2 * np.eye(4)
    step = float(LinearStability.of(damped, dt=0.1).numerical_range_step())
    assert 0 < step < rd.ode.largest_stable_step(np.linalg.eigvals(damped))
    assert abs(rd.dynamics.numerical_radius(np.eye(4) + step * damped) - 1) < 1e-3


def test_states_of_a_run(rng: np.random.Generator) -> None:
    """Shapes follow the states; one linear part for all units is needed."""
    field = vector_field(rd.cells.elman())
    params = field.init(0, 3, dtype="float64")
    found = linear_stability(field, params, rng.standard_normal((7, 2, 3)), "rk4", dt=0.5)
    assert found.z.shape == (7, 2, 3)
    assert found.largest_step.shape == (7, 2)
    assert linear_stability(field, params, {"h": np.zeros((4, 3))}).margin.shape == (4,)
    with refused(f"the linear part of field {LINEAR.name!r}", "one number for all units"):
        linear_stability(LINEAR, LINEAR.init(0, 3), np.zeros((1, 3)), "imex_euler", 0.1)
    with refused(wrong_type("field", came="Cell")):
        linear_stability(rd.cells.elman(), params, np.zeros((1, 3)))


def test_flow_for_scipy(rng: np.random.Generator) -> None:
    """The flow of a field is what `solve_ivp` integrates; its Jacobian is the derivative."""
    field = EXPLICIT["pair"]
    params, x = field.init(2, 3, rng, "float64"), rng.standard_normal(2)
    flow = field.flow(params, input=x, signals={"s": 0.5})
    z = rng.standard_normal((4, 6))
    J, h = flow.jacobian(z), 1e-6
    for j in range(6):
        by = h * np.eye(6)[j]
        np.testing.assert_allclose((flow.field(z + by) - flow.field(z - by)) / (2 * h), J[..., j], atol=1e-8)
