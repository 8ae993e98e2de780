"""Walks of their own: implicit methods with their adjoint, and backpropagation without a tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cell_checks import (
    COMPLEX_STEP,
    Case,
    Point,
    case,
    close,
    direction,
    entries,
    gradients,
    group,
    inner,
    moved,
)
from ode_fields import CHAIN, EXPLICIT, LINEAR, PARTITIONED
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Unit
from recurrent_dynamics.engine import reference
from recurrent_dynamics.ode import METHODS, Field, discretize, implicit_forward, reversible_forward
from recurrent_dynamics.ode import reversible as reversible_module

IMPLICIT = ["implicit_euler", "implicit_midpoint"]
STEPPED: dict[str, tuple[Field, dict[str, Any]]] = {
    "fixed": (EXPLICIT["rate network"], {"dt": 0.9}),
    "learnt": (EXPLICIT["called"], {"dt": 0.9, "step": "learnt"}),
    "unit": (EXPLICIT["apart"], {"dt": 0.9, "step": "unit"}),
    "input": (LINEAR, {"dt": 0.9, "step": "input"}),
    "signal": (EXPLICIT["pair"], {"step": "signal"}),
}


def implicit_case(field: Field, options: dict[str, Any], rng: np.random.Generator) -> Case:
    """A case of the cell that forward Euler makes of the field: the same parameters, input and signals."""
    return case(discretize(field, "euler", **options), rng, steps=4, batch=2, inputs=2, hidden=3)


def run_of(c: Case, field: Field, method: str, options: dict[str, Any]) -> rd.ode.ImplicitRun:
    return implicit_forward(
        field, group(c.point, "params"), c.x, method=method, initial=group(c.point, "initial"),
        signals=group(c.point, "signals"), **options,
    )  # fmt: skip


class Equation:
    """The equations of a case as the reference engine evaluates them, on real or complex numbers."""

    def __init__(self, c: Case, method: str) -> None:
        self.c, self.cell, self.inner = c, c.cell, METHODS[method].matrix[0][0]

    def increment(self, point: Point, t: int, z: np.ndarray) -> np.ndarray:
        """dt times the rate: the displacement of a step of forward Euler."""
        signals = {k: v[t] if v.ndim == 3 else v[t][:, None] for k, v in group(point, "signals").items()}
        state = dict(zip(self.cell.state, np.split(z, len(self.cell.state), axis=-1)))
        after = reference.step(self.cell, group(point, "params"), point["x", ""][t], state, signals)
        return np.concatenate([after[s] for s in self.cell.state], axis=-1) - z

    def slopes(self, t: int, z: np.ndarray) -> np.ndarray:
        columns = []
        for j in range(z.shape[1]):
            by = COMPLEX_STEP * 1j * np.eye(z.shape[1])[j]
            columns.append(self.increment(self.c.point, t, z + by).imag / COMPLEX_STEP)
        return np.stack(columns, axis=-1)

    def states(self, point: Point, stages: np.ndarray) -> np.ndarray:
        """All states; Newton's method from the real solution, with its Jacobian, which is exact for imaginary parts."""
        y = np.concatenate([point["initial", s] for s in self.cell.state], axis=-1)
        found = []
        for t in range(self.c.steps):
            z, matrix = stages[t] + 0 * y, np.eye(y.shape[1]) - self.inner * self.slopes(t, stages[t])
            for _ in range(3):
                z = (
                    z
                    - np.linalg.solve(matrix, (z - y - self.inner * self.increment(point, t, z))[..., None])[
                        ..., 0
                    ]
                )
            y = y + self.increment(point, t, z)
            found.append(y)
        return np.stack(found)


def stages_of(run: rd.ode.ImplicitRun, inner: float) -> np.ndarray:
    """Y = y + c (y' - y)."""
    states = np.concatenate([run.states[s] for s in run.states], axis=-1)
    start = np.concatenate([run.initial[s] for s in run.initial], axis=-1)
    before = np.concatenate([start[None], states[:-1]])
    return before + inner * (states - before)


@pytest.mark.parametrize("method", IMPLICIT)
@pytest.mark.parametrize("name", STEPPED)
def test_gradients_of_the_solved_steps(name: str, method: str, rng: np.random.Generator) -> None:
    field, options = STEPPED[name]
    c = implicit_case(field, options, rng)
    run, equation = run_of(c, field, method, options), Equation(c, method)
    stages = stages_of(run, equation.inner)
    real = np.concatenate([run.states[s] for s in c.cell.state], axis=-1)
    close("states", equation.states(c.point, stages), real, 1e-11)
    assert run.residual.max() < 1e-12
    assert run.output.shape == c.x.shape[:2] + (3,)

    d = {slot: rng.standard_normal(value.shape) for slot, value in run.states.items()}
    d_final = {slot: rng.standard_normal(value.shape) for slot, value in run.final.items()}
    weights = np.concatenate([d[s] for s in c.cell.state], axis=-1)
    weights[-1] += np.concatenate([d_final[s] for s in c.cell.state], axis=-1)
    grads = gradients(run.backward(d_states=d, d_final=d_final), c.point)
    wanted = {key: np.zeros_like(value) for key, value in c.point.items()}
    for key, index, unit in entries(c.point):
        states = equation.states(moved(c.point, unit, 1j * COMPLEX_STEP), stages)
        wanted[key][index] = np.sum(weights * states.imag) / COMPLEX_STEP
    for key in c.point:
        close(f"gradient by {' '.join(key)}", grads[key], wanted[key], 1e-9)

    by = direction(c.point, rng)
    tangent = run.jvp(group(by, "params"), by["x", ""], group(by, "initial"), group(by, "signals") or None)
    left = inner({s: d[s] + 0 for s in d}, dict(tangent.states)) + inner(d_final, dict(tangent.final))
    right = inner(grads, by)
    assert abs(left - right) <= 1e-12 * sum(np.sum(np.abs(grads[k] * by[k])) for k in by)


@pytest.mark.parametrize("method", IMPLICIT)
def test_jacobians_and_single_sequences(method: str, rng: np.random.Generator) -> None:
    field, options = STEPPED["signal"]
    c = implicit_case(field, options, rng)
    run = run_of(c, field, method, options)
    J = run.jacobian()
    assert J.shape == (4, 2, 6, 6)
    product = J[3] @ J[2] @ J[1] @ J[0]
    for j in range(6):
        unit = np.eye(6)[j]
        tangent = run.jvp(d_initial={"y": np.tile(unit[:3], (2, 1)), "z": np.tile(unit[3:], (2, 1))})
        close(
            "column",
            np.concatenate([tangent.final["y"], tangent.final["z"]], axis=-1),
            product[..., j],
            1e-12,
        )
    one = implicit_forward(
        field, group(c.point, "params"), c.x[:, 0], method=method, step="signal",
        initial={k: v[0] for k, v in group(c.point, "initial").items()},
        signals={k: v[:, 0] for k, v in group(c.point, "signals").items()},
    )  # fmt: skip
    np.testing.assert_allclose(one.output, run.output[:, 0], rtol=1e-12)
    np.testing.assert_allclose(one.jacobian([2])[0], J[2, 0], rtol=1e-10, atol=1e-12)
    whole, alone = run.backward(np.ones_like(run.output)), one.backward(np.ones_like(one.output))
    np.testing.assert_allclose(alone.x, whole.x[:, 0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(alone.signals["dt"], whole.signals["dt"][:, 0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(alone.states["y"], whole.states["y"][:, 0], rtol=1e-10, atol=1e-12)
    assert one.residual.shape == (4,)
    assert "4 steps" in repr(one)


@pytest.mark.parametrize("method", IMPLICIT)
def test_observed_order(method: str, rng: np.random.Generator) -> None:
    field = EXPLICIT["rate network"]
    params = field.init(0, 3, rng, "float64")
    start = {"h": rng.standard_normal(3)}
    fine = reference.forward(discretize(field, "rk4", 0.01), params, None, {"h": start["h"][None]}, 200)
    errors = [
        np.abs(
            implicit_forward(field, params, steps=n, method=method, dt=2 / n, initial=start).final["h"]
            - fine["h"][-1]
        ).max()
        for n in (40, 80)
    ]
    assert abs(np.log2(errors[0] / errors[1]) - METHODS[method].order) < 0.1


def test_stiff_modes(rng: np.random.Generator) -> None:
    """The multipliers of a stiff linear field are the stability functions; explicit methods would explode."""
    rates = np.array([-1.0, -1e3, -1e6])
    field = Field("stiff", ("h",), ("n",), lambda drive: {"h": drive.n})
    params = {"U": np.diag(rates), "b": np.zeros(3)}
    for method in IMPLICIT:
        run = implicit_forward(field, params, steps=3, method=method, dt=0.5, initial={"h": np.ones(3)})
        R = rd.ode.stability_function(method, 0.5 * rates).real
        np.testing.assert_allclose(run.output, R ** np.arange(1, 4)[:, None], rtol=1e-9)
        assert run.iterations.max() <= 2


def growing(state, param):
    return {"h": 1 + param.k * state.h * state.h}


def line(state, param):
    return {"h": param.k * state.h}


def test_steps_that_cannot_be_solved() -> None:
    unit = (Unit("k", 1.0),)
    square, straight = (
        Field("square", ("h",), (), growing, units=unit),
        Field("line", ("h",), (), line, units=unit),
    )
    params = {"k": np.ones(2)}
    with pytest.raises(
        FloatingPointError, match=r"step 0 could not be solved for sequence 0: .*residual .*smaller dt"
    ):
        implicit_forward(square, params, steps=2, dt=2.0)
    with pytest.raises(FloatingPointError, match=r"step 0 .* sequence 0: I - 1 dt J is singular"):
        implicit_forward(straight, params, steps=2, dt=1.0, initial={"h": np.array([[0.0, 0.0], [1.0, 1.0]])})
    for options, words in (
        ({"method": "rk4"}, "method must be implicit_euler or implicit_midpoint; came 'rk4'"),
        ({"tolerance": 0.0}, "tolerance must be"),
        ({"iterations": 0}, "iterations must be"),
        ({"dt": None}, "dt must be a finite number above 0"),
        ({"signals": {"s": np.ones((2, 1))}}, "signals must have no keys; came 's'"),
        ({"step": "signal", "dt": None}, "signals must have 'dt'"),
        ({"step": "signal", "dt": None, "signals": {"dt": np.ones(3)}}, r"signals\['dt'\] must have shape"),
    ):
        with pytest.raises(ValueError, match=words):
            implicit_forward(straight, params, **{"steps": 2, "dt": 0.1} | options)
    run = implicit_forward(straight, params, steps=2, dt=0.1)
    with refused("one of d_output, d_states, d_final", "backward", "none"):
        run.backward()
    with refused("d_output", "(2, 2)"):
        run.backward(np.ones((3, 2)))
    with refused(wrong_type("field", came="Cell")):
        implicit_forward(rd.cells.elman(), params, steps=2, dt=0.1)


REVERSIBLE = [
    (CHAIN, "leapfrog", {"dt": 0.3}),
    (CHAIN, "leapfrog", {"dt": 0.3, "step": "learnt"}),
    (CHAIN, "symplectic_euler", {"step": "signal"}),
    (PARTITIONED["both sides"], "symplectic_euler", {"dt": 0.3, "step": "input"}),
]


@pytest.mark.parametrize("number", range(len(REVERSIBLE)))
def test_without_a_tape(number: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    field, method, options = REVERSIBLE[number]
    c = case(discretize(field, method, **options), rng, steps=23, batch=2, inputs=2, hidden=3)
    longest, real_forward = [0], rd.forward

    def watched(*args: Any, **named: Any) -> rd.engine.Run:
        run = real_forward(*args, **named)
        longest[0] = max(longest[0], run.steps)
        return run

    monkeypatch.setattr(reversible_module, "forward", watched)
    run = reversible_forward(
        field, group(c.point, "params"), c.x, method=method, chunk=5,
        initial=group(c.point, "initial"), signals=group(c.point, "signals"), **options,
    )  # fmt: skip
    taped = c.run()
    for slot in c.cell.state:
        close(f"final {slot}", run.final[slot], taped.final[slot], 1e-12)
    d, d_final = rng.standard_normal(taped.output.shape), {c.cell.state[-1]: rng.standard_normal((2, 3))}
    wanted = gradients(rd.backward(taped, d, d_final=d_final), c.point)
    by_stretch = lambda t, stretch: d[t : t + stretch.steps]
    for given in (d, by_stretch):
        found = run.backward(given, d_final)
        for key, value in gradients(found, c.point).items():
            close(f"gradient by {' '.join(key)}", value, wanted[key], 1e-9)
        assert found.drift < 1e-9
        assert found.chunk_drift.shape == (5,)
    assert longest[0] == 5
    with pytest.raises(FloatingPointError, match=r"drifted by .* rounding errors grow on the way back"):
        run.backward(d, tolerance=1e-300)


def test_reversible_border(rng: np.random.Generator) -> None:
    params, start = CHAIN.init(0, 3, dtype="float64"), {"q": np.ones(3)}
    run = reversible_forward(CHAIN, params, steps=7, dt=0.1, initial=start)
    assert run.final["q"].shape == (3,)
    assert run.backward(d_final={"q": np.ones(3)}).x is None
    from_zero = reversible_forward(CHAIN, params | {"b": np.ones(3)}, steps=40, dt=0.1)
    assert 0 < from_zero.backward(d_final={"q": np.ones(3)}).drift < 1e-12
    single = {k: v.astype("float32") for k, v in params.items()}
    run32 = reversible_forward(CHAIN, single, steps=7, dt=0.1, initial={"q": np.ones(3, "float32")})
    assert run32.backward(d_final={"q": np.ones(3, "float32")}).params["U"].dtype == np.float32
    for words, call in (
        ("inverse must be False", lambda: reversible_forward(CHAIN, params, steps=2, dt=0.1, method="rk4")),
        ("states no positions", lambda: reversible_forward(LINEAR, params, steps=2, dt=0.1)),
        ("steps must be an integer", lambda: reversible_forward(CHAIN, params, dt=0.1)),
        ("steps must be None", lambda: reversible_forward(CHAIN, params, np.ones((2, 1)), steps=2, dt=0.1)),
        ("chunk must be an integer", lambda: reversible_forward(CHAIN, params, steps=2, dt=0.1, chunk=0)),
        ("at least one step", lambda: reversible_forward(CHAIN, params, np.ones((0, 1, 0)), dt=0.1)),
        (r"signals\['dt'\] must have 4 steps", lambda: reversible_forward(
            CHAIN, params, steps=4, step="signal", signals={"dt": np.ones(3)})),
        ("one of d_output, d_final must be given to backward", lambda: run.backward()),
        (r"d_output must have shape \(7, 3\)", lambda: run.backward(np.ones((6, 3)))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            call()
