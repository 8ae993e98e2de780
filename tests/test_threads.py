"""Threads: any number of them gives the same bits, and several Python threads may call at once."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numba
import numpy as np
import pytest
from cell_checks import arguments, case, direction, group

import recurrent_dynamics as rd
from recurrent_dynamics.engine.cpu.work_split import choose_split
from recurrent_dynamics.kernels import threads as pool
from recurrent_dynamics.kernels.product import HALF_TILE

CELLS = {"lstm": rd.cells.lstm(), "gru": rd.cells.gru(), "elman": rd.cells.elman()}
THREADS, BATCHES = (1, 2, 3, 7), (1, 2, 5, 17, 64)


def running(threads):
    """As a kernel: how many threads there are while it runs."""
    return pool.num_threads()


@pytest.fixture(autouse=True)
def however_small(tune):
    """Let several threads share even the small problems of tests."""
    tune(min_parallel_flops=0)


def tuned_alike(function):
    """The function for other Python threads, which otherwise plan by the default thresholds."""
    context = copy_context()
    return lambda *arguments: context.copy().run(function, *arguments)


def arrays_of(grads):
    return [*grads.params.values(), grads.x, *grads.initial.values(), *grads.states.values()]


def walks(c, seed):
    """All arrays of a forward and a backward pass."""
    run = c.run()
    d = np.random.default_rng(seed).standard_normal(run.output.shape).astype(run.dtype)
    return run, d, [run.output, *run.states.values(), *arrays_of(rd.backward(run, d))]


def everything(c, seed):
    """All arrays of all verbs."""
    run, d, results = walks(c, seed)
    rng = np.random.default_rng(seed)
    by = direction(c.point, rng)
    moved = rd.jvp(run, **arguments(by))
    A = rd.jacobian_operator(run)
    v = rng.standard_normal(A.shape)
    results += [moved.output, *moved.states.values(), *arrays_of(rd.hvp(run, d, **arguments(by)))]
    return [*results, rd.jacobian(run), A.matvec(v), A.rmatvec(v)]


def as_bytes(results):
    return [np.ascontiguousarray(a).tobytes() for a in results]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", CELLS)
def test_every_verb_gives_the_same_bits_for_any_number_of_threads(name, batch, rng, set_threads):
    c = case(
        CELLS[name], rng, steps=5, batch=batch, inputs=7, hidden=19, lengths=batch == 17, reset=batch == 5
    )
    came = []
    for threads in THREADS:
        set_threads(threads)
        came.append(as_bytes(everything(c, batch)))
    assert all(results == came[0] for results in came)


@pytest.mark.parametrize("batch", BATCHES)
def test_training_in_float32_gives_the_same_bits_for_any_number_of_threads(batch, rng, set_threads):
    c = case(CELLS["lstm"], rng, steps=9, batch=batch, inputs=33, hidden=40).astype("float32")
    came = []
    for threads in THREADS:
        set_threads(threads)
        came.append(as_bytes(walks(c, batch)[2]))
    assert all(results == came[0] for results in came)


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 9])
@pytest.mark.parametrize("name", CELLS)
def test_units_shared_by_threads_give_the_same_bits(name, batch, lengths, rng, set_threads):
    """So large a U that threads share the units of a step where there are few instances."""
    c = case(CELLS[name], rng, steps=4, batch=batch, inputs=5, hidden=150, lengths=lengths)
    came = []
    for threads in THREADS:
        set_threads(threads)
        run = c.run()
        assert choose_split(run.tape)[0] == (threads > 1 and batch < HALF_TILE * threads)
        came.append(as_bytes(everything(c, batch)))
    assert all(results == came[0] for results in came)


@pytest.mark.parametrize("name", CELLS)
def test_several_python_threads_get_what_one_gets(name, rng):
    cases = [case(CELLS[name], rng, steps=6, batch=1 + i, inputs=5, hidden=16) for i in range(6)]
    serial = [as_bytes(everything(c, i)) for i, c in enumerate(cases)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            together = list(pool.map(tuned_alike(lambda i: as_bytes(everything(cases[i], i))), range(6)))
            assert together == serial


def test_several_python_threads_may_share_one_run_and_one_stepper(rng):
    c = case(CELLS["lstm"], rng, steps=8, batch=3, inputs=5, hidden=16)
    run, step = c.run(), rd.stepper(c.cell, group(c.point, "params"))
    d = rng.standard_normal(run.output.shape)

    def work(_):
        state = group(c.point, "initial")
        for x in c.x:
            state = step(x, state)
        return as_bytes([*arrays_of(rd.backward(run, d)), *state.values()])

    wanted = work(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(came == wanted for came in pool.map(tuned_alike(work), range(12)))


def test_what_is_small_is_left_to_one_thread(rng, set_threads, tune):
    set_threads(3)
    c = case(CELLS["lstm"], rng, steps=5, batch=4, hidden=19)
    assert choose_split(c.run().tape) == (False, 3)
    tune(min_parallel_flops=1e9)
    assert choose_split(c.run().tape) == (False, 1)
    with pool.POOL:
        assert pool.launch(1, running) == 1
        assert pool.launch(7, running) == 3
        assert pool.launch(2, running) == 2
    assert pool.num_threads() == 3


def test_who_is_inside_the_pool_may_enter_again_and_others_wait(set_threads):
    set_threads(3)
    entered = threading.Event()

    def other():
        with pool.POOL:
            entered.set()

    waiting = threading.Thread(target=other)
    with pool.POOL:
        with pool.POOL:
            assert pool.launch(1, running) == 1
        assert pool.num_threads() == 1, "the number is set back at the end of all"
        waiting.start()
        assert not entered.wait(0.05)
    assert pool.num_threads() == 3
    waiting.join()
    assert entered.is_set()


def test_the_number_of_threads_without_the_symbols_of_numba(set_threads, monkeypatch):
    set_threads(3)
    assert pool.num_threads() == 3
    monkeypatch.setattr(pool.llvm, "address_of_symbol", lambda name: None)
    pool._functions.cache_clear()
    try:
        with pool.POOL:
            assert pool.launch(2, running) == 2
        assert pool.num_threads() == numba.get_num_threads() == 3
    finally:
        pool._functions.cache_clear()


def test_how_long_threads_look_for_work_is_set_while_they_start(monkeypatch):
    seen = []
    monkeypatch.setattr(pool, "get_num_threads", lambda: seen.append(os.environ.get("GOMP_SPINCOUNT")))
    start = pool.start_threads.__wrapped__
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    start()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    start()
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    start()
    assert seen == [pool.SPINS, "7", None]
