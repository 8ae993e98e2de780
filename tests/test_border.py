"""Wrong input: one clear line that names the argument, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine.linear import linear
from recurrent_dynamics.equations import sigmoid, tanh

T, B, N, H = 4, 2, 3, 5
LSTM = rd.cells.lstm()
PARAMS = LSTM.init(N, H, dtype="float64")
X = np.random.default_rng(0).standard_normal((T, B, N))
STATE, STATES = np.ones((B, H)), np.ones((T, B, H))


def with_entry(a, index, value):
    a = a.copy()
    a[index] = value
    return a


@pytest.fixture(scope="module")
def run():
    return rd.forward(LSTM, PARAMS, X)


@pytest.mark.parametrize(
    ("cell", "params", "refusal"),
    [
        ("lstm", PARAMS, wrong_type("cell", came="by_name")),
        (LSTM, [1.0], wrong_type("params", came="list")),
        (LSTM, {}, Refusal("params", "W, U, b", "none")),
        (LSTM, {"W": PARAMS["W"], "U": PARAMS["U"]}, Refusal("params", "W, U, b", "'b'")),
        (LSTM, PARAMS | {"V": STATE}, Refusal("params", "W, U, b", "'V'")),
        (LSTM, PARAMS | {"U": np.ones((20, 4))}, Refusal("params['U']", "(20, 5)", "(20, 4)")),
        (LSTM, PARAMS | {"W": np.ones((19, 3))}, Refusal("params['W']", "4 x hidden size", "(19, 3)")),
        (LSTM, PARAMS | {"W": np.ones(20)}, Refusal("params['W']", "(rows, input size)", "(20,)")),
        (LSTM, PARAMS | {"b": np.ones((20, 1))}, Refusal("params['b']", "(20,)", "(20, 1)")),
        (LSTM, PARAMS | {"b": [[1.0], [1.0, 2.0]]}, wrong_type("params['b']", came="list")),
        (LSTM, PARAMS | {"U": PARAMS["U"].astype("f")}, wrong_type("params['U']", "float64", "float32")),
        (LSTM, {k: v.astype("e") for k, v in PARAMS.items()}, wrong_type("params['W']", came="float16")),
        (LSTM, {k: v.astype(int) for k, v in PARAMS.items()}, wrong_type("params['W']", came="int64")),
        (LSTM, {k: v + 0j for k, v in PARAMS.items()}, wrong_type("params['W']", came="complex128")),
        (
            LSTM,
            PARAMS | {"U": with_entry(PARAMS["U"], (3, 1), np.nan)},
            Refusal("params['U']", came=("nan", "(3, 1)")),
        ),
    ],
)
def test_wrong_cells_and_parameters_are_named(cell, params, refusal):
    with refused(refusal):
        rd.forward(cell, params, X)
    with refused(refusal):
        rd.stepper(cell, params)


@pytest.mark.parametrize(
    ("x", "refusal"),
    [
        (X.astype("f"), wrong_type("x", "float64", "float32")),
        (
            np.ones((T, B, N), int),
            wrong_type("x", came=("int64", "(4, 2, 3)")),
        ),
        ("text", wrong_type("x", "float64")),
        ([[1.0], [1.0, 2.0]], wrong_type("x", came="list")),
        (X[0, 0], Refusal("x", "(T, B, N), or (T, N)", "(3,)")),
        (X[None], Refusal("x", "(T, B, N), or (T, N)", "(1, 4, 2, 3)")),
        (X[..., :2], Refusal("x", ("3", "params['W']"), "(4, 2, 2)")),
        (X[:0], Refusal("x", came="(0, 2, 3)")),
        (X[:, :0], Refusal("x", came="(4, 0, 3)")),
        (with_entry(X, (2, 1, 0), np.nan), Refusal("x", came=("nan", "(2, 1, 0)"))),
        (with_entry(X, (1, 0, 2), -np.inf), Refusal("x", came=("-inf", "(1, 0, 2)"))),
        (with_entry(X[:, 0], (3, 2), np.inf), Refusal("x", came=("inf", "(3, 2)"))),
        (None, Refusal("x or steps", came="none")),
    ],
)
def test_wrong_inputs_are_named(x, refusal):
    with refused(refusal):
        rd.forward(LSTM, PARAMS, x)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"steps": T}, Refusal("steps", "None", "4")),
        ({"lengths": [4]}, Refusal("lengths", "2", "(1,)")),
        ({"lengths": [4.0, 2.0]}, Refusal("lengths", "2", "float64")),
        ({"lengths": [True, False]}, Refusal("lengths", "2", "bool")),
        ({"lengths": [4, 5]}, Refusal("lengths", ("0", "4"), "4 to 5")),
        ({"lengths": [-1, 2]}, Refusal("lengths", ("0", "4"), "-1 to 2")),
        ({"lengths": 3}, Refusal("lengths", "2", "()")),
        ({"reset": np.zeros((T, 3), bool)}, Refusal("reset", "(4, 2)", "(4, 3)")),
        ({"reset": np.zeros(T, bool)}, Refusal("reset", "(4, 2)", "(4,)")),
        ({"reset": np.zeros((T, B))}, Refusal("reset", came="float64")),
        ({"initial": {"s": STATE}}, Refusal("initial", "h, c", "'s'")),
        ({"initial": [STATE]}, wrong_type("initial", came="list")),
        ({"initial": {"h": STATE[:, :4]}}, Refusal("initial['h']", "(2, 5)", "(2, 4)")),
        ({"initial": {"c": np.ones((3, H))}}, Refusal("initial['c']", "(2, 5)", "(3, 5)")),
        ({"initial": {"c": STATE.astype("f")}}, wrong_type("initial['c']", "float64", "float32")),
        ({"initial": {"h": None}}, wrong_type("initial['h']", "float64", "object")),
        (
            {"initial": {"h": with_entry(STATE, (1, 4), np.nan)}},
            Refusal("initial['h']", came=("nan", "(1, 4)")),
        ),
        ({"signals": {"dt": X}}, Refusal("signals", came="'dt'")),
    ],
)
def test_wrong_options_of_forward_are_named(options, refusal):
    with refused(refusal):
        rd.forward(LSTM, PARAMS, X, **options)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"steps": 0}, Refusal("steps", "1", "0")),
        ({"steps": 1.5}, Refusal("steps", "1", "1.5")),
        ({"steps": 3, "initial": {"h": np.ones(())}}, Refusal("initial['h']", "(1, 5)", "()")),
        ({"steps": 3, "initial": {"h": STATE[:0]}}, Refusal("initial['h']", came="(0, 5)")),
        (
            {"steps": 3, "initial": {"h": STATE, "c": np.ones((3, H))}},
            Refusal("initial['c']", "(2, 5)", "(3, 5)"),
        ),
        ({"steps": 3, "initial": {"s": STATE}}, Refusal("initial", "h, c", "'s'")),
    ],
)
def test_wrong_options_of_a_run_without_input_are_named(options, refusal):
    with refused(refusal):
        rd.forward(LSTM, PARAMS, **options)


COTANGENTS = [
    ({}, Refusal("one of d_output, d_states, d_final")),
    ({"d_states": {}}, Refusal("one of d_output, d_states, d_final")),
    ({"d_output": STATES[:3]}, Refusal("d_output", "(4, 2, 5)", "(3, 2, 5)")),
    ({"d_output": STATES.astype("f")}, wrong_type("d_output", "float64", "float32")),
    ({"d_output": STATES.astype(int)}, wrong_type("d_output", "float64", "int64")),
    ({"d_output": with_entry(STATES, (3, 1, 2), np.nan)}, Refusal("d_output", came=("nan", "(3, 1, 2)"))),
    ({"d_states": STATES}, wrong_type("d_states", came="ndarray")),
    ({"d_states": {"s": STATES}}, Refusal("d_states", "h, c", "'s'")),
    ({"d_states": {"c": STATE}}, Refusal("d_states['c']", "(4, 2, 5)", "(2, 5)")),
    ({"d_states": {"c": STATES * np.inf}}, Refusal("d_states['c']", came=("inf", "(0, 0, 0)"))),
    ({"d_final": {"s": STATE}}, Refusal("d_final", "h, c", "'s'")),
    ({"d_final": {"h": STATES}}, Refusal("d_final['h']", "(2, 5)", "(4, 2, 5)")),
    ({"d_final": {"h": STATE.astype("f")}}, wrong_type("d_final['h']", "float64", "float32")),
]


@pytest.mark.parametrize(("cotangents", "refusal"), COTANGENTS)
@pytest.mark.parametrize("verb", [rd.backward, rd.hvp])
def test_wrong_cotangents_are_named(verb, cotangents, refusal, run):
    with refused(refusal):
        verb(run, **cotangents)


@pytest.mark.parametrize(
    ("direction", "refusal"),
    [
        ({"d_params": {"V": STATE}}, Refusal("d_params", "W, U, b", "'V'")),
        ({"d_params": {"U": STATE}}, Refusal("d_params['U']", "(20, 5)", "(2, 5)")),
        ({"d_params": {"b": np.ones(20, "f")}}, wrong_type("d_params['b']", "float64", "float32")),
        ({"d_params": STATE}, wrong_type("d_params", came="ndarray")),
        ({"d_x": STATES}, Refusal("d_x", "(4, 2, 3)", "(4, 2, 5)")),
        ({"d_x": X.astype("f")}, wrong_type("d_x", "float64", "float32")),
        ({"d_x": with_entry(X, (0, 1, 2), np.inf)}, Refusal("d_x", came=("inf", "(0, 1, 2)"))),
        ({"d_initial": {"s": STATE}}, Refusal("d_initial", "h, c", "'s'")),
        ({"d_initial": {"c": STATE[:, 1:]}}, Refusal("d_initial['c']", "(2, 5)", "(2, 4)")),
        ({"d_signals": {"dt": X}}, Refusal("d_signals", came="'dt'")),
    ],
)
def test_wrong_directions_are_named(direction, refusal, run):
    with refused(refusal):
        rd.jvp(run, **direction)
    with refused(refusal):
        rd.hvp(run, STATES, **direction)


def test_wrong_movements_of_cotangents_are_named(run):
    with refused("d_output_tangent", "(4, 2, 5)", "(2, 5)"):
        rd.hvp(run, STATES, d_output_tangent=STATE)
    with refused("d_states_tangent", "h, c", "'s'"):
        rd.hvp(run, STATES, d_states_tangent={"s": STATES})
    with refused(wrong_type("d_final_tangent['c']", "float64", "float32")):
        rd.hvp(run, STATES, d_final_tangent={"c": STATE.astype("f")})


def test_no_signals_move_where_there_are_none(run):
    still = rd.jvp(run, d_signals={})
    assert not still.output.any()
    with refused("d_signals", came="'s'"):
        rd.jvp(run, d_signals={"s": STATES})


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex128"])
def test_parameters_of_other_dtypes_are_not_made(dtype):
    with refused(wrong_type("dtype", "float32 or float64", dtype)):
        LSTM.init(N, H, dtype=dtype)


def test_initializations_of_another_shape_are_refused():
    with refused("weight and recurrent", "(5, 3)", "(3, 5)"):
        LSTM.init(N, H, weight=lambda rng, rows, columns: np.ones((columns, rows)))


@pytest.mark.parametrize(
    ("arrays", "refusal"),
    [
        ((X, np.ones((4, N + 1)), np.ones(4)), Refusal("x", "(4, 2, 4)", "(4, 2, 3)")),
        ((X, np.ones((4, N)), np.ones(3)), Refusal("bias", "(4,)", "(3,)")),
        ((X, np.ones((4, N), "f"), np.ones(4)), wrong_type("weights", "float64", "float32")),
    ],
)
def test_wrong_arrays_of_a_linear_map_are_named(arrays, refusal):
    with refused(refusal):
        linear(*arrays)


def test_an_input_cannot_move_where_there_is_none():
    alone = rd.forward(LSTM, PARAMS, steps=T)
    with refused("d_x", "None", "array"):
        rd.jvp(alone, d_x=X[:, 0])


@pytest.mark.parametrize(
    "steps", [7, -5, [9], [0, 1.5], "first", [], slice(9, 12), [[0, 1]], True, [True] * 3, 1.0]
)
def test_steps_that_are_not_in_a_run_are_refused(steps, run):
    with refused("steps", "4"):
        rd.jacobian(run, steps)


@pytest.mark.parametrize("verb", [rd.backward, rd.jvp, rd.hvp, rd.jacobian, rd.jacobian_operator])
def test_a_verb_refuses_what_is_not_a_run(verb):
    arguments = [X] if verb in (rd.backward, rd.hvp) else []
    with refused(wrong_type("run", came="ndarray")):
        verb(X, *arguments)


@pytest.mark.parametrize(
    ("v", "refusal"),
    [
        (STATES, Refusal("v", "(4, 2, 10)", "(4, 2, 5)")),
        (np.ones((T, B, 2 * H), "f"), wrong_type("v", "float64", "float32")),
        (np.full((T, B, 2 * H), np.nan), Refusal("v", came=("nan", "(0, 0, 0)"))),
    ],
)
def test_wrong_vectors_of_the_operator_are_named(v, refusal, run):
    A = rd.jacobian_operator(run)
    for apply in (A.matvec, A.rmatvec):
        with refused(refusal):
            apply(v)


@pytest.mark.parametrize(
    ("x", "state", "refusal"),
    [
        (X[0].astype("f"), {}, wrong_type("x", "float64", "float32")),
        (X[0, :1], {}, Refusal("x", "(2, 3)", "(1, 3)")),
        (X, {}, Refusal("x", "(2, 3)", "(4, 2, 3)")),
        (X[0] * np.nan, {}, Refusal("x", came=("nan", "(0, 0)"))),
        (X[0], {"s": STATE}, Refusal("state", "h, c", "'s'")),
        (X[0], {"h": STATE[:, 1:]}, Refusal("state['h']", "(2, 5)", "(2, 4)")),
        (X[0], {"c": STATE[:1]}, Refusal("state['c']", "(2, 5)", "(1, 5)")),
        (X[0], {"c": STATE.astype("f")}, wrong_type("state['c']", "float64", "float32")),
        (X[0], {"h": STATE * np.inf}, Refusal("state['h']", came=("inf", "(0, 0)"))),
    ],
)
def test_a_stepper_names_what_is_wrong(x, state, refusal):
    step = rd.stepper(LSTM, PARAMS)
    with refused(refusal):
        step(x, step.zeros(B) | state)


def test_a_stepper_names_what_is_missing():
    step = rd.stepper(LSTM, PARAMS)
    with refused("state", "h, c", "h"):
        step(X[0], {"h": STATE})
    with refused(wrong_type("state", came="ndarray")):
        step(X[0], STATE)
    with refused("batch_size", "1", "0"):
        step.zeros(0)


# A product that passes the largest float64, times a reset gate that closes with an input of 1e3: inf times 0.
LEAVING = {
    "W": np.repeat([-1.0, 0.0, 0.0], 3)[:, None],
    "U": np.concatenate([np.zeros((6, 3)), 1e308 * np.eye(3)]),
    "b": np.repeat([0.0, 50.0, 0.0], 3),
    "b_h": np.zeros(3),
}


def test_a_run_that_leaves_the_numbers_says_where():
    x = np.full((5, B, 1), -1e3)
    x[2, 1] = 1e3
    initial = {"h": np.array([np.zeros(3), np.full(3, 10.0)])}
    with pytest.raises(FloatingPointError, match=r"nan at step 2: slot 'h' of sequence 1"):
        rd.forward(rd.cells.gru(), LEAVING, x, initial=initial)
    run = rd.forward(rd.cells.gru(), LEAVING, x, initial=initial, check_finite=False)
    assert np.isnan(run.output[2:, 1]).all()
    assert np.isfinite(run.output[:, 0]).all()


def test_a_step_that_leaves_the_numbers_is_refused_as_in_forward():
    step = rd.stepper(rd.cells.gru(), LEAVING)
    with pytest.raises(FloatingPointError, match=r"nan: slot 'h' of sequence 0, unit 0"):
        step(np.array([1e3]), {"h": np.full(3, 10.0)})
    before = step.zeros()
    before["h"][0, 1] = np.inf
    with refused("state['h']", came=("inf", "(0, 1)")):
        step(np.array([1.0]), before)


def test_a_buffer_for_the_state_after_a_step_is_one_of_the_stepper():
    step, other = (rd.stepper(rd.cells.gru(), LEAVING) for _ in range(2))
    x, state, buffer = np.array([1.0]), step.zeros(), step.zeros()
    assert step(x, state, buffer) is buffer
    np.testing.assert_array_equal(buffer["h"], step(x, state)["h"])
    for wrong in (state, step.zeros(2), other.zeros(), dict(buffer)):
        with refused("out", "zeros(1)"):
            step(x, state, wrong)


def _timed(drive, state, signal):
    return {"h": state.h + signal.dt * tanh(drive.n) + signal.u}


def _raw(drive, state, signal):
    return {"h": sigmoid(drive.z) * state.h + signal.x}


TIMED = Cell("timed", state=("h",), drives=("n",), update=_timed, signals=("dt", "u"))
RAW = Cell("raw", state=("h",), drives=("z",), update=_raw, signals=("x",))
DT, U = np.ones((T, B)), STATES


@pytest.mark.parametrize(
    ("signals", "refusal"),
    [
        (None, Refusal("signals", "'dt'")),
        ({"dt": DT}, Refusal("signals", "'u'", "dt")),
        ({"dt": DT, "u": U, "q": U}, Refusal("signals", "dt, u", "'q'")),
        ({"dt": DT[1:], "u": U}, Refusal("signals['dt']", ("(4, 2)", "(4, 2, 5)"), "(3, 2)")),
        ({"dt": DT, "u": U[..., 1:]}, Refusal("signals['u']", ("(4, 2)", "(4, 2, 5)"), "(4, 2, 4)")),
        ({"dt": DT.astype("f"), "u": U}, wrong_type("signals['dt']", "float64", "float32")),
        (
            {"dt": with_entry(DT, (2, 1), np.nan), "u": U},
            Refusal("signals['dt']", came=("nan", "(2, 1)")),
        ),
        (
            {"dt": DT, "u": with_entry(U, (3, 0, 4), -np.inf)},
            Refusal("signals['u']", came=("-inf", "(3, 0, 4)")),
        ),
        (DT, wrong_type("signals", came="ndarray")),
    ],
)
def test_wrong_signals_are_named(signals, refusal):
    with refused(refusal):
        rd.forward(TIMED, TIMED.init(N, H, dtype="float64"), X, signals=signals)


@pytest.mark.parametrize("lengths", [None, [3]])
def test_a_signal_of_one_sequence_is_located_by_its_own_index(lengths):
    params = TIMED.init(N, H, dtype="float64")
    signals = {"dt": DT[:, 0], "u": U[:, 0]}
    with refused("signals['dt']", came=("nan", "(2,)")):
        bad = signals | {"dt": with_entry(DT[:, 0], 2, np.nan)}
        rd.forward(TIMED, params, X[:, 0], signals=bad, lengths=lengths)
    with refused("signals['u']", came=("inf", "(1, 4)")):
        bad = signals | {"u": with_entry(U[:, 0], (1, 4), np.inf)}
        rd.forward(TIMED, params, X[:, 0], signals=bad, lengths=lengths)


def test_a_cell_that_reads_its_input_needs_one_as_wide_as_its_state():
    params = RAW.init(N, H, dtype="float64")
    with refused("x", "5", "(4, 2, 3)"):
        rd.forward(RAW, params, X)
    with refused("x", "5", "no input"):
        rd.forward(RAW, params, steps=T)
    with refused("params['W']", "5", "3"):
        rd.stepper(RAW, params)


STREAMED = {"dt": 0.5, "u": np.ones((2, H))}


@pytest.mark.parametrize(
    ("signals", "refusal"),
    [
        (None, Refusal("signals", ("'dt'", "'timed'"))),
        ({"dt": 0.5}, Refusal("signals", "'u'", "dt")),
        (STREAMED | {"v": 1.0}, Refusal("signals", "dt, u", "'v'")),
        (STREAMED | {"dt": np.nan}, Refusal("signals['dt']", came="nan")),
        (STREAMED | {"u": np.ones((2, H), "float32")}, wrong_type("signals['u']", "float64", "float32")),
        (STREAMED | {"u": np.ones(H)}, Refusal("signals['u']", "(2,) or (2, 5)", "(5,)")),
    ],
)
def test_a_stepper_names_what_is_wrong_with_signals(signals, refusal):
    step = rd.stepper(TIMED, TIMED.init(N, H, dtype="float64"))
    with refused(refusal):
        step(X[0], step.zeros(2), signals=signals)


def test_a_stepper_of_a_cell_without_signals_takes_none():
    step = rd.stepper(LSTM, PARAMS)
    with refused("signals", came="'dt'"):
        step(X[0], step.zeros(2), signals={"dt": 0.5})


def test_an_input_that_nothing_reads_is_refused():
    params = rd.cells.elman().init(0, H, dtype="float64")
    with refused("x", ("0", "params['W']"), "(4, 2, 3)"):
        rd.forward(rd.cells.elman(), params, X)
