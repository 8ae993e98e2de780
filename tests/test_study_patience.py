"""What somebody sees who waits for a study, and the processor time that compilation beside a training takes."""

import os
import subprocess
import sys
import threading

import pytest

from recurrent_dynamics.study.patience import said


def test_what_lasts_is_said_again():
    lines, third = [], threading.Event()

    def say(line):
        lines.append(line)
        if len(lines) == 3:
            third.set()

    with said(say, "drawing", every=0.001):
        assert third.wait(60)
    assert lines[0] == "drawing"
    assert lines[1].startswith("drawing: ")
    assert lines[1].endswith(" s")


def test_what_is_short_is_said_once():
    lines = []
    with said(lines.append, "drawing", every=60):
        pass
    assert lines == ["drawing"]


def test_an_error_ends_the_lines():
    lines, before = [], threading.active_count()
    with pytest.raises(KeyError), said(lines.append, "drawing", every=60):
        raise KeyError("report")
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="schedulers of Linux")
def test_compilation_beside_a_training_takes_what_others_leave():
    code = "import os; from recurrent_dynamics.study.ahead import stand_back; stand_back()"
    code += "; print(os.sched_getscheduler(0))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == os.SCHED_IDLE
