"""Frozen parameters: the bits of ordinary ones, which no later change reaches; and windows that calls share."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import tracemalloc

import hypothesis.strategies as st
import numpy as np
import pytest
from cell_checks import case, group
from hypothesis import given, settings
from refusals import Refusal, refused, wrong_type

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu import windows
from recurrent_dynamics.engine.frozen import MOST_SHAPES
from recurrent_dynamics.kernels.access import INTERPRETED
from recurrent_dynamics.kernels.parallel import FAILED, HEAD
from recurrent_dynamics.kernels.tuning import DEFAULT, tuning

CELLS = {
    "lstm": rd.cells.lstm(),
    "gru": rd.cells.gru(),
    "lstm_projected": rd.cells.lstm_projected(3),
    "normalized": rd.cells.lstm().with_normalization(),
    "indrnn": rd.cells.indrnn(),
    "cfc": rd.cells.cfc(dt=None),
}


def same(run, other):
    assert run.output.tobytes() == other.output.tobytes()
    for slot, value in other.final.items():
        assert run.final[slot].tobytes() == value.tobytes()
        assert run.initial[slot].tobytes() == other.initial[slot].tobytes()


@given(
    name=st.sampled_from(list(CELLS)),
    steps=st.integers(1, 12 if INTERPRETED else 120),
    batch=st.integers(1, 20),
    hidden=st.integers(3, 20),
    ragged=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    tape=st.booleans(),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=10 if INTERPRETED else 40)
def test_bits_are_those_of_ordinary_parameters(name, steps, batch, hidden, ragged, dtype, tape, seed):
    rng = np.random.default_rng(seed)
    c = case(CELLS[name], rng, steps, batch, 3, hidden, ragged, ragged).astype(dtype)
    params = group(c.point, "params")
    options = {"initial": group(c.point, "initial"), "signals": group(c.point, "signals")}
    options |= {"lengths": c.lengths, "reset": c.reset}
    frozen = rd.freeze(c.cell, params)
    assert frozen.dtype == dtype
    same(rd.forward(c.cell, frozen, c.x, tape=tape, **options), rd.forward(c.cell, params, c.x, **options))
    assert {key: a.tobytes() for key, a in frozen.items()} == {key: a.tobytes() for key, a in params.items()}


def test_class_indices_networks_that_run_by_themselves_and_units_shared_by_threads(rng, set_threads):
    cell = rd.cells.lstm()
    params = cell.init(5, 160, rng)
    frozen, x = rd.freeze(cell, params), rng.integers(0, 5, (24, 3))
    set_threads(2)
    same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
    same(rd.forward(cell, frozen, steps=30, tape=False), rd.forward(cell, params, steps=30))
    one = rng.standard_normal((24, 5)).astype("float32")
    same(rd.forward(cell, frozen, one, tape=False), rd.forward(cell, params, one))


def test_no_later_change_reaches_them(rng):
    cell = rd.cells.gru()
    params, x = cell.init(3, 4, rng), rng.standard_normal((9, 2, 3)).astype("float32")
    wanted = rd.forward(cell, params, x).output
    frozen = rd.freeze(cell, params)
    for a in params.values():
        a += 1
    assert rd.forward(cell, frozen, x, tape=False).output.tobytes() == wanted.tobytes()
    assert rd.forward(cell, params, x, tape=False).output.tobytes() != wanted.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        frozen["U"][0, 0] = 1
    with pytest.raises(TypeError, match="item assignment"):
        frozen["U"] = params["U"]
    run = rd.forward(cell, frozen, x, tape=False)
    with pytest.raises(ValueError, match="read-only"):
        run.params["U"][0, 0] = 1


def test_they_are_parameters_everywhere(rng):
    cell, other = rd.cells.elman(), rd.cells.elman("relu")
    params, x = cell.init(3, 4, rng), rng.standard_normal((9, 2, 3)).astype("float32")
    frozen = rd.freeze(cell, params)
    same(rd.forward(other, frozen, x, tape=False), rd.forward(other, params, x))
    with refused("params['W']"):
        rd.forward(rd.cells.gru(), frozen, x, tape=False)
    run = rd.forward(cell, frozen, x)
    ours, theirs = (rd.backward(r, r.output).params for r in (run, rd.forward(cell, params, x)))
    assert {k: a.tobytes() for k, a in ours.items()} == {k: a.tobytes() for k, a in theirs.items()}
    again = pickle.loads(pickle.dumps(frozen))
    same(rd.forward(again.cell, again, x, tape=False), run)
    assert list(again) == list(params)
    assert len(again) == len(params)
    assert "W (4, 3)" in repr(again)


def test_cells_that_read_a_memory(rng):
    cell = rd.cells.attention(rd.cells.gru(), keys="3", values="2")
    params = cell.init(3, 4, rng)
    frozen, x = rd.freeze(cell, params), rng.standard_normal((9, 2, 3)).astype("float32")
    for positions in (6, 7):
        memory = {
            name: rng.standard_normal((positions, 2, width)).astype("float32")
            for name, width in (("keys", 3), ("values", 2))
        }
        taped = rd.forward(cell, params, x, memory=memory)
        same(rd.forward(cell, frozen, x, memory=memory, tape=False), taped)
    with refused("memory"):
        rd.forward(cell, frozen, x, tape=False)
    plain = rd.freeze(rd.cells.gru(), rd.cells.gru().init(3, 4, rng))
    with refused("memory"):
        rd.forward(plain.cell, plain, x, memory=memory, tape=False)


def test_what_cannot_be_frozen(rng):
    cell = rd.cells.lstm()
    params = cell.init(3, 4, rng)
    with refused(wrong_type("cell", "be a Cell")):
        rd.freeze(params, cell)
    broken = params["b"].copy()
    broken[3] = np.nan
    with refused("params['b']", "finite", "index (3,)"):
        rd.freeze(cell, {**params, "b": broken})
    with refused(wrong_type("params['b']", "float32")):
        rd.freeze(cell, {**params, "b": params["b"].astype("float64")})
    with refused("params"):
        rd.freeze(cell, {"W": params["W"]})


def test_windows_of_the_same_sizes_share_no_numbers(rng):
    cell, runs = rd.cells.lstm(), []
    for seed in range(4):
        params = cell.init(3, 4, seed)
        x = rng.standard_normal((150, 2, 3)).astype("float32")
        initial = {"c": rng.standard_normal((2, 4)).astype("float32")} if seed % 2 else None
        run = rd.forward(cell, params, x, initial=initial, tape=False)
        runs.append((run, rd.forward(cell, params, x, initial=initial)))
    for run, taped in runs:
        same(run, taped)


@pytest.mark.skipif(INTERPRETED, reason="as slow as its threads are many")
def test_threads_that_call_at_once_do_not_share_a_window(rng):
    cell = rd.cells.gru()
    frozen = [rd.freeze(cell, cell.init(3, 8, seed)) for seed in range(4)]
    x = rng.standard_normal((300, 2, 3)).astype("float32")
    wanted = [rd.forward(cell, params, x).output.tobytes() for params in frozen]
    wrong = []

    def call(i):
        for _ in range(50):
            if rd.forward(cell, frozen[i], x, tape=False).output.tobytes() != wanted[i]:
                wrong.append(i)

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.skipif(
    INTERPRETED or not hasattr(os, "fork"), reason="as slow as its threads are many; needs fork"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_windows_of_its_own_while_threads_of_the_parent_run(rng):
    cell = rd.cells.gru()
    params = cell.init(3, 8, rng)
    frozen = rd.freeze(cell, params)
    inputs = [rng.standard_normal((200, 2, 3)).astype("float32") for _ in range(2)]
    wanted = [rd.forward(cell, params, x).output.tobytes() for x in inputs]
    done, wrong = threading.Event(), []

    def agrees(i):
        return all(
            rd.forward(cell, given, inputs[i], tape=False).output.tobytes() == wanted[i]
            for given in (params, frozen)
        )

    def call(i):
        while not done.is_set():
            if not agrees(i):
                wrong.append(i)

    assert agrees(0)
    assert agrees(1)
    callers = [threading.Thread(target=call, args=(i,)) for i in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(5):
            child = os.fork()
            if not child:
                status = 1
                try:
                    signal.alarm(60)  # a child that waits for a lock of the parent ends, and fails
                    status = 0 if all(agrees(i) for i in (0, 1, 0, 1)) else 2
                finally:
                    os._exit(status)
            wrong += [status] if (status := os.waitpid(child, 0)[1]) else []
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert not wrong


def test_short_runs_are_prepared_once_for_each_shape(rng):
    cell = rd.cells.elman("relu")
    params = cell.init(3, 4, rng)
    frozen = rd.freeze(cell, params)
    for steps in (*range(1, 20), 5, 5):
        for x in (rng.standard_normal((steps, 2, 3)), rng.standard_normal((steps, 3))):
            x = x.astype("float32")
            same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
    assert 0 < len(frozen._prepared) <= MOST_SHAPES
    prepared = frozen._prepared[x.shape]
    assert len(prepared.compute._free) == 1
    with tuning(min_parallel_flops=0.0):  # prepared for another number of threads
        same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
    for refusal, other in (
        (wrong_type("x", "float32", "float64"), x.astype("float64")),
        (Refusal("x", "3 entries a step"), x[:, :2]),
        (Refusal("x", "at least one step"), x[:0]),
        (wrong_type("x", "float32", "float64"), [1.0]),
        (Refusal("x or steps", "be given"), None),
        (Refusal("x", "(T, B, N)", "(2, 2, 2, 3)"), np.ones((2, 2, 2, 3), "float32")),
    ):
        with refused(refusal):
            rd.forward(cell, frozen, other, tape=False)
    same(rd.forward(cell, frozen, x[::-1], tape=False), rd.forward(cell, params, x[::-1]))


@pytest.mark.parametrize("change", [{"window_rows": 1000}, {"max_kept_window": 0}])
def test_runs_are_prepared_anew_for_other_thresholds(change, rng):
    cell = rd.cells.gru()
    params = cell.init(3, 4, rng)
    frozen, x = rd.freeze(cell, params), rng.standard_normal((40, 2, 3)).astype("float32")
    with tuning(**change) as changed:
        same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
        assert frozen._prepared[x.shape].tuning is changed
    same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
    after = frozen._prepared[x.shape]
    assert after.tuning is DEFAULT
    assert after.compute is not None
    same(rd.forward(cell, frozen, x, tape=False), rd.forward(cell, params, x))
    assert frozen._prepared[x.shape] is after


def test_runs_that_are_not_finite_are_located(rng):
    cell = rd.cells.elman("relu")
    params = {**cell.init(3, 4, rng), "U": np.float32(1e9) * np.eye(4, dtype="float32")}
    frozen = rd.freeze(cell, params)
    x = np.ones((30, 2, 3), "float32")
    for weights in (params, frozen):
        with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="at step 5: slot 'h'"):
            rd.forward(cell, weights, x, tape=False)
    x[7, 1, 2] = np.nan
    with np.errstate(all="ignore"), refused("x", "finite", "(7, 1, 2)"):
        rd.forward(cell, frozen, x, tape=False)
    assert len(frozen._prepared[x.shape].compute._free) == 1


@pytest.mark.skipif(INTERPRETED, reason="no machine code")
def test_a_prepared_run_says_that_memory_was_missing_and_goes_on(rng):
    cell = rd.cells.gru()
    params = cell.init(3, 4, rng)
    frozen, x = rd.freeze(cell, params), rng.standard_normal((5, 2, 3)).astype("float32")
    first = rd.forward(cell, frozen, x, tape=False)
    place = frozen._prepared[x.shape].compute._free[0].call._place
    place[HEAD + place[FAILED] // 8 :].view(np.int32)[place[FAILED] % 8 // 4] = 1  # as a kernel does
    with pytest.raises(MemoryError, match="too little memory"):
        rd.forward(cell, frozen, x, tape=False)
    same(rd.forward(cell, frozen, x, tape=False), first)


def test_results_of_prepared_runs_are_arrays_of_their_own(rng):
    cell = rd.cells.lstm()
    params = cell.init(3, 4, rng)
    frozen = rd.freeze(cell, params)
    inputs = [rng.standard_normal((5, 2, 3)).astype("float32") for _ in range(3)]
    runs = [rd.forward(cell, frozen, x, tape=False) for x in inputs]
    for run, x in zip(runs, inputs, strict=True):
        same(run, rd.forward(cell, params, x))
        assert not run.output.flags.writeable
        same(pickle.loads(pickle.dumps(run)), run)


def test_a_prepared_run_keeps_no_memory_of_the_size_of_its_input(rng):
    cell = rd.cells.gru()
    frozen = rd.freeze(cell, cell.init(64, 4))
    x = np.ones((100 if INTERPRETED else 20_000, 1, 64), "float32")
    rd.forward(cell, frozen, x[:5].copy(), tape=False)  # compiles
    tracemalloc.start()
    try:
        rd.forward(cell, frozen, x, tape=False)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frozen._prepared[x.shape].compute is not None
    assert kept < max(x.nbytes // 4, 200_000)


def test_a_window_keeps_little_memory(rng):
    windows._kept_window.cache_clear()
    cell = rd.cells.lstm()
    for hidden in (8, 64, 256):
        for batch in (1, 16, 64):
            x = np.ones((40, batch, 4), "float32")
            rd.forward(cell, cell.init(4, hidden), x, tape=False)
    layout = cell.layout(4, 8)
    kept = windows._kept_window(cell, layout, "f", 40, 1, 40, False)
    assert windows._kept_window.cache_info().hits == 1  # the same call as above
    assert kept.values.nbytes + kept.before.nbytes <= DEFAULT.max_kept_window
    assert 1 < windows._kept_window.cache_info().currsize < 9
