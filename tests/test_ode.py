"""Fields and the cells that step them: against the methods written out, their order, and SciPy's integrator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from cell_checks import COMPLEX_STEP, Case, case, group
from ode_fields import CHAIN, EXPLICIT, LINEAR, PARTITIONED
from refusals import Refusal, refused, wrong_type
from scipy.integrate import DOP853, RK23, RK45, solve_ivp

from recurrent_dynamics import cells
from recurrent_dynamics.cells import NAMED, Cell, Drive, Unit
from recurrent_dynamics.engine import reference
from recurrent_dynamics.equations import DefinitionError, maximum, mean, softplus, tanh
from recurrent_dynamics.equations.graph import Graph, Unread
from recurrent_dynamics.ode import METHODS, Field, Method, discretize, runge_kutta, vector_field

Arrays = dict[str, np.ndarray]
TABLES = [name for name, m in METHODS.items() if m.kind == "explicit"]


class Rates:
    """The rates of a field for the first step of a case of its cell, evaluated by the reference engine."""

    def __init__(self, field: Field, c: Case) -> None:
        self.field, self.x = field, c.x[0]
        self.params = group(c.point, "params")
        self.signals = {
            k: v[0] if v.ndim == 3 else v[0][:, None] for k, v in group(c.point, "signals").items()
        }

    def __call__(self, state: Arrays) -> Arrays:
        return reference.step(self.field.rates, self.params, self.x, state, self.signals)

    def step_of(self, cell: Cell, state: Arrays) -> Arrays:
        return reference.step(cell, self.params, self.x, state, self.signals)


def step_by_table(method: Method, rates: Rates, state: Arrays, dt: Any) -> Arrays:
    stages: list[Arrays] = []
    for row in method.matrix:
        stages.append(
            rates({s: v + dt * sum(a * k[s] for a, k in zip(row, stages)) for s, v in state.items()})
        )
    return {s: v + dt * sum(b * k[s] for b, k in zip(method.weights, stages)) for s, v in state.items()}


def close(came: Arrays, wanted: Arrays, tolerance: float = 1e-12) -> None:
    for slot, value in wanted.items():
        np.testing.assert_allclose(came[slot], value, rtol=tolerance, atol=tolerance, err_msg=slot)


@pytest.mark.parametrize("method", TABLES)
@pytest.mark.parametrize("name", EXPLICIT)
def test_a_step_is_that_of_the_table(name: str, method: str, rng: np.random.Generator) -> None:
    field = EXPLICIT[name]
    cell = discretize(field, method, dt=0.3)
    c = case(cell, rng, steps=1)
    rates, state = Rates(field, c), group(c.point, "initial")
    assert {k: v.shape for k, v in field.init(c.x.shape[2], 4).items()} == {
        k: v.shape for k, v in rates.params.items()
    }
    close(rates.step_of(cell, state), step_by_table(METHODS[method], rates, state, 0.3))


def test_a_table_of_ones_own(rng: np.random.Generator) -> None:
    third = [[], [1 / 3], [-1 / 3, 1], [1, -1, 1]]
    rule = runge_kutta("three eighths", third, [1 / 8, 3 / 8, 3 / 8, 1 / 8], 4)
    field = EXPLICIT["called"]
    cell = discretize(field, rule, dt=0.3)
    c = case(cell, rng, steps=1)
    rates, state = Rates(field, c), group(c.point, "initial")
    close(rates.step_of(cell, state), step_by_table(rule, rates, state, 0.3))
    assert math.isclose(rule.numerator[4], 1 / 24)


@pytest.mark.parametrize(("solver", "order"), [(RK23, 3), (RK45, 5), (DOP853, 8)])
def test_tables_meet_the_conditions_of_their_order_and_no_more(solver: Any, order: int) -> None:
    stages = len(solver.B)
    table = [list(solver.A[i, :i]) for i in range(stages)]
    assert runge_kutta("one of SciPy", table, list(solver.B), order).order == order
    with refused("order", "be"):
        runge_kutta("one of SciPy", table, list(solver.B), order + 1)


@pytest.mark.parametrize("step", ["fixed", "learnt", "unit", "input", "signal"])
@pytest.mark.parametrize("method", ["rk3", "imex_euler"])
def test_kinds_of_steps(method: str, step: str, rng: np.random.Generator) -> None:
    dt = None if step == "signal" else 0.25
    cell = discretize(LINEAR, method, dt, step=step)
    c = case(cell, rng, steps=1, inputs=3, hidden=4)
    params, state = group(c.point, "params"), group(c.point, "initial")
    plain = {k: params[k] for k in LINEAR.init(3, 4)}
    if step == "input":
        for k in ("W", "b"):
            plain[k] = params[k][:4]
        size = np.logaddexp(0, c.x[0] @ params["W"][4:].T + params["b"][4:])
    else:
        size = {
            "fixed": lambda: 0.25,
            "learnt": lambda: softplus(params["dt"]).mean(),
            "unit": lambda: softplus(params["dt"]),
            "signal": lambda: group(c.point, "signals")["dt"][0],
        }[step]()
    rates = lambda s: reference.step(LINEAR.rates, plain, c.x[0], s)
    if method == "rk3":
        wanted = step_by_table(METHODS["rk3"], rates, state, size)
    else:
        a = -1 / softplus(params["tau"])
        wanted = {"h": state["h"] + size * rates(state)["h"] / (1 - a * size)}
    signals = {k: v[0] for k, v in group(c.point, "signals").items()}
    close(reference.step(cell, params, c.x[0], state, signals), wanted)
    if dt is not None and step != "fixed":
        start = cell.init(3, 4, dtype="float64")
        value = start["dt"] if "dt" in start else start["b"][4:]
        np.testing.assert_allclose(softplus(value), 0.25)


@pytest.mark.parametrize("step", ["fixed", "learnt", "unit", "input"])
@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].kind != "implicit"])
def test_every_method_takes_every_kind_of_step(method: str, step: str, rng: np.random.Generator) -> None:
    """The same as with that step given as a signal, and learning begins where it was told."""
    field = {"partitioned": CHAIN, "linear": LINEAR}.get(METHODS[method].kind, EXPLICIT["called"])
    cell, given = discretize(field, method, 0.25, step=step), discretize(field, method, step="signal")
    start = cell.init(3, 4, rng, "float64")
    params = {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in start.items()}
    x = rng.standard_normal((2, 3))
    rows = len(field.init(3, 4, dtype="float64")["b"])
    own = {k: v[:rows] if k in ("W", "b") else v for k, v in params.items() if k != "dt"}
    if step == "input":
        size = softplus(x @ params["W"][rows:].T + params["b"][rows:])
        np.testing.assert_allclose(softplus(start["b"][rows:]), 0.25)
    elif step == "fixed":
        size = np.full((2, 4), 0.25)
    else:
        size = np.broadcast_to(softplus(params["dt"]), (2, 4))
        size = np.full((2, 4), size[0].mean()) if step == "learnt" else size
        np.testing.assert_allclose(softplus(start["dt"]), 0.25)
    state = {s: rng.standard_normal((2, 4)) for s in cell.state}
    close(reference.step(cell, params, x, state), reference.step(given, own, x, state, {"dt": size}))


@pytest.mark.parametrize("method", ["heun", "midpoint", "rk3", "rk4"])
def test_order_in_the_input(method: str, rng: np.random.Generator) -> None:
    """An input that changes: held from the sample before it is of order 1, its mean over a step of order 2."""
    field = EXPLICIT["called"]
    params = field.init(2, 3, rng, "float64")
    wave = lambda t: np.stack([np.sin(3 * t), np.cos(2 * t)], axis=-1)
    start = {"h": rng.standard_normal((1, 3))}

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        return reference.step(field.rates, params, wave(np.array([t])), {"h": y[None]})["h"][0]

    exact = solve_ivp(rate, (0, 2), start["h"][0], "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    errors = []
    for n in (80, 160):
        x = wave(np.linspace(0, 2, n + 1))[:, None]
        cell = discretize(field, method, 2 / n)
        runs = [reference.forward(cell, params, given, start) for given in (x[:-1], (x[:-1] + x[1:]) / 2)]
        errors.append([np.abs(run["h"][-1, 0] - exact).max() for run in runs])
    held, mean = np.log2(np.divide(*errors))
    assert abs(held - 1) < 0.1
    assert abs(mean - 2) < 0.1


def test_exponential_euler_is_exact_for_a_constant_drive(rng: np.random.Generator) -> None:
    cell = discretize(LINEAR, "exponential_euler", 5.0)
    params = LINEAR.init(0, 4, dtype="float64") | {"U": np.zeros((4, 4)), "b": rng.standard_normal(4)}
    h, tau = rng.standard_normal((2, 4)), softplus(params["tau"])
    decay = np.exp(-5.0 / tau)
    came = reference.step(cell, params, None, {"h": h})
    close(came, {"h": decay * h + (1 - decay) * np.tanh(params["b"])})
    stiff = discretize(LINEAR, "imex_euler", 1e3)
    came = reference.step(stiff, params, None, {"h": h})
    np.testing.assert_allclose(came["h"], np.broadcast_to(np.tanh(params["b"]), h.shape), atol=0.01)


def numerical(
    field: Field, params: Arrays, state: Arrays, method: str, time: float, steps: int
) -> np.ndarray:
    cell = discretize(field, method, time / steps)
    found = reference.forward(cell, params, None, state, steps)
    return np.concatenate([found[s][-1] for s in cell.state], axis=-1)


@pytest.mark.parametrize("method", [m for m in METHODS if METHODS[m].kind != "implicit"])
def test_observed_order(method: str, rng: np.random.Generator) -> None:
    """The error against SciPy's integrator falls with the nominal order."""
    kind = METHODS[method].kind
    field = {"partitioned": CHAIN, "linear": LINEAR}.get(kind, EXPLICIT["called"])
    params = field.init(0, 3, rng, "float64")
    state = {s: rng.standard_normal((1, 3)) for s in field.rates.state}
    size = len(state) * 3

    def rate(t: float, y: np.ndarray) -> np.ndarray:
        now = dict(zip(state, np.split(y[None], len(state), axis=-1)))
        return np.concatenate([v[0] for v in reference.step(field.rates, params, None, now).values()])

    start = np.concatenate([v[0] for v in state.values()])
    exact = solve_ivp(rate, (0, 2), start, "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    assert exact.shape == (size,)
    counts = (80, 160) if METHODS[method].order < 3 else (20, 40)
    errors = [np.linalg.norm(numerical(field, params, state, method, 2.0, n)[0] - exact) for n in counts]
    assert abs(np.log2(errors[0] / errors[1]) - METHODS[method].order) < 0.1


@pytest.mark.parametrize("method", ["symplectic_euler", "leapfrog"])
@pytest.mark.parametrize("name", PARTITIONED)
def test_partitioned_methods_go_back_and_preserve_volume(
    name: str, method: str, rng: np.random.Generator
) -> None:
    field = PARTITIONED[name]
    forth, back = discretize(field, method, 0.4), discretize(field, method, 0.4, inverse=True)
    c = case(forth, rng, steps=1)
    rates, state = Rates(field, c), group(c.point, "initial")
    after = rates.step_of(forth, state)
    close(rates.step_of(back, after), state)
    columns = []
    for slot in state:
        for j in range(4):
            moved = {s: v.astype(complex) for s, v in state.items()}
            moved[slot][:, j] += 1j * COMPLEX_STEP
            new = rates.step_of(forth, moved)
            columns.append(np.concatenate([new[s].imag for s in state], axis=-1) / COMPLEX_STEP)
    np.testing.assert_allclose(np.linalg.det(np.stack(columns, axis=-1)), 1, rtol=1e-12)


def test_symplectic_methods_written_out(rng: np.random.Generator) -> None:
    field, dt = CHAIN, 0.4
    c = case(discretize(field, "leapfrog", dt), rng, steps=1)
    rates, s = Rates(field, c), group(c.point, "initial")
    p = s["p"] + dt * rates(s)["p"]
    wanted = {"p": p, "q": s["q"] + dt * rates({"q": s["q"], "p": p})["q"]}
    close(rates.step_of(discretize(field, "symplectic_euler", dt), s), wanted)
    half = s["q"] + dt / 2 * rates(s)["q"]
    p = s["p"] + dt * rates({"q": half, "p": s["p"]})["p"]
    wanted = {"p": p, "q": half + dt / 2 * rates({"q": half, "p": p})["q"]}
    close(rates.step_of(discretize(field, "leapfrog", dt), s), wanted)


def test_no_product_is_made_in_vain() -> None:
    """One product with U a stage that needs it."""
    products = lambda method: len(discretize(CHAIN, method, 0.1).schedule.products)
    assert [products(m) for m in ("symplectic_euler", "leapfrog", "euler", "rk4")] == [1, 1, 1, 4]


@pytest.mark.parametrize("name", NAMED)
def test_every_cell_is_forward_euler_of_its_field(name: str, rng: np.random.Generator) -> None:
    cell = cells.lstm_projected(2) if name == "lstm_projected" else NAMED[name]()
    for tau in (1.0, 0.3):
        again = discretize(vector_field(cell, tau), "euler", tau)
        c = case(cell, rng, steps=2)
        wanted = c.reference(c.point)
        assert set(again.constants) - set(cell.constants) <= {"dt", "step"}
        close(Case(again, c.point).reference(c.point), wanted)


def test_fields_of_steps_with_stages(rng: np.random.Generator) -> None:
    """A cell with tied drives has a field too, and stages of its stages."""
    cell = discretize(EXPLICIT["rate network"], "heun", 0.3)
    field = vector_field(cell, 0.3)
    again = discretize(field, "midpoint", 0.3)
    assert {d.tied for d in again.drives} == {None, "n"}
    c = case(again, rng, steps=1)
    rates, state = Rates(field, c), group(c.point, "initial")
    close(rates.step_of(again, state), step_by_table(METHODS["midpoint"], rates, state, 0.3))


def test_what_makes_U_goes_along(rng: np.random.Generator) -> None:
    """An antisymmetric network stays one, whatever steps it."""
    cell = discretize(vector_field(cells.antisymmetric_rnn()), "rk4", 0.1)
    params = cell.init(3, 4, rng, "float64")
    np.testing.assert_array_equal(params["U"], -params["U"].T)
    assert cell.parametrize == cells.antisymmetric_rnn().parametrize


def plain(drive, state):
    return {"h": tanh(drive.n) - state.h}


def field_of(rate: Any = plain, **options: Any) -> Field:
    return Field("a field", ("h",), ("n",), rate, **options)


REFUSED: dict[str, tuple[Refusal | str, Any]] = {
    "a slot without a rate": ("every slot", lambda: field_of(lambda drive: {"k": drive.n})),
    "positions as text": ("positions is a sequence", lambda: field_of(positions="h")),
    "an unknown position": ("slot 'q'; field 'a field' has h", lambda: field_of(positions=("q",))),
    "no momenta": ("left out are the momenta", lambda: field_of(positions=("h",))),
    "friction": (
        "not partitioned: the rate of momentum p depends on p, itself",
        lambda: Field(
            "damped", ("q", "p"), (), lambda state, param: {"q": state.p, "p": param.k * state.q - state.p},
            units=(Unit("k"),), positions=("q",),
        ),
    ),
    "a force through a drive": (
        "the rate of position q depends on q, itself",
        lambda: Field("a", ("q", "p"), ("n",), lambda drive, state: {"q": drive.n, "p": state.q}, positions=("q",)),
    ),
    "a linear part that reads the state": (
        "asks for state", lambda: field_of(linear=lambda state: {"h": state.h})
    ),
    "a linear part of zero": ("leave a slot", lambda: field_of(linear=lambda: {"h": 0.0})),
    "no linear part at all": ("no slot a", lambda: field_of(linear=lambda constant: {})),
    "a linear part of another slot": ("slot 'k'", lambda: field_of(linear=lambda: {"k": -1.0})),
    "no field": (wrong_type("field", "be a Field", "Cell"), lambda: discretize(cells.elman(), "euler", 0.1)),
    "an unknown method": (Refusal("method", "be one of euler, heun"), lambda: discretize(CHAIN, "rk5", 0.1)),
    "an implicit method": (Refusal("method", came="solves an"), lambda: discretize(CHAIN, "implicit_euler", 1)),
    "no partition": (Refusal("field", came="states no positions"), lambda: discretize(LINEAR, "leapfrog", 0.1)),
    "no linear part": (Refusal("field", "stated linear part"), lambda: discretize(CHAIN, "imex_euler", 0.1)),
    "no inverse": (Refusal("inverse", "be False"), lambda: discretize(CHAIN, "rk4", 0.1, inverse=True)),
    "no step": (Refusal("dt", "be a finite number above 0", "None"), lambda: discretize(CHAIN)),
    "a step backwards": (Refusal("dt", "be a finite number above 0"), lambda: discretize(CHAIN, dt=-1)),
    "two steps": (Refusal("dt", "be None"), lambda: discretize(CHAIN, dt=0.1, step="signal")),
    "a kind of step": (Refusal("step", "be one of fixed"), lambda: discretize(CHAIN, dt=0.1, step="adaptive")),
    "names taken": (
        Refusal("field", "one of the names dt and step"),
        lambda: discretize(field_of(constants={"step": 1.0}, signals=("dt",)), dt=0.1),
    ),
    "normalization": (Refusal("cell", "statistics"), lambda: vector_field(cells.gru().with_normalization())),
    "no cell": (wrong_type("cell", "be a Cell", "Field"), lambda: vector_field(CHAIN)),
    "a time of zero": (Refusal("tau", "be a finite number above 0"), lambda: vector_field(cells.gru(), 0)),
    "an implicit table": (Refusal("matrix", "rows of 0, 1"), lambda: runge_kutta("a", [[1.0]], [1.0], 1)),
    "more than its stages": (
        Refusal("order", "be an integer of at least 1 and of at most 2", "3"),
        lambda: runge_kutta("a", [[], [1.0]], [0.5, 0.5], 3),
    ),
    "an order it does not have": (
        Refusal("order", ("be at most 1,", "order 2 is missed by 0.167")),
        lambda: runge_kutta("a", [[], [1 / 2], [-1, 2]], [1 / 6, 1 / 3, 1 / 2], 3),
    ),
    "an order that it has for quadratures alone": (
        Refusal("order", ("be at most 2,", "order 3 is missed by 0.167"), "3"),
        lambda: runge_kutta("a", [[], [1 / 3], [2 / 3, 0]], [1 / 4, 0, 3 / 4], 3),
    ),
    "inconsistent weights": (Refusal("weights", "sum to 1", "0.5"), lambda: runge_kutta("a", [[]], [0.5], 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refuses(what: str) -> None:
    expected, make = REFUSED[what]
    definition = isinstance(expected, str)  # of the equations
    with pytest.raises(DefinitionError, match=expected) if definition else refused(expected):
        make()


def tied(**options: Any) -> Drive:
    return Drive("m", **{"input": False, "bias": False, "tied": "n"} | options)


def stages(drive, state):
    return {"h": drive.n + drive.m(tanh(state.h))}


TIED_REFUSED = {
    "to nothing": ((tied(tied="k"),), stages, "'k' is no drive"),
    "to itself": ((tied(tied="m"),), stages, "no drive with a block"),
    "with an input": ((tied(input=True),), stages, "give input=False, bias=False"),
    "with a bias": ((tied(bias=True),), stages, "give input=False, bias=False"),
    "of another width": ((tied(width="3"),), lambda drive, state: {"h": drive.n}, "different widths"),
    "not called": ((tied(),), lambda drive: {"h": drive.n + drive.m}, "used as value; a tied drive is called"),
    "of two operands": (
        (tied(),), lambda drive, state: {"h": drive.n + drive.m(state.h, state.h)}, "operands differ in number or width"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TIED_REFUSED)
def test_tied_drives_refused(what: str) -> None:
    drives, update, words = TIED_REFUSED[what]
    if what == "of another width":
        update = lambda drive, state: {"h": drive.n, "k": drive.m(state.h)}
        make = lambda: Cell("c", ("h", cells.Slot("k", "3")), ("n", *drives), update)
    else:
        make = lambda: Cell("c", ("h",), ("n", *drives), update)
    with pytest.raises(DefinitionError, match=f"line 9 of the contract: drive m is tied to .*{words}"):
        make()


def test_the_latex_of_stages_names_one_matrix() -> None:
    text = discretize(EXPLICIT["rate network"], "heun", 0.1)._repr_latex_()
    assert r"a_{n,t} + U_n v_{2,t}" in text
    assert "stage" not in text


def test_tied_drives_share_one_block() -> None:
    cell = Cell("c", ("h",), ("n", tied()), stages)
    assert {k: v.shape for k, v in cell.init(3, 4).items()} == {"W": (4, 3), "U": (4, 4), "b": (4,)}
    with pytest.raises(DefinitionError, match="layer normalization is for sums"):
        cell.with_normalization()
    diagonal = cell.with_structure(cells.DIAGONAL)
    assert diagonal.init(3, 4)["U"].shape == (4,)
    with refused("drives", came="m"):
        cell.with_structure(cells.DIAGONAL, ["m"])


def test_what_nobody_reads_is_not_recorded():
    """Half a step of a partitioned field wants the rates of some slots alone."""
    graph, unread = Graph(), Unread()
    a = graph.leaf("state", "h", None)
    found = [a + unread, unread * a, 2 / unread, -unread, unread**2, tanh(unread), np.sin(unread), maximum(a, unread),
             mean(unread), unread(a).x - unread.h, np.ones(2) * unread]  # fmt: skip
    assert all(isinstance(value, Unread) and value is not unread for value in found[:8])
    assert all(isinstance(value, Unread) for value in found)
    assert len(graph.nodes) == 1
