"""The second of two threads does not wake on the processor of its caller."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
import warnings

import numba
import numpy as np
import pytest

import recurrent_dynamics as rd
from recurrent_dynamics.kernels import placement
from recurrent_dynamics.kernels.access import INTERPRETED
from recurrent_dynamics.kernels.placement import ASLEEP, AWAY, PROCESSOR, THREAD, notes

PROCESSORS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()

placed = pytest.mark.skipif(
    INTERPRETED or not placement.KNOWN or len(PROCESSORS) < 2 or numba.config.NUMBA_NUM_THREADS < 2,
    reason="threads cannot be placed here",
)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gettid"),
    reason="the system lacks the functions",
)
def test_a_process_that_has_compiled_nothing_finds_the_functions():
    program = "from recurrent_dynamics.kernels import placement; assert placement.KNOWN"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.fixture
def two_threads(tune):
    """A call that takes two threads, and the second of them."""
    tune(min_parallel_flops=0)
    threads = numba.get_num_threads()
    numba.set_num_threads(2)
    cell = rd.cells.elman()
    params = cell.init(4, 5, rng=0)
    x = np.ones((3, 8, 4), np.float32)

    def call():
        return rd.forward(cell, params, x).output.copy()

    call()
    thread = int(notes[THREAD])
    if thread not in map(int, os.listdir("/proc/self/task")):
        pytest.skip("the threading layer has no second thread of its own")
    asleep = int(notes[ASLEEP])
    yield call, thread
    notes[ASLEEP] = asleep
    numba.set_num_threads(threads)
    for t in (0, thread):
        os.sched_setaffinity(t, PROCESSORS)


def allowed() -> set[int]:
    """The processors in the notes."""
    return {p for p in range(64 * placement.WORDS) if int(notes[placement.ALLOWED + p // 64]) >> p % 64 & 1}


@placed
def test_a_thread_on_the_processor_of_its_caller_is_sent_away(two_threads):
    call, thread = two_threads
    here = min(PROCESSORS)
    os.sched_setaffinity(0, {here})  # of this thread alone
    os.sched_setaffinity(thread, {here})
    expected = call()
    assert ctypes.CDLL(None).sched_getcpu() == notes[PROCESSOR] == here
    os.sched_setaffinity(thread, PROCESSORS)
    notes[placement.ALLOWED :] = 0

    result = call()

    assert allowed() == PROCESSORS  # was read, so the thread was sent away
    assert notes[PROCESSOR] != here
    assert os.sched_getaffinity(thread) == PROCESSORS
    assert notes[AWAY] == 0
    assert np.array_equal(result, expected)


@placed
def test_a_thread_that_may_run_on_one_processor_stays(two_threads):
    call, thread = two_threads
    here = min(PROCESSORS)
    for t in (0, thread):
        os.sched_setaffinity(t, {here})
    for _ in range(3):
        call()
        assert notes[PROCESSOR] == here
        assert notes[AWAY] == 0
        assert os.sched_getaffinity(thread) == {here}


@pytest.fixture
def threads_apart(two_threads):
    """The same, each thread on a processor of its own, after a call."""
    call, thread = two_threads
    first, second = sorted(PROCESSORS)[:2]
    os.sched_setaffinity(0, {first})
    os.sched_setaffinity(thread, {second})
    call()
    assert notes[PROCESSOR] == second
    notes[placement.ALLOWED :] = 0
    return call, thread, first


@placed
def test_threads_on_other_processors_are_left_alone(threads_apart):
    call, _, first = threads_apart
    notes[ASLEEP] = 60_000_000_000
    call()
    assert notes[PROCESSOR] != first
    assert not allowed()


@placed
def test_a_thread_that_has_slept_does_not_wake_on_the_processor_of_its_caller(threads_apart):
    call, thread, first = threads_apart
    os.sched_setaffinity(thread, PROCESSORS)
    time.sleep(0.01)
    call()
    assert allowed() == PROCESSORS
    assert notes[PROCESSOR] != first
    assert notes[AWAY] == 0
    assert os.sched_getaffinity(thread) == PROCESSORS


@placed
def test_a_forked_child_forgets_the_threads_of_its_parent(two_threads):
    """Else it would keep a thread of its parent from a processor for good."""
    assert notes[:ASLEEP].any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 for processes with threads
        child = os.fork()
    if not child:
        os._exit(int(notes[:ASLEEP].any()))
    assert os.waitpid(child, 0)[1] == 0
    assert notes[:ASLEEP].any()
