"""Runs without a tape: the bits of runs with one, in the memory of the output; what needs a tape says so."""

from __future__ import annotations

import tracemalloc

import hypothesis.strategies as st
import numba
import numpy as np
import pytest
from cell_checks import case, group
from hypothesis import given, settings
from refusals import refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu import time_loops, work_split
from recurrent_dynamics.kernels import memory
from recurrent_dynamics.kernels.access import INTERPRETED

CELLS = {
    "lstm": rd.cells.lstm(),
    "gru": rd.cells.gru(),
    "elman": rd.cells.elman(),
    "gru_reset_before": rd.cells.gru_reset_before(),
    "lstm_projected": rd.cells.lstm_projected(3),
    "normalized": rd.cells.lstm().with_normalization(),
    "indrnn": rd.cells.indrnn(),
}
SIGNALS = {"cfc": rd.cells.cfc(dt=None), "ltc": rd.cells.ltc(dt=None)}
by_name = pytest.mark.parametrize("name", CELLS)


def same_bits(run, taped):
    """Whether a run without a tape gives all that it has as one with a tape does."""
    assert run.output.tobytes() == taped.output.tobytes()
    assert run.output.shape == taped.output.shape
    assert run.output.dtype == taped.output.dtype
    assert not run.output.flags.writeable
    for kind in ("final", "initial"):
        ours, theirs = getattr(run, kind), getattr(taped, kind)
        assert list(ours) == list(theirs)
        for slot, value in theirs.items():
            assert ours[slot].tobytes() == value.tobytes(), (kind, slot)
            assert ours[slot].shape == value.shape
    assert (run.mask is None) == (taped.mask is None)
    assert run.mask is None or np.array_equal(run.mask, taped.mask)
    for name in ("steps", "batch_size", "dtype", "single", "autonomous", "classes", "device"):
        assert getattr(run, name) == getattr(taped, name), name
    for name, value in taped.params.items():
        assert run.params[name].tobytes() == value.tobytes()


def both(cell, params, x=None, **options):
    """The run without a tape, after it was compared with the one with a tape."""
    run = rd.forward(cell, params, x, tape=False, **options)
    same_bits(run, rd.forward(cell, params, x, **options))
    return run


@by_name
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_are_those_of_a_run_with_a_tape(name, dtype, rng):
    for steps, batch, ragged in ((1, 1, False), (5, 3, True), (101, 2, False), (7, 100, True)):
        c = case(CELLS[name], rng, steps, batch, hidden=6, lengths=ragged, reset=ragged).astype(dtype)
        params, initial = group(c.point, "params"), group(c.point, "initial")
        both(c.cell, params, c.x, initial=initial)
        both(c.cell, params, c.x, initial=initial, lengths=c.lengths)
        both(c.cell, params, c.x, initial=initial, lengths=c.lengths, reset=c.reset, copy_params=False)
        both(c.cell, params, c.x, initial=initial, reset=c.reset, check_finite=False)


@given(
    name=st.sampled_from([*CELLS, *SIGNALS]),
    steps=st.integers(1, 120),
    batch=st.integers(1, 30),
    hidden=st.integers(3, 20),
    ragged=st.booleans(),
    reset=st.booleans(),
    threads=st.sampled_from([1, 2, 3, 7]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=20 if INTERPRETED else 60)
def test_any_shape_lengths_resets_and_threads(name, steps, batch, hidden, ragged, reset, threads, seed):
    rng = np.random.default_rng(seed)
    if INTERPRETED:
        steps = 1 + steps % 12
    c = case((CELLS | SIGNALS)[name], rng, steps, batch, 3, hidden, ragged, reset).astype("float32")
    numba.set_num_threads(threads)
    both(
        c.cell, group(c.point, "params"), c.x, initial=group(c.point, "initial"), lengths=c.lengths,
        reset=c.reset, signals=group(c.point, "signals"),
    )  # fmt: skip


@pytest.mark.skipif(INTERPRETED, reason="one thread, all units")
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("window", [time_loops.SHORTEST_WINDOW, 7])
def test_threads_that_share_the_units_of_a_step(ragged, classes, window, rng, tune, set_threads):
    tune(window_rows=3 * window)
    cell = rd.cells.lstm()
    params = cell.init(5, 160, rng)
    x = rng.standard_normal((24, 3, 5)).astype("float32")
    set_threads(2)
    lengths = [24, 3, 9] if ragged else None
    x = x.argmax(axis=2) if classes else x
    assert work_split.choose_split(rd.forward(cell, params, x, lengths=lengths).tape)[0]
    both(cell, params, x, lengths=lengths)
    both(cell, params, x, lengths=lengths, reset=rng.random((24, 3)) < 0.3)  # these never do


def test_one_sequence_class_indices_and_networks_that_run_by_themselves(rng):
    for cell in (rd.cells.lstm(), rd.cells.gru()):
        params = cell.init(4, 6, rng, "float64")
        x = rng.standard_normal((150, 4))
        assert both(cell, params, x).output.shape == (150, 6)
        both(cell, params, x, lengths=[80], reset=rng.random(150) < 0.2)
        classes = rng.integers(0, 4, (40, 9))
        both(cell, params, classes, lengths=rng.integers(0, 41, 9))
        both(cell, params, classes[:, 0])
        both(cell, params, steps=130, initial={"h": rng.standard_normal((2, 6))})
        both(cell, params, steps=3)
        both(cell, cell.init(0, 6, rng), steps=20, initial={"h": np.ones(6, "float32")})


def test_input_that_cannot_be_read_where_it_lies(rng):
    cell = rd.cells.lstm()
    params = cell.init(4, 6, rng)
    x = rng.standard_normal((20, 3, 8)).astype("float32")
    both(cell, params, x[..., ::2])
    both(cell, params, x[::-1, :, :4])
    fixed = x[..., :4].copy()
    fixed.setflags(write=False)
    both(cell, params, fixed)
    both(cell, params, rd.forward(cell, cell.init(8, 4, rng), x, tape=False).output)


def test_output_is_alone_in_its_memory(rng):
    cell = rd.cells.lstm()
    for x in (np.ones((300, 4, 3), "float32"), np.ones((300, 3), "float32")):
        output = rd.forward(cell, cell.init(3, 16), x, tape=False).output
        whole = output
        while isinstance(whole.base, np.ndarray):
            whole = whole.base
        assert whole.nbytes <= output.nbytes + memory.LINE


ASKED = {
    "states": lambda run: run.states,
    "drives": lambda run: run.drives,
    "values": lambda run: run.values,
    "x": lambda run: run.x,
    "tape": lambda run: run.tape,
    "backward": lambda run: rd.backward(run, np.ones_like(run.output)),
    "jvp": lambda run: rd.jvp(run, d_initial={"h": np.ones((2, 4))}),
    "hvp": lambda run: rd.hvp(run, np.ones_like(run.output)),
    "jacobian": lambda run: rd.jacobian(run),
    "jacobian_operator": lambda run: rd.jacobian_operator(run),
    "lyapunov": lambda run: rd.dynamics.lyapunov(run),
    "gates": lambda run: rd.dynamics.gates(run),
    "states of dynamics": lambda run: rd.dynamics.states(run),
    "direct factors": lambda run: rd.dynamics.direct_factors(run),
    "lag gradients": lambda run: rd.dynamics.lag_gradients(run, np.ones_like(run.output)),
}


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize("signals", [False, True])
def test_what_needs_a_tape_says_so(what, signals):
    cell = rd.cells.cfc(dt=None) if signals else rd.cells.lstm()
    params = cell.init(3, 4, dtype="float64")
    given = {"dt": np.ones((6, 2))} if signals else {}
    run = rd.forward(cell, params, np.ones((6, 2, 3)), signals=given, tape=False)
    with refused("run", "states", ("tape=False", "tape=True")):
        ASKED[what](run)


def test_there_is_a_tape_on_a_gpu():
    cell = rd.cells.lstm()
    with refused("tape", "'cuda'", "False"):
        rd.forward(cell, cell.init(3, 4), np.ones((6, 2, 3), "float32"), tape=False, device="cuda")


def test_errors_are_those_of_a_run_with_a_tape():
    cell = rd.cells.elman("relu")
    params = cell.init(3, 4, dtype="float64")
    x = np.ones((200, 2, 3))
    bad = x.copy()
    bad[150, 1, 2] = np.nan
    grows = {**params, "U": 1e9 * np.eye(4), "b": np.ones(4)}
    broken = {**params, "b": np.array([0.0, np.nan, 0.0, 0.0])}
    cases = [
        (params, bad, {}),
        (params, bad, {"check_finite": False}),
        (params, bad[:, 1], {}),
        (grows, x, {}),
    ]
    cases += [(broken, x, {"copy_params": False}), (params, x, {"signals": {"dt": x}})]
    for weights, inputs, options in cases:
        with np.errstate(all="ignore"), pytest.raises((ValueError, TypeError, FloatingPointError)) as wanted:
            rd.forward(cell, weights, inputs, **options)
        with np.errstate(all="ignore"), pytest.raises(wanted.type) as came:
            rd.forward(cell, weights, inputs, tape=False, **options)
        assert str(came.value) == str(wanted.value)
    huge = np.full((200, 2, 3), 1e307)  # its sum is infinite, no entry is
    with np.errstate(all="ignore"):
        both(cell, grows, x, check_finite=False)
        both(rd.cells.elman(), params, huge)


@pytest.mark.skipif(INTERPRETED, reason="NumPy's temporary arrays count")
def test_memory_is_that_of_the_output():
    T, B, H = 4000, 8, 32
    of_window = 1_000_000  # bytes
    for cell in (rd.cells.lstm(), rd.cells.lstm().with_normalization()):
        params, x = cell.init(4, H), np.ones((T, B, 4), "float32")
        layout = cell.layout(4, H)
        for options in ({}, {"reset": np.zeros((T, B), bool)}):
            rd.forward(cell, params, x, tape=False, **options)  # what is made once
            tracemalloc.start()
            run = rd.forward(cell, params, x, tape=False, **options)
            held, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            output = run.output.nbytes
            assert output <= held < output + 150_000
            assert most < output + of_window < 4 * T * B * min(layout.values_size, layout.state_size)


def test_signals_need_the_values_of_all_steps_only_while_they_run():
    cell = rd.cells.cfc(dt=None)
    params, x = cell.init(4, 32), np.ones((2000, 4, 4), "float32")
    run = rd.forward(cell, params, x, signals={"dt": np.ones((2000, 4), "float32")}, tape=False)
    arrays = [a for a in vars(run._tape).values() if isinstance(a, np.ndarray)]
    assert sum(a.nbytes for a in arrays) < 100_000


def test_tape_is_true_or_false():
    cell = rd.cells.elman()
    with refused(wrong_type("tape", came="3")):
        rd.forward(cell, cell.init(3, 4), np.ones((5, 3), "float32"), tape=3)
