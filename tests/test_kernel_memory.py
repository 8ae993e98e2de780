"""Memory that is kept for later calls: in whose hands it is, how much, and that nothing of what lay in it is seen."""

from __future__ import annotations

import threading
from contextvars import copy_context

import numpy as np
import pytest
from cell_checks import case, group

import recurrent_dynamics as rd
from recurrent_dynamics.kernels import memory

N = 1 << 10  # numbers of float64 in an array


@pytest.fixture(autouse=True)
def all_are_large(tune):
    tune(min_pooled_bytes=1)


def address(a):
    return a.__array_interface__["data"][0]


def test_the_next_array_lies_where_the_one_that_is_gone_lay():
    store = memory.Store(1 << 20)
    first = store.empty((N, 2), "float32")
    where = address(first)
    del first
    assert store.kept == 8 * N
    again = store.empty((N,), "float64")
    assert address(again) == where
    assert store.kept == 0
    assert again.shape == (N,)
    assert again.dtype == np.float64
    assert again.flags.c_contiguous
    assert again.flags.writeable
    assert again.flags.aligned


def test_any_view_keeps_the_memory_in_use():
    store = memory.Store(1 << 20)
    a = store.empty((N,), "float64")
    a[...] = np.arange(N)
    view = a.reshape(2, -1)[1, ::2].view("int64")
    wanted = view.copy()
    del a
    assert store.kept == 0
    store.empty((N,), "float64")[...] = 0.0
    np.testing.assert_array_equal(view, wanted)
    del view
    assert store.kept == 2 * 8 * N


def test_zeros_are_zero_in_kept_memory():
    store = memory.Store(1 << 20)
    store.empty((N,), "float64")[...] = np.nan
    a = store.zeros((N - 100, 1), "float64")
    assert store.kept == 0
    assert not a.any()


def test_no_more_is_in_memory_than_was_in_use_at_once():
    store = memory.Store(1 << 20)
    both = [store.empty((n * N,), "float64") for n in (1, 2)]
    del both
    assert store.kept == 3 * 8 * N
    three = store.empty((3 * N,), "float64")  # fits in none that is kept, so they go
    assert store.kept == 0
    del three
    assert store.kept == 3 * 8 * N
    half = store.empty((N // 2,), "float64")
    assert store.kept == 0, "half a block beside a whole one is more than there ever was"
    half[...] = 0.0


def test_at_most_the_limit_is_kept_and_the_oldest_go():
    store = memory.Store(5 * 8 * N)
    a, b, c = (store.empty((n * N,), "float64") for n in (1, 2, 3))
    there = address(c)
    del a, b, c
    assert store.kept == 5 * 8 * N
    assert address(store.empty((3 * N,), "float64")) == there
    store.release()
    assert store.kept == 0
    nothing = memory.Store(0)
    for new in (nothing.empty, nothing.zeros):
        new((N,), "float64")
        assert nothing.kept == 0


@pytest.mark.parametrize("smallest", [1, 1 << 30])
def test_arrays_begin_with_a_line_of_the_cache(smallest, tune):
    tune(min_pooled_bytes=smallest)
    store = memory.Store(1 << 30)
    kept = [
        new((n, 3), dtype)
        for n in (N, N + 1, 9 * N + 5)
        for dtype in "fd"
        for new in (store.empty, store.zeros)
    ]
    assert {address(a) % memory.LINE for a in kept} == {0}


def test_what_comes_back_inside_the_lock_is_put_away_later():
    store = memory.Store(1 << 20)
    a = store.empty((N,), "float64")
    with store._lock:  # as when the garbage collector finds the array in there
        del a
        assert store.kept == 0
    b = store.empty((2 * N,), "float64")
    del b
    assert store.kept == 2 * 8 * N


def test_a_new_process_may_be_split_off_while_a_thread_is_inside_the_lock():
    store = memory.Store(1 << 20)
    store.empty((N,), "float64")
    store._lock.acquire()
    store.after_fork()
    assert store.kept == 0
    store.empty((N,), "float64")[...] = 0.0
    assert store.kept == 8 * N


def test_threads_never_share_a_block():
    store, wrong = memory.Store(1 << 20), []

    def use(own):
        for i in range(300):
            a = store.empty((N + i % 7,), "int64")
            a[...] = own
            if (a != own).any():
                wrong.append(own)

    threads = [threading.Thread(target=copy_context().run, args=(use, i)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert store._used == 0
    assert store.kept <= store._most_used


class Poisoned(memory.Store):
    """Fills with NaN what comes back."""

    def take_back(self, memory):
        memory[...] = 255
        super().take_back(memory)


def every_verb(c, rng):
    """All arrays that the verbs give."""
    run, move = c.run(), {"d_params": group(c.point, "params"), "d_x": c.x}
    d_output = rng.standard_normal(run.output.shape)
    back = rd.backward(run, d_output)
    second, moved = rd.hvp(run, d_output, **move), rd.jvp(run, **move)
    A = rd.jacobian_operator(run)
    v = rng.standard_normal(A.shape)
    given = [rd.jacobian(run), A.matvec(v), A.rmatvec(v), run.output, moved.output]
    for gradients in (back, second):
        given += [gradients.x, *gradients.params.values(), *gradients.states.values()]
        given += gradients.initial.values()
    return given + [*run.drives.values(), *run.states.values(), *moved.states.values()]


@pytest.mark.parametrize("ragged", [False, True])
def test_nothing_of_what_lay_in_a_block_is_seen(ragged, rng, monkeypatch):
    c = case(rd.cells.lstm(), rng, steps=7, batch=3, lengths=ragged, reset=ragged)
    monkeypatch.setattr(memory, "empty", np.empty)
    monkeypatch.setattr(memory, "zeros", np.zeros)
    wanted = every_verb(c, np.random.default_rng(0))
    store = Poisoned(1 << 30)
    monkeypatch.setattr(memory, "empty", store.empty)
    monkeypatch.setattr(memory, "zeros", store.zeros)
    for _ in range(3):
        given = every_verb(c, np.random.default_rng(0))
        for a, b in zip(given, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        del given, a
        assert store.kept > 0


@pytest.mark.parametrize("given", ["-1", "much", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(given, monkeypatch):
    monkeypatch.setenv("RECURRENT_DYNAMICS_KEEP_MB", given)
    with pytest.raises(ValueError, match=f"RECURRENT_DYNAMICS_KEEP_MB must be .* came '{given}'"):
        memory._limit()


def test_the_limit_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("RECURRENT_DYNAMICS_KEEP_MB", "1.5")
    assert memory._limit() == 1_500_000
