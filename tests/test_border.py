"""Wrong input: one clear line that names the argument, what was expected and what came."""

from __future__ import annotations

import re

import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.cells import Cell
from recurrent_dynamics.engine.linear import linear
from recurrent_dynamics.equations import sigmoid, tanh

T, B, N, H = 4, 2, 3, 5
LSTM = rd.cells.lstm()
PARAMS = LSTM.init(N, H, dtype="float64")
X = np.random.default_rng(0).standard_normal((T, B, N))
STATE, STATES = np.ones((B, H)), np.ones((T, B, H))


def refused(kind, *words):
    """Expect an error of one line in which the words follow one another."""
    return pytest.raises(kind, match=r"\A[^\n]*" + r"[^\n]*".join(map(re.escape, words)) + r"[^\n]*\Z")


def with_entry(a, index, value):
    a = a.copy()
    a[index] = value
    return a


@pytest.fixture(scope="module")
def run():
    return rd.forward(LSTM, PARAMS, X)


@pytest.mark.parametrize(
    ("cell", "params", "kind", "words"),
    [
        ("lstm", PARAMS, TypeError, ["cell must be a Cell", "str"]),
        (LSTM, [1.0], TypeError, ["params must be a mapping", "list"]),
        (LSTM, {}, ValueError, ["params", "need W, U, b", "none"]),
        (LSTM, {"W": PARAMS["W"], "U": PARAMS["U"]}, ValueError, ["params has no 'b'", "W, U, b"]),
        (LSTM, PARAMS | {"V": STATE}, ValueError, ["params['V'] is not a parameter", "W, U, b"]),
        (LSTM, PARAMS | {"U": np.ones((20, 4))}, ValueError, ["params['U']", "(20, 5)", "(20, 4)"]),
        (LSTM, PARAMS | {"W": np.ones((19, 3))}, ValueError, ["params['W']", "4 x hidden size", "(19, 3)"]),
        (LSTM, PARAMS | {"W": np.ones(20)}, ValueError, ["params['W']", "(rows, input size)", "(20,)"]),
        (LSTM, PARAMS | {"b": np.ones((20, 1))}, ValueError, ["params['b']", "(20,)", "(20, 1)"]),
        (LSTM, PARAMS | {"b": [[1.0], [1.0, 2.0]]}, TypeError, ["params['b'] must be an array", "list"]),
        (LSTM, PARAMS | {"U": PARAMS["U"].astype("f")}, TypeError, ["params['U']", "float64", "float32"]),
        (LSTM, {k: v.astype("e") for k, v in PARAMS.items()}, TypeError, ["params['W']", "float16"]),
        (LSTM, {k: v.astype(int) for k, v in PARAMS.items()}, TypeError, ["params['W']", "int64"]),
        (LSTM, {k: v + 0j for k, v in PARAMS.items()}, TypeError, ["params['W']", "complex128"]),
        (
            LSTM,
            PARAMS | {"U": with_entry(PARAMS["U"], (3, 1), np.nan)},
            ValueError,
            ["params['U']", "nan", "(3, 1)"],
        ),
    ],
)
def test_wrong_cells_and_parameters_are_named(cell, params, kind, words):
    with refused(kind, *words):
        rd.forward(cell, params, X)
    with refused(kind, *words):
        rd.stepper(cell, params)


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        (X.astype("f"), TypeError, ["x must have dtype float64", "float32"]),
        (
            np.ones((T, B, N), int),
            TypeError,
            ["x must be real numbers", "class indices", "int64", "(4, 2, 3)"],
        ),
        ("text", TypeError, ["x must have dtype float64"]),
        ([[1.0], [1.0, 2.0]], TypeError, ["x must be an array", "list"]),
        (X[0, 0], ValueError, ["x must have shape (T, B, N), or (T, N)", "(3,)"]),
        (X[None], ValueError, ["x must have shape (T, B, N), or (T, N)", "(1, 4, 2, 3)"]),
        (X[..., :2], ValueError, ["x must have 3 entries", "params['W']", "(4, 2, 2)"]),
        (X[:0], ValueError, ["x must have at least one step and one sequence", "(0, 2, 3)"]),
        (X[:, :0], ValueError, ["x must have at least one step and one sequence", "(4, 0, 3)"]),
        (with_entry(X, (2, 1, 0), np.nan), ValueError, ["x must be finite", "nan", "(2, 1, 0)"]),
        (with_entry(X, (1, 0, 2), -np.inf), ValueError, ["x must be finite", "-inf", "(1, 0, 2)"]),
        (with_entry(X[:, 0], (3, 2), np.inf), ValueError, ["x must be finite", "inf", "(3, 2)"]),
        (None, ValueError, ["input x", "number of steps"]),
    ],
)
def test_wrong_inputs_are_named(x, kind, words):
    with refused(kind, *words):
        rd.forward(LSTM, PARAMS, x)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"steps": T}, ValueError, ["steps", "x"]),
        ({"lengths": [4]}, ValueError, ["lengths must be 2 integers", "(1,)"]),
        ({"lengths": [4.0, 2.0]}, ValueError, ["lengths must be 2 integers", "float64"]),
        ({"lengths": [True, False]}, ValueError, ["lengths must be 2 integers", "bool"]),
        ({"lengths": [4, 5]}, ValueError, ["lengths must lie between 0 and 4", "4 to 5"]),
        ({"lengths": [-1, 2]}, ValueError, ["lengths must lie between 0 and 4", "-1 to 2"]),
        ({"lengths": 3}, ValueError, ["lengths must be 2 integers", "()"]),
        ({"reset": np.zeros((T, 3), bool)}, ValueError, ["reset must be booleans of shape (4, 2)", "(4, 3)"]),
        ({"reset": np.zeros(T, bool)}, ValueError, ["reset must be booleans of shape (4, 2)", "(4,)"]),
        ({"reset": np.zeros((T, B))}, ValueError, ["reset must be booleans", "float64"]),
        ({"initial": {"s": STATE}}, ValueError, ["initial has the key 's'", "h, c"]),
        ({"initial": [STATE]}, TypeError, ["initial must be a dict", "list"]),
        ({"initial": {"h": STATE[:, :4]}}, ValueError, ["initial['h']", "(2, 5)", "(2, 4)"]),
        ({"initial": {"c": np.ones((3, H))}}, ValueError, ["initial['c']", "(2, 5)", "(3, 5)"]),
        ({"initial": {"c": STATE.astype("f")}}, TypeError, ["initial['c']", "float64", "float32"]),
        ({"initial": {"h": None}}, TypeError, ["initial['h']", "float64", "object"]),
        (
            {"initial": {"h": with_entry(STATE, (1, 4), np.nan)}},
            ValueError,
            ["initial['h']", "nan", "(1, 4)"],
        ),
        ({"signals": {"dt": X}}, ValueError, ["signals has the key 'dt'", "none"]),
    ],
)
def test_wrong_options_of_forward_are_named(options, kind, words):
    with refused(kind, *words):
        rd.forward(LSTM, PARAMS, X, **options)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"steps": 0}, ValueError, ["steps must be an integer of at least 1", "0"]),
        ({"steps": 1.5}, ValueError, ["steps must be an integer of at least 1", "1.5"]),
        ({"steps": 3, "initial": {"h": np.ones(())}}, ValueError, ["initial['h']", "(1, 5)", "()"]),
        ({"steps": 3, "initial": {"h": STATE[:0]}}, ValueError, ["initial['h']", "one sequence", "(0, 5)"]),
        (
            {"steps": 3, "initial": {"h": STATE, "c": np.ones((3, H))}},
            ValueError,
            ["initial['c']", "(2, 5)", "(3, 5)"],
        ),
        ({"steps": 3, "initial": {"s": STATE}}, ValueError, ["initial has the key 's'", "h, c"]),
    ],
)
def test_wrong_options_of_a_run_without_input_are_named(options, kind, words):
    with refused(kind, *words):
        rd.forward(LSTM, PARAMS, **options)


COTANGENTS = [
    ({}, ValueError, ["d_output, d_states, d_final"]),
    ({"d_states": {}}, ValueError, ["d_output, d_states, d_final"]),
    ({"d_output": STATES[:3]}, ValueError, ["d_output", "(4, 2, 5)", "(3, 2, 5)"]),
    ({"d_output": STATES.astype("f")}, TypeError, ["d_output", "float64", "float32"]),
    ({"d_output": STATES.astype(int)}, TypeError, ["d_output", "float64", "int64"]),
    ({"d_output": with_entry(STATES, (3, 1, 2), np.nan)}, ValueError, ["d_output", "nan", "(3, 1, 2)"]),
    ({"d_states": STATES}, TypeError, ["d_states must be a dict", "ndarray"]),
    ({"d_states": {"s": STATES}}, ValueError, ["d_states has the key 's'", "h, c"]),
    ({"d_states": {"c": STATE}}, ValueError, ["d_states['c']", "(4, 2, 5)", "(2, 5)"]),
    ({"d_states": {"c": STATES * np.inf}}, ValueError, ["d_states['c']", "inf", "(0, 0, 0)"]),
    ({"d_final": {"s": STATE}}, ValueError, ["d_final has the key 's'", "h, c"]),
    ({"d_final": {"h": STATES}}, ValueError, ["d_final['h']", "(2, 5)", "(4, 2, 5)"]),
    ({"d_final": {"h": STATE.astype("f")}}, TypeError, ["d_final['h']", "float64", "float32"]),
]


@pytest.mark.parametrize(("cotangents", "kind", "words"), COTANGENTS)
@pytest.mark.parametrize("verb", [rd.backward, rd.hvp])
def test_wrong_cotangents_are_named(verb, cotangents, kind, words, run):
    with refused(kind, *words):
        verb(run, **cotangents)


@pytest.mark.parametrize(
    ("direction", "kind", "words"),
    [
        ({"d_params": {"V": STATE}}, ValueError, ["d_params has the key 'V'", "W, U, b"]),
        ({"d_params": {"U": STATE}}, ValueError, ["d_params['U']", "(20, 5)", "(2, 5)"]),
        ({"d_params": {"b": np.ones(20, "f")}}, TypeError, ["d_params['b']", "float64", "float32"]),
        ({"d_params": STATE}, TypeError, ["d_params must be a dict", "ndarray"]),
        ({"d_x": STATES}, ValueError, ["d_x", "(4, 2, 3)", "(4, 2, 5)"]),
        ({"d_x": X.astype("f")}, TypeError, ["d_x", "float64", "float32"]),
        ({"d_x": with_entry(X, (0, 1, 2), np.inf)}, ValueError, ["d_x", "inf", "(0, 1, 2)"]),
        ({"d_initial": {"s": STATE}}, ValueError, ["d_initial has the key 's'", "h, c"]),
        ({"d_initial": {"c": STATE[:, 1:]}}, ValueError, ["d_initial['c']", "(2, 5)", "(2, 4)"]),
        ({"d_signals": {"dt": X}}, ValueError, ["d_signals has the key 'dt'", "none"]),
    ],
)
def test_wrong_directions_are_named(direction, kind, words, run):
    with refused(kind, *words):
        rd.jvp(run, **direction)
    with refused(kind, *words):
        rd.hvp(run, STATES, **direction)


def test_wrong_movements_of_cotangents_are_named(run):
    with refused(ValueError, "d_output_tangent", "(4, 2, 5)", "(2, 5)"):
        rd.hvp(run, STATES, d_output_tangent=STATE)
    with refused(ValueError, "d_states_tangent has the key 's'", "h, c"):
        rd.hvp(run, STATES, d_states_tangent={"s": STATES})
    with refused(TypeError, "d_final_tangent['c']", "float64", "float32"):
        rd.hvp(run, STATES, d_final_tangent={"c": STATE.astype("f")})


def test_no_signals_move_where_there_are_none(run):
    still = rd.jvp(run, d_signals={})
    assert not still.output.any()
    with pytest.raises(ValueError, match="d_signals has the key 's'; known are none"):
        rd.jvp(run, d_signals={"s": STATES})


@pytest.mark.parametrize("dtype", ["float16", "int32", "complex128"])
def test_parameters_of_other_dtypes_are_not_made(dtype):
    with refused(TypeError, "dtype must be float32 or float64", dtype):
        LSTM.init(N, H, dtype=dtype)


def test_initializations_of_another_shape_are_refused():
    with refused(ValueError, "weight and recurrent", "(5, 3)", "(3, 5)"):
        LSTM.init(N, H, weight=lambda rng, rows, columns: np.ones((columns, rows)))


@pytest.mark.parametrize(
    ("arrays", "kind", "words"),
    [
        ((X, np.ones((4, N + 1)), np.ones(4)), ValueError, ["x must have shape", "(4, 2, 4)", "(4, 2, 3)"]),
        ((X, np.ones((4, N)), np.ones(3)), ValueError, ["bias must have shape", "(4,)", "(3,)"]),
        ((X, np.ones((4, N), "f"), np.ones(4)), TypeError, ["weights", "float64", "float32"]),
    ],
)
def test_wrong_arrays_of_a_linear_map_are_named(arrays, kind, words):
    with refused(kind, *words):
        linear(*arrays)


def test_an_input_cannot_move_where_there_is_none():
    alone = rd.forward(LSTM, PARAMS, steps=T)
    with refused(ValueError, "d_x must be None", "no input"):
        rd.jvp(alone, d_x=X[:, 0])


@pytest.mark.parametrize(
    "steps", [7, -5, [9], [0, 1.5], "first", [], slice(9, 12), [[0, 1]], True, [True] * 3, 1.0]
)
def test_steps_that_are_not_in_a_run_are_refused(steps, run):
    with refused(ValueError, "steps must select some of the 4 steps"):
        rd.jacobian(run, steps)


@pytest.mark.parametrize("verb", [rd.backward, rd.jvp, rd.hvp, rd.jacobian, rd.jacobian_operator])
def test_a_verb_refuses_what_is_not_a_run(verb):
    arguments = [X] if verb in (rd.backward, rd.hvp) else []
    with refused(TypeError, "run must be a Run", "ndarray"):
        verb(X, *arguments)


@pytest.mark.parametrize(
    ("v", "kind", "words"),
    [
        (STATES, ValueError, ["v must have shape (4, 2, 10)", "(4, 2, 5)"]),
        (np.ones((T, B, 2 * H), "f"), TypeError, ["v must have dtype float64", "float32"]),
        (np.full((T, B, 2 * H), np.nan), ValueError, ["v must be finite", "nan", "(0, 0, 0)"]),
    ],
)
def test_wrong_vectors_of_the_operator_are_named(v, kind, words, run):
    A = rd.jacobian_operator(run)
    for apply in (A.matvec, A.rmatvec):
        with refused(kind, *words):
            apply(v)


@pytest.mark.parametrize(
    ("x", "state", "kind", "words"),
    [
        (X[0].astype("f"), {}, TypeError, ["x must have dtype float64", "float32"]),
        (X[0, :1], {}, ValueError, ["x must have shape (2, 3)", "(1, 3)"]),
        (X, {}, ValueError, ["x must have shape (2, 3)", "(4, 2, 3)"]),
        (X[0] * np.nan, {}, ValueError, ["x must be finite", "nan", "(0, 0)"]),
        (X[0], {"s": STATE}, ValueError, ["state has the key 's'", "h, c"]),
        (X[0], {"h": STATE[:, 1:]}, ValueError, ["state['h']", "(2, 5)", "(2, 4)"]),
        (X[0], {"c": STATE[:1]}, ValueError, ["state['c']", "(2, 5)", "(1, 5)"]),
        (X[0], {"c": STATE.astype("f")}, TypeError, ["state['c']", "float64", "float32"]),
        (X[0], {"h": STATE * np.inf}, ValueError, ["state['h']", "inf", "(0, 0)"]),
    ],
)
def test_a_stepper_names_what_is_wrong(x, state, kind, words):
    step = rd.stepper(LSTM, PARAMS)
    with refused(kind, *words):
        step(x, step.zeros(B) | state)


def test_a_stepper_names_what_is_missing():
    step = rd.stepper(LSTM, PARAMS)
    with refused(ValueError, "state must have h, c", "h"):
        step(X[0], {"h": STATE})
    with refused(TypeError, "state must be a dict", "ndarray"):
        step(X[0], STATE)
    with refused(ValueError, "batch_size", "0"):
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
    with refused(FloatingPointError, "nan at step 2", "'h'", "sequence 1"):
        rd.forward(rd.cells.gru(), LEAVING, x, initial=initial)
    run = rd.forward(rd.cells.gru(), LEAVING, x, initial=initial, check_finite=False)
    assert np.isnan(run.output[2:, 1]).all()
    assert np.isfinite(run.output[:, 0]).all()


def test_a_step_that_leaves_the_numbers_is_refused_as_in_forward():
    step = rd.stepper(rd.cells.gru(), LEAVING)
    with refused(FloatingPointError, "nan", "slot 'h' of sequence 0, unit 0"):
        step(np.array([1e3]), {"h": np.full(3, 10.0)})
    before = step.zeros()
    before["h"][0, 1] = np.inf
    with refused(ValueError, "state['h'] must be finite", "inf", "(0, 1)"):
        step(np.array([1.0]), before)


def test_a_buffer_for_the_state_after_a_step_is_one_of_the_stepper():
    step, other = (rd.stepper(rd.cells.gru(), LEAVING) for _ in range(2))
    x, state, buffer = np.array([1.0]), step.zeros(), step.zeros()
    assert step(x, state, buffer) is buffer
    np.testing.assert_array_equal(buffer["h"], step(x, state)["h"])
    for wrong in (state, step.zeros(2), other.zeros(), dict(buffer)):
        with refused(ValueError, "out must be another state", "zeros(1)"):
            step(x, state, wrong)


def _timed(drive, state, signal):
    return {"h": state.h + signal.dt * tanh(drive.n) + signal.u}


def _raw(drive, state, signal):
    return {"h": sigmoid(drive.z) * state.h + signal.x}


TIMED = Cell("timed", state=("h",), drives=("n",), update=_timed, signals=("dt", "u"))
RAW = Cell("raw", state=("h",), drives=("z",), update=_raw, signals=("x",))
DT, U = np.ones((T, B)), STATES


@pytest.mark.parametrize(
    ("signals", "kind", "words"),
    [
        (None, ValueError, ["signals must have 'dt'", "none"]),
        ({"dt": DT}, ValueError, ["signals must have 'u'", "dt"]),
        ({"dt": DT, "u": U, "q": U}, ValueError, ["signals has the key 'q'", "dt, u"]),
        ({"dt": DT[1:], "u": U}, ValueError, ["signals['dt']", "(4, 2)", "(4, 2, 5)", "(3, 2)"]),
        ({"dt": DT, "u": U[..., 1:]}, ValueError, ["signals['u']", "(4, 2)", "(4, 2, 5)", "(4, 2, 4)"]),
        ({"dt": DT.astype("f"), "u": U}, TypeError, ["signals['dt']", "float64", "float32"]),
        (
            {"dt": with_entry(DT, (2, 1), np.nan), "u": U},
            ValueError,
            ["signals['dt']", "nan", "index (2, 1)"],
        ),
        (
            {"dt": DT, "u": with_entry(U, (3, 0, 4), -np.inf)},
            ValueError,
            ["signals['u']", "-inf", "index (3, 0, 4)"],
        ),
        (DT, TypeError, ["signals must be a dict", "ndarray"]),
    ],
)
def test_wrong_signals_are_named(signals, kind, words):
    with refused(kind, *words):
        rd.forward(TIMED, TIMED.init(N, H, dtype="float64"), X, signals=signals)


@pytest.mark.parametrize("lengths", [None, [3]])
def test_a_signal_of_one_sequence_is_located_by_its_own_index(lengths):
    params = TIMED.init(N, H, dtype="float64")
    signals = {"dt": DT[:, 0], "u": U[:, 0]}
    with refused(ValueError, "signals['dt']", "nan", "index (2,)"):
        bad = signals | {"dt": with_entry(DT[:, 0], 2, np.nan)}
        rd.forward(TIMED, params, X[:, 0], signals=bad, lengths=lengths)
    with refused(ValueError, "signals['u']", "inf", "index (1, 4)"):
        bad = signals | {"u": with_entry(U[:, 0], (1, 4), np.inf)}
        rd.forward(TIMED, params, X[:, 0], signals=bad, lengths=lengths)


def test_a_cell_that_reads_its_input_needs_one_as_wide_as_its_state():
    params = RAW.init(N, H, dtype="float64")
    with refused(ValueError, "x must have 5 entries", "(4, 2, 3)"):
        rd.forward(RAW, params, X)
    with refused(ValueError, "x must have 5 entries", "no input"):
        rd.forward(RAW, params, steps=T)
    with refused(ValueError, "params['W'] must have 5 columns", "3"):
        rd.stepper(RAW, params)


STREAMED = {"dt": 0.5, "u": np.ones((2, H))}


@pytest.mark.parametrize(
    ("signals", "kind", "words"),
    [
        (None, ValueError, ["signals must have 'dt'", "'timed' reads", "none"]),
        ({"dt": 0.5}, ValueError, ["signals must have 'u'", "came dt"]),
        (STREAMED | {"v": 1.0}, ValueError, ["signals has the key 'v'", "dt, u"]),
        (STREAMED | {"dt": np.nan}, ValueError, ["signals['dt'] must be finite", "nan"]),
        (STREAMED | {"u": np.ones((2, H), "float32")}, TypeError, ["signals['u']", "float64", "float32"]),
        (STREAMED | {"u": np.ones(H)}, ValueError, ["signals['u']", "a number or", "(2,) or (2, 5)", "(5,)"]),
    ],
)
def test_a_stepper_names_what_is_wrong_with_signals(signals, kind, words):
    step = rd.stepper(TIMED, TIMED.init(N, H, dtype="float64"))
    with refused(kind, *words):
        step(X[0], step.zeros(2), signals=signals)


def test_a_stepper_of_a_cell_without_signals_takes_none():
    step = rd.stepper(LSTM, PARAMS)
    with refused(ValueError, "signals has the key 'dt'", "none"):
        step(X[0], step.zeros(2), signals={"dt": 0.5})


def test_an_input_that_nothing_reads_is_refused():
    params = rd.cells.elman().init(0, H, dtype="float64")
    with refused(ValueError, "x must have 0 entries", "no params['W']", "(4, 2, 3)"):
        rd.forward(rd.cells.elman(), params, X)
