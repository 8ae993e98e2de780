"""Properties that are computed once."""

import os
import signal
import threading

import pytest

from recurrent_dynamics.kernels.lazy import cached_property


class Slow:
    def __init__(self):
        self.started, self.go_on, self.calls = threading.Event(), threading.Event(), 0

    @cached_property
    def value(self):
        """What is computed."""
        self.calls += 1
        self.started.set()
        assert self.go_on.wait(60)
        return object()


def test_it_is_computed_once_and_has_its_docstring():
    slow = Slow()
    slow.go_on.set()
    assert slow.value is slow.value
    assert slow.calls == 1
    assert Slow.value.__doc__ == "What is computed."


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent():
    slow, other = Slow(), Slow()
    other.go_on.set()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    assert slow.started.wait(60)
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.alarm(60)
            status = 0 if other.value is other.value else 2
        finally:
            os._exit(status)
    slow.go_on.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
